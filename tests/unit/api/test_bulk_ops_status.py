"""Polls the status of many bulk operations: in pages where that is cheaper, one by one where it is not."""

from __future__ import annotations

from datetime import datetime, timezone

import pytest

from airflow_provider_nrfprov.api import operations
from airflow_provider_nrfprov.api.bulk_ops_status import BulkOpsStatus
from airflow_provider_nrfprov.api.errors import (
    NotFoundError,
    ServiceError,
    UnauthorizedError,
    UnavailableError,
)
from airflow_provider_nrfprov.emulator.clock import ManualClock
from airflow_provider_nrfprov.emulator.faults import Refuse
from airflow_provider_nrfprov.emulator.server import running_emulator
from tests.calls import client_of

LIST, FETCH = "ListBulkOpsRequests", "FetchBulkOpsRequest"


class Desk:
    """A team with operations, and somebody who asks about them."""

    def __init__(self, emulator, clock):
        self.emulator, self.clock = emulator, clock
        self.client = client_of(emulator.url)
        self.slept = []
        self.status = BulkOpsStatus(self.client, sleep=self.slept.append)

    def start(self, count):
        send = self.client.send
        return [
            str(send(operations.bulk_claim(f'"rubbish {n}"\n')).bulk_ops_request_id) for n in range(count)
        ]

    def refuse(self, operation, status, **numbers):
        self.emulator.service.faults.plan(operation, Refuse(status), **numbers)

    def ask(self, ids, others=()):
        """Ask; return what was found, and how many requests it took."""
        before = self.requests()
        found = dict(self.status.poll(ids, others))
        return found, [now - then for now, then in zip(self.requests(), before, strict=True)]

    def requests(self):
        counts = self.emulator.service.request_counts()
        return [counts.get(LIST, 0), counts.get(FETCH, 0)]


@pytest.fixture
def desk():
    clock = ManualClock(datetime.now(timezone.utc))
    with running_emulator(clock=clock, contract="async", bulk_seconds=60) as emulator:
        desk = Desk(emulator, clock)
        with desk.client:
            yield desk


def test_one_page_tells_of_a_hundred_operations(desk):
    ids = desk.start(230)
    for _ in range(2):
        found, requests = desk.ask(ids)
        assert set(found) == set(ids)
        assert requests == [3, 0]
    desk.clock.advance(90)
    found, _ = desk.ask(ids)
    assert all(operation.is_finished for operation in found.values())


def test_a_single_operation_is_fetched(desk):
    (id_,) = desk.start(1)
    found, requests = desk.ask([id_])
    assert (list(found), requests) == ([id_], [0, 1])


def test_the_list_is_given_up_where_single_questions_are_cheaper(desk):
    ids = desk.start(450)
    wanted = [ids[0], ids[449]]
    found, (pages, singles) = desk.ask(wanted)
    assert set(found) == set(wanted)
    assert pages <= 2
    assert singles <= 2


def test_operations_of_different_hours_are_listed_apart(desk):
    early = desk.start(3)
    desk.ask(early)
    desk.clock.advance(5 * 3600)
    between = desk.start(150)
    desk.clock.advance(5 * 3600)
    late = desk.start(3)
    # So much later than our own clock that they are new to it.
    for id_ in late:
        desk.ask([id_])
    found, requests = desk.ask([*early, *late])
    assert set(found) == {*early, *late}
    assert not set(found) & set(between)
    assert requests == [2, 0]


def test_what_a_page_says_of_others_that_are_waited_for_is_told_too(desk):
    ids = desk.start(20)
    found, requests = desk.ask(ids[:5], others=ids[5:15])
    assert set(found) == set(ids[:15])
    assert requests == [1, 0]


def test_an_operation_that_does_not_exist_is_told_as_such(desk):
    ids = desk.start(2)
    found, _ = desk.ask([*ids, "01J00000000000000000000000"])
    assert isinstance(found.pop("01J00000000000000000000000"), NotFoundError)
    assert set(found) == set(ids)


@pytest.mark.parametrize("status", [400, 403, 404, 405, 410, 422])
def test_where_a_list_is_refused_or_switched_off_each_is_asked_about_at_a_bounded_rate(desk, status):
    ids = desk.start(10)
    desk.refuse(LIST, status)
    found, requests = desk.ask(ids)
    assert (list(found), requests) == (ids, [1, 10])
    assert all(each.status in {"IN_PROGRESS", "PENDING"} for each in found.values())
    assert desk.slept == [0.05] * 9
    assert desk.ask(ids)[1] == [0, 10]


def test_an_error_ends_the_round_and_what_was_found_until_then_is_told(desk):
    ids = desk.start(150)
    desk.refuse(LIST, 503, nth=2)
    found = []
    with pytest.raises(UnavailableError):
        found.extend(desk.status.poll(ids))
    assert len(found) == 100
    desk.emulator.service.keys.revoke("emulator-key")
    with pytest.raises(UnauthorizedError):
        list(desk.status.poll(ids))


def test_a_failing_operation_keeps_no_other_from_being_asked_about(desk):
    ids = desk.start(6)
    desk.refuse(LIST, 410)
    desk.refuse(FETCH, 500, nth=2, times=2)
    found, requests = desk.ask(ids)
    assert requests == [1, 6]
    assert [isinstance(found[id_], ServiceError) for id_ in ids] == [False, True, True, False, False, False]


@pytest.mark.parametrize("status", [403, 404, 410])
def test_operations_that_are_refused_each_are_told_as_such(desk, status):
    ids = desk.start(8)
    desk.refuse(LIST, 404)
    desk.refuse(FETCH, status, times=None)
    found, _ = desk.ask(ids)
    assert [found[id_].status for id_ in ids] == [status] * 8


def test_a_service_that_is_down_or_asks_to_wait_ends_the_round(desk):
    ids = desk.start(50)
    for fault, most in ((Refuse(503), 5), (Refuse(429, retry_after=9), 1)):
        desk.refuse(LIST, 404)
        desk.emulator.service.faults.plan(FETCH, fault, times=None)
        before = desk.requests()[1]
        with pytest.raises(ServiceError, match=str(fault.status)):
            list(BulkOpsStatus(desk.client, sleep=lambda _: None).poll(ids))
        assert desk.requests()[1] - before == most
        desk.emulator.service.faults.clear()
