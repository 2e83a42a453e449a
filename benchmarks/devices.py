"""Tagging and blocking many devices on a real Airflow: one task of ours, and a mapped ``HttpOperator`` task a device."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path

from airflow_provider_nrfprov.emulator.accounts import TEAM_A
from airflow_provider_nrfprov.emulator.server import Emulator, running_emulator
from benchmarks.calls import API_KEY, calls_of
from benchmarks.claim_file import tokens
from benchmarks.figures import Figure
from demo.local_airflow import LocalAirflow
from reliability.real_airflow import patiently, real_airflow

DAGS = Path(__file__).parent / "dags"
PARALLELISM = 16
LONGEST_RUN = 1800.0
_ENDED = {"success", "failed"}


def many_devices(folder: Path, count: int, repeats: int) -> Iterator[Figure]:
    """Wall time from the trigger of a DAG run to its end, so the scheduler's and the worker's start are in it."""
    listed = folder / "devices.txt"
    batch = list(tokens(count))
    listed.write_text("\n".join(device for device, _ in batch))
    with running_emulator(contract="sync", bulk_seconds=0.0) as emulator:
        http = {
            "conn_type": "http",
            "host": f"{emulator.url}/v1",
            "extra": {"Authorization": f"Bearer {API_KEY}"},
        }
        env = {"AIRFLOW_CONN_NRFCLOUD_HTTP": json.dumps(http), "NRFPROV_BENCH_DEVICES": str(listed)}
        with real_airflow(
            folder / "airflow", DAGS, emulators={"bench": emulator.url}, parallelism=PARALLELISM, env=env
        ) as here:
            for verb in ("tag", "block"):
                us: list[float] = []
                them: list[float] = []
                for _ in range(repeats):
                    for kind, seconds in (("ours", us), ("http", them)):
                        _claim_anew(emulator, [token for _, token in batch])
                        seconds.append(_run(here.airflow, f"{kind}_{verb}"))
                        _check(emulator, verb, count)
                yield Figure(
                    f"{verb} {count:,} devices, a DAG run on {here.database} and LocalExecutor",
                    f"{count:,} mapped `HttpOperator` tasks, {PARALLELISM} at a time",
                    "s",
                    us,
                    them,
                    at_least=20.0,
                )


def _claim_anew(emulator: Emulator, batch: list[str]) -> None:
    emulator.service.reset()
    with calls_of(emulator.url) as calls:
        for start in range(0, len(batch), 1000):
            calls.bulk_claim("".join(f"{token}\n" for token in batch[start : start + 1000]))


def _check(emulator: Emulator, verb: str, count: int) -> None:
    team = [device for device in emulator.service.devices if device.team == TEAM_A]
    done = sum("bench" in device.tags if verb == "tag" else device.status == "BLOCKED" for device in team)
    if done != count:
        raise RuntimeError(f"{verb}: {done} of {count} devices")


def _run(airflow: LocalAirflow, dag_id: str) -> float:
    airflow.wait_for_dag(dag_id)
    started = time.monotonic()
    run_id = airflow.api.trigger(dag_id, {})
    while (state := patiently(lambda: airflow.api.run_state(dag_id, run_id))) not in _ENDED:
        airflow.require_running()
        if time.monotonic() - started > LONGEST_RUN:
            raise RuntimeError(f"{dag_id} has not ended in {LONGEST_RUN:.0f} s")
        time.sleep(0.25)
    if state != "success":
        raise RuntimeError(f"{dag_id} ended {state}; the logs are in {airflow.home}")
    return time.monotonic() - started
