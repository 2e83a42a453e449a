"""Reports as a claim writes them, in a folder of a test."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from airflow_provider_nrfprov.plugins.device_claims import reports
from airflow_provider_nrfprov.plugins.device_claims.reports import Report

OWNER = {"dag_id": "claim", "run_id": "shift", "task_id": "claim", "map_index": -1}
HEADER = "line,device_id,outcome,status,message,bulk_ops_request_id,imei,serial"


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Report]:
    """Return what writes a report of lines, and finds it as the page does."""

    def written(*lines: str, header: str = HEADER) -> Report:
        (tmp_path / "report.csv").write_text("".join(f"{line}\n" for line in (header, *lines)))
        (tmp_path / "summary.json").write_text(json.dumps(OWNER))
        return reports.find(str(tmp_path / "report.csv"), OWNER)

    return written
