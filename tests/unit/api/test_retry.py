from __future__ import annotations

from datetime import datetime, timedelta, timezone
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_nrfprov.api.errors import (
    ConfigurationError,
    NrfProvError,
    Problem,
    ServiceError,
    UnreachableError,
    UnreadableAnswerError,
)
from airflow_provider_nrfprov.api.retry import NEVER, Retry, nothing_was_done, retry_after

NOW = datetime(2026, 11, 23, 6, 0, tzinfo=timezone.utc)


def answered(status: int, retry_after: str | None = None) -> ServiceError:
    return ServiceError("x", status=status, text="", problem=Problem(""), retry_after=retry_after)


NEVER_SENT = UnreachableError("x", maybe_sent=False)
MAYBE_SENT = UnreachableError("x", maybe_sent=True)
UNREADABLE = UnreadableAnswerError("x", status=200, text="<html>")


def wait(error: NrfProvError, *, repeatable: bool, attempt: int = 1, elapsed: float = 0.0) -> float | None:
    return Retry().wait(error, repeatable=repeatable, attempt=attempt, elapsed=elapsed, jitter=lambda: 1.0)


@pytest.mark.parametrize("error", [NEVER_SENT, answered(429), answered(503)], ids=str)
def test_even_a_claim_is_sent_again_if_it_provably_was_not_carried_out(error):
    assert wait(error, repeatable=False) is not None


@pytest.mark.parametrize("error", [MAYBE_SENT, UNREADABLE, answered(500), answered(502), answered(504)])
def test_a_claim_that_may_have_been_carried_out_is_not_sent_again_but_a_question_is(error):
    assert wait(error, repeatable=False) is None
    assert wait(error, repeatable=True) is not None


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 413, 422])
def test_what_was_refused_is_not_asked_again(status):
    assert wait(answered(status), repeatable=True) is None


def test_waits_double_up_to_a_limit():
    waits = [
        Retry(attempts=10, deadline=1e9).wait(
            answered(503), repeatable=True, attempt=n, elapsed=0, jitter=lambda: 1.0
        )
        for n in range(1, 8)
    ]
    assert waits == [1, 2, 4, 8, 16, 30, 30]


def test_attempts_and_time_are_limited():
    assert wait(answered(503), repeatable=True, attempt=6) is None
    assert wait(answered(503), repeatable=True, elapsed=119.5) is None
    assert NEVER.wait(answered(429), repeatable=True, attempt=1, elapsed=0) is None


def test_a_wait_that_the_service_asks_for_is_kept_and_one_beyond_the_deadline_is_given_up():
    assert wait(answered(429, "45"), repeatable=False) == 45
    assert wait(answered(429, "121"), repeatable=False) is None


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("7", 7.0),
        ("0.5", 0.5),
        ("-3", 0.0),
        (format_datetime(NOW + timedelta(seconds=90)), 90.0),
        (format_datetime((NOW + timedelta(seconds=90)).replace(tzinfo=None)), 90.0),
        (format_datetime(NOW - timedelta(days=1)), 0.0),
        ("soon", None),
        ("", None),
        (None, None),
    ],
)
def test_retry_after_is_read_in_both_forms(text, seconds):
    assert retry_after(answered(429, text), NOW) == seconds


@given(st.text(max_size=40))
def test_any_retry_after_is_a_number_or_nothing(text):
    seconds = retry_after(answered(429, text), NOW)
    assert seconds is None or seconds >= 0


@given(
    st.integers(1, 20),
    st.floats(0, 1e4),
    st.booleans(),
    st.sampled_from([NEVER_SENT, MAYBE_SENT, UNREADABLE, answered(429, "3"), answered(500)]),
)
def test_no_wait_ever_reaches_beyond_the_deadline(attempt, elapsed, repeatable, error):
    seconds = Retry().wait(error, repeatable=repeatable, attempt=attempt, elapsed=elapsed)
    assert seconds is None or elapsed + seconds <= 120


def test_what_provably_was_not_done_is_told_from_what_may_have_been():
    assert [
        nothing_was_done(e) for e in (NEVER_SENT, ConfigurationError("x"), answered(401), answered(503))
    ] == [True] * 4
    assert [nothing_was_done(e) for e in (MAYBE_SENT, UNREADABLE, answered(500), answered(504))] == [
        False
    ] * 4
