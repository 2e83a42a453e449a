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
_NAME_IT = "if it is a tag, add a header token,tags; if not, add a header that says what it is"
IN_ORDER = "check that this row's columns are in the order of the header, and correct the row or the header"
_PLAIN = 'separate tags by commas, in one pair of double quotes: "a,b"'
_NO_VALUE = "a placeholder for an empty value"
_LIST = re.compile(r"""[\[{(]\s*(?:["'].*)?[\])}]""", re.DOTALL)
"""As programs write lists."""
_SINGLE_QUOTES = re.compile("'.*'", re.DOTALL)
_IMEI = re.compile("[0-9]{15}")
_LOOKS = (
    (re.compile(r"none|null|nan|#?n/a|<na>|\\n|undefined", re.IGNORECASE), _NO_VALUE),
    (_IMEI, "an IMEI"),
    (re.compile(r"[0-9]{14}|[0-9]{16,20}"), "a number of a device or a SIM"),
    (re.compile(r"\{?[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\}?", re.IGNORECASE), "a UUID"),
    (
        re.compile(r"[0-9]+[.,][0-9]+E\+?[0-9]+|[0-9]+E\+[0-9]+", re.IGNORECASE),
        "a number that a spreadsheet has shortened",
    ),
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

        :param named: whether a header calls the column that: what looks like something else has a warning, an IMEI is
            refused, and a word for no value is no tag; else all of these are refused.
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
        words = "the tags column holds a claim token; put each device on a row of its own"
        return Tags((), Verdict.INVALID_TAG, words)
    whole = cell.strip()
    looks = looks_of(whole)
    if named and looks == _NO_VALUE:
        return NONE
    tags = tuple(dict.fromkeys(tag.strip() for tag in cell.split(",") if tag.strip()))
    if _LIST.fullmatch(whole):
        return Tags(tags, Verdict.INVALID_TAG, f"the tags are written like a list in a program; {_PLAIN}")
    if _SINGLE_QUOTES.fullmatch(whole):
        return Tags(tags, Verdict.INVALID_TAG, f"the tags are in single quotes; {_PLAIN}")
    warning = ""
    if looks:
        verdict, warning = _verdict_by_looks(whole, looks, named)
        if verdict is not Verdict.OK:
            return Tags(tags, verdict, warning)
    for tag in tags:
        verdict, words = _judged(tag, named)
        if verdict is not Verdict.OK:
            return Tags(tags, verdict, words)
        warning = words or warning
    return Tags(tags, Verdict.OK, warning)


def _judged(tag: str, named: bool) -> tuple[Verdict, str]:
    """Return what a tag comes to, and what is wrong with it or strange."""
    if len(tag) > MAX_TAG_CHARACTERS:
        # Not quoted: it may be a secret of another kind.
        words = f"a tag has {len(tag)} characters, at most {MAX_TAG_CHARACTERS} are allowed"
        return Verdict.TAG_TOO_LONG, words
    if problem := csv_tag_problem(tag):
        return Verdict.INVALID_TAG, redact(problem)
    if _SINGLE_QUOTES.fullmatch(tag):
        return Verdict.INVALID_TAG, f"a tag is in single quotes; {_PLAIN}"
    if looks := looks_of(tag):
        return _verdict_by_looks(tag, looks, named)
    if "|" in tag:
        return Verdict.OK, f"the tag {redact(tag)!r} holds a |, which does not separate tags here; commas do"
    return Verdict.OK, ""


def _verdict_by_looks(text: str, looks: str, named: bool) -> tuple[Verdict, str]:
    if not named:
        return Verdict.INVALID_TAG, f"column 2 holds {looks} where tags belong; {_NAME_IT}"
    if looks == _NO_VALUE:
        return Verdict.INVALID_TAG, f"a tag is {looks}; leave it out"
    if _is_imei(text):
        return Verdict.INVALID_TAG, f"the tags column holds {looks}; {IN_ORDER}"
    return Verdict.OK, f"a tag looks like {looks}; {IN_ORDER}"


def _is_imei(text: str) -> bool:
    """Whether a text is an IMEI by its check digit (Luhn)."""
    if not _IMEI.fullmatch(text):
        return False
    doubled = (2 * int(digit) for digit in text[1::2])
    return (sum(map(int, text[0::2])) + sum(twice - 9 * (twice > 9) for twice in doubled)) % 10 == 0
