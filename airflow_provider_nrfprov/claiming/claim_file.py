"""Reads a claim file into rows, each with its line number and a verdict, before anything is sent.

With a header the columns go by their names, in any order (:mod:`~airflow_provider_nrfprov.claiming.columns`).
Without one two forms are taken, row by row:

- the service's own: ``token`` or ``token,"tag1,tag2"``;
- what Nordic's ``gather_attestation_tokens`` writes: ``imei,uuid,token,time``.

Separators are commas, semicolons or tabs; byte order marks, line ends, blanks and what tools print around a
token do not matter. A bad row never voids the good ones: it gets a verdict that says what is wrong with it.
Every line is a row, the header, blank, or something that is counted by its name and logged. Only a file that
holds no rows at all, or is not a claim file, is an error.
"""

from __future__ import annotations

import csv
import logging
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import BinaryIO

from airflow_provider_nrfprov.api.tag_rules import check_csv_tags as check_tags
from airflow_provider_nrfprov.claiming.blocks import MOST_AT_ONCE, Block, read_block
from airflow_provider_nrfprov.claiming.chunks import Chunk, chunks, rows_of, to_csv
from airflow_provider_nrfprov.claiming.columns import (
    ATTESTATION,
    SERVICE,
    Form,
    HeaderError,
    cells_of,
    check_columns,
    delimiter_of,
    in_words,
    is_attestation,
    may_be_header,
    problem_of_unknown_names,
    problem_without_token,
    read_header,
    split,
    trimmed,
    unknown_names,
    warning_of,
)
from airflow_provider_nrfprov.claiming.file_kinds import problem_of_file
from airflow_provider_nrfprov.claiming.first_lines import FirstLines
from airflow_provider_nrfprov.claiming.frames import clean, frame_of, unwrapped
from airflow_provider_nrfprov.claiming.lines import END, MAX_LINE_BYTES, Lines, LongLine
from airflow_provider_nrfprov.claiming.row_problems import (
    CLAIM_COLUMNS,
    LIKE_HEADER,
    cell_at,
    contradiction,
    doubtful_tags,
    hint_at_other_column,
    no_device,
    second_token,
    too_many_columns,
    unnamed_column,
)
from airflow_provider_nrfprov.claiming.rows import Row, Verdict
from airflow_provider_nrfprov.claiming.tag_cells import IN_ORDER, NONE, TagCells, Tags
from airflow_provider_nrfprov.claiming.token import (
    MalformedTokenError,
    WrongTokenKindError,
    decode,
    looks_like_token,
    may_hold_two,
    read_usual,
    uuid_text,
)
from airflow_provider_nrfprov.files.csv_cells import visible

__all__ = [
    "Block", "Chunk", "ClaimFile", "ClaimFileError", "Row", "Verdict", "check_tags", "chunks", "read_rows", "to_csv",
]  # fmt: skip

_log = logging.getLogger(__name__)

_OK = Verdict.OK
_UNDECODED = re.compile("[\udc80-\udcff]")
_ROW_LIKE = re.compile(r"2dn3|[0-9]{14}|[A-Za-z0-9_-]{40}|ATTESTTOKEN|ERROR|fail", re.IGNORECASE)
"""What no title holds, but a row does, or what is where a row should be."""
_LINES_BEFORE_HEADER = 20
_LINES_OF_ROW = 8
_BLANKS = " \t,;"


class ClaimFileError(ValueError):
    """The file as a whole cannot be used; the message names it and says what to do."""


def read_rows(stream: BinaryIO, name: str, *, columns: Mapping[str, str] | None = None) -> Iterator[Row]:
    """Yield the rows of a claim file in the order of its lines.

    :param stream: the file, opened for bytes at its start.
    :param name: what to call it in errors (its path).
    :param columns: names of columns as the header has them, by what they hold: ``token``, ``tags``, ``uuid``.
        By default those in use are known: ``{"token": "Token ID"}`` is for others.
    :raises ClaimFileError: if it is empty, holds no row, is not text, or its header does not say where the tokens are.
    :raises ValueError: for ``columns`` that cannot be.
    """
    return iter(ClaimFile(stream, name, columns=columns))


class ClaimFile:
    """A claim file that is read once; :func:`read_rows` with an account of the lines that are no rows.

    :param first_lines: what an earlier reading of the same bytes was given, as far as that one came; nothing of it is
        decoded again.
    :param at_once: how many rows are read at a time, at most; 1 to read each by itself.
    :param device_counts: whether a row cannot be sent whose device is not that of its token; else the token counts.
    """

    def __init__(
        self,
        stream: BinaryIO,
        name: str,
        *,
        columns: Mapping[str, str] | None = None,
        first_lines: FirstLines | None = None,
        at_once: int = MOST_AT_ONCE,
        device_counts: bool = False,
    ) -> None:
        self._device_counts = device_counts
        self._stream = stream
        self._name = name
        self._wanted = check_columns(columns)
        self._first_lines = FirstLines() if first_lines is None else first_lines
        self._at_once = at_once
        self._tag_cells = TagCells()
        self._delimiter = ","
        self.form: Form = SERVICE
        """What the columns are of the rows that come next."""
        self._doubted, self._open_quote = 0, -1
        self.warnings: list[str] = []
        """What is strange of the file's headers."""
        self.skipped: Counter[str] = Counter()
        """How many lines are no rows, by what they are: header, blank, title, comment, …"""

    def __iter__(self) -> Iterator[Row]:
        """Yield the rows, as :func:`read_rows` says."""
        return rows_of(self.parts())

    def parts(self) -> Iterator[Block | Row]:
        """Yield the same rows, those of the usual form in blocks.

        :raises ClaimFileError: as :func:`read_rows` does.
        """
        lines = Lines(self._stream)
        if problem := problem_of_file(lines.start):
            raise ClaimFileError(f"{self._name} {problem}")
        self._read_start(lines)
        found, at_once = False, 1
        while True:
            # Twice as many as there were usual ones before: a file of others is not read in vain again and again.
            block = self._read_block(lines, at_once) if at_once > 1 and not self._doubted else None
            if block is not None:
                at_once = min(2 * len(block), self._at_once)
                found = True
                yield block
                continue
            number, line = lines.take()
            if line is END:
                break
            row = self.read_usual(number, line)
            at_once = min(2, self._at_once) if row and not row.message else 1
            row = row or self.read_unusual(number, line, lines)
            if row is not None:
                found = True
                yield row
        self._log_skipped()
        if not found and self.skipped.total() == self.skipped["blank"]:
            raise ClaimFileError(f"{self._name} is empty: a claim file has one claim token per row")
        if not found:
            raise ClaimFileError(
                f"{self._name} holds {'a header and ' if self.skipped['header'] else ''}no rows: each row of a claim "
                "file is a claim token, optionally followed by its tags in one quoted field"
            )

    def _read_block(self, lines: Lines, at_once: int) -> Block | None:
        block = read_block(lines.number, lines.ahead(at_once), self.form, self._first_lines, self._tag_cells)
        lines.skip(len(block) if block else 0)
        return block

    def read_usual(self, number: int, line: str) -> Row | None:
        """Read a row of the usual form; ``None`` if it is of another."""
        form = self.form
        usual = form.usual.fullmatch(line)
        if usual is None or self._doubted or not line.isascii() or may_hold_two(line):
            return None
        token, tags_cell, uuid = usual.group(*form.groups)
        body = read_usual(token)
        if body is None:
            return None
        device = body[6:22]
        device_id = uuid_text(device)
        if uuid and uuid != device_id:
            return None
        tags = self._tag_cells.read_usual(tags_cell, named=bool(form.header))
        if tags.message or self._first_lines.setdefault(device, number) != number:
            return self._accept(Row(number, _OK, "", device_id, token, (), line, form), tags)
        # As Row(…) would, in a third of the time.
        return tuple.__new__(Row, (number, _OK, "", device_id, token, tags.tags, line, form))

    def read_unusual(self, number: int, line: str, lines: Lines | None = None) -> Row | None:
        """Read a row of any form, or say what is wrong with it; ``None`` if the line is none."""
        if isinstance(line, LongLine):
            words = f"the line has more than {MAX_LINE_BYTES:,} bytes, which no row has; correct or remove it"
            return Row(number, Verdict.UNREADABLE_ROW, words, text=line, form=self.form)
        text = clean(line)
        if not text.strip(_BLANKS):
            self.skipped["blank"] += 1
            return None
        if may_be_header(text, self._wanted) and (header := self._header(text, line)):
            self._take_header(number, header)
            return None
        if frame := frame_of(text):
            self.skipped[frame] += 1
            return None
        if lines is not None and text.count('"') % 2:
            line, text = self._joined(number, line, text, lines)
        if text.count('"') % 2:
            self._open_quote = number
        elif number != self._open_quote + 1 and self._may_be_unknown_header(text):
            self._doubted = number
        return self._read_row(number, line, unwrapped(text))

    def _may_be_unknown_header(self, text: str) -> bool:
        """Whether the columns may be others from this line on, of names that are not known."""
        return len(unknown_names(text, self._wanted)) > (1 if self.form.tags is None else self.form.tags)

    def _read_start(self, lines: Lines) -> None:
        """Find the header, and what is before it; without one, leave all lines to be read as rows."""
        taken: list[tuple[int, str]] = []
        skipped: Counter[str] = Counter()
        first = ""
        while len(taken) < _LINES_BEFORE_HEADER:
            number, line = lines.take()
            if line is END:
                break
            before = len(taken)
            taken.append((number, line))
            text = clean(line)
            if text.count('"') % 2:
                line, text = self._take_quoted(line, text, lines, taken)
            if may_be_header(text, self._wanted) and (header := self._header(text, line, at_start=True)):
                self.form = header
                skipped["header"] += 1
                skipped["line of the header"] += len(taken) - before - 1
                self.skipped.update(+skipped)
                self._log_header(number, header, "the header")
                return
            frame = "blank" if not text.strip(_BLANKS) else frame_of(text)
            skipped[frame or "title"] += len(taken) - before
            first = first or ("" if frame else text)
            if not frame and _ROW_LIKE.search(text):
                break
        self._without_header(first, taken[-1][1] if taken else "")
        lines.put_back(taken)
        if any(map(is_attestation, lines.first)):
            self.form = ATTESTATION

    def _without_header(self, first: str, row: str) -> None:
        if self._wanted:
            names = ", ".join(repr(name) for name in self._wanted.values())
            raise ClaimFileError(
                f"{self._name} has no header with the columns that were named ({names}) in its first lines"
            )
        if problem := problem_without_token(first, {}) or problem_of_unknown_names(first, clean(row)):
            raise ClaimFileError(f"{self._name} {visible(problem)}")

    def _header(self, text: str, line: str, *, at_start: bool = False) -> Form | None:
        try:
            return read_header(text, line, self._wanted, at_start=at_start)
        except HeaderError as error:
            if at_start:
                raise ClaimFileError(f"{self._name} {error}") from None
            return None

    def _take_header(self, number: int, header: Form) -> None:
        """Take a header in the midst of a file, as there is one where files were put together."""
        self._doubted = 0
        if header.header == self.form.header:
            self.skipped["repeated header"] += 1
            return
        self.skipped["header"] += 1
        self.form = header
        self._log_header(number, header, "another header")

    def _log_header(self, number: int, header: Form, what: str) -> None:
        _log.info("%s: line %d is %s; %s", self._name, number, what, visible(in_words(header)))
        if warning := warning_of(header):
            self.warnings.append(f"line {number}: {visible(warning)}")
            _log.warning("%s: %s", self._name, self.warnings[-1])

    def _log_skipped(self) -> None:
        named = {what: count for what, count in self.skipped.items() if what not in {"blank", "header"}}
        if named:
            words = ", ".join(f"{count:,} {what}" for what, count in sorted(named.items()))
            _log.info("%s: lines that are not rows: %s", self._name, words)

    def _joined(self, number: int, line: str, text: str, lines: Lines) -> tuple[str, str]:
        taken: list[tuple[int, str]] = []
        whole = self._take_quoted(line, text, lines, taken)
        self.skipped["line of the row before"] += len(taken)
        return whole

    def _take_quoted(
        self, line: str, text: str, lines: Lines, taken: list[tuple[int, str]]
    ) -> tuple[str, str]:
        """Take the lines that a quoted cell goes on in, and return all of them; none if it is a stray quote."""
        more: list[tuple[int, str]] = []
        whole, end = line, False
        while not end and len(more) < _LINES_OF_ROW:
            number, following = lines.take()
            more.append((number, following))
            whole = f"{whole}\n{following}"
            end = bool(following.count('"') % 2)
            if following is END or len(whole) > MAX_LINE_BYTES or whole.count("2dn3") > 1:
                end = False
                break
        if end and cells_of(clean(whole), self.form.delimiter):
            taken.extend(more)
            return whole, clean(whole)
        lines.put_back([item for item in more if item[1] is not END])
        return line, text

    def _read_row(self, number: int, line: str, text: str) -> Row:
        form = self.form
        delimiter = form.delimiter or delimiter_of(text, self._delimiter)
        try:
            all_cells = split(text, delimiter)
        except csv.Error as error:
            words = f"{error}; correct or remove the row"
            return Row(number, Verdict.UNREADABLE_ROW, words, text=line, form=form)
        if form.header and form.tags is not None and form.tags < len(all_cells) < form.named:
            # If the cell of the tags is the one that is missing, another is in its place.
            words = (
                f"{len(all_cells)} columns, but the header names {form.width}, so it is unclear which are the tags; "
                "write empty cells, too"
            )
            return Row(number, Verdict.TOO_FEW_COLUMNS, words, text=line, form=form)
        cells = trimmed(all_cells)
        if not form.header:
            self._delimiter = delimiter
            if form is SERVICE and len(cells) > CLAIM_COLUMNS and not looks_like_token(cells[0]):
                form = ATTESTATION
        return self._read_cells(number, line, cells, form)

    def _read_cells(self, number: int, line: str, cells: list[str], form: Form) -> Row:
        token_at, tags_at, uuid_at = form.token, form.tags, form.uuid
        if not form.header and (len(cells) <= CLAIM_COLUMNS or looks_like_token(cells[0])):
            token_at, tags_at, uuid_at = 0, 1, None
        if too_many := too_many_columns(cells, form, token_at):
            return Row(number, Verdict.TOO_MANY_COLUMNS, too_many, text=line, form=form)
        token_cell, tags_cell = cell_at(cells, token_at), cell_at(cells, tags_at)
        if not line.isascii() and _UNDECODED.search(token_cell + tags_cell):
            words = "the row is not UTF-8; save the file as UTF-8"
            return Row(number, Verdict.UNREADABLE_ROW, words, text=line, form=form)
        tags = self._tag_cells.read(tags_cell, named=bool(form.header)) if tags_cell else NONE
        try:
            token = decode(token_cell)
        except WrongTokenKindError as error:
            return Row(number, Verdict.WRONG_TOKEN_KIND, str(error), tags=tags.tags, text=line, form=form)
        except MalformedTokenError as error:
            like = LIKE_HEADER if number == self._doubted else ""
            words = f"{like}{error}{hint_at_other_column(cells, token_at)}"
            return Row(number, Verdict.MALFORMED_TOKEN, words, tags=tags.tags, text=line, form=form)
        row = Row(number, _OK, "", token.device_id, token.text, (), line, form)
        if may_hold_two(line) and (two := second_token(cells, (token_at, tags_at), token.device_id)):
            return row._replace(verdict=Verdict.SECOND_TOKEN, message=two)
        if problem := unnamed_column(cells, form, token_at) or doubtful_tags(tags_cell, self._doubted):
            return row._replace(verdict=Verdict.UNNAMED_COLUMN, message=problem)
        device_cell = cell_at(cells, uuid_at)
        contradicts = contradiction(device_cell, token.device_id)
        if self._device_counts and (words := contradicts or no_device(device_cell, token.device_id)):
            words = f"{words}; it is unclear which one is meant, so the row is not sent"
            return row._replace(verdict=Verdict.CONTRADICTS_TOKEN, message=words)
        return self._accept(
            row, tags, contradicts and f"{contradicts}, which takes precedence; check the line"
        )

    def _accept(self, row: Row, tags: Tags, warning: str = "") -> Row:
        """Judge a row whose token is good by its tags, and by the rows before it."""
        device = bytes.fromhex(str(row.device_id).replace("-", ""))
        found, verdict, message = tags
        if verdict is _OK and message and any(tag.strip("{}").lower() == row.device_id for tag in found):
            words = f"the tags column holds the device's own UUID; {IN_ORDER}"
            verdict, message = Verdict.INVALID_TAG, words
        if verdict is Verdict.OK:
            first_line: int | None = self._first_lines.setdefault(device, row.line)
        else:
            # The device is not claimed by this row: a later good row of it is not a duplicate.
            first_line = self._first_lines.get(device)
        # A later line is known if the file is read for the second time.
        if first_line is not None and first_line < row.line:
            verdict, message = Verdict.DUPLICATE_DEVICE, f"the same device as in line {first_line}"
        message = "; ".join(filter(None, (message, warning)))
        return row._replace(verdict=verdict, message=message, tags=found)
