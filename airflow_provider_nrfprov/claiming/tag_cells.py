"""The tags of a row: what a cell of a claim file holds, and what is wrong with it."""

from __future__ import annotations

import re
from typing import NamedTuple

from airflow_provider_nrfprov.api.contract import MAX_TAG_CHARACTERS
from airflow_provider_nrfprov.api.redaction import redact
from airflow_provider_nrfprov.api.tag_rules import csv_tag_problem
from airflow_provider_nrfprov.claiming.rows import Verdict
from airflow_provider_nrfprov.claiming.token import token_in

_KEPT_CELLS = 1_000
_NAME_IT = "if it is a tag, name the columns in a header: token,tags; else in a header that says what it is"
_LOOKS = (
    (re.compile(r"none|null|nan|n/a", re.IGNORECASE), "what a program writes for no value"),
    (re.compile(r"[0-9]{15}"), "an IMEI"),
    (re.compile(r"[0-9]{14}|[0-9]{16,20}"), "a number of a device or a SIM"),
    (re.compile(r"\{?[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\}?", re.IGNORECASE), "a UUID"),
    (re.compile(r"[0-9]+[.,][0-9]+E\+?[0-9]+", re.IGNORECASE), "a number that a spreadsheet has shortened"),
    (re.compile(r"[0-9]{4}[-/.][0-9]{1,2}[-/.][0-9]{1,2}([ T].*)?"), "a time"),
    (re.compile(r"[0-9]{1,2}[-/.][0-9]{1,2}[-/.][0-9]{2,4}([ T].*)?"), "a time"),
    (re.compile(r"[0-9]{1,2}:[0-9]{2}(:[0-9]{2})?.{0,12}"), "a time"),
    (re.compile(r"[34][0-9]{4}[.,][0-9]+"), "a time"),  # a spreadsheet's days since 1900
    (re.compile(r"1[0-9]{9}([0-9]{3})?([.,][0-9]+)?"), "a time"),
)


class Tags(NamedTuple):
    """What a cell of tags came to."""

    tags: tuple[str, ...]
    verdict: Verdict = Verdict.OK
    message: str = ""


NONE = Tags(())


def looks_of(cell: str) -> str:
    """Return what a cell is by its looks, if that is surely no tag; else nothing."""
    return next((name for pattern, name in _LOOKS if pattern.fullmatch(cell)), "")


class TagCells:
    """Reads cells of tags, and remembers them: a file holds the same ones again and again."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, bool], Tags] = {}

    def read(self, cell: str, *, named: bool) -> Tags:
        """Return the tags of a cell.

        :param named: whether a header calls the column that; else a tag that looks like something else is refused.
        """
        known = self._known.get((cell, named))
        if known is None:
            if len(self._known) >= _KEPT_CELLS:
                self._known.clear()
            known = self._known[cell, named] = _read(cell, named)
        return known

    def read_usual(self, cell: str, *, named: bool) -> Tags:
        """Return the tags of a cell of a usual row, which may have quotes around it and none inside."""
        return self.read(cell.strip('"'), named=named) if cell else NONE


def _read(cell: str, named: bool) -> Tags:
    if token_in(cell):
        words = "the column of the tags holds a claim token; put each device on a row of its own"
        return Tags((), Verdict.INVALID_TAG, words)
    tags = tuple(dict.fromkeys(tag.strip() for tag in cell.split(",") if tag.strip()))
    warning = ""
    if not named and (looks := looks_of(cell.strip())):
        return _refused(tags, looks)
    for tag in tags:
        if len(tag) > MAX_TAG_CHARACTERS:
            # Not quoted: the column may hold a second token.
            words = f"a tag has {len(tag)} characters, at most {MAX_TAG_CHARACTERS} are allowed"
            return Tags(tags, Verdict.TAG_TOO_LONG, words)
        if problem := csv_tag_problem(tag):
            return Tags(tags, Verdict.INVALID_TAG, redact(problem))
        if not named and (looks := looks_of(tag)):
            return _refused(tags, looks)
        if "|" in tag:
            warning = f"the tag {redact(tag)!r} holds a |, which does not separate tags here; commas do"
    return Tags(tags, Verdict.OK, warning)


def _refused(tags: tuple[str, ...], looks: str) -> Tags:
    return Tags(tags, Verdict.INVALID_TAG, f"column 2 holds {looks} where tags belong; {_NAME_IT}")
