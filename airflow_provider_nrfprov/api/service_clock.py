"""The service's time, by the ``Date`` of its newest answer.

``claimedAt`` is written by the service's clock, and the clock of a worker may be minutes away from it, or be set while a
task runs.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from email.utils import parsedate_to_datetime

import pendulum

_RESOLUTION = 2.0
"""Seconds; a ``Date`` has whole seconds and was on its way, so what is less says nothing."""
_YEARS = range(2000, 3000)


class ServiceClock:
    """The service's time. Safe to use from many threads: what changes is one attribute, set whole.

    :param wall: returns the local time, in seconds since the epoch.
    :param monotonic: returns seconds that only grow.
    """

    def __init__(
        self, wall: Callable[[], float] = time.time, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._wall = wall
        self._monotonic = monotonic
        self._began: float | None = None
        """The service's time when the monotonic clock began."""

    @property
    def is_told(self) -> bool:
        """Whether an answer has told the time."""
        return self._began is not None

    def note(self, date: str | None) -> None:
        """Take note of the ``Date`` of an answer that has just come; one that cannot be read says nothing."""
        try:
            told = parsedate_to_datetime(date or "")
        except (TypeError, ValueError, IndexError, OverflowError):
            return
        if told.year not in _YEARS:
            return
        # A time without a zone is UTC by definition.
        told_at, local = pendulum.instance(told, "UTC").timestamp(), self._wall()
        # Half a second: where in the second it was is unknown.
        offset = told_at + 0.5 - local
        self._began = local + (offset if abs(offset) >= _RESOLUTION else 0.0) - self._monotonic()

    def now(self) -> pendulum.DateTime:
        """Return the service's time in UTC; the local time as long as no answer has told another."""
        began = self._began
        return pendulum.from_timestamp(self._wall() if began is None else began + self._monotonic())
