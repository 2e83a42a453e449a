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
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import Enum
from typing import BinaryIO, NamedTuple

from airflow_provider_nrfprov.api.contract import MAX_TAG_CHARACTERS
from airflow_provider_nrfprov.claiming.first_lines import FirstLines
from airflow_provider_nrfprov.claiming.token import (
    USUAL_FORM,
    MalformedTokenError,
    WrongTokenKindError,
    decode,
    looks_like_token,
    read_usual,
    uuid_text,
)

_DELIMITER = re.compile(r'^\s*(?:"[^"]*"\s*|[^",;\t]*)([,;\t])')
"""The first separator after the first field. A token, an IMEI and a UUID hold none of the three."""
_USUAL_ROW = re.compile(rf"""(?:[0-9]*,[^",;\t]*,)?({USUAL_FORM})(?:,([^",;\t]*)|,"([^"]*)")?""")
"""A row of either form as it nearly always is: read in one step, a third of the time of a whole reading."""
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


class Row(NamedTuple):
    """One row of a claim file. What holds the token stays out of ``repr``.

    A tuple, because a file may have a million of them and they are made twice.
    """

    line: int
    """Line number in the file, from 1, blank lines and header counted."""
    verdict: Verdict
    message: str = ""
    """What is wrong with the row and what to do about it; empty if nothing is."""
    device_id: str | None = None
    """UUID of the device; ``None`` if the token could not be decoded."""
    token: str | None = None
    tags: tuple[str, ...] = ()
    text: str = ""
    """The line as it stands in the file."""

    def __repr__(self) -> str:
        # Not even the tags: their column may hold a second token.
        return f"Row(line={self.line}, verdict={self.verdict!s}, message={self.message!r}, device_id={self.device_id!r})"

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
    sendable: tuple[Row, ...]
    """The rows whose verdict is ok, in the order in which they are sent."""


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
        row = reader.read_usual(line_number, line)
        if row is None:
            if not line.strip(" \t,;"):
                continue
            if not found and not header and _is_header(line, name):
                header = True
                continue
            row = reader.read_unusual(line_number, line)
        found = True
        yield row
    if not found:
        raise ClaimFileError(
            f"{name} holds {'a header and ' if header else ''}no rows: each row of a claim file is a claim token, "
            "optionally followed by its tags in one quoted field"
        )


def chunks(rows: Iterable[Row], size: int) -> Iterator[Chunk]:
    """Cut rows into chunks of at most ``size`` rows that can be sent; the others stay in their place."""
    gathered: list[Row] = []
    sendable: list[Row] = []
    number, ok = 1, Verdict.OK
    for row in rows:
        if row.verdict is ok:
            if len(sendable) == size:
                yield Chunk(number, tuple(gathered), tuple(sendable))
                number, gathered, sendable = number + 1, [], []
            sendable.append(row)
        gathered.append(row)
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
                # Not whole: somebody may have pasted a claim token.
                f"a tag has {len(tag)} characters, at most {MAX_TAG_CHARACTERS} are allowed: {tag[:20]!r}…"
            )
        if "," in tag:
            raise ValueError(f"a tag cannot hold a comma in a bulk claim, where commas part tags: {tag!r}")
        if not tag.isprintable():
            raise ValueError(f"a tag holds a character that cannot be printed: {tag!r}")
    return checked


class _RowReader:
    """Reads rows one by one, and remembers which devices it has met."""

    def __init__(self) -> None:
        self._first_lines = FirstLines()

    def read_usual(self, line_number: int, line: str) -> Row | None:
        """Read a row of the usual form; ``None`` if it is of another."""
        usual = _USUAL_ROW.fullmatch(line)
        if usual is None or not line.isascii():
            return None
        token, plain_tags, quoted_tags = usual.groups()
        body = read_usual(token)
        if body is None:
            return None
        # After imei and uuid stands no tag but the time.
        tags_cell = (plain_tags or quoted_tags) if usual.start(1) == 0 else None
        return self._accept(line_number, line, body[6:22], token, _split_tags(tags_cell) if tags_cell else ())

    def read_unusual(self, line_number: int, line: str) -> Row:
        """Read a row of any form, or say what is wrong with it."""
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
        device = bytes.fromhex(token.device_id.replace("-", ""))
        return self._accept(line_number, line, device, token.text, tags)

    def _accept(self, line_number: int, line: str, device: bytes, token: str, tags: tuple[str, ...]) -> Row:
        verdict, message = Verdict.OK, ""
        longest = max(map(len, tags)) if tags else 0
        if longest <= MAX_TAG_CHARACTERS:
            first_line: int | None = self._first_lines.setdefault(device, line_number)
        else:
            # The device is not claimed by this row: a later good row of it is not a duplicate.
            first_line = self._first_lines.get(device)
            verdict = Verdict.TAG_TOO_LONG
            message = f"a tag has {longest} characters, at most {MAX_TAG_CHARACTERS} are allowed"
        if first_line is not None and first_line != line_number:
            verdict, message = Verdict.DUPLICATE_DEVICE, f"the same device as in line {first_line}"
        return Row(line_number, verdict, message, uuid_text(device), token, tags, line)


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
    bom = codecs.BOM_UTF8
    # By readline: what Airflow 2 opens on an object store cannot be iterated itself.
    for raw in iter(stream.readline, b""):
        # Bytes that are no UTF-8 become surrogates, so that only their own row is refused.
        text = raw.removeprefix(bom).decode("utf-8", "surrogateescape").rstrip("\r\n")
        bom = b""
        if "\r" in text:
            # Old systems end a line with a carriage return alone.
            yield from text.split("\r")
        else:
            yield text


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
