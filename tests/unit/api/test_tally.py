"""Counts of what is asked of the service: none is lost or handed over twice, and they are handed over from time to time."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
import requests

from airflow_provider_nrfprov.api import tally as module
from airflow_provider_nrfprov.api.tally import SECONDS_BETWEEN, Counts, Tally
from airflow_provider_nrfprov.api.transport import RawResponse, UnreadableBodyError


@pytest.fixture
def answers(monkeypatch):
    """Answer in the place of the network, each time with the next of these."""
    queue: list[object] = []

    def exchange(*content, **more):
        answer = queue.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return RawResponse(answer, requests.structures.CaseInsensitiveDict(), "")

    monkeypatch.setattr(module, "exchange", exchange)
    return queue


def test_what_broke_counts_as_no_answer_and_an_unreadable_one_by_its_status(answers):
    taken: list[Counts] = []
    tally = Tally()
    tally.publish = taken.append
    answers += [200, OSError("gone"), UnreadableBodyError("is too large", status=502)]
    tally.exchange("ListTags")
    for error in (OSError, UnreadableBodyError):
        with pytest.raises(error):
            tally.exchange("ListTags")
    tally.flush()
    assert taken[0].requests == {("ListTags", 200): 1, ("ListTags", None): 1, ("ListTags", 502): 1}


def test_counts_are_handed_over_from_time_to_time(answers):
    taken: list[Counts] = []
    now = [0.0]
    tally = Tally(lambda: now[0])
    tally.publish = taken.append
    answers += [200] * 5
    for seconds in (1, SECONDS_BETWEEN - 1, SECONDS_BETWEEN, SECONDS_BETWEEN + 1, 2 * SECONDS_BETWEEN):
        now[0] = seconds
        tally.exchange("ListTags")
    assert [sum(counts.requests.values()) for counts in taken] == [3, 2]
    tally.flush()
    assert len(taken) == 2


def test_counts_are_kept_while_nobody_takes_them(answers):
    tally = Tally(iter([0.0, *[100.0] * 9]).__next__)
    answers += [200]
    tally.exchange("ListTags")
    tally.add_wait(1.5)
    tally.flush()
    taken: list[Counts] = []
    tally.publish = taken.append
    tally.flush()
    assert taken[0].requests["ListTags", 200] == 1
    assert taken[0].seconds_waited == 1.5


def test_no_count_of_many_threads_is_lost_or_handed_over_twice(answers):
    taken: list[Counts] = []
    tally = Tally()
    tally.publish = taken.append
    answers += [200] * 4000

    def ask(number: int) -> None:
        tally.exchange("ListTags")
        tally.add_retry("ListTags")
        if number % 50 == 0:
            tally.flush()

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(ask, range(4000)))
    tally.flush()
    assert sum(counts.requests["ListTags", 200] for counts in taken) == 4000
    assert sum(counts.retries["ListTags"] for counts in taken) == 4000
