"""A figure: what was measured of us and of the alternative, and what it should come to."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

ValueT = TypeVar("ValueT")


def in_turns(repeats: int, *measures: Callable[[], ValueT]) -> list[tuple[ValueT, ...]]:
    """Measure each, one right after the other, ``repeats`` times; return the values of each."""
    return list(zip(*([measure() for measure in measures] for _ in range(repeats)), strict=True))


@dataclass(frozen=True)
class Figure:
    """One row of the table. The n-th values of both were measured one right after the other."""

    name: str
    against: str
    unit: str
    ours: Sequence[float]
    theirs: Sequence[float]
    at_most: float | None = None
    """The goal: the ratio of our value to theirs at most, or their difference at most (``difference``)."""
    at_least: float | None = None
    """Or: the ratio of their value to ours at least."""
    up_to: float | None = None
    """Or: our value itself is at most this, whatever theirs is. With no goal at all a row only tells."""
    difference: bool = False

    @property
    def results(self) -> list[float]:
        """Each pair's ratio, or difference."""
        pairs = list(zip(self.ours, self.theirs, strict=True))
        if self.difference:
            return [ours - theirs for ours, theirs in pairs]
        if self.at_least is not None:
            return [theirs / ours for ours, theirs in pairs]
        return [ours / theirs for ours, theirs in pairs]

    @property
    def is_met(self) -> bool | None:
        """Whether the median reaches the goal; a bound of ours alone is one for the worst. ``None`` without a goal."""
        if self.up_to is not None:
            return max(self.ours) <= self.up_to
        result = statistics.median(self.results)
        if self.at_least is not None:
            return result >= self.at_least
        return None if self.at_most is None else result <= self.at_most

    def cells(self) -> tuple[str, ...]:
        """The row, as text."""
        sign = "+" if self.difference else ""
        unit = f" {self.unit}" if self.difference else "x"
        met = {True: "yes", False: "**no**", None: ""}[self.is_met]
        return (
            self.name,
            _spread(self.ours, self.unit),
            self.against,
            _spread(self.theirs, self.unit),
            f"{sign}{_spread(self.results, unit.strip())}",
            self._goal(sign, unit),
            met,
            str(len(self.ours)),
        )

    def _goal(self, sign: str, unit: str) -> str:
        if self.up_to is not None:
            return f"≤ {self.up_to:g} {self.unit}"
        if self.at_least is not None:
            return f"≥ {self.at_least:g}x"
        return "" if self.at_most is None else f"≤ {sign}{self.at_most:g}{unit}"


COLUMNS = ("figure", "ours", "against", "theirs", "result", "goal", "met", ">runs")


def _spread(values: Sequence[float], unit: str) -> str:
    low, middle, high = min(values), statistics.median(values), max(values)
    return f"{_short(middle)} {unit} ({_short(low)} to {_short(high)})"


def _short(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"
