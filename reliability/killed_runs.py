"""One DAG run over one claim file, during which a process of Airflow gets SIGKILL; then its judgement.

The run is seen through to its end by Airflow's own retries. Its report is held against the state of the
emulator, in the same way as that of a scenario (module ``judge``).
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from airflow_provider_nrfprov.emulator.faults import ANY, Slow
from airflow_provider_nrfprov.emulator.server import Emulator
from airflow_provider_nrfprov.emulator.service import Service
from harness.airflow_api import ENDED, AirflowApi, AirflowApiError
from harness.local_airflow import USER, LocalAirflow
from harness.real_airflow import patiently
from reliability.judge import faults_of_run, running_operations
from reliability.misfortunes import CLAIM
from reliability.scenario import Scenario, project_scenario, scenario
from reliability.victims import Victim, child_process, kill, task_process, wait_until_gone, worker_process

BULK_SECONDS = 10.0
"""How long a bulk operation takes here."""
CLAIM_SECONDS = Slow(before=0.15, after=0.2)
"""How long the service takes to answer a bulk claim: half of it before anything is done."""
OTHER_SECONDS = Slow(before=0.03, after=0.03)
"""The same for any other request."""
LONGEST_WAIT = 240.0
"""Seconds until a run that goes nowhere is given up, and is wrong."""

_TASK = "claim"
_LEAST_DEVICES, _MOST_DEVICES = 30, 110
_POLL_SECONDS = 0.3
_OUTCOMES_AFTER_A_FAILURE = {"up_for_retry", "failed"}


@dataclass(frozen=True)
class Case:
    """What is killed, and in which way the task claims and waits."""

    victim: Victim
    contract: str
    """One of the two of a team, or ``project`` for the new API."""
    deferrable: bool

    @property
    def waits(self) -> str:
        """Return where the task waits for its operations."""
        if self.contract == "sync":
            return "nothing to wait for"
        return "in the triggerer" if self.deferrable else "on the worker"

    @property
    def dag_id(self) -> str:
        """Return the DAG for it."""
        return "claim_deferred" if self.deferrable else "claim_on_worker"


@dataclass(frozen=True)
class Strike:
    """One SIGKILL."""

    hit: bool
    """Whether it came in time: Airflow had to do something about it."""
    place: str
    """``before sending``, ``while sending``, ``all sent`` or ``deferred``."""
    words: str


@dataclass
class KilledRun:
    """What became of one run."""

    seed: int
    case: Case
    rows: int = 0
    strikes: list[Strike] = field(default_factory=list)
    tries: int = 0
    cleared: int = 0
    """How often the task had to be cleared, since Airflow gave it up."""
    seconds: float = 0.0
    wrong: list[str] = field(default_factory=list)
    """What the judge found, in its words."""

    @property
    def hits(self) -> int:
        """How many kills came in time."""
        return sum(strike.hit for strike in self.strikes)

    @property
    def line(self) -> str:
        """Return it in a line."""
        told = "; ".join(
            f"{strike.words}{'' if strike.hit else ' - TOO LATE, not counted'}" for strike in self.strikes
        )
        cleared = f", cleared {self.cleared} times" if self.cleared else ""
        verdict = "WRONG: " + "; ".join(self.wrong[:3]) if self.wrong else "nothing lost, nothing twice"
        return (
            f"seed {self.seed}, {self.case.contract}, {self.case.waits}: {told or 'no kill'}; {self.tries} tries"
            f"{cleared}, {self.rows} rows, {self.seconds:.0f} s: {verdict}"
        )


class GivenUpError(Exception):
    """Something that has to come did not come in time."""


class Ground:
    """Where runs take place: an Airflow, an emulator of each contract, a folder for files and reports.

    Several runs may be under way in it at a time, each in a thread of its own.
    """

    def __init__(self, airflow: LocalAirflow, emulators: Mapping[str, Emulator], folder: Path) -> None:
        self.airflow = airflow
        self.emulators = emulators
        self.folder = folder
        self.closed = threading.Event()
        """Set when nobody waits for the runs any more: they are given up."""
        self._part_locks = {"triggerer": threading.Lock(), "scheduler": threading.Lock()}
        for contract, emulator in emulators.items():
            emulator.service.faults.plan(ANY, OTHER_SECONDS, times=None)
            emulator.service.faults.plan(CLAIM[contract], CLAIM_SECONDS, times=None)

    def kill_part(self, name: str, pid_of: Callable[[int], int | None], down_seconds: float) -> bool:
        """Kill one part of Airflow, or what ``pid_of`` gives for its pid; start it again after a while."""
        with self._part_locks[name]:
            pid = self.airflow.pids[name]
            killed = kill(pid_of(pid) or pid)
            time.sleep(down_seconds)
            if not wait_until_gone(pid):
                # A triggerer whose child died ends by itself; one that does not is in the way of a new one.
                kill(pid)
            self.airflow.start_part(name)
        return killed


def run_and_kill(case: Case, seed: int, ground: Ground) -> KilledRun:
    """Let a run claim a file of its own, kill once or twice while it does, and judge it."""
    chance = random.Random(seed)
    here = _scenario_of(case, seed, devices=chance.randint(_LEAST_DEVICES, _MOST_DEVICES))
    run = KilledRun(seed, case, rows=len(here.lines))
    started = time.monotonic()
    watch = _Watched(run, here, ground)
    try:
        watch.begin()
        # Recovery is where a job is most easily broken: some are hit while they recover.
        for number in range(1 if chance.random() < 0.7 else 2):
            strike = _STRIKES[case.victim](watch, chance, number)
            run.strikes.append(strike)
            if not strike.hit:
                break
        watch.see_through()
        run.wrong += judge(here, watch.report_dir, ground.emulators[case.contract].service)
    except (GivenUpError, AirflowApiError) as error:
        run.wrong.append(str(error))
    finally:
        run.seconds = time.monotonic() - started
        watch.api.close()
    return run


def _scenario_of(case: Case, seed: int, devices: int) -> Scenario:
    if case.contract == "project":
        # What is unknown of its API is as the emulator has it by default.
        return replace(project_scenario(seed, devices), settings={})
    return replace(scenario(seed, devices), settings={"contract": case.contract})


def judge(here: Scenario, report_dir: Path, service: Service) -> list[str]:
    """Return all that is wrong at the end of a run; its operations have ended then."""
    end = time.monotonic() + LONGEST_WAIT
    while _some_operation_runs(here, service):
        if time.monotonic() > end:
            return ["a bulk operation does not end"]
        time.sleep(0.1)
    return faults_of_run(here, report_dir, service)


def _some_operation_runs(here: Scenario, service: Service) -> bool:
    ids = {device.device_id for device in here.devices}
    ours = {each.operation_id for each in service.bulk_submissions() if each.device_ids & ids}
    return bool(ours & running_operations(service))


class _Watched:
    """A run from outside: through Airflow's API, its processes, and the emulator's state."""

    def __init__(self, run: KilledRun, here: Scenario, ground: Ground) -> None:
        self.run = run
        self.case = run.case
        self.ground = ground
        self.service = ground.emulators[run.case.contract].service
        # A client of its own, for a thread of its own.
        self.api = AirflowApi(ground.airflow.url, USER, ground.airflow.password)
        self._scenario = here
        self._folder = ground.folder / f"{run.case.contract}-{run.seed}"
        self.report_dir = self._folder / "report"
        self._sendable = {device_id for _, device_id in here.lines if device_id}
        self._run_id = ""

    def begin(self) -> None:
        """Write the file, give some of its devices to their owners, and start the run."""
        self._folder.mkdir(parents=True)
        claim_file = self._folder / "shift.csv"
        claim_file.write_text(self._scenario.text)
        self._scenario.give_to_owners(self.service)
        conf = {
            "claim_file": str(claim_file),
            "report_dir": str(self.report_dir),
            "connection": f"nrfprov_{self.case.contract}",
            "max_failed_rows": sum(device.owner == "theirs" for device in self._scenario.devices),
        }
        self._run_id = self.api.trigger(self.case.dag_id, conf)

    def task(self) -> dict[str, Any]:
        """Return the task instance as it is now."""
        [task] = patiently(lambda: self.api.task_instances(self.case.dag_id, self._run_id))
        return task

    def run_state(self) -> str:
        """Return the state of the run as it is now."""
        return patiently(lambda: self.api.run_state(self.case.dag_id, self._run_id))

    def sent(self) -> float:
        """Return which part of the rows the service has accepted in bulk claims, from 0 to 1."""
        accepted = self._sendable & self.service.submission_counts().keys()
        return len(accepted) / max(1, len(self._sendable))

    def place(self) -> str:
        """Return how far the run is."""
        sent = self.sent()
        return "before sending" if sent == 0 else "while sending" if sent < 1 else "all sent"

    def wait_for(self, what: str, condition: Callable[[], bool], pause: float = _POLL_SECONDS) -> None:
        """Wait until something is so.

        :raises GivenUpError: if it is not so in time.
        """
        end = time.monotonic() + LONGEST_WAIT
        while not condition():
            if time.monotonic() > end or self.ground.closed.is_set():
                task = self.task()
                raise GivenUpError(
                    f"gave up waiting for {what}: the task is {task['state']} in try {task['try_number']}"
                )
            time.sleep(pause)

    def process(self) -> tuple[dict[str, Any], int] | None:
        """Wait for a process that executes the task; ``None`` if the task has ended instead."""
        found: list[tuple[dict[str, Any], int]] = []

        def is_there() -> bool:
            task = self.task()
            pid = task_process(self.ground.airflow, task["id"])
            if pid is not None:
                found.append((task, pid))
            return bool(found) or task["state"] in ENDED

        self.wait_for("a process of the task", is_there, pause=0.1)
        return found[0] if found else None

    def was_interrupted(self, task: Mapping[str, Any]) -> bool:
        """Wait until Airflow knows what became of a try; return whether it has to be repeated."""

        def says_so() -> bool:
            now = self.task()
            return now["try_number"] > task["try_number"] or now["state"] in (
                _OUTCOMES_AFTER_A_FAILURE | ENDED | {"deferred"}
            )

        self.wait_for("Airflow to notice", says_so)
        now = self.task()
        return now["try_number"] > task["try_number"] or now["state"] in _OUTCOMES_AFTER_A_FAILURE

    def see_through(self) -> None:
        """Wait until the run has succeeded; clear the task as often as Airflow gives it up."""
        while True:
            self.wait_for("the end of the run", lambda: self.run_state() in ENDED)
            self.run.tries = int(self.task()["try_number"])
            if self.run_state() == "success":
                return
            if self.run.cleared == 3:
                raise GivenUpError(f"failed, and cleared {self.run.cleared} times: {self.log_end()}")
            self.run.cleared += 1
            self.api.clear_failed(self.case.dag_id, self._run_id)

    def log_end(self) -> str:
        """Return the last words of the task's newest try."""
        return " | ".join(
            self.api.log_tail(
                self.case.dag_id, self._run_id, _TASK, try_number=int(self.task()["try_number"]), count=3
            )
        )


def _wait_for_moment(watch: _Watched, chance: random.Random, number: int) -> None:
    """Wait for a random share of the rows to be accepted, and then a random time."""
    asynchronous = watch.case.contract != "sync"
    answer = CLAIM_SECONDS.before + CLAIM_SECONDS.after
    kind = chance.random()
    if number or kind < 0.15:
        share, delay = 0.0, chance.uniform(0, 4 if number else 2)
    elif kind < 0.75:
        share, delay = chance.random(), chance.uniform(0, 2 * answer)
    else:
        share, delay = 1.0, chance.uniform(0, BULK_SECONDS + 1.5 if asynchronous else 3 * answer)
    watch.wait_for(
        "rows to be accepted", lambda: watch.sent() >= share or watch.task()["state"] in ENDED, pause=0.05
    )
    time.sleep(delay)


def _strike_task(watch: _Watched, chance: random.Random, number: int) -> Strike:
    watch.process()
    _wait_for_moment(watch, chance, number)
    # While it is deferred it has no process; the one that takes the event is as good.
    found = watch.process()
    if found is None:
        return Strike(False, watch.place(), f"{watch.case.victim.value} not killed")
    task, pid = found
    of_worker = watch.case.victim is Victim.WORKER
    target = worker_process(watch.ground.airflow, pid) if of_worker else pid
    place, sent = watch.place(), watch.sent()
    killed = target is not None and kill(target)
    words = f"{watch.case.victim.value} killed in try {task['try_number']}, {sent:.0%} of the rows accepted"
    return Strike(killed and watch.was_interrupted(task), place, words)


def _strike_triggerer(watch: _Watched, chance: random.Random, _: int) -> Strike:
    watch.wait_for("the deferral", lambda: watch.task()["state"] in ENDED | {"deferred"}, pause=0.1)
    time.sleep(chance.uniform(0, BULK_SECONDS * 0.7))
    of_child = chance.random() < 0.5
    states: list[str] = []

    def pid_of(pid: int) -> int | None:
        states.append(watch.task()["state"])
        return child_process(pid) if of_child else pid

    killed = watch.ground.kill_part("triggerer", pid_of, chance.uniform(0.5, 3))
    # The new one needs longer than this to start: what the old one had told Airflow would show by now.
    hit = killed and states == ["deferred"] and watch.task()["state"] == "deferred"
    what = "child of the triggerer" if of_child else "triggerer"
    return Strike(hit, "deferred", f"{what} killed, the task was {states[0]}")


def _strike_scheduler(watch: _Watched, chance: random.Random, number: int) -> Strike:
    watch.process()
    _wait_for_moment(watch, chance, number)
    place, states = watch.place(), []

    def pid_of(pid: int) -> int:
        states.append(str(watch.task()["state"]))
        return pid

    killed = watch.ground.kill_part("scheduler", pid_of, chance.uniform(0.5, 3))
    hit = killed and states[0] not in ENDED
    return Strike(hit, place, f"scheduler killed, the task was {states[0]}")


_STRIKES: dict[Victim, Callable[[_Watched, random.Random, int], Strike]] = {
    Victim.TASK: _strike_task,
    Victim.WORKER: _strike_task,
    Victim.TRIGGERER: _strike_triggerer,
    Victim.SCHEDULER: _strike_scheduler,
}
