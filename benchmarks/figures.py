"""A figure: what was measured of us and of the alternative, and what it should come to."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Figure:
    """One row of the table. The n-th values of both were measured one right after the other."""

    name: str
    against: str
    unit: str
    ours: Sequence[float]
    theirs: Sequence[float]
    at_most: float | None = None
    """The goal: our value is at most so many times theirs, or so much more than theirs (``difference``)."""
    at_least: float | None = None
    """Or: theirs is at least so many times ours."""
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
    def is_met(self) -> bool:
        """Whether the median reaches the goal."""
        result = statistics.median(self.results)
        return result >= self.at_least if self.at_least is not None else result <= (self.at_most or 0.0)

    def cells(self) -> tuple[str, ...]:
        """The row, as text."""
        sign = "+" if self.difference else ""
        unit = f" {self.unit}" if self.difference else "x"
        goal = f"≥ {self.at_least:g}x" if self.at_least is not None else f"≤ {sign}{self.at_most:g}{unit}"
        return (
            self.name,
            _spread(self.ours, self.unit),
            self.against,
            _spread(self.theirs, self.unit),
            f"{sign}{_spread(self.results, unit.strip())}",
            goal,
            "yes" if self.is_met else "**no**",
            str(len(self.ours)),
        )


COLUMNS = ("figure", "ours", "against", "theirs", "result", "goal", "met", "runs")


def table(figures: Iterable[Figure]) -> str:
    """Give the figures as a Markdown table; each value is the median, with the least and the most."""
    lines = [f"| {' | '.join(COLUMNS)} |", f"|{' --- |' * len(COLUMNS)}"]
    lines += [f"| {' | '.join(figure.cells())} |" for figure in figures]
    return "\n".join(lines)


def _spread(values: Sequence[float], unit: str) -> str:
    low, middle, high = min(values), statistics.median(values), max(values)
    return f"{_short(middle)} {unit} ({_short(low)} to {_short(high)})"


def _short(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"
