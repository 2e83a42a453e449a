"""Which rows to send apart after a request was refused as a whole: those that the refusal names, else one half and the other."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Sequence

_MOST_NAMED = 30
"""A refusal that names more rows than so many says little of any."""
_DEVICE = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_ROW = re.compile(r"\brow (\d{1,4})\b", re.IGNORECASE)
_BASES = (0, 1, 2)
"""What a number of a row may count from: 0, 1, or 1 with the header (unknown)."""


class Parts:
    """The parts of a chunk that are still to be sent, each with the positions of its rows.

    :param positions: of all rows that are to be sent.
    :param device_ids: of the chunk's rows that can be sent.
    """

    def __init__(self, positions: Sequence[int], device_ids: Sequence[str]) -> None:
        self._device_ids = device_ids
        self._waiting: deque[tuple[int, ...]] = deque()
        self.add(tuple(positions))

    def __bool__(self) -> bool:
        return bool(self._waiting)

    def take(self) -> tuple[int, ...]:
        """Return the next part to send."""
        return self._waiting.popleft()

    def add(self, part: tuple[int, ...]) -> None:
        """Let rows be sent after all others; none are no part."""
        if part:
            self._waiting.append(part)

    def narrow(self, part: tuple[int, ...], words: str) -> None:
        """Add the parts of one that was refused in these words."""
        self._waiting += narrowed(part, self._device_ids, words)

    def put_some_rows_first(self, count: int) -> int:
        """Put some rows from all over the parts before them and one by one; return how many these are."""
        places = [place for part in self._waiting for place in part]
        probes = set(places[:: max(1, len(places) // count)][:count])
        rest = (tuple(place for place in part if place not in probes) for part in self._waiting)
        self._waiting = deque([*((place,) for place in sorted(probes)), *filter(None, rest)])
        return len(probes)


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
