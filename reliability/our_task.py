"""Our own operator, run as the baselines are."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

from reliability.baselines import worker_command
from reliability.errand import (
    OUR_CONNECTION,
    OUR_PROJECT_CONNECTION,
    RETRIES,
    Account,
    Death,
    Errand,
    Tool,
    run_task,
)
from reliability.judge import OURS, read_report


def our_operator(errand: Errand) -> Any:
    """Return the one task that claims the file."""
    from airflow.providers.common.compat.sdk import DAG

    from airflow_provider_nrfprov.operators.bulk_claim import NrfProvBulkClaimOperator

    with DAG("claim_with_nrfprov", schedule=None):
        return NrfProvBulkClaimOperator(
            task_id="claim",
            claim_file=errand.claim_file,
            report_dir=str(_report(errand)),
            poll_interval=0.1,
            nrfprov_conn_id=OUR_PROJECT_CONNECTION if errand.contract == "project" else OUR_CONNECTION,
            retries=RETRIES,
        )


def run_ours(errand: Errand, death: Death | None = None) -> Account:
    """Run the task; read what it says from its report and from the rows to run again."""
    if death:
        death(worker_command("ours", errand))
    state, _ = run_task(our_operator(errand), RETRIES if death else RETRIES + 1)
    folder, device_of = _report(errand), errand.device_of()
    if not (folder / "report.csv").exists():
        return Account(f"1 {state}")
    with (folder / "failed_rows.csv").open(newline="") as stream:
        again = {device_of[cell] for row in csv.reader(stream) for cell in row if cell in device_of}
    outcome_of = {row["device_id"]: row["outcome"] for row in read_report(folder)}
    claimed = frozenset(device for device, outcome in outcome_of.items() if outcome in OURS)
    unknown = frozenset(device for device in again if outcome_of.get(device) == "unknown")
    return Account(f"1 {state}", claimed, frozenset(again - unknown), unknown)


def _report(errand: Errand) -> Path:
    return Path(errand.folder) / "report"


OUR_TASK = Tool("NrfProvBulkClaimOperator", run_ours)
