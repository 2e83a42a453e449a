"""Chunks of a claim file's rows, and rows in the form in which they are sent."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from airflow_provider_nrfprov.claiming.rows import Row, Verdict

_MOST_ROWS = 4
"""So many times the rows of a request are in one chunk at most, sendable or not."""
_MOST_CHARACTERS = 8 << 20


@dataclass(frozen=True, slots=True)
class Chunk:
    """Consecutive rows of a file, of which no more can be sent than one request of a bulk claim takes."""

    number: int
    """From 1."""
    rows: tuple[Row, ...]
    sendable: tuple[Row, ...]
    """The rows whose verdict is ok, in the order in which they are sent; none if too many rows in a row are not."""


def chunks(rows: Iterable[Row], size: int) -> Iterator[Chunk]:
    """Cut rows into chunks of at most ``size`` rows that can be sent; the others stay in their place.

    A chunk holds at most four times as many rows in all, and 8 million characters (and a row): a file without any
    row that can be sent must fit into memory, too.
    """
    gathered: list[Row] = []
    sendable: list[Row] = []
    number, characters, most_rows, ok = 1, 0, _MOST_ROWS * size, Verdict.OK
    for row in rows:
        if (
            (row.verdict is ok and len(sendable) == size)
            or len(gathered) == most_rows
            or characters > _MOST_CHARACTERS
        ):
            yield Chunk(number, tuple(gathered), tuple(sendable))
            number, characters, gathered, sendable = number + 1, 0, [], []
        if row.verdict is ok:
            sendable.append(row)
        gathered.append(row)
        characters += len(row.text)
    if gathered:
        yield Chunk(number, tuple(gathered), tuple(sendable))


def to_csv(rows: Iterable[Row], extra_tags: Iterable[str] = ()) -> str:
    """Write rows in the service's form: every field quoted, no header, a line feed after each row.

    ``extra_tags`` come after a row's own; a tag that it has already is not repeated.
    """
    extra_tags = tuple(extra_tags)
    tags_of: dict[tuple[str, ...], str] = {(): _tags_cell(extra_tags)}
    lines = []
    for row in rows:
        tags = tags_of.get(row.tags)
        if tags is None:
            tags = tags_of[row.tags] = _tags_cell(dict.fromkeys((*row.tags, *extra_tags)))
        # A decoded token holds nothing that would have to be quoted; csv.writer looks at each character.
        lines.append(f'"{row.token}"{tags}\n')
    return "".join(lines)


def _tags_cell(tags: Iterable[str]) -> str:
    cell = ",".join(tags).replace('"', '""')
    return f',"{cell}"' if cell else ""
