"""Time that a test moves: nothing happens by itself."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta, timezone

import pytest

from airflow_provider_nrfprov.emulator.clock import START, ManualClock
from airflow_provider_nrfprov.emulator.mint import mint_devices


def test_it_stands_still_until_it_is_advanced():
    clock = ManualClock()
    assert (clock(), clock.now) == (START, START)
    assert clock.advance(1.5) == clock() == START + timedelta(seconds=1.5)
    assert "2026-01-01T00:00:01.500000+00:00" in repr(clock)


def test_it_does_not_go_back_but_to_its_start():
    clock = ManualClock()
    clock.advance(60)
    with pytest.raises(ValueError, match="does not go back"):
        clock.advance(-1)
    clock.restart()
    assert clock.now == START


def test_it_starts_where_it_is_told_in_utc_and_needs_a_time_zone():
    start = datetime(2026, 5, 1, 14, tzinfo=timezone(timedelta(hours=2)))
    assert ManualClock(start).now.isoformat() == "2026-05-01T12:00:00+00:00"
    with pytest.raises(ValueError, match="time zone"):
        ManualClock(datetime(2026, 5, 1))  # noqa: DTZ001 - what is refused


def test_no_step_is_lost_when_many_threads_advance_it():
    clock = ManualClock()
    with ThreadPoolExecutor(4) as threads:
        list(threads.map(lambda _: [clock.advance(1) for _ in range(500)], range(4)))
    assert clock.now == START + timedelta(seconds=2000)


def test_an_operation_ends_by_the_clock_and_by_nothing_else(start):
    clock = ManualClock()
    api = start(clock=clock, bulk_seconds=0.01)
    operation_id = api.start_bulk("".join(f"{device.token}\n" for device in mint_devices(2)))
    time.sleep(0.03)
    assert api.operation(operation_id)["status"] == "PENDING"
    assert api.service.claimed_ids() == set()
    clock.advance(0.01)
    assert api.operation(operation_id)["status"] == "SUCCEEDED"
    assert len(api.service.claimed_ids()) == 2
