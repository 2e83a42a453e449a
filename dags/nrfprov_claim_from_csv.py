"""Claim the devices of a file: check it, claim, wait in the triggerer, report, tag, judge.

Trigger it from the UI (there is a form) or through the API. Nothing here needs a connection or a
network to be parsed. With ``wait_for_completion=True`` the operator does claim, wait and report in one
task; the steps stand apart here so that each can be seen, retried and built upon.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from airflow.providers.common.compat.sdk import DAG, Param, task

from airflow_provider_nrfprov.operators.bulk_claim import (
    NrfProvBulkClaimOperator,
    NrfProvBulkClaimReportOperator,
)
from airflow_provider_nrfprov.operators.tag_devices import NrfProvTagDevicesOperator
from airflow_provider_nrfprov.sensors.bulk_ops import NrfProvBulkOpsSensor

with DAG(
    dag_id="nrfprov_claim_from_csv",
    description="Claim the devices of a file in nRF Cloud and account for every row",
    schedule=None,
    catchup=False,
    tags=["nrfprov", "example"],
    doc_md=__doc__,
    # Lists and None come through templates as what they are.
    render_template_as_native_obj=True,
    # Every task here may be repeated: nothing is sent twice.
    default_args={"retries": 2, "retry_delay": timedelta(seconds=10)},
    params={
        "claim_file": Param(
            type="string",
            minLength=1,
            title="Claim file",
            description="Path as the workers see it, or a URL like s3://conn_id@bucket/shift.csv. Rows are a claim "
            "token and optionally its tags, or imei,uuid,token,time as Nordic's gather_attestation_tokens writes them.",
            examples=["/factory/claims/shift.csv", "s3://factory@claims/shift.csv"],
        ),
        "tags": Param(
            [],
            # Without "null" the form wants a tag as soon as somebody has typed one and taken it away again.
            type=["null", "array"],
            items={"type": "string", "minLength": 1, "maxLength": 100},
            title="Tags",
            description="Given to every device besides the row's own tags, one a line.",
        ),
        "report_dir": Param(
            None,
            type=["null", "string"],
            title="Report folder",
            description="Where report.csv and failed_rows.csv go; empty for a folder beside the claim file.",
            examples=["s3://factory@reports/shift"],
        ),
        "max_failed_rows": Param(
            0,
            type="integer",
            minimum=0,
            title="Failed rows allowed",
            description="The run fails if more rows than this failed or are unknown. Rejected rows do not count.",
        ),
    },
) as dag:

    @task
    def check_claim_file(claim_file: str) -> dict[str, int]:
        """Read the file before anything is sent, and log what is wrong with its rows."""
        import logging

        from airflow_provider_nrfprov.claiming.claim_file import read_rows
        from airflow_provider_nrfprov.claiming.preflight import inspect
        from airflow_provider_nrfprov.paths import to_path

        log = logging.getLogger(__name__)
        with to_path(claim_file).open("rb") as stream:
            found = inspect(read_rows(stream, claim_file))
        log.log(logging.WARNING if found.reasons else logging.INFO, "%s: %s", claim_file, found)
        if found.rejected == found.rows:
            raise ValueError(f"{claim_file}: none of its {found.rows} rows can be sent")
        return {"rows": found.rows, "rejected": found.rejected}

    claim = NrfProvBulkClaimOperator(
        task_id="claim",
        claim_file="{{ params.claim_file }}",
        report_dir="{{ params.report_dir }}",
        tags="{{ params.tags }}",
        wait_for_completion=False,
    )

    wait_for_claims = NrfProvBulkOpsSensor(
        task_id="wait_for_claims",
        bulk_ops_request_ids=claim.output["bulk_ops_request_ids"],
        # One refused row makes an operation FAILED; the report says which.
        allow_failed=True,
        deferrable=True,
        timeout=6 * 60 * 60,
    )

    report = NrfProvBulkClaimReportOperator(
        task_id="report",
        report_dir=claim.output["report_dir"],
        # Devices that were claimed are tagged first; judge_outcome fails the run.
        max_failed_rows=None,
    )

    # New devices got the tags as they were claimed; this gives them to those that were ours before.
    tag_devices = NrfProvTagDevicesOperator(
        task_id="tag_devices",
        report=report.output["report"],
        tags="{{ params.tags }}",
        mode="add",
    )

    @task(retries=0)
    def judge_outcome(summary: dict[str, Any], max_failed_rows: int) -> str:
        """Fail the run if more rows failed, or are unknown, than was allowed."""
        bad = summary["failed"] + summary["unknown"]
        if bad > int(max_failed_rows):
            raise ValueError(
                f"{bad} row(s) failed or are unknown; {summary['report']} says which, "
                f"{summary['failed_rows']} can be run again"
            )
        return f"{summary['claimed'] + summary['already_claimed']} of {summary['rows']} rows are ours"

    checked = check_claim_file("{{ params.claim_file }}")
    judged = judge_outcome(report.output, "{{ params.max_failed_rows }}")
    checked >> claim >> wait_for_claims >> report >> tag_devices >> judged
