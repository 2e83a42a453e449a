"""A row of a claim file, chunks of rows, and rows in the form in which they are sent."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple

from airflow_provider_nrfprov.claiming.columns import SERVICE, Form

_MOST_ROWS = 4
"""So many times the rows of a request are in one chunk at most, sendable or not."""
_MOST_CHARACTERS = 8 << 20


class Verdict(str, Enum):
    """What reading a row came to."""

    OK = "ok"
    MALFORMED_TOKEN = "malformed_token"  # noqa: S105
    WRONG_TOKEN_KIND = "wrong_token_kind"  # noqa: S105
    DUPLICATE_DEVICE = "duplicate_device"
    TAG_TOO_LONG = "tag_too_long"
    INVALID_TAG = "invalid_tag"
    """It cannot be a tag, or is something else by its looks: an IMEI, a UUID, a time."""
    TOO_MANY_COLUMNS = "too_many_columns"
    TOO_FEW_COLUMNS = "too_few_columns"
    """Fewer than the header names, so that another cell may stand where the tags should."""
    UNNAMED_COLUMN = "unnamed_column"
    """A column that may hold tags, and no header says so."""
    UNREADABLE_ROW = "unreadable_row"


class Row(NamedTuple):
    """One row of a claim file. What holds the token stays out of ``repr``.

    A tuple, because a file may have a million of them and they are made twice.
    """

    line: int
    """Line number in the file, from 1, blank lines and header counted."""
    verdict: Verdict
    message: str = ""
    """What is wrong with the row and what to do about it; a warning if it can be sent; empty if all is well."""
    device_id: str | None = None
    """UUID of the device; ``None`` if the token could not be decoded."""
    token: str | None = None
    tags: tuple[str, ...] = ()
    text: str = ""
    """The row as it stands in the file, without its line end: one line, or more if a quoted cell holds line ends."""
    form: Form = SERVICE
    """What its columns are, and the header that says so."""

    def __repr__(self) -> str:
        # Not even the tags: their column may hold a second token.
        return f"Row(line={self.line}, verdict={self.verdict!s}, message={self.message!r}, device_id={self.device_id!r})"

    @property
    def is_ok(self) -> bool:
        """Whether the row can be sent."""
        return self.verdict is Verdict.OK

    @property
    def carried(self) -> tuple[str, ...]:
        """The cells of the file's other columns, in the order of ``form.carried``; never a token."""
        return self.form.values_of(self.text)


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
