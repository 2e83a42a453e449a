"""Looks for claim tokens and API keys in everything that Airflow and the provider write."""

from __future__ import annotations

import base64
import os
import re
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import quote

PIECE = 40
"""How many characters in a row of a token are a leak, wherever in the token they are."""

_RUNS = re.compile(rf"[A-Za-z0-9_.-]{{{PIECE},}}")
"""What can hold such a piece: characters of a claim token, without the padding that may end its halves."""


class Secrets:
    """The secrets of a run. ``found_in`` finds a whole claim token, its second half, any 40 characters of it, a key."""

    def __init__(self, tokens: Iterable[str], api_keys: Iterable[str]) -> None:
        self._pieces = {
            run[start : start + PIECE]
            for token in tokens
            for run in _RUNS.findall(token)
            for start in range(len(run) - PIECE + 1)
        }
        self._keys = {form: key for key in api_keys for form in _forms(key)}

    def found_in(self, text: str) -> list[str]:
        """Return what a text shows of the secrets; an empty list is what one wants."""
        pieces = (
            run[start : start + PIECE] for run in _RUNS.findall(text) for start in range(len(run) - PIECE + 1)
        )
        tokens = [f"of a claim token: {piece}" for piece in pieces if piece in self._pieces]
        return tokens + [f"the API key {key} as {form}" for form, key in self._keys.items() if form in text]

    def found_in_places(self, places: Mapping[str, str]) -> dict[str, list[str]]:
        """Return for each place that shows secrets the first few of them."""
        found = {place: self.found_in(text) for place, text in places.items()}
        return {place: leaks[:3] for place, leaks in found.items() if leaks}


def written_by_airflow() -> dict[str, str]:
    """Return all files below ``AIRFLOW_HOME`` (database, its write-ahead log, task logs), and the database's rows as text."""
    home = Path(os.environ["AIRFLOW_HOME"])
    database = home / "airflow.db"
    places = folder(home)
    assert str(database) in places
    return {**places, **{f"table {name}": text for name, text in tables(database)}}


def tables(database: Path) -> Iterator[tuple[str, str]]:
    """Yield the name of each table and its rows, column by column. What is long is spread over pages in the file."""
    with closing(sqlite3.connect(database)) as connection:
        names = [
            name for (name,) in connection.execute("select name from sqlite_master where type = 'table'")
        ]
        for name in names:
            rows = connection.execute(f'select * from "{name}"')
            yield name, "\n".join(_text(value) for row in rows for value in row)


def folder(path: Path, *, apart_from: Iterable[str] = ()) -> dict[str, str]:
    """Return the text of all files below a folder but those of these names, which may hold tokens."""
    skipped = set(apart_from)
    return {
        str(file): file.read_bytes().decode("latin-1")
        for file in path.rglob("*")
        if file.is_file() and file.name not in skipped
    }


def words_of(error: BaseException | None) -> str:
    """Return all that an exception says: itself, its attributes, and what a traceback shows above it."""
    words = []
    while error is not None:
        words += [str(error), repr(error), repr(vars(error))]
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    return "\n".join(words)


def _text(value: Any) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else str(value)


def _forms(key: str) -> set[str]:
    encoded = base64.b64encode(key.encode()).decode()
    return {key, quote(key, safe=""), encoded, encoded.rstrip("=")}
