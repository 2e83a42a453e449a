"""A report as the web server may read it: found through XCom, checked to be a report, read row by row."""

from __future__ import annotations

import csv
import json
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from stat import S_ISREG
from typing import IO, Any

from airflow_provider_nrfprov.claiming import report as claim_report
from airflow_provider_nrfprov.claiming.report import REPORT, SUMMARY, Outcome
from airflow_provider_nrfprov.fleet import report as device_report
from airflow_provider_nrfprov.fleet.engine import SETTLED
from airflow_provider_nrfprov.paths import to_path

SHOWN_ROWS = 500
_MOST_BYTES = 512 << 20
"""About five million rows."""
_MOST_BYTES_OF_SUMMARY = 1 << 20
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
    """The first rows that were not claimed, or devices that failed, at most :data:`SHOWN_ROWS`."""
    not_well: int = 0
    """How many of them there are."""


def report_of(dag_id: str, run_id: str, task_id: str, map_index: int) -> str:
    """Return the path of a task's report, if what it pushed as ``report`` is its own.

    :raises NoReportError: if it pushed none, or one that the report's summary does not say is this task's.
    """
    owner = {"dag_id": dag_id, "run_id": run_id, "task_id": task_id, "map_index": map_index}
    path = _path_from_xcom(dag_id, run_id, task_id, map_index)
    folder, _, name = path.rpartition("/")
    # A task may have named any file that this server can read, and an XCom may be written by hand.
    if name != REPORT:
        raise NoReportError(f"What the task named is no {REPORT}, so it is not shown.")
    with _reading(f"{folder}/{SUMMARY}", _MOST_BYTES_OF_SUMMARY) as stream:
        try:
            said = json.load(stream)
        except ValueError:
            said = None
    if not isinstance(said, dict) or any(said.get(key) != value for key, value in owner.items()):
        raise NoReportError(
            "The summary beside what the task named does not say that it is this task's, so it is not shown."
        )
    return path


def _path_from_xcom(dag_id: str, run_id: str, task_id: str, map_index: int) -> str:
    """Return what the task's last try pushed as ``report``, from Airflow's database.

    :raises NoReportError: if it pushed none.
    """
    from airflow.models.xcom import XComModel
    from airflow.utils.session import create_session

    query = XComModel.get_many(
        key="report", run_id=run_id, dag_ids=dag_id, task_ids=task_id, map_indexes=map_index, limit=1
    )
    with create_session() as session:
        # Whole rows: from 3.4 on the query is over an alias, and a column of the table would be that of every XCom.
        found = session.scalars(query).first()
        value = found.value if found is not None and found.dag_id == dag_id else None
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
    """Open a report; yield its first line and the stream behind it.

    :raises NoReportError: if it is no report, or cannot be read here.
    """
    with _reading(path, _MOST_BYTES) as stream:
        header = stream.readline(_BLOCK)
        # Further columns are those of the claim file.
        if not any(f"{header.strip()},".startswith(f"{columns},") for columns in _HEADERS):
            raise NoReportError("What the task named does not begin as a report does, so it is not shown.")
        yield header, stream


def _reading(path: str, most_bytes: int) -> IO[str]:
    """Open a file that is one, and not too large."""
    try:
        where: Any = to_path(path)
        size = _size_of_regular(where)
        stream: IO[str] = where.open("r", encoding="utf-8", errors="replace", newline="")
    except Exception as error:  # every object store fails in its own way
        raise NoReportError(
            f"The report is at {path}, which this web server cannot read ({type(error).__name__}). "
            "It can if report_dir is on an object store, or in a folder that workers and web server share."
        ) from error
    if size > most_bytes:
        stream.close()
        raise NoReportError(f"{path} has {size:,} bytes, more than the {most_bytes:,} that are shown here.")
    return stream


def _size_of_regular(where: Any) -> int:
    """Return the size of a file; a pipe or a device, which could keep this server waiting, raises an ``OSError``."""
    stat = where.stat()
    if hasattr(where, "storage_options") and where.protocol not in {"", "file", "local"}:
        return int(stat.st_size)
    if not S_ISREG(stat.st_mode):
        raise OSError(f"{where} is no regular file")
    return int(stat.st_size)


def read(path: str) -> ReportView:
    """Read a report to its end, and keep what a page shows of it.

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
