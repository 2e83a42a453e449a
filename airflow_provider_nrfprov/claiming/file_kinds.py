"""Recognizes files that are not claim files (spreadsheets, web pages, other encodings), and says how to save them."""

from __future__ import annotations

import codecs
import re

_AS_CSV = "save it as 'CSV UTF-8'"
_BY_FIRST_BYTES = (
    (b"PK\x03\x04", f"looks like a spreadsheet (XLSX, ODS) or a ZIP archive, not a text file; {_AS_CSV}"),
    (b"\xd0\xcf\x11\xe0", f"looks like an old Excel file, not a text file; {_AS_CSV}"),
    (b"%PDF-", "looks like a PDF, not a text file; export the table that it was made from as CSV"),
    (b"\x1f\x8b", "looks like a gzip archive, not a text file; unpack it first"),
    (b"{\\rtf", "looks like a rich text document; save it as plain text, UTF-8"),
)
_BY_FIRST_TEXT = (
    (re.compile(rb"<(!doctype|html|\?xml|table|!--)", re.IGNORECASE), "looks like HTML or XML (a page where the file "
     "should be? a login?); download or export the CSV itself"),
    (re.compile(rb'\[\s{0,80}[{"\]]|\{\s{0,80}["}]'), "looks like JSON; export it as CSV: a header, then one row per device"),
)  # fmt: skip
_WIDE = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_TOKEN = b"2dn3"
_CERTIFICATE = b"-----BEGIN CERTIFICATE-----"


def problem_of_file(start: bytes) -> str:
    """Return what keeps a file from being a claim file, by its first bytes, in words; empty if nothing does."""
    text = start.removeprefix(codecs.BOM_UTF8).lstrip()
    if start.startswith(_WIDE) or _has_wide_text(text):
        return (
            "is UTF-16 text ('Unicode text' of a spreadsheet, or what Windows PowerShell's > writes); "
            "save it as 'CSV UTF-8'"
        )
    for first, words in _BY_FIRST_BYTES:
        if text.startswith(first):
            return words
    if b"\x00" in start:
        return f"is not a text file; export it as CSV (a spreadsheet: {_AS_CSV})"
    for pattern, words in _BY_FIRST_TEXT:
        if pattern.match(text):
            return words
    if _CERTIFICATE in start and _TOKEN not in start:
        return (
            "holds certificates, as the onboarding file of Nordic's device_credentials_installer does; claiming "
            "takes attestation tokens: gather them with gather_attestation_tokens (AT%ATTESTTOKEN)"
        )
    return ""


def _has_wide_text(text: bytes) -> bool:
    """Whether every second byte of the beginning is zero, and not all of them, as in UTF-16 of plain characters."""
    start = text[:64]
    return len(start) >= 4 and any(start[1::2]) != any(start[0::2])
