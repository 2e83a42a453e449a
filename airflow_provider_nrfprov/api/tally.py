"""Counts what this process asks of the service: requests by operation and status, retries, seconds waited.

Counting costs a lock and an addition. What was counted is handed over from time to time, and when somebody asks: to Airflow's metrics,
or to nobody. Counts are of the process, not of a client: a task has several, and a triggerer's come and go.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from airflow_provider_nrfprov.api.transport import RawResponse, UnreadableBodyError, exchange

SECONDS_BETWEEN = 10.0
"""How often counts are handed over while requests are made."""


@dataclass
class Counts:
    """What was counted since it was handed over last."""

    requests: Counter[tuple[str, int | None]] = field(default_factory=Counter)
    """By operation and status; the status is None where there was no answer."""
    retries: Counter[str] = field(default_factory=Counter)
    """Requests that were sent again, by operation."""
    seconds_waited: float = 0.0
    """Between the attempts of a request, and because the service had asked another one to wait."""


class Tally:
    """Counts from several threads.

    :param now: returns seconds that only grow.
    """

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self.publish: Callable[[Counts], None] | None = None
        """Takes the counts; without it they are kept."""
        self._now = now
        self._lock = threading.Lock()
        self._counts = Counts()
        self._published_at = now()

    def exchange(self, operation: str, *content: Any, **more: Any) -> RawResponse:
        """Send a request and count it; see ``transport.exchange``."""
        status: int | None = None
        try:
            answer = exchange(*content, **more)
            status = answer.status
            return answer
        except UnreadableBodyError as error:
            status = error.status
            raise
        finally:
            with self._lock:
                self._counts.requests[operation, status] += 1
            if self._now() - self._published_at >= SECONDS_BETWEEN:
                self.flush()

    def add_wait(self, seconds: float) -> None:
        """Count time that was waited before a request."""
        with self._lock:
            self._counts.seconds_waited += seconds

    def add_retry(self, operation: str) -> None:
        """Count a request that is sent again."""
        with self._lock:
            self._counts.retries[operation] += 1

    def flush(self) -> None:
        """Hand the counts over, if somebody takes them, and start from zero."""
        if self.publish is None:
            return
        with self._lock:
            counts, self._counts = self._counts, Counts()
            self._published_at = self._now()
        if counts != Counts():
            self.publish(counts)


TALLY = Tally()
"""That of this process."""
