"""Why rows were not claimed, grouped: how many rows, which reason, and some lines as examples."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from airflow_provider_nrfprov.counted import counted
from airflow_provider_nrfprov.files.csv_cells import shortened, visible

SHOWN_LINES = 10
SHOWN_REASONS = 10
_MOST_REASONS = 200
_OTHERS = "other reasons"
_SHOWN_CHARACTERS = 300
_DIFFERS = re.compile(
    r"(?P<uuid>[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12})"
    r"|(?P<before>\b(?:row|line|position|index|item)[ #:]{1,2}|\[)[0-9]+\b"
    r"|\b[0-9]{10,}\b"
    r"|\b[0-9]+(?= characters\b)"
)
"""What tells rows of one reason apart: their device, row or line, a length."""


@dataclass(slots=True)
class Reason:
    """Rows of one outcome and one reason."""

    outcome: str
    reason: str
    """The message, with … for what differs from row to row."""
    count: int = 0
    lines: list[int] = field(default_factory=list)
    """At most ten lines of the file."""

    def __str__(self) -> str:
        more = ", …" if self.count > len(self.lines) else ""
        lines = ", ".join(map(str, self.lines))
        word = "line" if self.count == 1 else "lines"
        return f"{self.count:,} \N{MULTIPLICATION SIGN} {self.outcome.replace('_', ' ')}: {self.reason} ({word} {lines}{more})"

    def as_dict(self) -> dict[str, object]:
        """Return what summary.json says of it."""
        return {
            "outcome": self.outcome,
            "reason": self.reason,
            "count": self.count,
            "lines": list(self.lines),
        }


class Reasons:
    """Gathers the reasons of a file, in bounded memory however many different ones there are."""

    def __init__(self) -> None:
        self._reasons: dict[tuple[str, str], Reason] = {}
        self._last: tuple[str, str] = ("", "")
        self._last_reason = Reason("", "")

    def add(self, line: int, outcome: str, message: str) -> None:
        """Count a row."""
        if self._last != (outcome, message):
            self._last, self._last_reason = (outcome, message), self._find(outcome, general(message))
        reason = self._last_reason
        reason.count += 1
        if len(reason.lines) < SHOWN_LINES:
            reason.lines.append(line)

    def most_frequent(self) -> tuple[Reason, ...]:
        """Return all reasons, those of most rows first."""
        return tuple(sorted(self._reasons.values(), key=lambda reason: -reason.count))

    def _find(self, outcome: str, words: str) -> Reason:
        if len(self._reasons) >= _MOST_REASONS and (outcome, words) not in self._reasons:
            words = _OTHERS
        return self._reasons.setdefault((outcome, words), Reason(outcome, words))


def general(message: str) -> str:
    """Return a message without what differs between rows of one reason."""
    words = _DIFFERS.sub(lambda found: f"{found['before'] or ''}…", message[: 2 * _SHOWN_CHARACTERS])
    return shortened(visible(words), _SHOWN_CHARACTERS) or "no reason was given"


def in_lines(reasons: Iterable[Reason]) -> list[str]:
    """Return the most frequent reasons in words, a line each, and how many others there are."""
    reasons = tuple(reasons)
    lines = [str(reason) for reason in reasons[:SHOWN_REASONS]]
    if rest := reasons[SHOWN_REASONS:]:
        lines.append(
            f"{sum(reason.count for reason in rest):,} \N{MULTIPLICATION SIGN} {counted(len(rest), 'further reason')}"
        )
    return lines
