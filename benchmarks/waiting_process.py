"""Many triggers that wait in one event loop, as a program: what they cost the loop and the memory.

``python -m benchmarks.waiting_process ours|http URL COUNT --interval 3 --seconds 30 [--ids FILE]`` prints a line of JSON.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import statistics
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil  # type: ignore[import-untyped,unused-ignore]

from airflow_provider_nrfprov.api import wait_policy
from airflow_provider_nrfprov.api.wait_policy import at_least
from harness.connections import default_connections

if TYPE_CHECKING:
    from airflow.triggers.base import BaseTrigger

_LOOK_SECONDS = 0.01
_MEMORY_SECONDS = 0.5


class Watcher:
    """Looks at the event loop it runs in: how late it is woken, and how much memory is resident."""

    def __init__(self) -> None:
        self.lags: list[tuple[float, float]] = []
        """When, and by how many seconds it was late."""
        self.memory: list[tuple[float, int]] = []
        self._process = psutil.Process()

    async def run(self) -> None:
        """Look until cancelled."""
        loop, next_memory = asyncio.get_running_loop(), 0.0
        while True:
            begun = loop.time()
            await asyncio.sleep(_LOOK_SECONDS)
            now = loop.time()
            self.lags.append((now, now - begun - _LOOK_SECONDS))
            if now >= next_memory:
                self.memory.append((now, self._process.memory_info().rss))
                next_memory = now + _MEMORY_SECONDS


def trigger_of(kind: str, number: int, ids: Sequence[str], interval: float) -> BaseTrigger:
    """Return the trigger that waits for the n-th operation, and does so for ever."""
    if kind == "ours":
        from airflow_provider_nrfprov.triggers.bulk_ops import NrfProvBulkOpsTrigger

        return NrfProvBulkOpsTrigger("nrfprov_default", [ids[number]], interval, time.time() + 10**6)
    from airflow.providers.http.triggers.http import HttpSensorTrigger

    # It waits as long as it is answered 404: any other operation's answer would end it.
    return HttpSensorTrigger(
        endpoint=f"bulk-ops-requests/0000000000000000000000{number:04d}", poke_interval=interval
    )


async def _follow(trigger: BaseTrigger) -> None:
    async for event in trigger.run():
        raise RuntimeError(f"it should have waited: {event!r}")


async def _end(tasks: Sequence[asyncio.Task[None]]) -> None:
    failed = [task for task in tasks if task.done()]
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    for task in failed:
        task.result()


async def wait(kind: str, ids: Sequence[str], count: int, interval: float, seconds: float) -> dict[str, Any]:
    """Let a number of triggers wait for some time; return lag (s) and memory (bytes a trigger)."""
    loop = asyncio.get_running_loop()
    # One first: modules, pools and connections are not what a thousand more cost.
    wait_policy.SOONEST_EVENT = 0.2
    warm = asyncio.create_task(_follow(trigger_of(kind, 0, ids, 0.2)))
    await asyncio.sleep(1)
    await _end([warm])
    # As by default, the first round comes after one interval; here intervals are shorter, so that all of it takes less time.
    wait_policy.SOONEST_EVENT = at_least(interval)
    gc.collect()
    before, cpu_before = psutil.Process().memory_info().rss, time.process_time()
    watcher = Watcher()
    watching = asyncio.create_task(watcher.run())
    started = loop.time()
    tasks = [asyncio.create_task(_follow(trigger_of(kind, number, ids, interval))) for number in range(count)]
    await asyncio.sleep(seconds)
    watching.cancel()
    with suppress(asyncio.CancelledError):
        await watching
    cpu = time.process_time() - cpu_before
    await _end(tasks)
    # The first round is that of starting them all at the same moment, which no triggerer does.
    settled = started + min(interval, seconds / 2)
    resident = [bytes_ for when, bytes_ in watcher.memory if when >= settled]
    return {
        "start_lag": max(lag for when, lag in watcher.lags if when < settled),
        "lag": max(lag for when, lag in watcher.lags if when >= settled),
        "memory": (statistics.median(resident) - before) / count,
        "cpu": cpu,
    }


def main() -> None:
    """Wait; print what it cost."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kind", choices=["ours", "http"])
    parser.add_argument("url")
    parser.add_argument("count", type=int)
    parser.add_argument("--interval", type=float, default=3.0)
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--ids", type=Path, help="a file with the ids of operations that do not end")
    arguments = parser.parse_args()
    ids = arguments.ids.read_text().split() if arguments.ids else []
    with default_connections(arguments.url):
        result = asyncio.run(
            wait(arguments.kind, ids, arguments.count, arguments.interval, arguments.seconds)
        )
    print(json.dumps(result))


if __name__ == "__main__":
    main()
