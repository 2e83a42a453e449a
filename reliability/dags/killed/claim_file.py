"""The DAGs whose workers, triggerer and scheduler are killed: one claim file a run, with retries of Airflow's own."""

from __future__ import annotations

from datetime import timedelta

from airflow.providers.common.compat.sdk import DAG

from airflow_provider_nrfprov.operators.bulk_claim import NrfProvBulkClaimOperator

for dag_id, deferrable in (("claim_on_worker", False), ("claim_deferred", True)):
    with DAG(
        dag_id,
        schedule=None,
        max_active_runs=100,
        params={"claim_file": "", "report_dir": "", "connection": "", "max_failed_rows": 0},
    ):
        NrfProvBulkClaimOperator(
            task_id="claim",
            claim_file="{{ params.claim_file }}",
            report_dir="{{ params.report_dir }}",
            nrfprov_conn_id="{{ params.connection }}",
            max_failed_rows="{{ params.max_failed_rows }}",
            deferrable=deferrable,
            poll_interval=2,
            # Enough requests a file that a kill can come between any two of them.
            rows_per_request=8,
            retries=6,
            retry_delay=timedelta(seconds=1),
        )
