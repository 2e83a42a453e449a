"""Whether to send an operation again, and when: one pure decision.

A claim is repeated only if the service provably did not carry it out. What changes nothing, or
changes it to the same end however often it is sent, may be repeated after any passing failure.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime

from airflow_provider_nrfprov.api.errors import (
    ConfigurationError,
    NrfProvError,
    ServiceError,
    UnreachableError,
    UnreadableAnswerError,
)

_NOTHING_DONE = {429, 503}
"""Statuses by which the service says that it did not take the request on."""


@dataclass(frozen=True, slots=True)
class Retry:
    """How long one operation is tried. Waits grow exponentially, with full jitter."""

    attempts: int = 6
    """How often it is sent at most."""
    first_wait: float = 1.0
    """Seconds; the longest wait before the second attempt, doubled before each one after it."""
    longest_wait: float = 30.0
    """Seconds; no wait of our own choice is longer. What the service asks for is kept as it is."""
    deadline: float = 120.0
    """Seconds from the first attempt on, after which no other is begun."""

    def wait(
        self,
        error: NrfProvError,
        *,
        repeatable: bool,
        attempt: int,
        elapsed: float,
        jitter: Callable[[], float] = random.random,  # noqa: S311 - spreads requests, hides nothing
    ) -> float | None:
        """Give the seconds until the next attempt, ``None`` to give up.

        :param repeatable: whether sending it twice does no harm.
        :param attempt: how often it was sent, from 1.
        :param elapsed: seconds since the first attempt.
        :param jitter: gives a number from 0 to 1.
        """
        if attempt >= self.attempts or not _may_help(error, repeatable=repeatable):
            return None
        seconds = jitter() * min(self.longest_wait, self.first_wait * 2 ** (attempt - 1))
        if isinstance(error, ServiceError):
            seconds = max(seconds, retry_after(error) or 0.0)
        return seconds if elapsed + seconds <= self.deadline else None


NEVER = Retry(attempts=1)
"""For whoever asks again anyway: a sensor, a trigger, the test of a connection."""


def retry_after(error: ServiceError, now: datetime | None = None) -> float | None:
    """Read the ``Retry-After`` of an error: seconds from now, ``None`` without one that can be read."""
    text = (error.retry_after or "").strip()
    try:
        return max(0.0, float(text))
    except ValueError:
        pass
    try:
        moment = parsedate_to_datetime(text)
    except (TypeError, ValueError):
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=timezone.utc)
    return max(0.0, (moment - (now or datetime.now(timezone.utc))).total_seconds())


def nothing_was_done(error: NrfProvError) -> bool:
    """Whether the service provably did not carry out what was sent."""
    if isinstance(error, UnreachableError):
        return not error.maybe_sent
    if isinstance(error, ConfigurationError):
        return True
    return isinstance(error, ServiceError) and (error.status < 500 or error.status in _NOTHING_DONE)


def refused_as_a_whole(error: NrfProvError) -> bool:
    """Whether the service refused a request as a whole."""
    return isinstance(error, ServiceError) and error.status in {400, 409, 413, 415, 422}


def _may_help(error: NrfProvError, *, repeatable: bool) -> bool:
    if isinstance(error, ServiceError):
        return error.status in _NOTHING_DONE or (repeatable and error.status >= 500)
    if isinstance(error, UnreachableError):
        return repeatable or not error.maybe_sent
    return repeatable and isinstance(error, UnreadableAnswerError)
