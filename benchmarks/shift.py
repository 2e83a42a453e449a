"""A shift's file on a real Airflow, from the trigger of the DAG run until it is claimed, tagged and reported."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from airflow_provider_nrfprov.emulator.accounts import TEAM_A
from airflow_provider_nrfprov.emulator.server import running_emulator
from benchmarks.claim_file import write_claim_file
from benchmarks.devices import run_seconds
from benchmarks.figures import Figure
from harness.connections import http_connection
from harness.real_airflow import real_airflow

DAGS = Path(__file__).parent / "dags" / "shift"
ROWS = 500
BULK_SECONDS = 0.1
"""As Nordic's own example takes."""
OUR_TASKS, THEIR_TASKS = 1, 3


def shift(folder: Path, repeats: int) -> Iterator[Figure]:
    """Wall time as Airflow itself wrote it down, and the tasks that it takes."""
    claim_file, reports = write_claim_file(folder / "shift.csv", ROWS), folder / "reports"
    reports.mkdir()
    with running_emulator(contract="async", bulk_seconds=BULK_SECONDS) as emulator:
        env = {
            **http_connection("nrfcloud_http", emulator.url),
            "NRFPROV_BENCH_SHIFT": str(claim_file),
            "NRFPROV_BENCH_REPORTS": str(reports),
        }
        with real_airflow(folder / "airflow", DAGS, emulators={"bench": emulator.url}, env=env) as here:

            def seconds(dag_id: str) -> float:
                emulator.reset()
                taken = run_seconds(here.airflow, dag_id)
                team = [device for device in emulator.service.devices if device.team == TEAM_A]
                tagged = sum(device.tags == ["bench"] for device in team)
                if tagged != ROWS:
                    raise RuntimeError(f"{dag_id}: {tagged} of {ROWS} devices are claimed and tagged")
                return taken

            # Not counted: at its first task Airflow builds what answers all tasks, for seconds.
            seconds("ours_shift")
            pairs = [(seconds("ours_shift"), seconds("http_shift")) for _ in range(repeats)]
            words = f"on {here.database} and {here.executor}"
    name = f"a shift's file of {ROWS} rows, from the trigger to claimed, tagged and reported, {words}"
    theirs = "`HttpOperator`, `HttpSensor` and a task that tags, 8 requests at a time"
    yield Figure(name, theirs, "s", [us for us, _ in pairs], [them for _, them in pairs], at_most=0.5)
    yield Figure(f"{name}: Airflow tasks", theirs, "tasks", [OUR_TASKS], [THEIR_TASKS])
