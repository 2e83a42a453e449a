"""What tests of a project's connection claim: the five devices of the claim file, and how."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from airflow_provider_nrfprov.emulator.mint import mint_devices
from airflow_provider_nrfprov.operators.bulk_claim import (
    NrfProvBulkClaimOperator,
    NrfProvBulkClaimReportOperator,
)

DEVICES = list(mint_devices(5, seed=1))
"""Of the tokens in the claim file."""
IDS = [each.device_id for each in DEVICES]


def run(operator: Any) -> Any:
    return operator.execute({})


def bulk_claim(claim_file: Path, **options: Any) -> NrfProvBulkClaimOperator:
    named = {"task_id": "claim", "claim_file": claim_file, "poll_interval": 1, "do_xcom_push": False}
    return NrfProvBulkClaimOperator(**named, **options)


def report_of(sent: dict[str, Any]) -> NrfProvBulkClaimReportOperator:
    return NrfProvBulkClaimReportOperator(task_id="report", report_dir=sent["report_dir"], do_xcom_push=False)
