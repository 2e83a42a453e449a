"""Chooses which rows of a refused request to send apart: those that the refusal names, else parts of it."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Sequence

_MOST_NAMED = 30
"""A refusal that names more rows than this says little of any."""
_DEVICE = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_ROW = re.compile(r"\brow (\d{1,4})\b", re.IGNORECASE)
_BASES = (0, 1, 2)
"""What a number of a row may count from: 0, 1, or 1 with the header (unknown)."""
_SENT_OF_A_SEARCH = 0.6
"""Which share of the rows a search sends next. More than a half, for a refusal costs one request, and what is taken two: so the
dearest of 1,000 rows costs 21 in all, and not 24."""
_SEARCHES = 2
"""The most rows at fault that are searched one after the other. More of them are mostly neighbours: devices of one lot."""


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

    def was_taken(self) -> None:
        """Note that what was sent was accepted."""

    def was_refused(self, part: tuple[int, ...], words: str, *, for_its_size: bool = False) -> None:
        """Add the parts of one that was refused in these words; a row alone has none."""
        if len(part) > 1:
            self._waiting += narrowed(part, self._device_ids, words)

    def put_some_rows_first(self, count: int) -> int:
        """Put some rows from all over the parts before them and one by one; return how many these are."""
        places = [place for part in self._waiting for place in part]
        probes = set(places[:: max(1, len(places) // count)][:count])
        rest = (tuple(place for place in part if place not in probes) for part in self._waiting)
        self._waiting = deque([*((place,) for place in sorted(probes)), *filter(None, rest)])
        return len(probes)


class Search(Parts):
    """The same for a service that lets every request that it takes cost a second one.

    Of a part that was refused the larger portion is sent. Is it taken, the row at fault is in the other one, which is not sent
    for that, but divided. Is it refused, the other one waits, and all such are sent as one in the end. Where many rows are at
    fault, halves are sent.
    """

    def __init__(self, positions: Sequence[int], device_ids: Sequence[str]) -> None:
        self._rest: tuple[int, ...] = ()
        self._searches = 0
        self._is_portion = False
        """Whether what was taken last is a portion of what was refused, and the first that waits is the other one."""
        super().__init__(positions, device_ids)

    def __bool__(self) -> bool:
        return bool(self._waiting or self._rest)

    def take(self) -> tuple[int, ...]:
        """Return the next part to send."""
        if not self._waiting:
            self.add(self._rest)
            self._rest = ()
            self._searches += 1
        return super().take()

    def add(self, part: tuple[int, ...]) -> None:
        """Let rows be sent after all others; what became of the last part is not known then, and proves nothing of another."""
        self._is_portion = False
        super().add(part)

    def was_taken(self) -> None:
        """Divide the other portion, if there is one."""
        if self._is_portion:
            self._divide(self._waiting.popleft())

    def was_refused(self, part: tuple[int, ...], words: str, *, for_its_size: bool = False) -> None:
        """Divide a part, or send those apart that the words name; of one that is too large both halves are sent."""
        if self._is_portion:
            self._is_portion = False
            self._rest = tuple(sorted((*self._rest, *self._waiting.popleft())))
        if for_its_size or self._searches >= _SEARCHES:
            super().was_refused(part, words)
        elif apart := _apart(part, self._device_ids, words):
            self._waiting.extendleft(reversed(apart))
        elif len(part) > 1:
            self._divide(part)

    def put_some_rows_first(self, count: int) -> int:
        """Put some rows before all parts, those that wait for the end among them."""
        self.add(self._rest)
        self._rest = ()
        return super().put_some_rows_first(count)

    def _divide(self, part: tuple[int, ...]) -> None:
        cut = min(max(1, round(len(part) * _SENT_OF_A_SEARCH)), len(part) - 1)
        self._waiting.extendleft(filter(None, (part[cut:], part[:cut])))
        self._is_portion = len(part) > 1


def narrowed(part: tuple[int, ...], device_ids: Sequence[str], words: str) -> list[tuple[int, ...]]:
    """Return the parts to send of a part that was refused.

    :param part: positions of its rows, in the order of sending.
    :param device_ids: of the chunk's rows that can be sent.
    :param words: what the service said.
    """
    half = len(part) // 2
    return _apart(part, device_ids, words) or [part[:half], part[half:]]


def _apart(part: tuple[int, ...], device_ids: Sequence[str], words: str) -> list[tuple[int, ...]]:
    """Return the rows that are not named, and each that is; nothing if no name helps."""
    named = _named(part, device_ids, words)
    if not 0 < len(named) <= _MOST_NAMED or len(named) == len(part):
        return []
    # The others first: if they are taken, it was for these that all were refused.
    return [tuple(place for place in part if place not in named), *((place,) for place in sorted(named))]


def _named(part: tuple[int, ...], device_ids: Sequence[str], words: str) -> set[int]:
    devices = {found.lower() for found in _DEVICE.findall(words)}
    if devices and (named := {place for place in part if device_ids[place] in devices}):
        return named
    numbers = {int(found) - base for found in _ROW.findall(words) for base in _BASES}
    return {part[number] for number in numbers if 0 <= number < len(part)}
