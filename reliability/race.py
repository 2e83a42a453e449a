"""Airflow's own race, counted: `python -m reliability.race --tasks 400`.

A task whose trigger fires within seconds of its deferral can be failed by the scheduler of Airflow 3.3
(apache/airflow#67287, #71580, #72716), whatever it does. Many mapped tasks are deferred here, with what they wait
for ending 1 to 5 s after it began: first with a trigger of Airflow's own, so that it is seen whether the race exists
on this machine at all; then with ours. With `--write PATH` the counts go into a document, between its lines
`<!-- race: begin -->` and `<!-- race: end -->`.
"""

from __future__ import annotations

import argparse
import re
import sys
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from airflow_provider_nrfprov.emulator.mint import mint_devices
from airflow_provider_nrfprov.emulator.server import Emulator, running_emulator
from harness.airflow_api import ENDED
from harness.interruption import raise_on_signals
from harness.local_airflow import LocalAirflow
from harness.postgres import what_is_missing
from harness.published import publish, table, working_folder
from harness.real_airflow import patiently, real_airflow
from reliability import DAGS

NAME = "race"
LONGEST_RUN = 1800.0
PARALLELISM = 16
SECONDS = (6, 7, 8, 9, 10)
"""Of the bulk operations of one emulator each."""
COLUMNS = (
    "task",
    ">tasks",
    ">deferred",
    ">ended other than in success",
    ">failed by the scheduler",
    ">devices lost",
    ">sent twice",
    ">seconds",
)
LEGEND = """\
- *failed by the scheduler*: it wrote that the executor had finished a task which was queued or running.
- *ended other than in success*: of all tasks; none has retries.
- The trigger of the first row fires 1 to 5 s after the deferral. The operations of the others end 6 to 10 s after they were
  started; ours waits 6.5 s on the worker, and its trigger fires no earlier than 10 s after the deferral."""
_MISMATCH = re.compile(r"task instance <TaskInstance: (\S+?)\.\S+ .*finished with state")
_ROWS = 5


@dataclass(frozen=True)
class Runner:
    """A DAG of ``dags/raced``, in words; and which of its tasks is deferred."""

    dag_id: str
    words: str
    task_id: str
    is_ours: bool = True


RUNNERS = (
    Runner("race_control", "a trigger of Airflow's own, 1 to 5 s", "wait", is_ours=False),
    Runner("race_claim", "NrfProvBulkClaimOperator(deferrable=True)", "claim"),
)
HASTY = Runner(
    "race_claim_hasty", "NrfProvBulkClaimOperator(deferrable=True, poll_interval=0.5)", "claim", is_ours=False
)


@dataclass(frozen=True)
class Raced:
    """What became of the tasks of one DAG."""

    runner: Runner
    tasks: int
    deferred: int
    states: Mapping[str, int]
    """Of all tasks of the DAG, by state."""
    by_scheduler: int
    """How many the scheduler said were changed behind its back."""
    lost: int
    """Devices that are not claimed."""
    twice: int
    """Devices that were sent, or claimed, more than once."""
    seconds: float

    @property
    def unsuccessful(self) -> int:
        """How many tasks did not succeed."""
        return sum(number for state, number in self.states.items() if state != "success")

    @property
    def is_wrong(self) -> bool:
        """Whether one of ours was failed, or one device has another fate than it should have."""
        return self.runner.is_ours and bool(self.unsuccessful or self.by_scheduler or self.lost or self.twice)

    @property
    def row(self) -> list[object]:
        """Return the row of the table."""
        return [
            self.runner.words,
            self.tasks,
            self.deferred,
            self.unsuccessful,
            self.by_scheduler,
            self.lost,
            self.twice,
            round(self.seconds),
        ]


def mismatches(log: Iterable[str]) -> Counter[str]:
    """Count in a scheduler's log, by DAG, the tasks whose state had changed behind its back."""
    return Counter(found[1] for line in log if "attribute is" in line and (found := _MISMATCH.search(line)))


def race(
    runner: Runner, tasks: int, airflow: LocalAirflow, emulators: Iterable[Emulator], folder: Path
) -> Raced:
    """Run one DAG to its end, and count."""
    devices = _write_files(runner, tasks, folder)
    started = time.monotonic()
    run_id = airflow.api.trigger(runner.dag_id, {})
    while patiently(lambda: airflow.api.run_state(runner.dag_id, run_id)) not in ENDED:
        airflow.require_running()
        if time.monotonic() - started > LONGEST_RUN:
            break
        time.sleep(1)
    seconds = time.monotonic() - started
    instances = patiently(lambda: airflow.api.task_instances(runner.dag_id, run_id))
    with (airflow.logs / "scheduler.log").open(errors="replace") as log:
        by_scheduler = mismatches(log)[runner.dag_id]
    claimed, counts, sent = set[str](), Counter[str](), Counter[str]()
    for emulator in emulators:
        claimed |= emulator.service.claimed_ids()
        counts.update(emulator.service.claim_counts())
        sent.update(emulator.service.submission_counts())
    return Raced(
        runner,
        tasks,
        _deferred(airflow, runner),
        Counter(str(instance["state"]) for instance in instances),
        by_scheduler,
        len(devices - claimed),
        sum(counts[device] > 1 or sent[device] > 1 for device in devices),
        seconds,
    )


def _write_files(runner: Runner, tasks: int, folder: Path) -> set[str]:
    """Write the claim file of each task; return all devices."""
    if runner.dag_id == "race_control":
        return set()
    ids: set[str] = set()
    (folder / runner.dag_id).mkdir(parents=True)
    for number in range(tasks):
        devices = list(mint_devices(_ROWS, seed=f"{runner.dag_id} {number}"))
        text = "".join(f"{device.token}\n" for device in devices)
        (folder / runner.dag_id / f"{number}.csv").write_text(text)
        ids.update(device.device_id for device in devices)
    return ids


def _deferred(airflow: LocalAirflow, runner: Runner) -> int:
    """Count the tasks that had a trigger: each of them has a log file of its own."""
    logs = airflow.home / "logs" / f"dag_id={runner.dag_id}"
    return len(
        {path.parent for path in logs.rglob("*.trigger.*") if f"task_id={runner.task_id}" in path.parts}
    )


def race_all(runners: Sequence[Runner], tasks: int, folder: Path) -> tuple[list[Raced], str]:
    """Start everything, run the DAGs one after the other; return what became of each, and on what they ran."""
    with ExitStack() as stack:
        emulators = {
            f"{seconds}s": stack.enter_context(running_emulator(contract="async", bulk_seconds=seconds))
            for seconds in SECONDS
        }
        files = folder / "files"
        here = stack.enter_context(
            real_airflow(
                folder / "airflow",
                DAGS / "raced",
                emulators={name: emulator.url for name, emulator in emulators.items()},
                parallelism=PARALLELISM,
                env={"NRFPROV_RACE_FOLDER": str(files), "NRFPROV_RACE_TASKS": str(tasks)},
            )
        )
        found = []
        for runner in runners:
            here.airflow.wait_for_dag(runner.dag_id)
            found.append(race(runner, tasks, here.airflow, emulators.values(), files))
            print(*table(COLUMNS, [found[-1].row])[2:], dict(found[-1].states), flush=True)
        return found, here.words


def main() -> int:
    """Race; print counts; 1 if a task of ours did not succeed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tasks", type=int, default=400, help="of each kind")
    parser.add_argument("--hasty", action="store_true", help="also with a poll_interval of half a second")
    parser.add_argument("--keep", type=Path, help="a new folder that keeps all files and logs")
    parser.add_argument("--write", type=Path, help=f"a file with the lines <!-- {NAME}: begin --> and end")
    arguments = parser.parse_args()
    if missing := what_is_missing():
        print(f"The race is measured on PostgreSQL. {missing}", file=sys.stderr)
        return 2
    raise_on_signals()
    started = time.monotonic()
    runners = [*RUNNERS, HASTY] if arguments.hasty else RUNNERS
    with working_folder(arguments.keep, "nrfprov-race-") as folder:
        found, words = race_all(runners, arguments.tasks, folder)
    publish(
        arguments.write,
        NAME,
        "\n".join(table(COLUMNS, [each.row for each in found])),
        LEGEND,
        f"One after the other, {PARALLELISM} tasks at a time; {time.monotonic() - started:.0f} s; {words}.",
    )
    return 1 if any(each.is_wrong for each in found) else 0


if __name__ == "__main__":
    sys.exit(main())
