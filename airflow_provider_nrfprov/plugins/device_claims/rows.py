"""Rows of a report: a page of them, sorted, filtered and searched by its index; or the first ones, from the file itself.

Everything here is for a thread only.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import Any

from airflow_provider_nrfprov.plugins.device_claims.building import (
    SORTED,
    columns_in_index,
    rows_of,
    sortable,
)
from airflow_provider_nrfprov.plugins.device_claims.reports import NoReportError, Report, opened

PAGE = 50
FIRST = 1_000
"""So many rows can be read from the file itself."""
MOST_FOUND = 10_000
"""A search finds no more than these."""
_SECONDS = 5.0
_STEPS = 100_000
_LENGTH_OF_AN_ID = 8
_TEXTS = ("status", "message", "bulk_ops_request_id")


@dataclass(frozen=True)
class Wanted:
    """Which rows are wanted, and in which order."""

    offset: int = 0
    limit: int = PAGE
    outcome: str = ""
    reason: str = ""
    """As the summary words it."""
    words: str = ""
    """A piece of any cell; or a line's number."""
    sort: str = ""
    """A column; empty for the order of the file."""
    descending: bool = False

    @property
    def is_plain(self) -> bool:
        """Whether it is the file from its beginning on."""
        return self == Wanted(self.offset, self.limit)


def first_rows(report: Report, wanted: Wanted) -> dict[str, Any]:
    """Return rows as :func:`page` does, read from the file; ``total`` is unknown."""
    with opened(report.path) as (stream, _, _):
        rows = rows_of(stream.readline)
        header = next(rows)
        found = list(islice(rows, wanted.offset, wanted.offset + wanted.limit))
    return _answer(header, found, None, more=False)


def page(index: Path, wanted: Wanted) -> dict[str, Any]:
    """Return a page of rows.

    :return: ``columns``, ``sortable``, ``rows`` (lists of cells), ``total``; ``more`` if there are more than ``total``.
    :raises NoReportError: if it takes too long.
    """
    with _reading(index) as database:
        header = [name for (name,) in database.execute("select name from header order by rowid")]
        order = _order(header, wanted)
        where, values = _where(database, header, wanted)
        more = False
        if wanted.words:
            found = _found(index, where, tuple(values), order)
            more, total = len(found) > MOST_FOUND, min(len(found), MOST_FOUND)
            ids = found[:total][wanted.offset : wanted.offset + wanted.limit]
        else:
            # These texts are of names that are ours, and marks.
            (total,) = database.execute(f"select count(*) from rows {where}", values).fetchone()  # noqa: S608 - names of ours; values are bound
            query = f"select n from rows {where} order by {order} limit ? offset ?"  # noqa: S608 - names of ours; values are bound
            ids = [n for (n,) in database.execute(query, (*values, wanted.limit, wanted.offset))]
        columns = ", ".join(columns_in_index(header))
        query = f"select {columns} from rows join ends on ends.id = rows.end where n = ?"  # noqa: S608 - names of ours; values are bound
        rows = [database.execute(query, (n,)).fetchone() for n in ids]
    return _answer(header, rows, total, more=more)


@contextmanager
def _reading(index: Path) -> Iterator[sqlite3.Connection]:
    end = time.monotonic() + _SECONDS
    with closing(sqlite3.connect(f"file:{index}?mode=ro&immutable=1", uri=True)) as database:
        database.set_progress_handler(lambda: time.monotonic() > end, _STEPS)
        try:
            yield database
        except sqlite3.OperationalError as error:
            if "interrupted" not in str(error):
                raise
            raise NoReportError("That takes too long with so many rows: ask for fewer of them.") from None


@lru_cache(maxsize=16)
def _found(index: Path, where: str, values: tuple[Any, ...], order: str) -> list[int]:
    """Return the numbers of the rows of a search: its further pages need not search again."""
    with _reading(index) as database:
        # A plus: the few that are found are sorted, instead of all rows being looked at in that order.
        query = (
            f"select n from rows {where} order by {order.replace('rows.', '+rows.')} limit {MOST_FOUND + 1}"  # noqa: S608 - names of ours; values are bound
        )
        return [n for (n,) in database.execute(query, values)]


def _order(header: list[str], wanted: Wanted) -> str:
    """Return the order that one of the indexes has."""
    columns = ["n"]
    if wanted.sort == "outcome":
        columns = ["rows.outcome", "n"]
    elif wanted.sort == "message":
        columns = ["rows.reason", "rows.outcome", "n"]
    elif wanted.sort != "line" and wanted.sort in sortable(header):
        column = columns_in_index(header)[header.index(wanted.sort)]
        columns = [column, "rows.outcome", "rows.reason", "n"]
    return ", ".join(f"{column} {'desc' if wanted.descending else 'asc'}" for column in columns)


def _where(database: sqlite3.Connection, header: list[str], wanted: Wanted) -> tuple[str, list[Any]]:
    conditions: list[str] = []
    values: list[Any] = []
    # A plus: rows that are sorted are looked at in that order, and not found by what they are filtered by.
    sign = "+" if wanted.sort not in {"", "line"} and not wanted.words else ""
    if wanted.outcome and not wanted.reason:
        conditions.append(f"{sign}rows.outcome = ?")
        values.append(wanted.outcome)
    if wanted.reason:
        ids = _reasons(database, wanted)
        conditions.append(f"{sign}rows.reason in ({', '.join('?' * len(ids))})")
        values += ids
    if wanted.words:
        condition, some = _contains(database, header, wanted.words)
        conditions.append(condition)
        values += some
    return (f"where {' and '.join(conditions)}" if conditions else ""), values


def _reasons(database: sqlite3.Connection, wanted: Wanted) -> list[int]:
    """Return the ids of a reason: by itself, or as a warning behind what the service said."""
    behind = f"; {wanted.reason}"
    query = "select id from reasons where outcome = ? and (reason = ? or substr(reason, ?) = ?) limit 500"
    return [
        each for (each,) in database.execute(query, (wanted.outcome, wanted.reason, -len(behind), behind))
    ]


def _contains(database: sqlite3.Connection, header: list[str], words: str) -> tuple[str, list[Any]]:
    """Return the condition of rows one of whose cells is just this; if there is none, contains it."""
    own = [name for name in columns_in_index(header) if name.startswith("rows.") and name != "rows.line"]
    if len(words) >= _LENGTH_OF_AN_ID:
        indexed = own[: SORTED + 1]
        is_this = " or ".join(f"{column} = ?" for column in indexed)
        exact = [words.lower() if column == "rows.device_id" else words for column in indexed]
        if database.execute(f"select 1 from rows where {is_this} limit 1", exact).fetchone():  # noqa: S608 - names of ours; values are bound
            return f"({is_this})", list(exact)
    piece = "%" + "".join(f"\\{each}" if each in "\\%_" else each for each in words) + "%"
    conditions = [f"{column} like ? escape '\\'" for column in own]
    in_end = " or ".join(f"{text} like ? escape '\\'" for text in _TEXTS)
    if database.execute(f"select 1 from ends where {in_end} limit 1", [piece] * len(_TEXTS)).fetchone():  # noqa: S608 - names of ours; values are bound
        conditions.append(f"rows.end in (select id from ends where {in_end})")  # noqa: S608 - names of ours; values are bound
        own = [*own, *_TEXTS]
    values: list[Any] = [piece] * len(own)
    if words.isdecimal() and len(words) < _LENGTH_OF_AN_ID:
        conditions.append("rows.line = ?")
        values.append(int(words))
    return f"({' or '.join(conditions)})", values


def _answer(header: list[str], rows: list[Any], total: int | None, *, more: bool) -> dict[str, Any]:
    return {
        "columns": header,
        "sortable": sortable(header),
        "rows": [list(row) for row in rows],
        "total": total,
        "more": more,
    }
