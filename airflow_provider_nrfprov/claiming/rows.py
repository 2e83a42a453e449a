"""A row of a claim file, and what reading it came to."""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple

from airflow_provider_nrfprov.claiming.columns import SERVICE, Form


class Verdict(str, Enum):
    """What reading a row came to."""

    OK = "ok"
    MALFORMED_TOKEN = "malformed_token"  # noqa: S105 - a verdict
    WRONG_TOKEN_KIND = "wrong_token_kind"  # noqa: S105 - a verdict
    DUPLICATE_DEVICE = "duplicate_device"
    TAG_TOO_LONG = "tag_too_long"
    INVALID_TAG = "invalid_tag"
    """It cannot be a tag, or is something else by its looks: an IMEI, a UUID, a time."""
    TOO_MANY_COLUMNS = "too_many_columns"
    TOO_FEW_COLUMNS = "too_few_columns"
    """Fewer than the header names, so that another cell may be where the tags should be."""
    UNNAMED_COLUMN = "unnamed_column"
    """A column that may hold tags, and no header says so."""
    SECOND_TOKEN = "second_token"  # noqa: S105 - a verdict
    """It holds tokens of two devices, of which one would be lost."""
    UNREADABLE_ROW = "unreadable_row"
    CONTRADICTS_TOKEN = "contradicts_token"  # noqa: S105 - a verdict
    """Its device is not that of its token, and both are sent (the API of projects)."""


class Row(NamedTuple):
    """One row of a claim file. What holds the token stays out of ``repr``.

    A tuple, because a file may have a million of them.
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
    """The row as it is in the file, without its line end: one line, or more if a quoted cell holds line ends."""
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
