"""Waits for bulk operations to their end, as a program: when each wait knew of it.

``python -m benchmarks.ending_process ours|http URL COUNT`` starts COUNT operations and prints a line of JSON: their ids, with seconds
since the epoch. What Airflow's scheduler adds is in neither kind.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import random
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from benchmarks.claim_file import tokens
from harness.calls import calls_of
from harness.connections import default_connections

if TYPE_CHECKING:
    from airflow.triggers.base import BaseTrigger


def _ours(id_: str, interval: float) -> None:
    from airflow.providers.common.compat.sdk import TaskDeferred

    from airflow_provider_nrfprov.sensors.bulk_ops import NrfProvBulkOpsSensor

    sensor = NrfProvBulkOpsSensor(
        task_id="wait", bulk_ops_request_ids=[id_], poke_interval=interval, deferrable=True
    )
    try:
        sensor.execute({})  # type: ignore[typeddict-item,unused-ignore]
    except TaskDeferred as deferred:
        asyncio.run(_fire(deferred.trigger))


async def _fire(trigger: BaseTrigger) -> None:
    async for event in trigger.run():
        if event.payload["status"] != "ended":
            raise RuntimeError(f"it should have ended: {event!r}")


def _http(id_: str, interval: float) -> None:
    from airflow.providers.http.sensors.http import HttpSensor

    HttpSensor(
        task_id="wait",
        endpoint=f"bulk-ops-requests/{id_}",
        response_check=lambda response: response.json()["status"] in {"SUCCEEDED", "FAILED"},
        poke_interval=interval,
    ).execute({})  # type: ignore[typeddict-item,unused-ignore]


def main() -> None:
    """Wait; print when each end was known."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kind", choices=["ours", "http"])
    parser.add_argument("url")
    parser.add_argument("count", type=int)
    parser.add_argument("--interval", type=float, default=10.0)
    parser.add_argument("--between", type=float, default=1.0, help="seconds until a wait begins, at most")
    arguments = parser.parse_args()
    wait, batch = {"ours": _ours, "http": _http}[arguments.kind], list(tokens(arguments.count))
    chance = random.Random(1)

    def known_at(token: str, pause: float) -> tuple[str, float]:
        # So that they do not all begin, and ask, at the same moment.
        time.sleep(pause)
        with calls_of(arguments.url) as calls:
            id_ = str(calls.bulk_claim(f"{token}\n").bulk_ops_request_id)
        time.sleep(pause)
        wait(id_, arguments.interval)
        return id_, time.time()

    with default_connections(arguments.url):
        import airflow.providers.http.sensors.http  # noqa: F401 - imports are in no wait

        logging.disable()
        with ThreadPoolExecutor(arguments.count) as pool:
            pauses = [chance.uniform(0, arguments.between) for _ in batch]
            known = dict(pool.map(known_at, (token for _, token in batch), pauses))
    print(json.dumps(known))


if __name__ == "__main__":
    main()
