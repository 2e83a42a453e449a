"""How long an operation has ended before its wait knows it: ours beside an ``HttpSensor`` that looks at the answer."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Iterator
from datetime import datetime

import requests

from airflow_provider_nrfprov.api.wait_policy import SOONEST_EVENT, round_interval
from airflow_provider_nrfprov.operators.base import SECONDS_ON_WORKER
from airflow_provider_nrfprov.triggers.bulk_ops_poller import next_round
from benchmarks.emulator import emulator
from benchmarks.figures import Figure
from benchmarks.process import measure

INTERVAL = 10.0
"""Seconds; of both, and our default."""
GOALS = {0.1: 1.0, 5.0: 1.5, 60.0: 6.0}
"""Seconds that an operation takes, to seconds until its wait knows of its end, at most."""
HOUR = 3600.0
HTTP_SENSOR = f"`HttpSensor` with a `response_check`, every {INTERVAL:g} s, on a worker"


def ending(durations: tuple[float, ...], count: int) -> Iterator[Figure]:
    """Wait for ``count`` operations at the same time; each wait begins at another moment of its operation's first half."""
    for seconds in durations:
        with emulator("async", bulk_seconds=seconds) as service:
            ours, theirs = (
                _late(service.url, kind, count, min(seconds / 2, INTERVAL)) for kind in ("ours", "http")
            )
        yield Figure(_name(f"{seconds:g} s"), HTTP_SENSOR, "s", ours, theirs, up_to=GOALS[seconds])


def ending_after_an_hour(count: int) -> Iterator[Figure]:
    """Nobody waits an hour for it: this is what the intervals between our rounds come to, and theirs."""
    chance = random.Random(0)
    now = time.time()
    ours, theirs = [], []
    for _ in range(count):
        joined = now + SECONDS_ON_WORKER + chance.random()
        ended = now + HOUR + chance.uniform(-HOUR / 10, HOUR / 10)
        asked = joined + SOONEST_EVENT
        while asked < ended:
            asked = next_round(asked, round_interval(asked - joined, INTERVAL, 1))
        ours.append(100 * (asked - ended) / (ended - now))
        theirs.append(100 * chance.uniform(0, INTERVAL) / (ended - now))
    name = f"{_name('1 h')}, in % of it; reckoned"
    yield Figure(name, HTTP_SENSOR, "%", ours, theirs, up_to=10.0)


def _name(duration: str) -> str:
    return f"time an operation of {duration} has ended before its wait knows it"


def _late(url: str, kind: str, count: int, between: float) -> list[float]:
    arguments = [kind, url, str(count), "--interval", str(INTERVAL), "--between", str(between)]
    done = measure(["benchmarks.ending_process", *arguments])
    known: dict[str, float] = json.loads(done.output.strip().splitlines()[-1])
    answer = requests.get(f"{url}/emulator/operations", timeout=60)
    answer.raise_for_status()
    ended = {each["id"]: datetime.fromisoformat(each["completesAt"]) for each in answer.json()["items"]}
    return [at - ended[id_].timestamp() for id_, at in known.items()]
