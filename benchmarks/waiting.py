"""Waiting beside the deferrable ``HttpSensor``: the same number of triggers, each kind in one event loop of its own."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import requests

from benchmarks.claim_file import tokens
from benchmarks.emulator import emulator
from benchmarks.figures import Figure, in_turns
from benchmarks.process import measure
from harness.calls import calls_of

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


Turns = Sequence[Sequence[Waited]]
"""What ours cost, and theirs."""


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
        return Waited(asked, told["start_lag"], told["lag"], max(told["memory"], 0.0), told["cpu"])

    def take_turns(self, count: int, interval: float, seconds: float, repeats: int) -> Turns:
        """Let ours and theirs wait, one right after the other, ``repeats`` times."""
        wait = partial(self.wait, count=count, interval=interval, seconds=seconds)
        return in_turns(repeats, lambda: wait("ours"), lambda: wait("http"))

    def _requests(self) -> int:
        answer = requests.get(f"{self.url}/emulator/requests", timeout=60)
        answer.raise_for_status()
        return sum(answer.json().values())


@contextmanager
def ground(folder: Path, count: int) -> Iterator[Ground]:
    """Run an emulator with ``count`` bulk operations, of one device each."""
    ids = folder / f"{count}-operations.txt"
    with emulator("async", bulk_seconds=_FOR_EVER) as service:
        with calls_of(service.url) as calls:
            begun = [str(calls.bulk_claim(f"{token}\n").bulk_ops_request_id) for _, token in tokens(count)]
        ids.write_text("\n".join(begun))
        yield Ground(service.url, ids)


def asking(folder: Path, count: int, intervals: int, interval: float, repeats: int) -> Iterator[Figure]:
    """Count the requests of ``count`` triggers that wait through ``intervals`` intervals."""
    # Half an interval more, for a round that comes a little late is a round.
    with ground(folder, count) as here:
        turns = here.take_turns(count, interval, (intervals + 0.5) * interval, repeats)
    name = f"requests of {count:,} waiting operations, {intervals} intervals"
    yield _figure(name, "requests", turns, lambda each: each.requests, at_least=100.0)


def loop(folder: Path, count: int, interval: float, seconds: float, repeats: int) -> Iterator[Figure]:
    """What as many triggers cost the event loop that they share, and how much memory each holds."""
    with ground(folder, count) as here:
        turns = here.take_turns(count, interval, seconds, repeats)
    lag = f"event loop late, {count:,} triggers in one"
    yield _figure(f"{lag}, the worst", "s", turns, lambda each: each.lag, up_to=0.1)
    yield _figure(f"{lag}, the worst as all begin at once", "s", turns, lambda each: each.start_lag)
    name = f"memory of one of {count:,} triggers that wait"
    yield _figure(name, "kB", turns, lambda each: each.memory / 1e3, at_most=1.0)
    name = f"CPU time of {count:,} triggers, {seconds:g} s with an interval of {interval:g} s"
    yield _figure(name, "s", turns, lambda each: each.cpu)


def _figure(name: str, unit: str, turns: Turns, of: Callable[[Waited], float], **goal: float) -> Figure:
    ours, theirs = ([of(each) for each in kind] for kind in turns)
    return Figure(name, HTTP_SENSOR, unit, ours, theirs, **goal)  # type: ignore[arg-type]
