"""Compare what the ERP says was shipped with what is claimed in nRF Cloud, and write down each difference.

Meant to be run every night: copy it, and give it a schedule (``0 2 * * *``) and your own defaults. The export is a CSV
with a header; one of its columns holds device UUIDs. Two files are left in a folder of the run: ``claimed_devices.csv``,
as nRF Cloud lists them, and ``differences.csv``, with a line for each device that is in one of the two only and for
each row of the export that names no device.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from airflow.providers.common.compat.sdk import DAG, AirflowFailException, Param, task

from airflow_provider_nrfprov.operators.list_devices import NrfProvListDevicesOperator

with DAG(
    dag_id="nrfprov_reconcile",
    description="Compare an ERP export with the devices that are claimed in nRF Cloud",
    schedule=None,
    catchup=False,
    tags=["nrfprov", "example"],
    doc_md=__doc__,
    # Lists and None come through templates as what they are.
    render_template_as_native_obj=True,
    # It only reads, so every task may be repeated.
    default_args={"retries": 2, "retry_delay": timedelta(seconds=10)},
    params={
        "expected_file": Param(
            type="string",
            minLength=1,
            title="ERP export",
            description="Path as the workers see it, or a URL like s3://conn_id@bucket/shipped.csv. A CSV with a "
            "header, separated by commas or semicolons.",
            examples=["s3://erp@exports/shipped.csv"],
        ),
        "id_column": Param(
            "device_id",
            type="string",
            minLength=1,
            title="Column",
            description="The column of the export that holds device UUIDs.",
            examples=["device_id", "uuid"],
        ),
        "tag": Param(
            None,
            type=["null", "string"],
            minLength=1,
            maxLength=100,
            title="Tag",
            description="Compare with the devices that have this tag only; empty for all that are claimed.",
            examples=["line=1"],
        ),
        "report_dir": Param(
            type="string",
            minLength=1,
            title="Report folder",
            description="Each run makes a folder of its own in it.",
            examples=["s3://erp@exports/reconciled"],
        ),
        "fail_on_difference": Param(
            False,
            type="boolean",
            title="Fail if there are differences",
            description="Otherwise the log warns of them.",
        ),
    },
) as dag:
    # A run's id holds colons and a plus sign, which not every file system takes.
    report_dir = "{{ params.report_dir }}/{{ run_id | replace(':', '_') | replace('+', '_') }}"

    list_devices = NrfProvListDevicesOperator(
        task_id="list_devices",
        output_path=f"{report_dir}/claimed_devices.csv",
    )

    @task
    def compare(
        expected_file: str, id_column: str, tag: str | None, claimed_file: str, report_dir: str
    ) -> dict[str, Any]:
        """Write ``differences.csv``; return its path and the number of differences of each kind."""
        import csv
        import logging
        import uuid

        from airflow.providers.common.compat.sdk import ObjectStoragePath

        def rows(path: str) -> list[dict[str, Any]]:
            with ObjectStoragePath(path).open("r", encoding="utf-8-sig", newline="") as stream:
                text = stream.read()
            header = text.partition("\n")[0]
            delimiter = ";" if header.count(";") > header.count(",") else ","
            return list(csv.DictReader(text.splitlines(), delimiter=delimiter))

        exported = rows(expected_file)
        # Otherwise a broken export would read as if no device had been shipped.
        if not exported:
            raise AirflowFailException(f"{expected_file} has no rows")
        if id_column not in exported[0]:
            columns = ", ".join(exported[0])
            raise AirflowFailException(
                f"{expected_file} has no column {id_column!r} with device UUIDs: {columns}"
            )
        expected: set[str] = set()
        differences: list[tuple[str, str]] = []
        for row in exported:
            text = (row[id_column] or "").strip()
            try:
                expected.add(str(uuid.UUID(text)))
            except ValueError:
                differences.append((text, "not_a_device_id"))
        claimed = {row["device_id"] for row in rows(claimed_file) if not tag or tag in row["tags"].split(",")}
        differences += [(device_id, "not_claimed") for device_id in sorted(expected - claimed)]
        differences += [(device_id, "not_expected") for device_id in sorted(claimed - expected)]
        differences_file = ObjectStoragePath(report_dir) / "differences.csv"
        with differences_file.open("w", newline="") as stream:
            writer = csv.writer(stream, lineterminator="\n")
            writer.writerow(("device_id", "difference"))
            writer.writerows(differences)
        kinds = [kind for _, kind in differences]
        counts = {kind: kinds.count(kind) for kind in ("not_claimed", "not_expected", "not_a_device_id")}
        logging.getLogger(__name__).info(
            "%d devices expected, %d claimed: %s", len(expected), len(claimed), counts
        )
        return {
            "expected": len(expected),
            "claimed": len(claimed),
            **counts,
            "path": str(differences_file),
        }

    @task(retries=0)
    def judge(comparison: dict[str, Any], fail_on_difference: bool) -> str:
        """Fail the run, or warn, if there are differences."""
        import logging

        kinds = ("not_claimed", "not_expected", "not_a_device_id")
        found = ", ".join(f"{comparison[kind]} {kind}" for kind in kinds if comparison[kind])
        if not found:
            return "no difference"
        if fail_on_difference:
            raise ValueError(f"{found}; {comparison['path']} says which")
        logging.getLogger(__name__).warning("%s; %s says which", found, comparison["path"])
        return found

    comparison = compare(
        "{{ params.expected_file }}",
        "{{ params.id_column }}",
        "{{ params.tag }}",
        list_devices.output["path"],
        report_dir,
    )
    judge(comparison, "{{ params.fail_on_difference }}")
