"""Recognizes lines of a claim file that are not rows: comments, log prefixes, colours, modem replies."""

from __future__ import annotations

import re

_COLOURS = re.compile("\x1b\\[[0-9;?]{0,16}[A-Za-z]")
_UNSEEN = dict.fromkeys(map(ord, "\ufeff\u200b\u2060"))
_LOG_PREFIX = re.compile(r"(?:\[[^\]]{1,40}\] {0,4})?(?:<\w{3}> {0,4})?[\w ./-]{0,60}:? {0,4}")
_PRINTED = re.compile(
    r"(?:%ATTESTTOKEN|attestation token)\s{0,4}:\s{0,4}([\"']?)(2dn3[A-Za-z0-9_.=-]{1,400})\1", re.IGNORECASE
)
"""A token as a modem, Nordic's nrfcredstore or a log of a sample prints it."""
_FRAMES = (
    ("separator line", re.compile(r'"?sep=.{0,3}', re.IGNORECASE)),
    ("comment", re.compile(r"#.*", re.DOTALL)),
    ("modem reply", re.compile(r"OK|AT%ATTESTTOKEN", re.IGNORECASE)),
    ("BEGIN or END line", re.compile(r"[-=*# ]{0,20}(?:BEGIN|END)\b[^,;\t|]{0,60}")),
)
_FRAME_IN_LOG = re.compile(r"[-=*]{2,5} ?(?:BEGIN|END)\b[\w ]{0,60}[-=*]{2,20}$")


def clean(line: str) -> str:
    """Return a line without what a terminal or an editor left in it: colours, byte order marks, blanks around it.

    Ctrl-Z (0x1A) goes, too: old programs of Windows end a file with it.
    """
    if "\x1b" in line:
        line = _COLOURS.sub("", line)
    return (line if line.isascii() else line.translate(_UNSEEN)).strip(" \x1a")


def frame_of(text: str) -> str:
    """Return the name of what a clean line is if it is no row; empty if it may be one."""
    if "2dn3" in text:
        return ""
    for name, pattern in _FRAMES:
        if pattern.fullmatch(text):
            return name
    in_log = ("BEGIN" in text or "END" in text) and _FRAME_IN_LOG.search(text)
    return "BEGIN or END line" if in_log else ""


def unwrapped(text: str) -> str:
    """Return a clean line with the bare token where one is printed as a modem or a tool prints it.

    A log's prefix goes, too: its time may hold a comma.
    """
    if text.count("2dn3") != 1 or not (found := _PRINTED.search(text)):
        return text
    before, after = text[: found.start()], text[found.end() :]
    return f"{'' if _LOG_PREFIX.fullmatch(before) else before}{found[2]}{after}"
