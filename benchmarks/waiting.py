"""Waiting beside the deferrable ``HttpSensor``: the same number of triggers, each kind in one event loop of its own."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests

from benchmarks.calls import calls_of
from benchmarks.claim_file import tokens
from benchmarks.emulator import emulator
from benchmarks.figures import Figure
from benchmarks.process import measure

HTTP_SENSOR = "deferrable `HttpSensor`"
_FOR_EVER = 10**6


@dataclass(frozen=True)
class Waited:
    """What some triggers cost while they waited."""

    requests: int
    start_lag: float
    """Seconds that the event loop was late at most, while all began at once."""
    lag: float
    """The same, later."""
    memory: float
    """Bytes of resident memory a trigger."""
    cpu: float
    """Seconds, of the whole time."""


@dataclass(frozen=True)
class Ground:
    """An emulator with operations that do not end."""

    url: str
    ids: Path

    def wait(self, kind: str, count: int, *, interval: float, seconds: float) -> Waited:
        """Let ``ours`` or ``http`` wait, in a process of its own."""
        before = self._requests()
        arguments = [kind, self.url, str(count), "--interval", str(interval), "--seconds", str(seconds)]
        done = measure(["benchmarks.waiting_process", *arguments, "--ids", str(self.ids)])
        told: dict[str, Any] = json.loads(done.output.strip().splitlines()[-1])
        asked = self._requests() - before
        return Waited(asked.total(), told["start_lag"], told["lag"], max(told["memory"], 0.0), told["cpu"])

    def _requests(self) -> Counter[str]:
        answer = requests.get(f"{self.url}/emulator/requests", timeout=60)
        answer.raise_for_status()
        return Counter(answer.json())


@contextmanager
def ground(folder: Path, count: int) -> Iterator[Ground]:
    """Run an emulator with so many bulk operations, of one device each."""
    ids = folder / f"{count}-operations.txt"
    with emulator("async", bulk_seconds=_FOR_EVER) as service:
        with calls_of(service.url) as calls:
            begun = [str(calls.bulk_claim(f"{token}\n").bulk_ops_request_id) for _, token in tokens(count)]
        ids.write_text("\n".join(begun))
        yield Ground(service.url, ids)


def asking(folder: Path, count: int, intervals: int, interval: float, repeats: int) -> Iterator[Figure]:
    """Requests of triggers that wait through so many intervals."""
    # Half an interval more, for a round that comes a little late is a round.
    seconds = (intervals + 0.5) * interval
    with ground(folder, count) as here:
        pairs = [
            (
                here.wait("ours", count, interval=interval, seconds=seconds),
                here.wait("http", count, interval=interval, seconds=seconds),
            )
            for _ in range(repeats)
        ]
    yield Figure(
        f"requests of {count:,} waiting operations, {intervals} intervals",
        HTTP_SENSOR,
        "requests",
        [us.requests for us, _ in pairs],
        [them.requests for _, them in pairs],
        at_least=50.0,
    )


def loop(folder: Path, count: int, interval: float, seconds: float, repeats: int) -> Iterator[Figure]:
    """What as many triggers cost the event loop that they share, and how much memory each holds."""
    with ground(folder, count) as here:
        pairs = [
            (
                here.wait("ours", count, interval=interval, seconds=seconds),
                here.wait("http", count, interval=interval, seconds=seconds),
            )
            for _ in range(repeats)
        ]
    lag = f"event loop late, {count:,} triggers in one"
    yield Figure(
        f"{lag}, the worst",
        HTTP_SENSOR,
        "s",
        [us.lag for us, _ in pairs],
        [them.lag for _, them in pairs],
        below=0.1,
    )
    yield Figure(
        f"{lag}, the worst as all begin at once",
        HTTP_SENSOR,
        "s",
        [us.start_lag for us, _ in pairs],
        [them.start_lag for _, them in pairs],
    )
    yield Figure(
        f"memory of one of {count:,} triggers that wait",
        HTTP_SENSOR,
        "kB",
        [us.memory / 1e3 for us, _ in pairs],
        [them.memory / 1e3 for _, them in pairs],
        at_most=1.0,
    )
    yield Figure(
        f"CPU time of {count:,} triggers, {seconds:g} s with an interval of {interval:g} s",
        HTTP_SENSOR,
        "s",
        [us.cpu for us, _ in pairs],
        [them.cpu for _, them in pairs],
    )
