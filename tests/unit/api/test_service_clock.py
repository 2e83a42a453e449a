"""The service's time, by what its answers say."""

from __future__ import annotations

from email.utils import formatdate

import pendulum
import pytest

from airflow_provider_nrfprov.api import ProvisioningClient
from airflow_provider_nrfprov.api.service_clock import ServiceClock
from harness.small_server import QuietHandler, serving
from tests.calls import Calls

LOCAL = 1_795_000_000.4


class Clocks:
    def __init__(self) -> None:
        self.wall, self.monotonic = LOCAL, 50.0

    def pass_by(self, seconds: float) -> None:
        self.wall += seconds
        self.monotonic += seconds


@pytest.fixture
def clocks() -> Clocks:
    return Clocks()


@pytest.fixture
def clock(clocks) -> ServiceClock:
    return ServiceClock(lambda: clocks.wall, lambda: clocks.monotonic)


def seconds(clock: ServiceClock) -> float:
    return clock.now().timestamp()


def test_it_is_local_time_before_an_answer(clock):
    assert seconds(clock) == LOCAL
    assert clock.now().timezone_name == "UTC"


@pytest.mark.parametrize("offset", [-300, -3, 3, 86_400])
def test_a_clock_that_differs_is_followed(clock, clocks, offset):
    clock.note(formatdate(LOCAL + offset, usegmt=True))
    clocks.pass_by(100)
    assert abs(seconds(clock) - (LOCAL + 100 + offset)) <= 1


@pytest.mark.parametrize("offset", [-1.4, -1, 0, 0.5, 1.4])
def test_what_is_less_than_the_resolution_is_no_difference(clock, offset):
    clock.note(formatdate(LOCAL + offset, usegmt=True))
    assert seconds(clock) == pytest.approx(LOCAL, abs=1e-3)


@pytest.mark.parametrize("offset", [0, 300])
def test_a_local_clock_that_jumps_afterwards_changes_nothing(clock, clocks, offset):
    clock.note(formatdate(LOCAL + offset, usegmt=True))
    before = seconds(clock)
    clocks.wall -= 7200
    clocks.monotonic += 5
    assert seconds(clock) == pytest.approx(before + 5, abs=1e-3)


def test_the_newest_answer_counts(clock):
    clock.note(formatdate(LOCAL + 300, usegmt=True))
    clock.note(formatdate(LOCAL, usegmt=True))
    assert seconds(clock) == pytest.approx(LOCAL, abs=1e-3)


@pytest.mark.parametrize(
    "date",
    [None, "", "soon", "Fri, 31 Dec 9999 23:59:59 GMT", "Thu, 01 Jan 1970 00:00:00 GMT", "Mon, 99 Foo 2026"],
)
def test_a_date_that_cannot_be_says_nothing(clock, date):
    clock.note(date)
    assert seconds(clock) == LOCAL


def test_a_service_tells_its_time_and_its_urls():
    class Handler(QuietHandler):
        def date_time_string(self, timestamp: float | None = None) -> str:
            return formatdate(pendulum.now("UTC").add(hours=1).timestamp(), usegmt=True)

        def do_GET(self) -> None:
            self.answer(404, b"")

    with serving(Handler) as url:
        service = Calls(url)
        assert service.urls == (f"{url}/v1",)
        assert abs((service.now() - pendulum.now("UTC")).total_seconds()) < 2
        assert service.find_claimed_devices(["7b21b4bc-1cc9-41df-b05c-61b4605e5bb0"]) == {}
        assert 3597 < (service.now() - pendulum.now("UTC")).total_seconds() < 3603
        service.get_conn().close()


def test_the_time_is_asked_for_only_if_no_answer_has_told_it(emulator):
    service = Calls(emulator.url)
    with service.get_conn() as client:
        assert not client.knows_time
        service.learn_time()
        assert client.knows_time
        service.learn_time()
    assert emulator.service.request_counts() == {"ListClaimedDevices": 1}


def test_both_hosts_are_named_where_there_are_two():
    client = ProvisioningClient("a-key")
    assert client.urls == ("https://api.provisioning.nrfcloud.com/v1", "https://api.nrfcloud.com/v1")
