"""Rows of a report: a page of them, sorted, filtered and searched by its index; or the first ones, from the file itself.

Everything here is for a thread only.
"""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import chain, islice
from pathlib import Path
from typing import Any

from airflow_provider_nrfprov.plugins.device_claims.building import (
    ROWS_OF_A_TEXT,
    SORTED,
    columns_in_index,
    rows_of,
    sortable,
)
from airflow_provider_nrfprov.plugins.device_claims.reports import NoReportError, Report, opened

PAGE = 50
FIRST = 1_000
"""The most rows that are read from the file itself."""
MOST_FOUND = 10_000
"""A search finds no more than these."""
_SECONDS = 5.0
_STEPS = 100_000
_LENGTH_OF_AN_ID = 8
_FEW = 50_000
"""Rows each of whose cells may be compared."""
_ALL = "true"
"""The condition of every row."""
_TEXTS = ("status", "message", "bulk_ops_request_id")
_TEXTS_OF_ROWS = f"texts cross join rows on n between first and first + {ROWS_OF_A_TEXT - 1}"
_Kind = tuple[str, str, Sequence[Any]]
"""Where rows are found, by which condition, and its values."""


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
        more = False
        if wanted.words:
            found = _found(index, replace(wanted, offset=0, limit=0))
            more, total = len(found) > MOST_FOUND, min(len(found), MOST_FOUND)
            ids = found[:total][wanted.offset : wanted.offset + wanted.limit]
        else:
            order = _order(header, wanted)
            # A plus: rows that are sorted are looked at in that order, and not found by what they are filtered by.
            where, values = _filter(database, wanted, sign="" if wanted.sort in {"", "line"} else "+")
            # These texts are of names that are ours, and marks.
            total = _count(database, where, values)
            query = f"select n from rows where {where} order by {order} limit ? offset ?"  # noqa: S608 - names of ours; values are bound
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
            raise NoReportError("This takes too long in a report of this size: narrow the search.") from None


@lru_cache(maxsize=16)
def _found(index: Path, wanted: Wanted) -> list[int]:
    """Return the numbers of the rows of a search, in their order: its further pages need not search again."""
    with _reading(index) as database:
        header = [name for (name,) in database.execute("select name from header order by rowid")]
        # A plus: the few that are found are sorted, instead of all rows being looked at in that order.
        order = _order(header, wanted).replace("rows.", "+rows.")
        where, filtered = _filter(database, wanted)

        def first(source: str, condition: str, values: Sequence[Any]) -> list[int]:
            # The file's order is that of the texts, too: with the first rows of many, the search ends.
            by = (
                f"{order.replace('n', 'first', 1)}, {order}"
                if source == _TEXTS_OF_ROWS and order[0] == "n"
                else order
            )
            query = (
                f"select n from {source} where {condition} and {where} order by {by} limit {MOST_FOUND + 1}"  # noqa: S608 - names of ours; values are bound
            )
            return [n for (n,) in database.execute(query, (*values, *filtered))]

        own = [name for name in columns_in_index(header) if name.startswith("rows.") and name != "rows.line"]
        if exact := _is_this(database, own, wanted.words):
            return first("rows", *exact)
        few = where != _ALL and _count(database, where, filtered) <= _FEW
        kinds = [
            _in_own_cells(own, wanted.words, few=few),
            *_in_end(database, wanted.words),
            *_is_line(wanted.words),
        ]
        lists = [found for found in (first(*kind) for kind in kinds) if found]
        if len(lists) < 2:
            return lists[0] if lists else []
        # The first of all are among the first of each.
        return first("rows", "n in (select value from json_each(?))", [json.dumps(sorted({*chain(*lists)}))])


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


def _filter(database: sqlite3.Connection, wanted: Wanted, sign: str = "") -> tuple[str, list[Any]]:
    """Return the condition of the outcome or reason that is wanted."""
    if wanted.reason:
        ids = _reasons(database, wanted)
        return f"{sign}rows.reason in ({', '.join('?' * len(ids))})", list(ids)
    if wanted.outcome:
        return f"{sign}rows.outcome = ?", [wanted.outcome]
    return _ALL, []


def _reasons(database: sqlite3.Connection, wanted: Wanted) -> list[int]:
    """Return the ids of a reason: by itself, or as a warning behind what the service said."""
    behind = f"; {wanted.reason}"
    query = "select id from reasons where outcome = ? and (reason = ? or substr(reason, ?) = ?) limit 500"
    return [
        each for (each,) in database.execute(query, (wanted.outcome, wanted.reason, -len(behind), behind))
    ]


def _is_this(database: sqlite3.Connection, own: list[str], words: str) -> tuple[str, list[str]] | None:
    """Return the condition of rows one of whose cells is just this, if there are any."""
    if len(words) < _LENGTH_OF_AN_ID:
        return None
    indexed = own[: SORTED + 1]
    condition = " or ".join(f"{column} = ?" for column in indexed)
    values = [words.lower() if column == "rows.device_id" else words for column in indexed]
    if database.execute(f"select 1 from rows where {condition} limit 1", values).fetchone():  # noqa: S608 - names of ours; values are bound
        return f"({condition})", values
    return None


def _in_own_cells(own: list[str], words: str, *, few: bool) -> _Kind:
    """Return how rows are found whose own cells contain this.

    :param few: whether the filter leaves so few rows that each of them can be looked at.
    """
    likes = " or ".join(f"{column} like ? escape '\\'" for column in own)
    pieces = [_piece(words)] * len(own)
    if few:
        return "rows", f"({likes})", pieces
    return _TEXTS_OF_ROWS, f"instr(text, ?) and ({likes})", [words.encode().lower(), *pieces]


def _in_end(database: sqlite3.Connection, words: str) -> Iterator[_Kind]:
    """Yield how rows are found whose status, message or operation contains this, if there are any."""
    condition = " or ".join(f"{text} like ? escape '\\'" for text in _TEXTS)
    pieces = [_piece(words)] * len(_TEXTS)
    ends = f"select id from ends where {condition}"  # noqa: S608 - names of ours; values are bound
    if database.execute(f"{ends} limit 1", pieces).fetchone():
        yield "rows indexed by by_end", f"rows.end in ({ends})", pieces


def _is_line(words: str) -> Iterator[_Kind]:
    if words.isdecimal() and len(words) < _LENGTH_OF_AN_ID:
        yield "rows", "rows.line = ?", [int(words)]


def _piece(words: str) -> str:
    return "%" + "".join(f"\\{each}" if each in "\\%_" else each for each in words) + "%"


def _count(database: sqlite3.Connection, where: str, values: Sequence[Any]) -> int:
    query = "select count(*) from rows"
    if where != _ALL:
        query = f"{query} where {where}"
    (count,) = database.execute(query, values).fetchone()
    return int(count)


def _answer(header: list[str], rows: list[Any], total: int | None, *, more: bool) -> dict[str, Any]:
    return {
        "columns": header,
        "sortable": sortable(header),
        "rows": [list(row) for row in rows],
        "total": total,
        "more": more,
    }
