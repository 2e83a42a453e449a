"""What a wait tolerates, how often it asks, and when it ends; without a service and without sleeping."""

from __future__ import annotations

import random
from collections import Counter

import pytest

from airflow_provider_nrfprov.api import errors
from airflow_provider_nrfprov.api.errors import (
    NotFoundError,
    Problem,
    RateLimitedError,
    ServiceError,
    UnavailableError,
    UnreachableError,
    UnreadableAnswerError,
)
from airflow_provider_nrfprov.api.models import BulkOpsRequest
from airflow_provider_nrfprov.api.wait_policy import (
    FAILURES_IN_A_ROUND,
    FAILURES_IN_A_ROW,
    BulkOpsWatch,
    Watch,
    at_least,
    is_transient,
    pause_on_worker,
    poll_briefly,
    seconds_asked_for,
)


def refusal(status, retry_after=None, kind=ServiceError):
    return kind(f"{status}", status=status, text="", problem=Problem("x"), retry_after=retry_after)


DOWN = refusal(503, kind=UnavailableError)


class Service:
    """Answers about operations that end after a number of polls each, and fails when asked to."""

    def __init__(self, polls_until_end=3, error_of=lambda id_: None):
        self.polls_until_end, self.error_of = polls_until_end, error_of
        self.asked, self.polls = [], Counter()

    def __call__(self, id_):
        self.asked.append(id_)
        self.polls[id_] += 1
        if error := self.error_of(id_):
            raise error
        ended = self.polls[id_] >= self.polls_until_end
        return BulkOpsRequest(id_, "SUCCEEDED" if ended else "IN_PROGRESS")


def rounds_until_done(watch, fetch, most=1000):
    for number in range(1, most):
        watch.poll(fetch)
        if watch.is_done:
            return number
    raise AssertionError("never done")


@pytest.mark.parametrize("share", [0.03, 0.05, 0.2])
def test_a_thousand_operations_end_well_although_polls_fail(share):
    chance = random.Random(7)
    service = Service(3, lambda id_: DOWN if chance.random() < share else None)
    watch = BulkOpsWatch(map(str, range(1000)))
    assert rounds_until_done(watch, service) < 60
    assert watch.failed == []


def test_a_service_that_is_down_is_asked_five_times_a_round_and_ends_the_wait_after_twenty():
    service = Service(error_of=lambda _: DOWN)
    watch = BulkOpsWatch(map(str, range(1000)))
    for _ in range(FAILURES_IN_A_ROW - 1):
        watch.poll(service)
    with pytest.raises(UnavailableError):
        watch.poll(service)
    assert len(service.asked) == FAILURES_IN_A_ROUND * FAILURES_IN_A_ROW


def test_one_operation_that_always_fails_ends_the_wait_after_twenty_polls_of_it_however_many_are_answered():
    service = Service(10**9, lambda id_: DOWN if id_ == "500" else None)
    watch = BulkOpsWatch(map(str, range(1000)))
    for _ in range(FAILURES_IN_A_ROW - 1):
        watch.poll(service)
    assert watch.counts_failures
    with pytest.raises(UnavailableError):
        watch.poll(service)
    assert service.asked.count("999") == FAILURES_IN_A_ROW


def test_an_answer_begins_to_count_anew():
    service = Service(10**9)
    watch = BulkOpsWatch("ab")
    for number in range(5 * FAILURES_IN_A_ROW):
        service.error_of = lambda _, n=number: None if n % FAILURES_IN_A_ROW == 0 else DOWN
        watch.poll(service)
    service.error_of = lambda _: None
    watch.poll(service)
    assert not watch.counts_failures


@pytest.mark.parametrize("status", [400, 401, 403, 404, 405, 410, 422])
def test_what_cannot_get_better_ends_the_wait_at_once(status):
    service = Service(error_of=lambda id_: refusal(status) if id_ == "b" else None)
    watch = BulkOpsWatch("abc")
    with pytest.raises(ServiceError, match=str(status)):
        watch.poll(service)
    assert service.asked == ["a", "b"]


def test_every_kind_of_error_is_either_tolerated_or_not():
    transient = {
        refusal(408), refusal(425), refusal(429), refusal(500), refusal(503), refusal(504),
        UnreachableError("", maybe_sent=True), UnreachableError("", maybe_sent=False),
        UnreadableAnswerError("", status=200, text=""),
    }  # fmt: skip
    assert all(map(is_transient, transient))
    known = {type(each) for each in transient} | {UnavailableError, RateLimitedError}
    for kind in errors._kinds().values():
        if kind not in known and not issubclass(kind, ServiceError):
            assert not is_transient(kind("x")), kind


@pytest.mark.parametrize("asked", ["inf", "1764156000000", "1e308", "Thu, 01 Jan 2099 00:00:00 GMT", "3600"])
def test_nobody_waits_longer_than_an_hour_whatever_the_service_asks(asked):
    assert seconds_asked_for(refusal(429, asked, RateLimitedError)) == 3600


@pytest.mark.parametrize("asked", ["", "nan", "-5", "soon", "Thu, 99 Foo 2099"])
def test_what_asks_for_no_time_is_no_wait(asked):
    assert seconds_asked_for(refusal(429, asked, RateLimitedError)) == 0


def test_a_service_that_asks_to_wait_is_left_alone_for_so_long():
    now = [0.0]
    service = Service(error_of=lambda _: refusal(429, "30", RateLimitedError))
    watch = Watch("abc", "thing", now=lambda: now[0])
    watch.poll(service)
    for now[0] in (10.0, 29.9):
        watch.poll(service)
    assert service.asked == ["a"]
    service.error_of = lambda _: None
    now[0] = 30.0
    watch.poll(service)
    assert service.asked == ["a", "a", "b", "c"]


def test_what_was_found_before_a_permanent_error_is_kept():
    watch = BulkOpsWatch("abc")
    gone = refusal(404, kind=NotFoundError)
    with pytest.raises(NotFoundError):
        watch.update({"b": gone, "a": BulkOpsRequest("a", "FAILED")})
    assert (watch.failed, watch.waiting) == (["a"], ["b", "c"])


@pytest.mark.parametrize(("seconds", "shown"), [(0, 1.0), (-3, 1.0), (float("nan"), 1.0), (1, 1), (10, 10)])
def test_no_interval_is_shorter_than_a_second(seconds, shown):
    assert at_least(seconds) == shown


def pauses(watch, poll_interval, until):
    age, found = 0.0, []
    while age < until:
        found.append(pause_on_worker(watch, age, poll_interval))
        age += found[-1]
    return found


def test_a_worker_polls_soon_while_a_wait_is_young_and_later_as_often_as_it_is_told():
    found = pauses(BulkOpsWatch("a"), 10.0, until=300)
    assert found[0] == 0.1
    assert max(found[:8]) <= 1.3
    assert all(pause <= max(1.3, 0.08 * sum(found[:n])) for n, pause in enumerate(found))
    assert found[-1] == 10
    assert set(pauses(BulkOpsWatch("a"), 1.0, until=30)[4:]) == {1.0}


def test_a_worker_polls_in_no_haste_what_is_many_and_what_fails():
    assert set(pauses(BulkOpsWatch(map(str, range(11))), 10.0, until=60)) == {10.0}
    failing = BulkOpsWatch("a")
    failing.poll(Service(error_of=lambda _: DOWN))
    assert set(pauses(failing, 10.0, until=60)) == {10.0}


def brief(watch, service, seconds=5.0):
    slept = []
    poll_briefly(watch, service, seconds, slept.append)
    return slept


def test_what_ends_within_seconds_is_waited_for_in_few_polls():
    assert brief(BulkOpsWatch("a"), Service(1)) == [0.1]
    longest = brief(BulkOpsWatch("a"), Service(10**9), 6.5)
    assert longest == pytest.approx([0.1, 0.2, 0.6, 1.3, 1.3, 1.3, 1.3])
    assert brief(BulkOpsWatch("a"), Service(10**9), 1.5) == longest[:3]
    assert brief(BulkOpsWatch("a"), Service(10**9), 0) == []


def test_a_brief_wait_is_none_for_many_operations_or_while_polls_fail():
    assert brief(BulkOpsWatch(map(str, range(11))), Service(10**9)) == []
    assert brief(BulkOpsWatch("a"), Service(error_of=lambda _: DOWN)) == [0.1]
