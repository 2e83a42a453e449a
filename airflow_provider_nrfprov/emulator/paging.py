"""Collections in order of arrival that are listed page by page without walking through all of it."""

from __future__ import annotations

import base64
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Generic, TypeVar

from airflow_provider_nrfprov.emulator.errors import Invalid

Item = TypeVar("Item")

_REMEMBERED = 10_000
"""Removed items that a shelf remembers."""


@dataclass(frozen=True, slots=True)
class Page(Generic[Item]):
    """Some items and, if there are more, the opaque token of the next page."""

    items: list[Item]
    next_token: str | None


@dataclass(frozen=True, slots=True)
class PageRequest:
    """Which page is asked for: at most ``limit`` items after the place that ``token`` names."""

    limit: int = 10
    token: str | None = None
    descending: bool = False


class Shelf(Generic[Item]):
    """Items by key, in order of arrival.

    A page starts at a place number, not at an offset, so that nothing is skipped or shown twice
    when items come and go between two pages. The last items that were taken out are remembered, for
    lists that show what was there.
    """

    def __init__(self) -> None:
        self._places: list[int] = []  # ascending; those of removed items stay until tidied
        self._items: dict[int, Item] = {}
        self._removed: dict[int, Item] = {}
        self._place_of: dict[str, int] = {}
        self._next_place = 1

    def __len__(self) -> int:
        return len(self._items)

    def __iter__(self) -> Iterator[Item]:
        return iter(list(self._items.values()))

    def get(self, key: str) -> Item | None:
        """Return an item, or None."""
        place = self._place_of.get(key)
        return None if place is None else self._items[place]

    def add(self, key: str, item: Item) -> None:
        """Put an item last."""
        self._places.append(self._next_place)
        self._items[self._next_place] = item
        self._place_of[key] = self._next_place
        self._next_place += 1

    def remove(self, key: str) -> None:
        """Take an item out."""
        place = self._place_of.pop(key)
        self._removed[place] = self._items.pop(place)
        if len(self._removed) > _REMEMBERED:
            del self._removed[next(iter(self._removed))]
        if len(self._places) > 2 * len(self._items) + 1000:
            self._places = list(self._items)

    def as_of(self, view: Callable[[Item], Item | None]) -> Shelf[Item]:
        """Return a shelf of what ``view`` makes of these items and of those removed lately; None leaves one out."""
        shelf: Shelf[Item] = Shelf()
        for place, item in sorted({**self._items, **self._removed}.items(), key=lambda entry: entry[0]):
            seen = view(item)
            if seen is not None:
                shelf._places.append(place)
                shelf._items[place] = seen
        return shelf

    def page(self, asked: PageRequest, keep: Callable[[Item], bool] | None = None) -> Page[Item]:
        """Return a page of the items that ``keep`` accepts; raise ``Invalid`` for a foreign token."""
        found: list[Item] = []
        last = 0
        for place in self._walk(asked):
            item = self._items.get(place)
            if item is None or (keep is not None and not keep(item)):
                continue
            if len(found) == asked.limit:
                return Page(found, _token(last))
            found.append(item)
            last = place
        return Page(found, None)

    def _walk(self, asked: PageRequest) -> Iterator[int]:
        after = _place(asked.token) if asked.token else None
        if asked.descending:
            start = len(self._places) if after is None else bisect_left(self._places, after)
            return (self._places[index] for index in range(start - 1, -1, -1))
        start = 0 if after is None else bisect_right(self._places, after)
        return (self._places[index] for index in range(start, len(self._places)))


def _token(place: int) -> str:
    # Padded base64: as the service's, it works only for a client that URL-encodes it.
    return base64.b64encode(f"after {place:011d}".encode()).decode()


def _place(token: str) -> int:
    try:
        text = base64.b64decode(token, validate=True).decode("ascii")
        return int(text.removeprefix("after "))
    except ValueError:
        raise Invalid("pageNextToken is not one of this service") from None
