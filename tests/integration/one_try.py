"""One try of a claim's task, as Airflow calls it; run as a program, in a process that can be measured and killed."""

from __future__ import annotations

import argparse
import logging
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from airflow_provider_nrfprov.claiming.job import ClaimJob
from airflow_provider_nrfprov.claiming.report import RowOutcome
from airflow_provider_nrfprov.exceptions import RowsRejectedError
from airflow_provider_nrfprov.operators.bulk_claim import NrfProvBulkClaimOperator
from airflow_provider_nrfprov.version_compat import AIRFLOW_V_3_0_PLUS
from benchmarks.process import say_peak


class ClaimTask:
    """One task of one run, whose tries follow one another, as Airflow retries and clears it."""

    def __init__(self, folder: Path | str, *, map_index: int = -1) -> None:
        self.folder = folder
        self.pushed: dict[str, Any] = {}
        self.ti = SimpleNamespace(
            dag_id="claims", run_id="run-1", task_id="claim", map_index=map_index, try_number=0
        )
        self.ti.xcom_push = lambda key, value: self.pushed.update({key: value})
        self.operator: NrfProvBulkClaimOperator | None = None

    @property
    def context(self) -> Any:
        return {"ti": self.ti, "run_id": self.ti.run_id}

    def claim(self, claim_file: str, **arguments: Any) -> dict[str, Any]:
        """Run the next try."""
        self.ti.try_number += 1
        given = {"report_dir": str(self.folder), "poll_interval": 0.1, **arguments}
        self.operator = NrfProvBulkClaimOperator(task_id="claim", claim_file=claim_file, **given)
        ready_this_thread()
        return self.operator.execute(self.context)


def ready_this_thread() -> None:
    """Give a thread what Airflow 2 gives the main one only, and asks for in each ``execute``."""
    if not AIRFLOW_V_3_0_PLUS:
        from airflow.models.baseoperator import ExecutorSafeguard

        ExecutorSafeguard._sentinel.callers = {}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("claim_file")
    parser.add_argument("folder")
    parser.add_argument("--killed-after", type=int, help="rows of the report")
    arguments = parser.parse_args()
    logging.disable()
    if arguments.killed_after:
        die = partial(os.kill, os.getpid(), signal.SIGKILL)
        ClaimJob.settle = settling_until(arguments.killed_after, die)  # type: ignore[method-assign]
    # All of a file of bad rows.
    with suppress(RowsRejectedError):
        ClaimTask(arguments.folder).claim(arguments.claim_file)
    say_peak()


def settling_until(rows: int, end: Callable[[], object]) -> Callable[[ClaimJob], Iterator[RowOutcome]]:
    """Return ``ClaimJob.settle`` that comes to an end after a number of rows."""
    settle = ClaimJob.settle

    def settle_some(self: ClaimJob) -> Iterator[RowOutcome]:
        settled = 0
        for outcome in settle(self):
            settled += outcome.size
            if settled > rows:
                end()
            yield outcome

    return settle_some


if __name__ == "__main__":
    main()
