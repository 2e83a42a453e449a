from __future__ import annotations

from datetime import datetime, timedelta, timezone
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_nrfprov.api.contract import NOTHING_WAS_DONE, REFUSED_AS_A_WHOLE
from airflow_provider_nrfprov.api.errors import (
    ConfigurationError,
    NrfProvError,
    Problem,
    ServiceError,
    UnreachableError,
    UnreadableAnswerError,
    as_data,
    from_data,
)
from airflow_provider_nrfprov.api.retry import NEVER, Retry, nothing_was_done, refused_as_a_whole, retry_after

NOW = datetime(2026, 11, 23, 6, 0, tzinfo=timezone.utc)


def answered(status: int, retry_after: str | None = None) -> ServiceError:
    return ServiceError("x", status=status, text="", problem=Problem(""), retry_after=retry_after)


NEVER_SENT = UnreachableError("x", maybe_sent=False)
MAYBE_SENT = UnreachableError("x", maybe_sent=True)
UNREADABLE = UnreadableAnswerError("x", status=200, text="<html>")


def wait(error: NrfProvError, *, repeatable: bool, attempt: int = 1, elapsed: float = 0.0) -> float | None:
    return Retry().wait(error, repeatable=repeatable, attempt=attempt, elapsed=elapsed, jitter=lambda: 1.0)


@pytest.mark.parametrize("error", [NEVER_SENT, answered(429)], ids=["no connection", "429"])
def test_even_a_claim_is_sent_again_if_it_provably_was_not_carried_out(error):
    assert wait(error, repeatable=False) is not None


@pytest.mark.parametrize("error", [MAYBE_SENT, UNREADABLE, *map(answered, (408, 500, 502, 503, 504))])
def test_a_claim_that_may_have_been_carried_out_is_not_sent_again_but_a_question_is(error):
    assert wait(error, repeatable=False) is None
    assert wait(error, repeatable=True) is not None


@pytest.mark.parametrize("status", [301, 302, 400, 401, 403, 404, 405, 409, 410, 413, 415, 422])
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
        ("inf", 3600.0),
        ("1764156000000", 3600.0),
        ("1e999", 3600.0),
        ("Thu, 01 Jan 2099 00:00:00 GMT", 3600.0),
        ("Fri, 31 Dec 9999 23:59:59 -2359", 3600.0),
        ("Mon, 01 Jan 0001 00:00:00 +2359", 0.0),
        ("-inf", 0.0),
        ("nan", None),
        ("soon", None),
        ("", None),
        (None, None),
    ],
)
def test_retry_after_is_read_in_both_forms(text, seconds):
    assert retry_after(answered(429, text), NOW) == seconds


@given(st.one_of(st.text(max_size=40), st.floats().map(str), st.datetimes().map(format_datetime)))
def test_any_retry_after_is_finite_seconds_up_to_an_hour_or_nothing(text):
    seconds = retry_after(answered(429, text), NOW)
    assert seconds is None or 0 <= seconds <= 3600


def test_a_connection_may_allow_for_longer_or_shorter_waits_and_a_trigger_hands_that_on():
    error = ServiceError("x", status=429, text="", problem=Problem(""), retry_after="9000", longest_wait=7200)
    assert retry_after(error) == 7200
    assert retry_after(from_data(as_data(error))) == 7200


@given(
    st.integers(1, 20),
    st.floats(0, 1e4),
    st.booleans(),
    st.sampled_from([NEVER_SENT, MAYBE_SENT, UNREADABLE, answered(429, "3"), answered(500)]),
)
def test_no_wait_ever_reaches_beyond_the_deadline(attempt, elapsed, repeatable, error):
    seconds = Retry().wait(error, repeatable=repeatable, attempt=attempt, elapsed=elapsed)
    assert seconds is None or elapsed + seconds <= 120


PROOF = {429, 401, 403, 404, 405, 410, 400, 409, 413, 415, 422}


def test_of_all_statuses_only_those_of_the_contract_prove_that_nothing_was_done():
    assert {status for status in range(300, 600) if nothing_was_done(answered(status))} == PROOF
    assert set().union(*(line.statuses for line in NOTHING_WAS_DONE)) == PROOF
    assert nothing_was_done(NEVER_SENT)
    assert nothing_was_done(ConfigurationError("x"))
    assert not nothing_was_done(MAYBE_SENT)
    assert not nothing_was_done(UNREADABLE)


def test_each_line_of_proof_says_where_it_is_known_from():
    assert all(line.what and line.source for line in NOTHING_WAS_DONE)


@pytest.mark.parametrize("status", sorted(REFUSED_AS_A_WHOLE))
def test_a_refusal_that_names_claimed_devices_proves_nothing(status):
    body = '{"message": "some are bad", "claimedIds": ["7b21b4bc-1cc9-41df-b05c-61b4605e5bb0"]}'
    error = ServiceError("x", status=status, text=body, problem=Problem(""), retry_after=None)
    assert not nothing_was_done(error)
    assert refused_as_a_whole(error)


def test_a_refusal_of_the_request_is_told_from_all_others():
    refused = {status for status in range(300, 600) if refused_as_a_whole(answered(status))}
    assert refused == {400, 409, 413, 415, 422}
    assert not refused_as_a_whole(MAYBE_SENT)
