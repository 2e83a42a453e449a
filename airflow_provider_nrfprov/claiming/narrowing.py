"""Which rows to send apart after a request was refused as a whole: those that the refusal names, else one half and the other."""

from __future__ import annotations

import re
from collections.abc import Sequence

_MOST_NAMED = 30
"""A refusal that names more rows than so many says little of any."""
_DEVICE = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_ROW = re.compile(r"\brow (\d{1,4})\b", re.IGNORECASE)
_BASES = (0, 1, 2)
"""What a number of a row may count from: 0, 1, or 1 with the header (unknown)."""


def narrowed(part: tuple[int, ...], device_ids: Sequence[str], words: str) -> list[tuple[int, ...]]:
    """Return the parts to send of a part that was refused.

    :param part: positions of its rows, in the order of sending.
    :param device_ids: of the chunk's rows that can be sent.
    :param words: what the service said.
    """
    named = _named(part, device_ids, words)
    if 0 < len(named) <= _MOST_NAMED and len(named) < len(part):
        # The others first: if they are taken, it was for these that all were refused.
        return [tuple(place for place in part if place not in named), *((place,) for place in sorted(named))]
    half = len(part) // 2
    return [part[:half], part[half:]]


def _named(part: tuple[int, ...], device_ids: Sequence[str], words: str) -> set[int]:
    devices = {found.lower() for found in _DEVICE.findall(words)}
    if devices and (named := {place for place in part if device_ids[place] in devices}):
        return named
    numbers = {int(found) - base for found in _ROW.findall(words) for base in _BASES}
    return {part[number] for number in numbers if 0 <= number < len(part)}
