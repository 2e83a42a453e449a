"""Whether to send an operation again, and when: one pure decision.

A claim is repeated only if the service provably did not carry it out. What changes nothing, or
changes it to the same end however often it is sent, may be repeated after any passing failure.
"""

from __future__ import annotations

import json
import math
import random
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime

from airflow_provider_nrfprov.api.contract import (
    BULK_OPS_REQUEST_ID,
    CLAIMED_IDS,
    NOTHING_WAS_DONE,
    REFUSED_AS_A_WHOLE,
    Evidence,
)
from airflow_provider_nrfprov.api.errors import (
    ConfigurationError,
    NrfProvError,
    ServiceError,
    UnreachableError,
    UnreadableAnswerError,
)

_TOOK_TOO_LONG = 408


@dataclass(frozen=True, slots=True)
class Retry:
    """How long one operation is tried. Waits grow exponentially, with full jitter."""

    attempts: int = 6
    """How often it is sent at most."""
    first_wait: float = 1.0
    """Seconds; the longest wait before the second attempt, doubled before each one after it."""
    longest_wait: float = 30.0
    """Seconds; no wait of our own choice is longer. What the service asks for is kept, up to a limit of its own."""
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
        """Return the seconds until the next attempt, ``None`` to give up.

        :param repeatable: whether sending it twice does no harm.
        :param attempt: how often it was sent, from 1.
        :param elapsed: seconds since the first attempt.
        :param jitter: returns a number from 0 to 1.
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
    """Read the ``Retry-After`` of an error, whoever asks: seconds from now, or an HTTP date.

    :return: finite seconds from 0 to ``error.longest_wait``; ``None`` without a header that can be read.
    """
    text = (error.retry_after or "").strip()
    try:
        seconds = float(text)
    except ValueError:
        try:
            seconds = _seconds_until(parsedate_to_datetime(text), now or datetime.now(timezone.utc))
        except (TypeError, ValueError, IndexError, OverflowError):
            return None
    return None if math.isnan(seconds) else min(max(0.0, seconds), error.longest_wait)


def _seconds_until(moment: datetime, now: datetime) -> float:
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=timezone.utc)
    return (moment - now).total_seconds()


def nothing_was_done(error: NrfProvError) -> bool:
    """Return whether the service provably did not carry out what was sent, by ``contract.NOTHING_WAS_DONE``."""
    if isinstance(error, ConfigurationError):
        return True
    return _evidence(error) is not None


def refused_as_a_whole(error: NrfProvError) -> bool:
    """Return whether the service refused the request for what is in it: 400, 409, 413, 415 or 422.

    One row that it does not like may be enough for that.
    """
    return isinstance(error, ServiceError) and error.status in REFUSED_AS_A_WHOLE


def _evidence(error: NrfProvError) -> Evidence | None:
    """Return the line of the contract that proves that nothing was done."""
    if isinstance(error, UnreachableError):
        return None if error.maybe_sent else NOTHING_WAS_DONE[0]
    if not isinstance(error, ServiceError):
        return None
    for line in NOTHING_WAS_DONE:
        if error.status in line.statuses:
            return None if line.unless_claimed and _claims_something(error.text) else line
    return None


def _claims_something(text: str) -> bool:
    try:
        body = json.loads(text)
    except (ValueError, RecursionError):
        return False
    return isinstance(body, dict) and bool(body.get(CLAIMED_IDS) or body.get(BULK_OPS_REQUEST_ID))


def _may_help(error: NrfProvError, *, repeatable: bool) -> bool:
    evidence = _evidence(error)
    if evidence is not None:
        return evidence.resend
    if not repeatable:
        return False
    if isinstance(error, ServiceError):
        return error.status == _TOOK_TOO_LONG or error.status >= 500
    return isinstance(error, (UnreachableError, UnreadableAnswerError))
