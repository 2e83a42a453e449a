"""Claim the devices of a file: check it, claim, wait in the triggerer, report, tag, judge.

Trigger it from the UI (there is a form) or through the API. Nothing here needs a connection or a
network to be parsed. ``claim`` sends, waits and reports; ``tag_devices`` tags what was yours before; ``judge_outcome`` fails the
run, if it has to, once everything else is done, and shows ten rows with the reasons.
"""

from __future__ import annotations

from datetime import timedelta

from airflow.providers.common.compat.sdk import DAG, Param

from airflow_provider_nrfprov.operators.check_claim_file import NrfProvCheckClaimFileOperator
from airflow_provider_nrfprov.task_groups import claim_and_tag

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
    check_claim_file = NrfProvCheckClaimFileOperator(
        task_id="check_claim_file",
        claim_file="{{ params.claim_file }}",
    )

    claimed = claim_and_tag(
        claim_file="{{ params.claim_file }}",
        tags="{{ params.tags or [] }}",
        max_failed_rows="{{ params.max_failed_rows }}",
        claim_arguments={
            # What comes out of a template empty is an error, so the default of the form is written down.
            "report_dir": "{{ params.report_dir or params.claim_file ~ '-reports/' ~ (run_id | replace(':', '_') | replace('+', '_')) }}",
            "deferrable": True,
            "timeout": timedelta(hours=6),
        },
        # The tasks are called claim, tag_devices and judge_outcome.
        prefix_group_id=False,
    )

    check_claim_file >> claimed
