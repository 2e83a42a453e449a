"""A report as the web server may read it: found through XCom, checked to be a report, read row by row."""

from __future__ import annotations

import csv
import json
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import IO

from airflow_provider_nrfprov.claiming import report as claim_report
from airflow_provider_nrfprov.claiming.report import REPORT, Outcome
from airflow_provider_nrfprov.fleet import report as device_report
from airflow_provider_nrfprov.fleet.engine import SETTLED
from airflow_provider_nrfprov.paths import to_path

SHOWN_ROWS = 500
_GOOD = {Outcome.CLAIMED.value, Outcome.ALREADY_CLAIMED.value} | {outcome.value for outcome in SETTLED}
_HEADERS = {",".join(columns) for columns in (claim_report.COLUMNS, device_report.COLUMNS)}
_BLOCK = 1 << 16


class NoReportError(Exception):
    """There is no report to show; the text says why."""


@dataclass
class ReportView:
    """What a page shows of a report."""

    path: str
    columns: list[str]
    counts: Counter[str] = field(default_factory=Counter)
    """Rows by outcome."""
    rows: list[list[str]] = field(default_factory=list)
    """The first rows that did not end well, at most :data:`SHOWN_ROWS`."""
    not_well: int = 0
    """How many rows did not end well."""


def path_from_xcom(dag_id: str, run_id: str, task_id: str, map_index: int) -> str:
    """Give what the task's last try pushed as ``report``, from Airflow's database.

    :raises NoReportError: if it pushed none.
    """
    from airflow.models.xcom import XComModel
    from airflow.utils.session import create_session

    query = XComModel.get_many(
        key="report", run_id=run_id, dag_ids=dag_id, task_ids=task_id, map_indexes=map_index
    )
    with create_session() as session:
        found = session.execute(query.with_only_columns(XComModel.value)).first()
    value = found.value if found else None
    try:
        # As Airflow's own pages read it: never as an object of a class that the text names.
        path = json.loads(value) if isinstance(value, str) else value
    except ValueError:
        path = value
    if not isinstance(path, str) or not path:
        raise NoReportError("This task has named no report, in its last try at least.")
    return path


@contextmanager
def opened(path: str) -> Iterator[tuple[str, IO[str]]]:
    """Open a report; give its first line and the stream behind it.

    :raises NoReportError: if it is no report, or cannot be read here.
    """
    # A task may have named any file that this server can read: nothing is shown that is not a report.
    if path.rpartition("/")[2] != REPORT:
        raise NoReportError(f"What the task named is no {REPORT}, so it is not shown.")
    try:
        stream = to_path(path).open("r", encoding="utf-8", errors="replace", newline="")
    except Exception as error:  # every object store fails in its own way
        raise NoReportError(
            f"The report is at {path}, which this web server cannot read ({type(error).__name__}). "
            "It can if report_dir is on an object store, or in a folder that workers and web server share."
        ) from error
    with stream:
        header = stream.readline()
        # Further columns are those of the claim file.
        if not any(f"{header.strip()},".startswith(f"{columns},") for columns in _HEADERS):
            raise NoReportError("What the task named does not begin as a report does, so it is not shown.")
        yield header, stream


def read(path: str) -> ReportView:
    """Read a report to its end and keep what a page shows of it.

    :raises NoReportError: as :func:`opened`.
    """
    with opened(path) as (header, stream):
        view = ReportView(path, next(csv.reader([header.strip()])))
        outcome_at = view.columns.index("outcome")
        for row in csv.reader(stream):
            if len(row) != len(view.columns):
                continue
            view.counts[row[outcome_at]] += 1
            if row[outcome_at] not in _GOOD:
                view.not_well += 1
                if len(view.rows) < SHOWN_ROWS:
                    view.rows.append(row)
    return view


def blocks(path: str) -> Iterator[str]:
    """Yield the text of a report piece by piece.

    :raises NoReportError: as :func:`opened`, at the first piece.
    """
    with opened(path) as (header, stream):
        yield header
        while block := stream.read(_BLOCK):
            yield block
