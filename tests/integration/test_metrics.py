"""Airflow's metrics of a claim, as a StatsD server gets them: names, values, and that they are sent however a task ends."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
from collections import Counter
from importlib.util import find_spec
from pathlib import Path

import pytest

from airflow_provider_nrfprov.emulator.faults import Refuse
from airflow_provider_nrfprov.emulator.mint import mint_devices
from harness.ports import free_port

CLAIM = """
try:
    # As the process of a task does, and dag.test() does not.
    from airflow.sdk.observability import stats
    from airflow.sdk.observability.metrics import stats_utils

    stats.initialize(factory=stats_utils.get_stats_factory(), export_legacy_names=True)
except (ImportError, AttributeError, TypeError):
    pass  # an older Airflow does so when it is first asked

from airflow_provider_nrfprov.operators.bulk_claim import NrfProvBulkClaimOperator

operator = NrfProvBulkClaimOperator(task_id="claim", claim_file={file!r}, do_xcom_push=False, max_rejected_rows=0)
operator.execute({{}})
"""
pytestmark = pytest.mark.skipif(not find_spec("statsd"), reason="there is no statsd client here")


def metrics_of(code: str, folder: Path) -> Counter[str]:
    """Run code in a process whose Airflow has a StatsD server; return the sums of its counters, and how many timers there were."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))
        server.settimeout(0.5)
        settings = {
            "AIRFLOW__METRICS__STATSD_ON": "True",
            "AIRFLOW__METRICS__STATSD_HOST": "127.0.0.1",
            "AIRFLOW__METRICS__STATSD_PORT": str(server.getsockname()[1]),
        }
        subprocess.run(
            [sys.executable, "-c", code], cwd=folder, env=os.environ | settings, check=False, timeout=120
        )
        found: Counter[str] = Counter()
        while True:
            try:
                lines = server.recv(65536).decode()
            except TimeoutError:
                return found
            for name, value, kind in re.findall(
                r"^airflow\.nrfprov\.(\S+):([\d.]+)\|(c|ms)", lines, re.MULTILINE
            ):
                found[name] += int(value) if kind == "c" else 1


@pytest.mark.parametrize("code_ends", ["well", "in an exception"])
def test_a_claim_sends_what_it_counted_however_it_ends(code_ends, connect, emulator, tmp_path):
    connect(emulator.url, bulk_contract="sync", retry_deadline=30)
    emulator.service.faults.plan("ClaimDeviceOwnershipCsv", Refuse(429, retry_after=1))
    rows = [device.token for device in mint_devices(5, seed="metrics")]
    if code_ends != "well":
        rows.append("no token")  # max_rejected_rows=0 fails the task
    (tmp_path / "shift.csv").write_text("\n".join(rows))
    found = metrics_of(CLAIM.format(file=str(tmp_path / "shift.csv")), tmp_path)
    assert found["rows.claimed"] == 5
    assert found["rows"] == len(rows)
    assert found["rows.rejected"] == len(rows) - 5
    assert found["requests.BulkClaimDeviceOwnership.429"] == 1
    assert (
        found["requests.BulkClaimDeviceOwnership.200"] + found["requests.BulkClaimDeviceOwnership.201"] == 1
    )
    assert found["retries"] == found["retries.BulkClaimDeviceOwnership"] == 1
    assert found["waited"] >= 1


def test_no_answer_is_a_status_of_its_own(connect, tmp_path):
    connect(f"http://127.0.0.1:{free_port()}")
    (tmp_path / "shift.csv").write_text(next(iter(mint_devices(1, seed="metrics"))).token)
    found = metrics_of(CLAIM.format(file=str(tmp_path / "shift.csv")), tmp_path)
    assert found["requests"] >= 1
    assert found["requests"] == sum(
        count for name, count in found.items() if re.fullmatch(r"requests\.\w+\.none", name)
    )


def test_the_page_names_every_metric_that_is_sent_and_no_other():
    root = Path(__file__).parents[2]
    page = (root / "docs" / "metrics.md").read_text()
    named = set(re.findall(r"^\| `nrfprov\.(\w+)`", page, re.MULTILINE))
    source = "".join(file.read_text() for file in (root / "airflow_provider_nrfprov").rglob("*.py"))
    sent = set(re.findall(r'(?:_add|count_outcomes)\("(\w+)"', source)) | set(
        re.findall(r'timing\("nrfprov\.(\w+)"', source)
    )
    assert named == sent
