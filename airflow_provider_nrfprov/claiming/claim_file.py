"""A claim file in: rows, each with its line number and a verdict, before anything is sent.

Two forms are taken, row by row, with or without a header, with a byte order mark, with any line
ends, separated by commas, semicolons or tabs:

- the service's own: ``token`` or ``token,"tag1,tag2"``;
- what Nordic's ``gather_attestation_tokens`` writes: ``imei,uuid,token,time``.

A bad row never voids the good ones: it gets a verdict that says what is wrong with it. Only a file
that holds no rows at all is an error.
"""

from __future__ import annotations

import codecs
import csv
import io
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from enum import Enum
from typing import BinaryIO

from airflow_provider_nrfprov.api.contract import MAX_TAG_CHARACTERS
from airflow_provider_nrfprov.claiming.storage import lines
from airflow_provider_nrfprov.claiming.token import (
    MalformedTokenError,
    WrongTokenKindError,
    decode,
    looks_like_token,
)

_DELIMITER = re.compile(r'^\s*(?:"[^"]*"\s*|[^",;\t]*)([,;\t])')
"""The first separator after the first field. A token, an IMEI and a UUID hold none of the three."""
_UNDECODED = re.compile("[\udc80-\udcff]")
_HEADER_NAMES = {"token", "claimtoken", "attestationtoken", "imei", "uuid", "deviceid", "tags", "tag"}
_CLAIM_COLUMNS = 2
_ATTESTATION_COLUMNS = 4
_TOKEN_COLUMN = 2
_SNIFFED_BYTES = 4096


class ClaimFileError(ValueError):
    """The file as a whole cannot be used; the message names it and says what to do."""


class Verdict(str, Enum):
    """What reading a row came to."""

    OK = "ok"
    MALFORMED_TOKEN = "malformed_token"  # noqa: S105
    WRONG_TOKEN_KIND = "wrong_token_kind"  # noqa: S105
    DUPLICATE_DEVICE = "duplicate_device"
    TAG_TOO_LONG = "tag_too_long"
    TOO_MANY_COLUMNS = "too_many_columns"
    UNREADABLE_ROW = "unreadable_row"


@dataclass(frozen=True, slots=True)
class Row:
    """One row of a claim file. What holds the token stays out of ``repr``."""

    line: int
    """Line number in the file, from 1, blank lines and header counted."""
    verdict: Verdict
    message: str = ""
    """What is wrong with the row and what to do about it; empty if nothing is."""
    device_id: str | None = None
    """UUID of the device; ``None`` if the token could not be decoded."""
    token: str | None = field(default=None, repr=False)
    tags: tuple[str, ...] = ()
    text: str = field(default="", repr=False)
    """The line as it stands in the file."""

    @property
    def is_ok(self) -> bool:
        """Whether the row can be sent."""
        return self.verdict is Verdict.OK


@dataclass(frozen=True, slots=True)
class Chunk:
    """Consecutive rows of a file, of which so many can be sent as one request of a bulk claim takes."""

    number: int
    """From 1."""
    rows: tuple[Row, ...]

    @property
    def sendable(self) -> tuple[Row, ...]:
        """The rows whose verdict is ok, in the order in which they are sent."""
        return tuple(row for row in self.rows if row.is_ok)


def read_rows(stream: BinaryIO, name: str) -> Iterator[Row]:
    """Yield the rows of a claim file in the order of its lines; blank lines and a header are no rows.

    :param stream: the file, opened for bytes at its start; it has to be seekable.
    :param name: what to call it in errors (its path).
    :raises ClaimFileError: if it is empty, holds no row, or is no text.
    """
    text = _as_text(stream, name)
    reader = _RowReader()
    found = header = False
    for line_number, line in enumerate(text, start=1):
        if not line.strip(" \t,;"):
            continue
        if not found and not header and _is_header(line, name):
            header = True
            continue
        found = True
        yield reader.read(line_number, line)
    if not found:
        raise ClaimFileError(
            f"{name} holds {'a header and ' if header else ''}no rows: each row of a claim file is a claim token, "
            "optionally followed by its tags in one quoted field"
        )


def chunks(rows: Iterable[Row], size: int) -> Iterator[Chunk]:
    """Cut rows into chunks of at most ``size`` rows that can be sent; the others stay in their place."""
    gathered: list[Row] = []
    number, sendable = 1, 0
    for row in rows:
        if row.is_ok and sendable == size:
            yield Chunk(number, tuple(gathered))
            number, gathered, sendable = number + 1, [], 0
        gathered.append(row)
        sendable += row.is_ok
    if gathered:
        yield Chunk(number, tuple(gathered))


def to_csv(rows: Iterable[Row], extra_tags: Iterable[str] = ()) -> str:
    """Write rows in the service's form: every field quoted, no header, a line feed after each row.

    ``extra_tags`` come after a row's own; a tag that it has already is not repeated.
    """
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n", quoting=csv.QUOTE_ALL)
    for row in rows:
        tags = ",".join(dict.fromkeys((*row.tags, *extra_tags)))
        writer.writerow([row.token, tags] if tags else [row.token])
    return out.getvalue()


def check_tags(tags: Iterable[str]) -> tuple[str, ...]:
    """Check tags that come from an argument rather than from a file, and drop repetitions.

    :raises ValueError: naming the tag and what is wrong with it.
    """
    checked = tuple(dict.fromkeys(tag.strip() for tag in tags))
    for tag in checked:
        if not tag:
            raise ValueError("a tag is empty")
        if len(tag) > MAX_TAG_CHARACTERS:
            raise ValueError(
                f"a tag has {len(tag)} characters, at most {MAX_TAG_CHARACTERS} are allowed: {tag!r}"
            )
        if "," in tag:
            raise ValueError(f"a tag cannot hold a comma in a bulk claim, where commas part tags: {tag!r}")
        if not tag.isprintable():
            raise ValueError(f"a tag holds a character that cannot be printed: {tag!r}")
    return checked


class _RowReader:
    """Reads rows one by one, and remembers which devices it has met."""

    def __init__(self) -> None:
        self._line_of: dict[str, int] = {}

    def read(self, line_number: int, line: str) -> Row:
        try:
            cells = _split(line)
        except csv.Error as error:
            return Row(line_number, Verdict.UNREADABLE_ROW, f"{error}; mend or remove the row", text=line)
        if not line.isascii() and _UNDECODED.search(line):
            return Row(
                line_number, Verdict.UNREADABLE_ROW, "the row is not UTF-8; save the file as UTF-8", text=line
            )
        attestation = len(cells) > _CLAIM_COLUMNS and not looks_like_token(cells[0])
        if too_many := _too_many_columns(cells, attestation=attestation):
            return Row(line_number, Verdict.TOO_MANY_COLUMNS, too_many, text=line)
        token_cell = cells[_TOKEN_COLUMN if attestation else 0]
        tags = () if attestation or len(cells) == 1 else _split_tags(cells[1])
        return self._judge(line_number, line, token_cell, tags, cells)

    def _judge(
        self, line_number: int, line: str, token_cell: str, tags: tuple[str, ...], cells: list[str]
    ) -> Row:
        try:
            token = decode(token_cell)
        except WrongTokenKindError as error:
            return Row(line_number, Verdict.WRONG_TOKEN_KIND, str(error), tags=tags, text=line)
        except MalformedTokenError as error:
            message = f"{error}{_hint_at_other_column(cells)}"
            return Row(line_number, Verdict.MALFORMED_TOKEN, message, tags=tags, text=line)
        verdict, message = Verdict.OK, ""
        first_line = self._line_of.setdefault(token.device_id, line_number)
        if first_line != line_number:
            verdict, message = Verdict.DUPLICATE_DEVICE, f"the same device as in line {first_line}"
        elif too_long := next((tag for tag in tags if len(tag) > MAX_TAG_CHARACTERS), None):
            verdict = Verdict.TAG_TOO_LONG
            message = f"a tag has {len(too_long)} characters, at most {MAX_TAG_CHARACTERS} are allowed"
            # The device is not claimed by this row: a later good row of it is not a duplicate.
            del self._line_of[token.device_id]
        return Row(line_number, verdict, message, token.device_id, token.text, tags, line)


def _as_text(stream: BinaryIO, name: str) -> Iterator[str]:
    start = stream.read(_SNIFFED_BYTES)
    if not start.strip():
        raise ClaimFileError(f"{name} is empty: a claim file holds one claim token a row")
    if start.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise ClaimFileError(f"{name} is UTF-16 text; save it as 'CSV UTF-8'")
    if start.startswith(b"PK\x03\x04") or b"\x00" in start:
        raise ClaimFileError(f"{name} is not a text file; export it as CSV (a spreadsheet: 'CSV UTF-8')")
    stream.seek(0)
    return _lines(stream)


def _lines(stream: BinaryIO) -> Iterator[str]:
    for number, raw in enumerate(lines(stream)):
        # Bytes that are no UTF-8 become surrogates, so that only their own row is refused.
        text = raw.removeprefix(codecs.BOM_UTF8 if number == 0 else b"").decode("utf-8", "surrogateescape")
        # Old systems end a line with a carriage return alone.
        yield from text.rstrip("\r\n").split("\r")


def _split(line: str) -> list[str]:
    """Cut one line into cells. A line is a row of its own, so that a stray quote cannot eat the next."""
    found = _DELIMITER.match(line)
    delimiter = found[1] if found else ","
    if '"' not in line:
        cells = line.split(delimiter)
    else:
        cells = next(csv.reader([line], delimiter=delimiter, strict=True))
    cells = [cell.strip() for cell in cells]
    while len(cells) > 1 and not cells[-1]:
        cells.pop()
    return cells


def _split_tags(cell: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(tag.strip() for tag in cell.split(",") if tag.strip()))


def _too_many_columns(cells: list[str], *, attestation: bool) -> str:
    if attestation and len(cells) > _ATTESTATION_COLUMNS:
        return f"{len(cells)} columns instead of imei,uuid,token,time; remove the others"
    if not attestation and len(cells) > _CLAIM_COLUMNS:
        return f'{len(cells)} columns instead of token,"tag1,tag2"; put all tags into one quoted field'
    return ""


def _hint_at_other_column(cells: list[str]) -> str:
    column = next((number for number, cell in enumerate(cells, start=1) if looks_like_token(cell)), None)
    if column is None or (len(cells) == 1 and column == 1):
        return ""
    if column in {1, _TOKEN_COLUMN + 1}:
        return ""
    return f" (column {column} holds what looks like a token; it belongs into column 1)"


def _is_header(line: str, name: str) -> bool:
    try:
        cells = [re.sub(r"[^a-z]", "", cell.lower()) for cell in _split(line)]
    except csv.Error:
        return False
    if not _HEADER_NAMES & set(cells) or any(looks_like_token(cell) for cell in line.split(",")):
        return False
    column = next((number for number, cell in enumerate(cells) if cell.endswith("token")), None)
    if column not in {None, 0, _TOKEN_COLUMN}:
        raise ClaimFileError(
            f"{name} has its tokens in column {(column or 0) + 1}, as its header says; they belong into the first "
            "column (or the third, after imei and uuid)"
        )
    return True
