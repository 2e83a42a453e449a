"""Many claim DAG runs at once on one Airflow: their files, their start, their end, and what is wrong with each."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from airflow_provider_nrfprov.emulator.bulk import TERMINAL
from airflow_provider_nrfprov.emulator.faults import Slow
from airflow_provider_nrfprov.emulator.mint import mint_devices
from airflow_provider_nrfprov.emulator.server import Emulator
from harness.airflow_api import ENDED
from harness.postgres import rows_by_table
from harness.real_airflow import RealAirflow, patiently
from reliability.judge import Remembered, Tally, faults_of_run
from reliability.misfortunes import CLAIM
from reliability.scenario import Device, Scenario

DAG_ID, CONNECTION = "claim_many", "scale"
ANSWER = Slow(before=0.25, after=0.25)
"""The service answers a bulk claim after 500 ms, half of them before anything is done."""
LONGEST_WAIT = 900.0
"""Seconds until runs that come to no end are given up, and are wrong."""
_BAD_ROW_EVERY = 500


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
        """Say whether it mattered.

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
        """Say which part of a run's rows that is, from 0 to 1 (above, if any was sent twice)."""
        return accepted[run_id] / self.shifts[self._shift_of[run_id]].sendable

    def waiting(self) -> set[str]:
        """Return the runs of which a bulk operation has not ended."""
        now = self.service.now()
        open_ids = {each.id for each in self.service.bulk_operations() if each.status(now) not in TERMINAL}
        numbers = {
            self._number_of_device[next(iter(each.device_ids))]
            for each in self.service.bulk_submissions()
            if each.operation_id in open_ids
        }
        return {run_id for run_id, number in self._shift_of.items() if number in numbers}

    def is_over(self) -> bool:
        """Say whether all runs have ended."""
        return set(self._states().values()) <= ENDED

    def _start(self) -> None:
        api = self.here.airflow.api
        for number, shift in enumerate(self.shifts):
            conf = {"claim_file": str(shift.file), "report_dir": str(self._report_dir(number))}
            self._shift_of[api.trigger(DAG_ID, conf)] = number

    def _report_dir(self, number: int) -> Path:
        return self._reports / str(number)

    def _see_through(self) -> dict[str, str]:
        """Wait until all runs have ended, or time is over; give their states."""
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
            yield from faults_of_run(shift.scenario, self._report_dir(number), claims)


Strikes = Sequence[Callable[[Phase], Strike]]
"""What is killed while a phase runs, one after the other."""
