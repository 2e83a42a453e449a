"""The service's time: told by a clock that a test may own, written as the service writes it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import datetime, timedelta, timezone

Clock = Callable[[], datetime]
"""Returns the time, as an aware UTC datetime. Injected, so that a test can own it."""


def utc_now() -> datetime:
    """Return the real time: the clock of an emulator that no test controls."""
    return datetime.now(timezone.utc)


def iso(moment: datetime) -> str:
    """Write a time as the service does: ``2023-06-30T11:49:21.561Z``."""
    return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03d}Z"


START = datetime(2026, 1, 1, tzinfo=timezone.utc)
"""Where a manual clock begins unless told otherwise: always the same, so that a failure repeats itself."""


class ManualClock:
    """A clock that stands still until it is advanced: ``running_emulator(clock=ManualClock())``.

    The emulator then lets nothing happen by itself: a bulk operation ends when the clock has been
    advanced by its ``bulk_seconds``. Two things stay in real time, because the client's own clock
    is what they are compared with: dates in ``Retry-After``, and how long a slow answer takes.

    :param start: an aware time. A client that searches bulk operations by the time of its own
        clock needs one near the real time here.
    :raises ValueError: if it has no time zone.
    """

    def __init__(self, start: datetime = START) -> None:
        if start.tzinfo is None:
            raise ValueError("start has no time zone")
        self._start = self._now = start.astimezone(timezone.utc)
        self._lock = threading.Lock()

    def __call__(self) -> datetime:
        """Return the time that it shows, as a ``Clock`` does."""
        return self._now

    def __repr__(self) -> str:
        return f"ManualClock({self._now.isoformat()})"

    @property
    def now(self) -> datetime:
        """The time that it shows, in UTC."""
        return self._now

    def advance(self, seconds: float) -> datetime:
        """Move on and return the new time; raise ``ValueError`` for a step back."""
        if seconds < 0:
            raise ValueError("a clock does not go back; restart() it together with a reset of the emulator")
        with self._lock:
            self._now += timedelta(seconds=seconds)
            return self._now

    def restart(self) -> None:
        """Go back to the start. Sensible only with a reset: operations that were begun would last longer."""
        with self._lock:
            self._now = self._start
