"""The throttle of a client: by a clock of the test's own, and on the wire."""

from __future__ import annotations

import logging
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from airflow_provider_nrfprov.api import operations
from airflow_provider_nrfprov.api.client import ProvisioningClient
from airflow_provider_nrfprov.api.errors import RateLimitedError
from airflow_provider_nrfprov.api.retry import Retry
from airflow_provider_nrfprov.api.throttle import Throttle
from airflow_provider_nrfprov.emulator.faults import Refuse
from airflow_provider_nrfprov.emulator.server import Emulator
from tests.calls import client_of
from tests.traffic import claimed, only, slow


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        assert seconds > 0
        self.now += seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def throttle(clock: Clock) -> Throttle:
    return Throttle(clock, clock.sleep)


def test_nothing_is_slowed_down_before_the_service_says_so(throttle):
    assert [throttle.wait_for_turn() for _ in range(100)] == [100.0] * 100
    assert throttle.interval == 0


def test_nobody_sends_until_the_wait_is_over(throttle):
    assert throttle.slow_down(throttle.wait_for_turn(), 7.5)
    assert throttle.wait_for_turn() == 107.5


def test_a_shorter_wait_does_not_end_a_longer_one(throttle):
    at = throttle.wait_for_turn()
    throttle.slow_down(at, 30)
    throttle.slow_down(at, 1)
    assert throttle.wait_for_turn() == 130


@pytest.mark.parametrize("seconds", [float("inf"), float("nan"), 1764156000000.0])
def test_no_wait_is_longer_than_an_hour(throttle, seconds):
    throttle.slow_down(throttle.wait_for_turn(), seconds)
    assert throttle.wait_for_turn() == 3700


def test_afterwards_requests_come_at_half_the_rate(throttle, clock):
    for _ in range(50):
        at = throttle.wait_for_turn()
        clock.now += 0.1
    throttle.slow_down(at, 5)
    first, second = throttle.wait_for_turn(), throttle.wait_for_turn()
    assert (round(first - at, 6), round(second - first, 6)) == (5.1, 0.2)


def test_answers_to_requests_that_were_under_way_together_halve_the_rate_once(throttle):
    together = [throttle.wait_for_turn() for _ in range(8)]
    halved, *others = [throttle.slow_down(at, 1) for at in together]
    assert others == [None] * 7
    assert throttle.interval == halved
    assert throttle.slow_down(throttle.wait_for_turn(), 1) == 2 * halved


def test_a_service_that_goes_on_refusing_is_asked_once_a_second(throttle):
    for _ in range(40):
        throttle.slow_down(throttle.wait_for_turn(), 0)
    assert throttle.interval == 1


def test_the_shortest_interval_is_said_though_it_is_over_at_once(throttle, clock):
    for _ in range(100):
        at = throttle.wait_for_turn()
    assert throttle.slow_down(at, 0) == 0.001
    clock.now += 0.1
    assert throttle.interval == 0


def test_the_rate_doubles_every_three_seconds_until_nothing_is_held_back(throttle, clock):
    throttle.slow_down(throttle.wait_for_turn(), 10)
    first = throttle.interval
    clock.now += 10 + 3
    assert throttle.interval == pytest.approx(first / 2)
    clock.now += 60
    assert throttle.interval == 0
    assert [throttle.wait_for_turn() for _ in range(10)] == [clock.now] * 10


@pytest.fixture
def emulator(watched) -> Emulator:
    return watched[0]


def asking(client: ProvisioningClient, device_ids: list[str], threads: int = 8) -> list[str]:
    with ThreadPoolExecutor(threads) as pool:
        return [
            device.id
            for device in pool.map(
                lambda each: client.send(operations.fetch_claimed_device(each)), device_ids
            )
        ]


def test_a_429_to_one_thread_stops_all_of_them_until_the_wait_is_over(emulator, traffic, caplog):
    caplog.set_level(logging.INFO)
    ids = claimed(emulator, 60)
    slow(emulator, 0.02)
    emulator.service.faults.plan("FetchClaimedDevice", Refuse(429, retry_after=1), nth=20)
    client = client_of(emulator.url, retry=Retry())
    assert asking(client, ids) == ids
    (refused_at,) = [at for at, status in traffic.answers if status == 429]
    # What was sent before its sender can have known of the refusal does not count.
    while_waiting = [at for at in traffic.arrivals if refused_at + 0.3 < at < refused_at + 0.95]
    assert not while_waiting
    assert len(traffic.arrivals) == 61
    told = [record.getMessage() for record in caplog.records if "sending nothing for" in record.getMessage()]
    assert len(told) == 1
    assert "emulator-key" not in told[0]


def test_under_a_limit_that_nobody_told_of_every_request_gets_through_and_few_are_refused(emulator, traffic):
    ids = claimed(emulator, 150)
    traffic.meddle = only(40)
    client = client_of(emulator.url, retry=Retry(first_wait=0.1, longest_wait=0.5))
    assert asking(client, ids) == ids
    refused = traffic.statuses().count(429)
    assert 1 <= refused < 60


def test_who_does_not_retry_does_not_wait_either(emulator):
    (device_id,) = claimed(emulator, 1)
    emulator.service.faults.plan("FetchClaimedDevice", Refuse(429, retry_after=60))
    client = client_of(emulator.url)
    with pytest.raises(RateLimitedError):
        client.send(operations.fetch_claimed_device(device_id))
    started = time.monotonic()
    client.send(operations.fetch_claimed_device(device_id))
    assert time.monotonic() - started < 30


def test_each_thread_has_its_own_session_and_all_are_closed(emulator):
    ids = claimed(emulator, 40)
    slow(emulator, 0.02)
    client = client_of(emulator.url)
    sessions = set()
    with ThreadPoolExecutor(4) as pool:
        for device_id in ids:
            pool.submit(lambda each=device_id: client.send(operations.fetch_claimed_device(each)))
        sessions = set(pool.map(lambda _: (time.sleep(0.05), client._session())[1], range(8)))
    assert len(sessions) == 4
    pools = [len(session.adapters["http://"].poolmanager.pools) for session in sessions]
    assert sum(pools) >= 1
    client.close()
    assert [len(session.adapters["http://"].poolmanager.pools) for session in sessions] == [0] * 4
