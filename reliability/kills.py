"""Real kills on a real Airflow, and what becomes of the claim files: `python -m reliability.kills --kills 100`.

Each run claims a file of its own; at a random moment the process of its task, the worker, the triggerer or the
scheduler gets SIGKILL. Airflow does the rest. Prints a line for each run, then counts. With `--write PATH` these go
into a document, between its lines `<!-- kills: begin -->` and `<!-- kills: end -->`; those of the new API (`--api project`)
between lines with `kills-project`.
"""

from __future__ import annotations

import argparse
import random
import sys
import threading
import time
from collections.abc import Collection, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from itertools import count
from pathlib import Path

from airflow_provider_nrfprov.emulator.server import running_emulator
from harness.interruption import raise_on_signals
from harness.published import publish, table, working_folder
from harness.real_airflow import QUICK_TO_NOTICE, real_airflow
from reliability import DAGS
from reliability.judge import COUNTED, COUNTED_LEGEND, Tally
from reliability.killed_runs import BULK_SECONDS, Case, Ground, KilledRun, run_and_kill
from reliability.victims import Victim

CONTRACTS = {"team": ("async", "sync"), "project": ("project",)}
"""By API; the first one waits for operations."""
SCHEDULER_SECONDS = 30
"""As by default in Airflow."""
COLUMNS = (
    "killed",
    "contract",
    "the task waits",
    ">kills",
    ">runs",
    ">rows",
    *COUNTED,
    ">tries",
    ">cleared by hand",
)
LEGEND = f"""\
- *task*: the process that executes the operator. *worker*: the executor's process above it; the task's process is left
  behind, and nobody tells it to stop. *triggerer*: it, or its child in which the triggers run. *scheduler*: its workers and
  their tasks are left behind.
- *kills*: those that came in time: Airflow had to try the task again, the task was still deferred with its triggerer gone, or
  its run had not ended with the scheduler gone. Some runs are hit twice, the second time while they recover.
{COUNTED_LEGEND}; runs that came to no end."""
LEGENDS = {"team": LEGEND, "project": "The columns are those of the table above."}
SECTIONS = {"team": "kills", "project": "kills-project"}
"""Where the counts go in a document, by API."""


def tally(runs: Iterable[KilledRun]) -> Tally:
    """Count what the judge found."""
    return Tally.of(sentence for run in runs for sentence in run.wrong)


def cases(seed: int, only: Collection[Victim] = tuple(Victim), api: str = "team") -> Iterator[Case]:
    """Yield what is to be killed, without end: in every 13 (9 of a project), each kind of case in an order of its own.

    :param only: leave out all others.
    """
    contracts = CONTRACTS[api]
    every = [(contract, deferrable) for contract in contracts for deferrable in (False, True)]
    chance = random.Random(seed)
    for number in count():
        some = [Case(victim, *each) for victim in (Victim.TASK, Victim.WORKER) for each in every]
        some += [Case(Victim.TRIGGERER, contracts[0], True)] * 4
        # All that run meanwhile hang when it is gone, so it goes less often.
        some.append(Case(Victim.SCHEDULER, *every[number % min(3, len(every))]))
        chance.shuffle(some)
        yield from (case for case in some if case.victim in only)


def run_all(
    ground: Ground, wanted: Iterable[Case], kills: int, *, seed: int, at_a_time: int
) -> list[KilledRun]:
    """Run case after case until the wanted number of kills have hit, some at a time; print each."""
    todo, seeds, lock = iter(wanted), count(seed * 1_000_000), threading.Lock()
    runs: list[KilledRun] = []
    again: list[Case] = []

    def hits() -> int:
        return sum(run.hits for run in runs)

    def lane() -> None:
        while True:
            with lock:
                # Those of which a kill mostly comes too late would else be the fewest in the end.
                case = again.pop() if again else None if hits() >= kills else next(todo, None)
                number = next(seeds)
                if case is None or ground.closed.is_set():
                    return
            run = run_and_kill(case, number, ground)
            with lock:
                runs.append(run)
                if not run.hits:
                    again.append(case)
                print(f"{hits()}/{kills}: {run.line}", flush=True)

    with ThreadPoolExecutor(at_a_time) as pool:
        try:
            for each in [pool.submit(lane) for _ in range(at_a_time)]:
                each.result()
        except BaseException:
            ground.closed.set()
            raise
    return runs


def kill_and_judge(
    wanted: Iterable[Case],
    kills: int,
    *,
    seed: int,
    at_a_time: int,
    folder: Path,
    scheduler_seconds: int = SCHEDULER_SECONDS,
    api: str = "team",
) -> tuple[list[KilledRun], str]:
    """Start everything, run and kill; return the runs, and on what they ran.

    :param folder: keeps all files, logs and reports.
    :param scheduler_seconds: without a heartbeat for so long, a scheduler counts as dead.
    :param api: the one of the cases.
    """
    with ExitStack() as stack:
        emulators = {
            # A project is served whichever contract a team has.
            contract: stack.enter_context(
                running_emulator(bulk_seconds=BULK_SECONDS, contract="both" if api == "project" else contract)
            )
            for contract in CONTRACTS[api]
        }
        here = stack.enter_context(
            real_airflow(
                folder / "airflow",
                DAGS / "killed",
                emulators={contract: emulator.url for contract, emulator in emulators.items()},
                api=api,
                settings=QUICK_TO_NOTICE
                | {"scheduler__scheduler_health_check_threshold": str(scheduler_seconds)},
            )
        )
        for dag_id in ("claim_on_worker", "claim_deferred"):
            here.airflow.wait_for_dag(dag_id)
        ground = Ground(here.airflow, emulators, folder / "runs")
        return run_all(ground, wanted, kills, seed=seed, at_a_time=at_a_time), here.words


def lines_of(runs: Sequence[KilledRun]) -> Iterator[str]:
    """Yield the tables: by what was killed, and by how far the run was."""
    keys = sorted({_key(run) for run in runs})
    yield from table(COLUMNS, [[*key, *_counts([run for run in runs if _key(run) == key])] for key in keys])
    yield ""
    strikes = [strike for run in runs for strike in run.strikes if strike.hit]
    places = ("before sending", "while sending", "all sent", "deferred")
    yield from table(
        ["how far the run was", ">kills"],
        [[place, sum(strike.place == place for strike in strikes)] for place in places],
    )
    late = sum(not strike.hit for run in runs for strike in run.strikes)
    found = tally(runs)
    yield ""
    yield (
        f"- {sum(run.hits for run in runs)} kills in {len(runs)} runs, {sum(run.rows for run in runs):,} rows: "
        f"{found.lost} lost, {found.claimed_twice} claimed twice, {found.sent_twice} sent twice, "
        f"{found.other} other wrong outcomes"
    )
    yield f"- {late} kills came too late, when the task had ended, and do not count"


def _key(run: KilledRun) -> tuple[str, str, str]:
    return run.case.victim.value, run.case.contract, run.case.waits


def _counts(runs: Sequence[KilledRun]) -> list[int]:
    return [
        sum(run.hits for run in runs),
        len(runs),
        sum(run.rows for run in runs),
        *tally(runs).cells(),
        sum(run.tries for run in runs),
        sum(run.cleared for run in runs),
    ]


def main() -> int:
    """Kill; print counts; 1 if anything was lost, done twice or said wrongly."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=100, help="that came in time")
    parser.add_argument("--api", choices=CONTRACTS, default="team", help="which API the claims speak")
    parser.add_argument("--seed", type=int, default=1, help="of files and moments")
    parser.add_argument("--at-a-time", type=int, default=5, help="runs under way together")
    parser.add_argument("--only", nargs="+", type=Victim, default=list(Victim), help="kill nothing else")
    parser.add_argument(
        "--scheduler-seconds",
        type=int,
        default=SCHEDULER_SECONDS,
        help="without a heartbeat for so long a scheduler counts as dead; with 7, tries are begun while others still run",
    )
    parser.add_argument("--keep", type=Path, help="a new folder that keeps all files and logs")
    parser.add_argument("--write", type=Path, help="a file with the lines <!-- kills: begin --> and end")
    arguments = parser.parse_args()
    raise_on_signals()
    started = time.monotonic()
    with working_folder(arguments.keep, "nrfprov-kills-") as folder:
        runs, words = kill_and_judge(
            cases(arguments.seed, arguments.only, arguments.api),
            arguments.kills,
            seed=arguments.seed,
            at_a_time=arguments.at_a_time,
            folder=folder,
            scheduler_seconds=arguments.scheduler_seconds,
            api=arguments.api,
        )
    publish(
        arguments.write,
        SECTIONS[arguments.api],
        "\n".join(lines_of(runs)),
        LEGENDS[arguments.api],
        f"Seed {arguments.seed}, {arguments.at_a_time} runs at a time, a scheduler dead after "
        f"{arguments.scheduler_seconds} s without a heartbeat, {time.monotonic() - started:.0f} s; {words}.",
    )
    return 1 if tally(runs).total else 0


if __name__ == "__main__":
    sys.exit(main())
