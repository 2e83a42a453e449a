"""Whole DAG runs on a real Airflow, beside what a good user of the http provider would write instead.

Tagging and blocking many devices, by one task of ours and by a mapped ``HttpOperator`` task a device; and a shift's file, from the trigger until it
is claimed, tagged and reported.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pendulum

from airflow_provider_nrfprov.emulator.accounts import TEAM_A
from airflow_provider_nrfprov.emulator.server import Emulator, running_emulator
from benchmarks.claim_file import tokens, write_claim_file
from benchmarks.figures import Figure, in_turns
from harness.airflow_api import ENDED
from harness.calls import calls_of
from harness.connections import http_connection
from harness.local_airflow import LocalAirflow
from harness.real_airflow import patiently, real_airflow

DAGS = Path(__file__).parent / "dags"
PARALLELISM = 16
LONGEST_RUN = 1800.0
_LEAST_PAUSE, _MOST_PAUSE = 0.25, 15.0
"""Seconds."""
SHIFT_ROWS = 500
SHIFT_BULK_SECONDS = 0.1
"""As Nordic's own example takes."""
OUR_SHIFT_TASKS, THEIR_SHIFT_TASKS = 1, 3


def many_devices(folder: Path, count: int, repeats: int, their_repeats: int) -> Iterator[Figure]:
    """Wall time from the trigger of a DAG run to its end, so the scheduler's and the worker's start are in it.

    :param their_repeats: the alternative takes minutes each time, so it may run less often than ours; each of its
        runs is then compared with several of ours.
    """
    listed = folder / "devices.txt"
    batch = list(tokens(count))
    listed.write_text("\n".join(device for device, _ in batch))
    with running_emulator(contract="sync", bulk_seconds=0.0) as emulator:
        env = {**http_connection("nrfcloud_http", emulator.url), "NRFPROV_BENCH_DEVICES": str(listed)}
        with real_airflow(
            folder / "airflow",
            DAGS / "devices",
            emulators={"bench": emulator.url},
            parallelism=PARALLELISM,
            env=env,
        ) as here:

            def seconds(dag_id: str, verb: str) -> float:
                _claim_anew(emulator, [token for _, token in batch])
                taken = _run_seconds(here.airflow, dag_id)
                _check(emulator, verb, count)
                return taken

            # Not counted: at its first task Airflow builds what answers all tasks, for seconds.
            seconds("ours_tag", "tag")
            for verb in ("tag", "block"):
                us: list[float] = []
                them: list[float] = []
                for turn in range(repeats):
                    if turn < their_repeats:
                        them.append(seconds(f"http_{verb}", verb))
                    us.append(seconds(f"ours_{verb}", verb))
                yield Figure(
                    f"{verb} {count:,} devices, a DAG run on {here.database} and LocalExecutor",
                    f"{count:,} mapped `HttpOperator` tasks, {PARALLELISM} at a time; {len(them)} run(s)",
                    "s",
                    us,
                    [them[turn % len(them)] for turn in range(repeats)],
                    at_least=20.0,
                )


def _claim_anew(emulator: Emulator, batch: list[str]) -> None:
    emulator.service.reset()
    with calls_of(emulator.url) as calls:
        for start in range(0, len(batch), 1000):
            calls.bulk_claim("".join(f"{token}\n" for token in batch[start : start + 1000]))


def _check(emulator: Emulator, verb: str, count: int) -> None:
    team = emulator.service.claimed_devices(TEAM_A)
    done = sum("bench" in device.tags if verb == "tag" else device.status == "BLOCKED" for device in team)
    if done != count:
        raise RuntimeError(f"{verb}: {done} of {count} devices")


def shift(folder: Path, repeats: int) -> Iterator[Figure]:
    """Wall time as Airflow itself wrote it down, and the tasks that it takes."""
    claim_file, reports = write_claim_file(folder / "shift.csv", SHIFT_ROWS), folder / "reports"
    reports.mkdir()
    with running_emulator(contract="async", bulk_seconds=SHIFT_BULK_SECONDS) as emulator:
        env = {
            **http_connection("nrfcloud_http", emulator.url),
            "NRFPROV_BENCH_SHIFT": str(claim_file),
            "NRFPROV_BENCH_REPORTS": str(reports),
        }
        with real_airflow(
            folder / "airflow", DAGS / "shift", emulators={"bench": emulator.url}, env=env
        ) as here:

            def seconds(dag_id: str) -> float:
                emulator.reset()
                taken = _run_seconds(here.airflow, dag_id)
                tagged = sum(device.tags == ["bench"] for device in emulator.service.claimed_devices(TEAM_A))
                if tagged != SHIFT_ROWS:
                    raise RuntimeError(f"{dag_id}: {tagged} of {SHIFT_ROWS} devices are claimed and tagged")
                return taken

            # Not counted: at its first task Airflow builds what answers all tasks, for seconds.
            seconds("ours_shift")
            us, them = in_turns(repeats, lambda: seconds("ours_shift"), lambda: seconds("http_shift"))
            words = f"on {here.database} and {here.executor}"
    name = f"a shift's file of {SHIFT_ROWS} rows, from the trigger to claimed, tagged and reported, {words}"
    theirs = "`HttpOperator`, `HttpSensor` and a task that tags, 8 requests at a time"
    yield Figure(name, theirs, "s", us, them, at_most=0.5)
    yield Figure(f"{name}: Airflow tasks", theirs, "tasks", [OUR_SHIFT_TASKS], [THEIR_SHIFT_TASKS])


def _run_seconds(airflow: LocalAirflow, dag_id: str) -> float:
    """Run a DAG; return the seconds from the trigger to the end as Airflow itself wrote them down."""
    airflow.wait_for_dag(dag_id)
    started = time.monotonic()
    run_id = airflow.api.trigger(dag_id, {})
    while (run := patiently(lambda: airflow.api.dag_run(dag_id, run_id)))["state"] not in ENDED:
        airflow.require_running()
        elapsed = time.monotonic() - started
        if elapsed > LONGEST_RUN:
            raise RuntimeError(f"{dag_id} has not ended in {LONGEST_RUN:.0f} s")
        # Rarely: to report a run's state, Airflow loads all of its task instances, which slows down those of thousands.
        time.sleep(min(max(_LEAST_PAUSE, elapsed / 10), _MOST_PAUSE))
    if run["state"] != "success":
        raise RuntimeError(f"{dag_id} ended {run['state']}; the logs are in {airflow.home}")
    queued, ended = (pendulum.parse(run[moment]) for moment in ("queued_at", "end_date"))
    return float((ended - queued).total_seconds())  # type: ignore[operator, union-attr]
