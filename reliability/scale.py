"""Many claims at once on the engines that users run: `python -m reliability.scale --runs 50 --rows 200000`.

Starts PostgreSQL as Airflow's database, two triggerers and, for CeleryExecutor, Redis and two workers, all on
127.0.0.1. All DAG runs are started at once, each with a claim file of its own. They run on each executor undisturbed,
for the wall time, and once more on CeleryExecutor with a worker killed in the midst of its claims and a triggerer in that
of its waits, neither of which comes back. Each report is held against the emulator's own state. With `--write
PATH` what was seen goes into a document, between its lines `<!-- scale: begin -->` and `<!-- scale: end -->`.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

from airflow_provider_nrfprov.emulator.server import running_emulator
from harness.interruption import raise_on_signals
from harness.published import publish, table, working_folder
from reliability import DAGS
from reliability.engines import (
    CELERY,
    LOCAL,
    SLOTS,
    TRIGGERERS,
    VISIBILITY_SECONDS,
    WORKERS,
    engine,
    what_is_missing,
)
from reliability.judge import COUNTED, COUNTED_LEGEND
from reliability.scale_runs import (
    ANSWER,
    CONNECTION,
    DAG_ID,
    Outcome,
    Phase,
    Size,
    Strikes,
    kill_a_triggerer,
    kill_a_worker,
    write_shifts,
)

NAME = "scale"
EXECUTORS = {"celery": (CELERY,), "local": (LOCAL,), "both": (CELERY, LOCAL)}
UNDISTURBED: Strikes = ()
KILLS: Strikes = (kill_a_worker, kill_a_triggerer)
COLUMNS = (
    "executor",
    "killed",
    ">runs",
    ">rows",
    *COUNTED,
    ">runs not successful",
    ">tries",
    ">seconds",
    ">rows/s",
)
LEGEND = f"""\
{COUNTED_LEGEND}.
- *tries*: of all tasks; one more than runs for each that Airflow had to try again.
- *seconds*: from the first request for a run to the end of the last."""


def measure(
    executor: str, size: Size, folder: Path, phases: Iterable[Strikes] = (UNDISTURBED,)
) -> tuple[list[Outcome], str]:
    """Start everything and run all runs, once in each phase.

    :param folder: keeps all files, logs and reports.
    :param phases: what is killed meanwhile.
    :return: what became of the runs, and on what they ran.
    """
    with ExitStack() as stack:
        emulator = stack.enter_context(running_emulator(contract="async", bulk_seconds=size.bulk_seconds))
        here = stack.enter_context(
            engine(
                executor,
                folder / "airflow",
                DAGS / "scale",
                emulators={CONNECTION: emulator.url},
                env=size.env,
            )
        )
        here.airflow.wait_for_dag(DAG_ID)
        shifts = write_shifts(size, folder / "files")
        outcomes = []
        for number, strikes in enumerate(phases):
            outcomes.append(Phase(here, emulator, shifts, folder / f"phase-{number}").run(strikes))
            print("\n".join(told(outcomes[-1])), flush=True)
        return outcomes, here.words


def told(outcome: Outcome) -> Iterator[str]:
    """Yield what is to be said of a phase before all of it is known."""
    yield " ".join(table(COLUMNS, [_row(outcome)])[2:])
    yield from outcome.strikes
    yield from outcome.wrong[:10]


def lines_of(outcomes: Sequence[Outcome]) -> Iterator[str]:
    """Yield the table, what was killed, and what it cost the service and the database."""
    yield from table(COLUMNS, [_row(outcome) for outcome in outcomes])
    yield ""
    for outcome in outcomes:
        for words in outcome.strikes:
            yield f"- {words}."
        if outcome.missed:
            yield f"- {outcome.missed} kill(s) came too early or too late to matter."
    yield LEGEND
    yield ""
    for outcome in outcomes:
        if not outcome.strikes:
            yield f"- {outcome.executor}: {_counted(outcome)}"


def _row(outcome: Outcome) -> list[object]:
    return [
        outcome.executor,
        "a worker, a triggerer" if outcome.strikes else "nothing",
        outcome.runs,
        outcome.rows,
        *outcome.tally.cells(),
        outcome.unsuccessful,
        outcome.tries,
        f"{outcome.seconds:.0f}",
        round(outcome.rows / outcome.seconds),
    ]


def _counted(outcome: Outcome) -> str:
    requests = ", ".join(f"{name} {count:,}" for name, count in sorted(outcome.requests.items()))
    rows = ", ".join(
        f"{name} {count / outcome.runs:.3g}" for name, count in outcome.database_rows.items() if count > 0
    )
    return f"requests to the service: {requests}; rows left in Airflow's database by each run: {rows}"


def measure_all(
    executors: Iterable[str], size: Size, folder: Path, *, kills: bool
) -> tuple[list[Outcome], list[str]]:
    """Measure on each executor; kills are for Celery's workers, and so for CeleryExecutor only."""
    outcomes, words = [], []
    for executor in executors:
        phases = (UNDISTURBED, KILLS) if kills and executor == CELERY else (UNDISTURBED,)
        found, on_what = measure(executor, size, folder / executor, phases)
        outcomes += found
        words.append(on_what)
    return outcomes, words


def main() -> int:
    """Run; print the table; 1 if anything was lost, done twice or said wrongly, 2 if something is missing."""
    arguments = _parser().parse_args()
    executors = EXECUTORS[arguments.executor]
    if missing := next(filter(None, map(what_is_missing, executors)), ""):
        print(missing, file=sys.stderr)
        return 2
    raise_on_signals()
    started = time.monotonic()
    size = Size(arguments.runs, arguments.rows)
    with working_folder(arguments.keep, "nrfprov-scale-") as folder:
        outcomes, words = measure_all(executors, size, folder, kills=arguments.kills)
    about = _setup(size, time.monotonic() - started, words)
    publish(arguments.write, NAME, "\n".join(lines_of(outcomes)), about)
    return 1 if any(outcome.is_wrong for outcome in outcomes) else 0


def _setup(size: Size, seconds: float, words: Iterable[str]) -> str:
    return (
        f"{size.rows_per_request:,} rows a request, which the service answers after "
        f"{ANSWER.before + ANSWER.after:g} s; a bulk operation takes {size.bulk_seconds:g} s, `poll_interval` is "
        f"{size.poll_seconds:g} s. {WORKERS} Celery workers with {SLOTS} slots each, or LocalExecutor with "
        f"{WORKERS * SLOTS}; {TRIGGERERS} triggerers; `visibility_timeout` {VISIBILITY_SECONDS} s. Everything, the service's "
        f"emulator included, on {os.cpu_count()} cores; {seconds:.0f} s in all; {'; '.join(words)}."
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=50, help="DAG runs at once")
    parser.add_argument("--rows", type=int, default=200_000, help="of all runs together")
    parser.add_argument("--executor", choices=EXECUTORS, default="both")
    parser.add_argument(
        "--kills",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="on CeleryExecutor, run once more and kill a worker and a triggerer",
    )
    parser.add_argument("--keep", type=Path, help="a new folder that keeps all files and logs")
    parser.add_argument("--write", type=Path, help=f"a file with the lines <!-- {NAME}: begin --> and end")
    return parser


if __name__ == "__main__":
    sys.exit(main())
