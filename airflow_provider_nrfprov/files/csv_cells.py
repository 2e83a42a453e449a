"""Cells of CSV files that people open: nothing hidden, and nothing that a spreadsheet would run."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable

MAX_CELL_CHARACTERS = 2_000
_HIDDEN = re.compile("[\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff]")
_RUN_BY_SPREADSHEETS = tuple("=+-@\t\r")


def visible(text: str) -> str:
    r"""Return a text in which what cannot be seen or written is an escape: ``\x07``, ``\ud800``.

    Bytes that were not UTF-8 are shown as such: ``\xff``.
    """
    return _HIDDEN.sub(_escape, text)


def shortened(text: str, most: int = MAX_CELL_CHARACTERS) -> str:
    """Return the first characters of a long text, and how long it was."""
    return text if len(text) <= most else f"{text[:most]}… (cut, {len(text):,} characters)"


def safe_cell(value: object) -> str:
    """Return a cell for people: visible, at most 2,000 characters, with ``'`` before what would be a formula."""
    text = "" if value is None else str(value)
    formula = text.startswith(_RUN_BY_SPREADSHEETS)
    text = visible(shortened(text))
    return f"'{text}" if formula else text


def csv_line(values: Iterable[object]) -> str:
    """Return a line of a CSV file for people, with its line end."""
    line = io.StringIO()
    csv.writer(line, lineterminator="\n").writerow([safe_cell(value) for value in values])
    return line.getvalue()


def _escape(found: re.Match[str]) -> str:
    code = ord(found[0])
    if 0xDC80 <= code <= 0xDCFF:
        # How Python keeps a byte that was no UTF-8.
        return f"\\x{code - 0xDC00:02x}"
    return f"\\x{code:02x}" if code < 0x80 else f"\\u{code:04x}"
