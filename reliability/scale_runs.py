"""Many claim DAG runs at once on one Airflow: their files, their start, their end, and what is wrong with each.

Meanwhile a Celery worker may be killed in the midst of claims, and a triggerer in that of waits.
"""

from __future__ import annotations

import re
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import psutil  # type: ignore[import-untyped,unused-ignore]

from airflow_provider_nrfprov.emulator.faults import Slow
from airflow_provider_nrfprov.emulator.mint import mint_devices
from airflow_provider_nrfprov.emulator.server import Emulator
from harness.airflow_api import ENDED
from harness.postgres import rows_by_table
from harness.real_airflow import RealAirflow, patiently
from reliability.engines import TRIGGERER_NAMES, WORKER_NAMES
from reliability.judge import Remembered, Tally, faults_of_run, running_operations
from reliability.misfortunes import CLAIM
from reliability.scenario import Device, Scenario
from reliability.victims import TITLE, kill

FoundT = TypeVar("FoundT")

DAG_ID, CONNECTION = "claim_many", "scale"
ANSWER = Slow(before=0.25, after=0.25)
"""The service answers a bulk claim after 500 ms, half of them before anything is done."""
LONGEST_WAIT = 900.0
"""Seconds until runs that come to no end are given up, and are wrong."""
_BAD_ROW_EVERY = 500
_LEAST_ACCEPTED = 0.1
"""Such a part of all rows is with the service before a worker is killed."""
_HALF = 0.5
"""A claim of which more is accepted may end before the blow falls."""
_TRIGGER_LOG = re.compile(r"/run_id=([^/]+)/.*\.trigger\.\d+\.log$")


@dataclass(frozen=True)
class Size:
    """How much there is to do, and how long the service takes for it."""

    runs: int = 50
    rows: int = 200_000
    """Of all runs together."""
    rows_per_request: int = 1000
    bulk_seconds: float = 20.0
    """How long a bulk operation takes."""
    poll_seconds: float = 10.0
    """The operator's ``poll_interval``."""

    @property
    def env(self) -> dict[str, str]:
        """Tell the DAG."""
        return {
            "NRFPROV_SCALE_POLL_SECONDS": str(self.poll_seconds),
            "NRFPROV_SCALE_ROWS_PER_REQUEST": str(self.rows_per_request),
        }


@dataclass(frozen=True)
class Shift:
    """The claim file of one run."""

    scenario: Scenario = field(repr=False)
    file: Path

    @property
    def rows(self) -> int:
        """Lines of the file."""
        return len(self.scenario.lines)

    @property
    def sendable(self) -> int:
        """Those of them that can be sent."""
        return len(self.scenario.devices)


def write_shifts(size: Size, folder: Path) -> list[Shift]:
    """Write a claim file for each run, with new devices and, once in a while, a damaged token."""
    folder.mkdir(parents=True)
    shifts = []
    for number in range(size.runs):
        rows = size.rows * (number + 1) // size.runs - size.rows * number // size.runs
        here = _scenario(number, rows, size)
        file = folder / f"shift-{number}.csv"
        file.write_text(here.text)
        shifts.append(Shift(here, file))
    return shifts


def _scenario(number: int, rows: int, size: Size) -> Scenario:
    devices: list[Device] = []
    lines: list[tuple[str, str | None]] = []
    for row, minted in enumerate(mint_devices(rows, seed=f"scale {number}"), start=1):
        if row % _BAD_ROW_EVERY == 0:
            lines.append((minted.token[:100], None))
        else:
            devices.append(Device(minted.device_id, minted.token, "nobody"))
            lines.append((minted.token, minted.device_id))
    return Scenario(
        seed=number,
        settings={"contract": "async", "bulk_seconds": size.bulk_seconds},
        devices=tuple(devices),
        lines=tuple(lines),
        rows_per_request=size.rows_per_request,
    )


@dataclass(frozen=True)
class Strike:
    """One SIGKILL."""

    words: str
    hit: bool
    """Whether it came in time, as far as could be seen at once."""
    tries: Mapping[str, int] = field(default_factory=dict)
    """The runs whose tasks it interrupted, and in which try: each has to be tried again."""

    def came_in_time(self, tries: Mapping[str, int]) -> bool:
        """Return whether it mattered.

        :param tries: how often the task of each run was tried in the end.
        """
        return self.hit and all(tries[run_id] > number for run_id, number in self.tries.items())


@dataclass
class Outcome:
    """What became of all runs of a phase."""

    executor: str
    runs: int
    rows: int
    seconds: float = 0.0
    """From the first request for a run to the end of the last one."""
    unsuccessful: int = 0
    tries: int = 0
    wrong: list[str] = field(default_factory=list)
    """What the judge found, in its words."""
    strikes: list[str] = field(default_factory=list)
    """What was killed, in words."""
    missed: int = 0
    """Kills that came too early or too late to matter."""
    requests: Mapping[str, int] = field(default_factory=dict)
    """To the service, by operation."""
    database_rows: Mapping[str, int] = field(default_factory=dict)
    """That the runs left in Airflow's database, by table."""

    @property
    def tally(self) -> Tally:
        """Count what is wrong, by kind."""
        return Tally.of(self.wrong)

    @property
    def is_wrong(self) -> bool:
        """Whether anything was lost, done twice or said wrongly, a run failed or a kill hit nothing."""
        return bool(self.wrong or self.unsuccessful or self.missed)


class Phase:
    """All runs, started at once, seen from outside: through Airflow's API and the emulator's state.

    :param reports: a new folder for them.
    """

    def __init__(self, here: RealAirflow, emulator: Emulator, shifts: Sequence[Shift], reports: Path) -> None:
        self.here = here
        self.service = emulator.service
        self.shifts = shifts
        self._emulator = emulator
        self._reports = reports
        self._shift_of: dict[str, int] = {}
        self._number_of_device = {
            device.device_id: number
            for number, shift in enumerate(shifts)
            for device in shift.scenario.devices
        }
        self.began = 0.0

    @property
    def elapsed(self) -> float:
        """Seconds since the start."""
        return time.monotonic() - self.began

    def run(self, strikes: Strikes = ()) -> Outcome:
        """Start all runs, strike, see them through and judge."""
        self._emulator.reset()
        self.service.faults.plan(CLAIM["async"], ANSWER, times=None)
        outcome = Outcome(self.here.executor, len(self.shifts), sum(shift.rows for shift in self.shifts))
        before = rows_by_table(self.here.database_url)
        self.began = time.monotonic()
        self._start()
        struck = [strike(self) for strike in strikes]
        states = self._see_through()
        outcome.seconds = self.elapsed
        tries = {task["dag_run_id"]: int(task["try_number"]) for task in self.tasks()}
        outcome.tries = sum(tries.values())
        outcome.unsuccessful = sum(state != "success" for state in states.values())
        outcome.strikes = [strike.words for strike in struck]
        outcome.missed = sum(not strike.came_in_time(tries) for strike in struck)
        outcome.requests = self.service.request_counts()
        outcome.wrong += self._judge()
        after = rows_by_table(self.here.database_url)
        outcome.database_rows = {table: after[table] - before[table] for table in sorted(after)}
        return outcome

    def tasks(self) -> list[dict[str, Any]]:
        """Return the task of each run, as Airflow's API does."""
        found = patiently(partial(self.here.airflow.api.task_instances, DAG_ID))
        return [task for task in found if task["dag_run_id"] in self._shift_of]

    def accepted(self) -> Counter[str]:
        """Count the rows that the service has accepted in bulk claims, by run."""
        by_number: Counter[int] = Counter()
        for each in self.service.bulk_submissions():
            by_number[self._number_of_device[next(iter(each.device_ids))]] += len(each.device_ids)
        return Counter({run_id: by_number[number] for run_id, number in self._shift_of.items()})

    def share_accepted(self, run_id: str, accepted: Mapping[str, int]) -> float:
        """Return which part of a run's rows that is, from 0 to 1 (above, if any was sent twice)."""
        return accepted[run_id] / self.shifts[self._shift_of[run_id]].sendable

    def waiting(self) -> set[str]:
        """Return the runs of which a bulk operation has not ended."""
        open_ids = running_operations(self.service)
        numbers = {
            self._number_of_device[next(iter(each.device_ids))]
            for each in self.service.bulk_submissions()
            if each.operation_id in open_ids
        }
        return {run_id for run_id, number in self._shift_of.items() if number in numbers}

    def is_over(self) -> bool:
        """Return whether all runs have ended."""
        return set(self._states().values()) <= ENDED

    def _start(self) -> None:
        api = self.here.airflow.api
        for number, shift in enumerate(self.shifts):
            conf = {"claim_file": str(shift.file), "report_dir": str(self._reports / str(number))}
            self._shift_of[api.trigger(DAG_ID, conf)] = number

    def _see_through(self) -> dict[str, str]:
        """Wait until all runs have ended, or time is over; return their states."""
        while True:
            states = self._states()
            if set(states.values()) <= ENDED or self.elapsed > LONGEST_WAIT:
                return states
            time.sleep(1)

    def _states(self) -> dict[str, str]:
        found = patiently(partial(self.here.airflow.api.run_states, DAG_ID))
        return {run_id: found[run_id] for run_id in self._shift_of}

    def _judge(self) -> Iterator[str]:
        claims = Remembered(self.service)
        for number, shift in enumerate(self.shifts):
            yield from faults_of_run(shift.scenario, self._reports / str(number), claims)


Strikes = Sequence[Callable[[Phase], Strike]]
"""What is killed while a phase runs, one after the other."""


def kill_a_worker(phase: Phase) -> Strike:
    """Kill the Celery worker that has most claims half sent, with the processes of its tasks, and for good."""
    tasks: dict[str, tuple[str, int]] = {}
    found = _wait_for(phase, lambda: _busiest_worker(phase, tasks))
    if found is None:
        return Strike("no worker was killed: none had a claim half sent", False)
    name, tries = found
    seconds = phase.elapsed
    left = phase.here.airflow.kill_part(name)
    accepted = phase.accepted()
    # What it managed to finish in its last moments was not interrupted.
    shares = {run_id: share for run_id in tries if 0 < (share := phase.share_accepted(run_id, accepted)) < 1}
    words = (
        f"{name} killed {seconds:.0f} s after the start, with {len(tries)} tasks in it; "
        f"of {len(shares)} of them some rows were accepted and some not "
        f"({', '.join(f'{share:.0%}' for share in sorted(shares.values()))})"
    )
    return Strike(words, bool(shares) and not left, {run_id: tries[run_id] for run_id in shares})


def kill_a_triggerer(phase: Phase) -> Strike:
    """Kill the triggerer in which most tasks wait for operations that have not ended, and for good."""
    least = max(1, len(phase.shifts) // 10)
    found = _wait_for(phase, lambda: _fullest_triggerer(phase, least))
    if found is None:
        return Strike(f"no triggerer was killed: none had {least} tasks waiting", False)
    name, run_ids = found
    seconds = phase.elapsed
    killed = kill(phase.here.airflow.pids[name])
    # The other one needs some seconds to notice: what this one had told Airflow shows by now.
    deferred = {task["dag_run_id"] for task in phase.tasks() if task["state"] == "deferred"} & run_ids
    words = f"{name} killed {seconds:.0f} s after the start, with {len(deferred)} tasks waiting in it"
    return Strike(words, killed and bool(deferred))


def _wait_for(phase: Phase, find: Callable[[], FoundT | None]) -> FoundT | None:
    next_look = time.monotonic() + 5
    while phase.elapsed < LONGEST_WAIT:
        if found := find():
            return found
        if time.monotonic() > next_look:
            if phase.is_over():
                return None
            # Asking keeps a part of Airflow busy that tasks need.
            next_look = time.monotonic() + 5
        time.sleep(0.1)
    return None


def _busiest_worker(phase: Phase, tasks: dict[str, tuple[str, int]]) -> tuple[str, dict[str, int]] | None:
    """Find the worker with most claims half sent; return its name, and the runs and tries of its tasks.

    :param tasks: what is known of task instances, by id: their run and try. More is added; Airflow is asked
        only about those that are new, since while it answers the moment may pass.
    """
    here = {name: _task_instances(phase.here.airflow.pids[name]) for name in WORKER_NAMES}
    if any(id_ not in tasks for ids in here.values() for id_ in ids):
        tasks.update({task["id"]: (task["dag_run_id"], int(task["try_number"])) for task in phase.tasks()})
    accepted = phase.accepted()
    if sum(accepted.values()) < _LEAST_ACCEPTED * sum(shift.sendable for shift in phase.shifts):
        return None
    half_sent = {
        name: sum(id_ in tasks and 0 < phase.share_accepted(tasks[id_][0], accepted) <= _HALF for id_ in ids)
        for name, ids in here.items()
    }
    name = max(half_sent, key=lambda each: half_sent[each])
    return (name, dict(tasks[id_] for id_ in here[name] if id_ in tasks)) if half_sent[name] else None


def _task_instances(worker: int) -> list[str]:
    """Return the ids of the task instances that the processes below a worker execute."""
    titles = []
    with suppress(psutil.Error):
        for process in psutil.Process(worker).children(recursive=True):
            with suppress(psutil.Error):
                titles.append(" ".join(process.cmdline()).strip())
    return [title.removeprefix(TITLE) for title in titles if title.startswith(TITLE)]


def _fullest_triggerer(phase: Phase, least: int) -> tuple[str, set[str]] | None:
    """Find the triggerer in which most tasks wait in earnest; return its name and their runs."""
    waiting = phase.waiting()
    found = {name: _runs_in(phase.here.airflow.pids[name]) & waiting for name in TRIGGERER_NAMES}
    name = max(found, key=lambda each: len(found[each]))
    return (name, found[name]) if len(found[name]) >= least else None


def _runs_in(triggerer: int) -> set[str]:
    """Return the runs whose tasks wait in a triggerer: it keeps a log open for each."""
    with suppress(psutil.Error):
        logs = [file.path for file in psutil.Process(triggerer).open_files()]
        return {found[1] for log in logs if (found := _TRIGGER_LOG.search(log))}
    return set()
