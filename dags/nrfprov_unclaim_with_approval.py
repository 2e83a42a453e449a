"""Decommission devices: name them, have a person approve it, then unclaim them.

Anybody may claim them then, and nRF Cloud deletes their data. Who approves sees how many devices it is about, and where
their list is; *Required Actions* of the run is where to answer. Rejected, or not answered in time, nothing is unclaimed.

Asking a person in a DAG run came with Airflow 3.1, and how long to wait for the answer with version 1.13 of
apache-airflow-providers-standard, which Airflow 3.1 as released does not have: without them this file has no DAG, and
``why_not`` says so.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from airflow.exceptions import AirflowOptionalProviderFeatureException
from airflow.providers.common.compat.sdk import DAG, Param, task

from airflow_provider_nrfprov.operators.unclaim_devices import NrfProvUnclaimDevicesOperator

try:
    from airflow.providers.standard.operators.hitl import ApprovalOperator
except (ImportError, AirflowOptionalProviderFeatureException):
    why_not = "a person can be asked in a DAG run since Airflow 3.1"
else:
    from importlib.metadata import version

    standard = version("apache-airflow-providers-standard")
    why_not = (
        f"a question has a response_timeout since apache-airflow-providers-standard 1.13; this is {standard}"
        if tuple(map(int, standard.split(".")[:2])) < (1, 13)
        else None
    )

if why_not is None:
    with DAG(
        dag_id="nrfprov_unclaim_with_approval",
        description="Unclaim devices in nRF Cloud, once a person has approved it",
        schedule=None,
        catchup=False,
        tags=["nrfprov", "example"],
        doc_md=__doc__,
        params={
            "device_file": Param(
                type="string",
                minLength=1,
                title="List of devices",
                description="A text file with one device UUID a line, as the workers see it, or a URL.",
                examples=["s3://factory@returns/scrapped.txt"],
            ),
            "max_devices": Param(
                100,
                type="integer",
                minimum=1,
                title="At most",
                description="More devices than this are refused before anybody is asked.",
            ),
            "reason": Param(
                type="string",
                minLength=1,
                maxLength=500,
                title="Reason",
                description="Shown to whoever approves, and kept with the run.",
                examples=["Returned and scrapped, ticket 4711"],
            ),
            "report_dir": Param(
                type="string",
                minLength=1,
                title="Report folder",
                description="As the workers see it, or a URL; each run has its own folder in there.",
                examples=["s3://factory@reports/unclaimed"],
            ),
        },
    ) as dag:
        report_dir = "{{ params.report_dir }}/{{ run_id | replace(':', '_') | replace('+', '_') }}"

        @task
        def settle_list(device_file: str, max_devices: str, report_dir: str) -> dict[str, Any]:
            """Write the list that is approved: what is unclaimed is this one, whatever becomes of the file meanwhile."""
            from uuid import UUID

            from airflow.providers.common.compat.sdk import ObjectStoragePath

            with ObjectStoragePath(device_file).open("r", encoding="utf-8-sig") as stream:
                lines = [line.strip() for line in stream.read().splitlines()]
            devices = list(dict.fromkeys(str(UUID(line)) for line in lines if line))
            if not 1 <= len(devices) <= int(max_devices):
                raise ValueError(f"{len(devices)} devices are listed; it has to be 1 to {max_devices}")
            folder = ObjectStoragePath(report_dir)
            folder.mkdir(parents=True, exist_ok=True)
            approved = folder / "to_unclaim.txt"
            with approved.open("w") as stream:
                stream.write("\n".join(devices) + "\n")
            return {"path": str(approved), "count": len(devices), "first": ", ".join(devices[:5])}

        listed: Any = settle_list("{{ params.device_file }}", "{{ params.max_devices }}", report_dir)

        approve = ApprovalOperator(
            task_id="approve",
            subject="Unclaim {{ ti.xcom_pull(task_ids='settle_list')['count'] }} devices?",
            body="Reason: {{ params.reason }}\n\n"
            "The list is {{ ti.xcom_pull(task_ids='settle_list')['path'] }}; the first are "
            "{{ ti.xcom_pull(task_ids='settle_list')['first'] }}.\n\n"
            "Anybody may claim them then, and nRF Cloud deletes their data.",
            # Who does not answer has not approved.
            defaults="Reject",
            response_timeout=timedelta(days=3),
        )

        unclaim = NrfProvUnclaimDevicesOperator(
            task_id="unclaim_devices",
            device_file=listed["path"],
            max_devices="{{ params.max_devices }}",
            report_dir=report_dir,
            # What is unclaimed already is left alone.
            retries=2,
            retry_delay=timedelta(seconds=10),
        )

        listed >> approve >> unclaim
