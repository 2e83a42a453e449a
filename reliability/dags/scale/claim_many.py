"""The DAG of the scale tests: a claim file a run; its bulk operations are waited for in the triggerer."""

from __future__ import annotations

import os
from datetime import timedelta

from airflow.providers.common.compat.sdk import DAG

from airflow_provider_nrfprov.operators.bulk_claim import NrfProvBulkClaimOperator

with DAG(
    "claim_many",
    schedule=None,
    # By default a DAG has 16 of each, and the rest waits its turn.
    max_active_runs=1000,
    max_active_tasks=1000,
    params={"claim_file": "", "report_dir": ""},
):
    NrfProvBulkClaimOperator(
        task_id="claim",
        claim_file="{{ params.claim_file }}",
        report_dir="{{ params.report_dir }}",
        nrfprov_conn_id="nrfprov_scale",
        deferrable=True,
        poll_interval=float(os.environ["NRFPROV_SCALE_POLL_SECONDS"]),
        rows_per_request=int(os.environ["NRFPROV_SCALE_ROWS_PER_REQUEST"]),
        retries=6,
        retry_delay=timedelta(seconds=1),
    )
