"""Limits of how many rows of a file, or devices, may fail or be rejected."""

from __future__ import annotations

import math
from dataclasses import dataclass

from airflow_provider_nrfprov.counted import counted


def share_of(ratio: float | None, rows: int) -> int:
    """Return how many whole rows a share of them is: 29 of 100 for 0.29, which is a little less as a float."""
    return math.floor((ratio or 0.0) * rows + 1e-9)


@dataclass(frozen=True, slots=True)
class Tolerance:
    """How many rows may fail: a number, or a share of all rows, whichever is more."""

    max_rows: int | None = 0
    """``None``: any number."""
    max_ratio: float | None = None

    def allowed(self, rows: int) -> int:
        """Return how many of a number of rows may fail."""
        return rows if self.max_rows is None else max(self.max_rows, share_of(self.max_ratio, rows))


@dataclass(frozen=True, slots=True)
class RejectedTolerance:
    """How many rows may be rejected, each of them a device that ships unclaimed.

    By default any number, as long as some row of the file is claimed, now or before. With a limit: a number of rows, or
    a share of all rows, whichever is more. A file of which every row was rejected is a failure in any case.
    Rows that repeat a device of the file do not count: they leave no device unclaimed.
    """

    max_rows: int | None = None
    max_ratio: float | None = None

    def problem(self, *, rows: int, rejected: int, ours: int) -> str:
        """Return why a file has too many rejected rows, in words; empty if it has not.

        :param rows: of the file.
        :param rejected: without those that repeat a device.
        :param ours: rows whose devices are claimed, by this job or before, and those whose failure is allowed.
        """
        if not rejected:
            return ""
        words = f"{rejected:,} of {counted(rows, 'row')} {'was' if rejected == 1 else 'were'} rejected"
        if rejected == rows:
            return f"{words}; none was sent"
        if self.max_rows is None and self.max_ratio is None:
            return "" if ours else f"{words}, and none is claimed"
        allowed = max(self.max_rows or 0, share_of(self.max_ratio, rows))
        return f"{words}, {allowed:,} allowed" if rejected > allowed else ""
