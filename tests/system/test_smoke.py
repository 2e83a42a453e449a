"""A real Airflow, whatever its version: a claim is deferred to the triggerer, resumed by the scheduler, and ends."""

from __future__ import annotations

import time
from contextlib import ExitStack

import pytest

from airflow_provider_nrfprov.emulator.mint import mint_devices
from airflow_provider_nrfprov.version_compat import AIRFLOW_V_3_0_PLUS
from harness.local_airflow import LocalAirflow
from harness.local_emulator import LocalEmulator
from harness.ports import free_port
from harness.processes import require_stopped
from tests.integration.leaks import Secrets, folder

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not AIRFLOW_V_3_0_PLUS, reason="the local Airflow is started as Airflow 3 is"),
]

DAG_FILE = """
from airflow.providers.common.compat.sdk import DAG
from airflow_provider_nrfprov.operators.bulk_claim import NrfProvBulkClaimOperator

with DAG("smoke", schedule=None, params={"good": "", "bad": ""}):
    for name in ("good", "bad"):
        NrfProvBulkClaimOperator(
            task_id=name,
            claim_file=f"{{{{ params.{name} }}}}",
            report_dir=f"{{{{ params.{name} }}}}.report",
            deferrable=True,
            poll_interval=1,
        )
"""


def test_a_claim_is_deferred_and_ends_and_no_log_of_a_task_shows_a_secret(tmp_path):
    tokens = [device.token for device in mint_devices(6, seed=f"smoke {tmp_path}")]
    files = {"good": tokens[:3], "bad": tokens[3:]}
    for name, rows in files.items():
        (tmp_path / name).write_text("\n".join(rows))
    (tmp_path / "dags").mkdir()
    (tmp_path / "dags" / "smoke.py").write_text(DAG_FILE)
    # Long enough that the process of a deferred task has ended before its trigger fires, on a busy machine, too: else the
    # scheduler may fail the task ("Airflow's own race" of docs/reliability.md).
    emulator = LocalEmulator(tmp_path / "emulator.log", contract="async", bulk_seconds=20)
    with ExitStack() as stack:
        stack.callback(require_stopped, emulator.stop)
        emulator.start()
        emulator.claim(tokens[3], for_other_team=True)
        # Airflow 3.0 needs it to show an XCom that is no text.
        env = {**emulator.connection(), "AIRFLOW__API__ENABLE_XCOM_DESERIALIZE_SUPPORT": "True"}
        airflow = LocalAirflow(tmp_path / "airflow", tmp_path / "dags", port=free_port(), env=env)
        stack.callback(require_stopped, airflow.stop)
        states, receipt = run_smoke(airflow, {name: str(tmp_path / name) for name in files})
    assert states == {"good": "success", "bad": "failed"}
    assert (receipt["rows"], receipt["claimed"]) == (3, 3)
    logs = folder(tmp_path / "airflow" / "logs")
    assert sum(".log.trigger." in name for name in logs) >= 2, "each was in the triggerer"
    assert any("RowsFailedError" in text for text in logs.values()), (
        "the traceback is where it was looked for"
    )
    assert Secrets(tokens, [emulator.api_key]).found_in_places(logs) == {}


def run_smoke(airflow: LocalAirflow, files: dict[str, str]) -> tuple[dict[str, str], dict]:
    """Run the DAG; return the state of each task, and the receipt of the good one."""
    airflow.start()
    airflow.wait_until_healthy(180)
    airflow.wait_for_dag("smoke", 120)
    run_id = airflow.api.trigger("smoke", files)
    end = time.monotonic() + 180
    while airflow.api.run_state("smoke", run_id) in {"queued", "running"} and time.monotonic() < end:
        airflow.require_running()
        time.sleep(0.5)
    states = {task["task_id"]: task["state"] for task in airflow.api.task_instances("smoke", run_id)}
    return states, airflow.api.xcom("smoke", run_id, "good")
