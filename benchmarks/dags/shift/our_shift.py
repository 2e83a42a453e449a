"""A shift's file, claimed, tagged and reported by one operator of ours."""

from __future__ import annotations

import os

from airflow.providers.common.compat.sdk import DAG

from airflow_provider_nrfprov.operators.bulk_claim import NrfProvBulkClaimOperator

with DAG("ours_shift", schedule=None):
    NrfProvBulkClaimOperator(
        task_id="claim",
        claim_file=os.environ["NRFPROV_BENCH_SHIFT"],
        report_dir=os.environ["NRFPROV_BENCH_REPORTS"] + "/{{ run_id }}",
        tags=["bench"],
        deferrable=True,
        nrfprov_conn_id="nrfprov_bench",
    )
