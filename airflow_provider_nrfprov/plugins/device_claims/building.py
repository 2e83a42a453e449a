"""Builds the SQLite file by which a report is sorted, filtered and searched; a program of its own.

So that a million rows cost Airflow's web server neither its interpreter's time nor memory. It needs the standard library alone,
reads the report from its standard input, and ends with 0 only if all of it came.
"""

from __future__ import annotations

import contextlib
import csv
import os
import sqlite3
import sys
from collections.abc import Callable, Iterator
from itertools import islice

from airflow_provider_nrfprov.claiming.reasons import general

LINE = 1 << 16
"""Bytes of a line that are read; the rest of a longer one is passed over."""
CELL = 2_200
"""Characters of a cell that are kept: all that a report of ours has."""
COLUMNS = 40
SORTED = 6
"""How many of the claim file's columns can be sorted by."""
ROWS = 10_000_000
ROWS_OF_A_TEXT = 16
"""Rows whose cells are searched as one text: few enough to look at each once it is found, many enough to be passed over quickly."""
FORMAT = "2"
"""Of an index; another one is not read."""
_ENDS = ("outcome", "status", "message", "bulk_ops_request_id")
_REMEMBERED = 100_000
_OUR_COLUMNS = {"line", "device_id", *_ENDS}


def rows_of(readline: Callable[[int], bytes]) -> Iterator[list[str]]:
    """Yield the cells of each line of a report, the header's first. A report has no line breaks within cells."""
    while line := readline(LINE):
        if not line.endswith(b"\n") and len(line) == LINE:
            while (rest := readline(LINE)) and not rest.endswith(b"\n"):
                pass
            line = line.replace(b'"', b"")
        text = line.decode("utf-8", "replace").rstrip("\r\n")
        cells = next(csv.reader([text]), []) if '"' in text else text.split(",")
        if len(text) > CELL:
            cells = [cell[:CELL] for cell in cells]
        yield cells[:COLUMNS]


def columns_in_index(header: list[str]) -> list[str]:
    """Return what selects each column of a report from the index, in the report's order."""
    carried = iter(range(len(header)))
    return [
        f"ends.{name}"
        if name in _ENDS
        else f"rows.{name}"
        if name in _OUR_COLUMNS
        else f"rows.c{next(carried)}"
        for name in header
    ]


def sortable(header: list[str]) -> list[str]:
    """Return the columns by which rows can be sorted: those that have an index."""
    carried = [name for name in header if name not in _OUR_COLUMNS]
    return [name for name in header if name in {"line", "device_id", "outcome", "message"}] + carried[:SORTED]


def build(readline: Callable[[int], bytes], target: str) -> int:
    """Write the index of a report; return how many rows it has."""
    rows = rows_of(readline)
    header = next(rows)
    carried = [place for place, name in enumerate(header) if name not in _OUR_COLUMNS]
    with contextlib.closing(sqlite3.connect(target, isolation_level=None)) as database:
        database.executescript(
            "pragma page_size = 16384; pragma journal_mode = off; pragma synchronous = off; pragma cache_size = -16000;"
            "create table header (name text);"
            "create table ends (id integer primary key, outcome text, status text, message text, bulk_ops_request_id text);"
            "create table reasons (id integer primary key, outcome text, reason text);"
            "create table rows (n integer primary key, line integer, device_id text, outcome text, reason integer, "
            f"end integer{''.join(f', c{number} text' for number in range(len(carried)))});"
            "create table texts (first integer primary key, text blob);"
            "begin"
        )
        database.executemany("insert into header values (?)", ((name,) for name in header))
        marks = ", ".join("?" * (5 + len(carried)))
        names = ", ".join(
            ["line", "device_id", "outcome", "reason", "end", *(f"c{n}" for n in range(len(carried)))]
        )
        # The names are ours.
        insert = f"insert into rows ({names}) values ({marks})"  # noqa: S608 - names of ours; values are bound
        texts = _Texts(database)
        done = database.executemany(insert, _records(rows, header, carried, _Ends(database), texts)).rowcount
        texts.end()
        # With all that rows are filtered by: a page far behind is found in the index alone.
        for column in ("device_id", *(f"c{n}" for n in range(len(carried[:SORTED])))):
            database.execute(f"create index by_{column} on rows ({column}, outcome, reason)")
        database.execute("create index by_line on rows (line)")
        database.execute("create index by_end on rows (end)")
        database.execute("create index by_outcome on rows (outcome)")
        database.execute("create index by_reason on rows (reason, outcome)")
        database.execute("commit")
    return max(done, 0)


def _records(
    rows: Iterator[list[str]], header: list[str], carried: list[int], ends: _Ends, texts: _Texts
) -> Iterator[list[object]]:
    line_at = header.index("line") if "line" in header else None
    device_at = header.index("device_id")
    ends_at = [header.index(name) if name in header else None for name in _ENDS]
    for cells in islice(rows, ROWS):
        row = cells if len(cells) == len(header) else [*cells, *[""] * len(header)][: len(header)]
        end = tuple("" if place is None else row[place] for place in ends_at)
        line = None if line_at is None else int(row[line_at]) if row[line_at].isdecimal() else None
        own = [row[device_at], *(row[place] for place in carried)]
        texts.add(own)
        yield [line, own[0], end[0], *ends.ids_of(end), *own[1:]]


class _Texts:
    """What is in the cells of rows, some rows at a time: to look into this is several times quicker than into each cell."""

    def __init__(self, database: sqlite3.Connection) -> None:
        self._database = database
        self._cells: list[str] = []
        self._first = self._next = 1

    def add(self, cells: list[str]) -> None:
        """Take the next row."""
        self._cells += cells
        self._next += 1
        if self._next - self._first == ROWS_OF_A_TEXT:
            self.end()

    def end(self) -> None:
        """Write what was taken."""
        # As LIKE has it: letters of ASCII alone have two cases.
        text = "\n".join(self._cells).encode().lower()
        self._database.execute("insert into texts values (?, ?)", (self._first, text))
        self._cells.clear()
        self._first = self._next


class _Ends:
    """How rows ended: what many have alike is kept once."""

    def __init__(self, database: sqlite3.Connection) -> None:
        self._database = database
        self._known: dict[tuple[str, ...], tuple[int, int]] = {}
        self._reasons: dict[tuple[str, str], int] = {}
        self._number = 0

    def ids_of(self, end: tuple[str, ...]) -> tuple[int, int]:
        """Return the ids of a row's reason and of its end."""
        known = self._known.get(end)
        if known is None:
            if len(self._known) >= _REMEMBERED:
                self._known.clear()
            self._number += 1
            self._database.execute("insert into ends values (?, ?, ?, ?, ?)", (self._number, *end))
            known = self._known[end] = (self._reason(end[0], end[2]), self._number)
        return known

    def _reason(self, outcome: str, message: str) -> int:
        reason = (outcome, general(message) if message else "")
        known = self._reasons.get(reason)
        if known is None:
            if len(self._reasons) >= _REMEMBERED:
                self._reasons.clear()
            cursor = self._database.execute("insert into reasons (outcome, reason) values (?, ?)", reason)
            known = self._reasons[reason] = int(cursor.lastrowid or 0)
        return known


def main() -> int:
    """Build the index of a report on the standard input, whose size is the first argument, as the second."""
    size, target = int(sys.argv[1]), sys.argv[2]
    os.nice(10)
    stream = sys.stdin.buffer
    read = 0

    def readline(most: int) -> bytes:
        nonlocal read
        line = stream.readline(most)
        read += len(line)
        return line

    build(readline, target)
    return 0 if read == size else 1


if __name__ == "__main__":
    sys.exit(main())
