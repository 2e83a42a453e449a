"""The throttle of one client: when the service asks one of its requests to wait, all its threads wait.

How many requests the service takes is unknown, so nothing is slowed down before it says so. Then nobody
sends until the wait is over, and afterwards at half the rate, so that threads which waited together do not
come back together. The rate doubles every few seconds until the service says so again: by time and not
by requests, so that few of many requests are refused at any limit.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from airflow_provider_nrfprov.api.errors import LONGEST_WAIT

_FIRST_INTERVAL = 0.05
"""Seconds; if the very first request is asked to wait."""
_LONGEST_INTERVAL = 1.0
"""Where that is not enough, the waits between the tries of one request do the rest."""
_NO_INTERVAL = 0.001
_SECONDS_UNTIL_HALF = 3.0
_LONGEST_GAP = 5.0
_SHARE_OF_NEWEST = 0.125
"""Of the newest gap in the mean of the gaps between requests."""


class Throttle:
    """Says when the next request may be sent. Safe to use from many threads.

    :param now: returns seconds that only grow.
    :param sleep: waits for a number of seconds.
    """

    def __init__(
        self, now: Callable[[], float] = time.monotonic, sleep: Callable[[float], None] = time.sleep
    ) -> None:
        self._now = now
        self._sleep = sleep
        self._lock = threading.Lock()
        self._not_before = 0.0
        self._slowed_at = float("-inf")
        self._resumed_at = 0.0
        self._interval = 0.0
        self._newest: float | None = None
        self._mean_gap: float | None = None

    @property
    def interval(self) -> float:
        """Seconds between two requests at least; 0 as long as nobody was asked to wait."""
        if not self._interval:
            return 0.0
        interval: float = self._interval * 0.5 ** (
            max(0.0, self._now() - self._resumed_at) / _SECONDS_UNTIL_HALF
        )
        return interval if interval >= _NO_INTERVAL else 0.0

    def wait_for_turn(self) -> float:
        """Wait until a request may be sent; return the time at which it is."""
        while True:
            with self._lock:
                now = self._now()
                wait = self._not_before - now
                if wait <= 0:
                    self._not_before = now + self.interval
                    self._note(now)
                    return now
            self._sleep(wait)

    def slow_down(self, sent_at: float, seconds: float) -> float | None:
        """Let nobody send for that many seconds, an hour at most, and only at half the rate afterwards.

        Answers to requests that were under way together mean one slowing down, not one each.

        :param sent_at: when the request was sent that was asked to wait.
        :return: the interval afterwards, in seconds; ``None`` if the rate was halved already.
        """
        with self._lock:
            now = self._now()
            interval = self.interval
            # So that what is not a number is an hour, too.
            wait = seconds if seconds < LONGEST_WAIT else LONGEST_WAIT
            self._not_before = max(self._not_before, now + wait)
            self._resumed_at = self._not_before
            # The gap that comes now says nothing of a rate.
            self._newest = None
            if sent_at <= self._slowed_at:
                self._interval = interval
                return None
            self._slowed_at = now
            usual = self._mean_gap if self._mean_gap is not None else _FIRST_INTERVAL / 2
            self._interval = min(_LONGEST_INTERVAL, max(_NO_INTERVAL, 2 * usual, 2 * interval))
            return self._interval

    def _note(self, now: float) -> None:
        if self._newest is not None:
            gap = min(now - self._newest, _LONGEST_GAP)
            mean = gap if self._mean_gap is None else self._mean_gap
            self._mean_gap = mean + _SHARE_OF_NEWEST * (gap - mean)
        self._newest = now
