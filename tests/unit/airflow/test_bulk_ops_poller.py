"""Many triggers of one connection share a poller; none of them disturbs another."""

from __future__ import annotations

import asyncio
import gc
import time

import pytest

from airflow_provider_nrfprov.api import wait_policy
from airflow_provider_nrfprov.api.errors import Problem, RateLimitedError, UnavailableError
from airflow_provider_nrfprov.api.wait_policy import LONGEST_INTERVAL, BulkOpsWatch
from airflow_provider_nrfprov.emulator.faults import Refuse, Slow
from airflow_provider_nrfprov.emulator.server import running_emulator
from airflow_provider_nrfprov.hooks.nrfprov import NrfProvHook
from airflow_provider_nrfprov.triggers import bulk_ops_poller, polling
from airflow_provider_nrfprov.triggers.bulk_ops import NrfProvBulkOpsTrigger
from airflow_provider_nrfprov.triggers.bulk_ops_poller import Follower, Standing

INTERVAL = 0.3
LIST, FETCH = "ListBulkOpsRequests", "FetchBulkOpsRequest"


@pytest.fixture(autouse=True)
def intervals_of_one_length(monkeypatch):
    monkeypatch.setattr(wait_policy, "LEAST_INTERVAL", INTERVAL)
    monkeypatch.setattr(wait_policy, "SOONEST_EVENT", INTERVAL)


@pytest.fixture
def emulator(connect):
    with running_emulator(contract="async", bulk_seconds=1.0) as running:
        connect(running.url)
        yield running


def start(count, hook=None):
    hook = hook or NrfProvHook()
    return [str(hook.bulk_claim(f'"rubbish {n}"\n').bulk_ops_request_id) for n in range(count)]


def trigger(*ids, seconds=20.0, interval=INTERVAL):
    return NrfProvBulkOpsTrigger("nrfprov_default", ids, interval, time.time() + seconds)


async def event_of(trigger):
    (event,) = [event.payload async for event in trigger.run()]
    return event


async def events_of(triggers):
    return await asyncio.gather(*(event_of(each) for each in triggers))


def requests(emulator):
    counts = emulator.service.request_counts()
    return counts.get(LIST, 0) + counts.get(FETCH, 0)


def test_a_hundred_triggers_cost_a_request_a_round(emulator):
    ids = start(100)
    started = time.monotonic()
    events = asyncio.run(events_of([trigger(id_) for id_ in ids]))
    rounds = (time.monotonic() - started) / INTERVAL
    assert [event["failed"] for event in events] == [[id_] for id_ in ids]
    # One by one it would be a hundred a round.
    assert requests(emulator) <= 4 * rounds + 4
    assert not bulk_ops_poller._pollers


def test_a_trigger_that_is_cancelled_or_joins_late_disturbs_no_other(emulator):
    ids = start(6)

    async def play():
        tasks = [asyncio.create_task(event_of(trigger(id_))) for id_ in ids[:5]]
        await asyncio.sleep(INTERVAL / 2)
        tasks[0].cancel()
        await asyncio.sleep(INTERVAL)
        late = asyncio.create_task(event_of(trigger(ids[5], ids[0])))
        return await asyncio.gather(*tasks, late, return_exceptions=True)

    cancelled, *events = asyncio.run(play())
    assert isinstance(cancelled, asyncio.CancelledError)
    assert [event["status"] for event in events] == ["ended"] * 5
    assert sorted(events[-1]["failed"]) == sorted([ids[0], ids[5]])


def test_the_poller_ends_with_its_last_trigger_and_begins_anew(emulator):
    async def play():
        task = asyncio.create_task(event_of(trigger(*start(1))))
        await asyncio.sleep(INTERVAL / 2)
        assert len(bulk_ops_poller._pollers) == 1
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert not bulk_ops_poller._pollers
        return await event_of(trigger(*start(1)))

    assert asyncio.run(play())["status"] == "ended"


def test_an_operation_that_is_not_there_ends_its_own_trigger_only(emulator):
    ids = start(3)
    missing = "01J00000000000000000000000"
    *others, wrong = asyncio.run(events_of([*map(trigger, ids), trigger(missing)]))
    assert [event["status"] for event in others] == ["ended"] * 3
    assert wrong["status"] == "error"
    assert wrong["error"]["kind"] == "NotFoundError"


def test_a_revoked_key_ends_all_triggers_and_a_short_trouble_none(emulator):
    ids = start(4)
    emulator.service.faults.plan(LIST, Refuse(503))
    assert {event["status"] for event in asyncio.run(events_of(map(trigger, ids)))} == {"ended"}
    ids = start(4)
    emulator.service.keys.revoke("emulator-key")
    events = asyncio.run(events_of(map(trigger, ids)))
    assert {event["status"] for event in events} == {"error"}
    assert {event["error"]["kind"] for event in events} == {"UnauthorizedError"}


def test_a_connection_that_is_not_there_ends_all_triggers(monkeypatch):
    monkeypatch.delenv("AIRFLOW_CONN_NRFPROV_DEFAULT", raising=False)
    events = asyncio.run(events_of([trigger("a"), trigger("b")]))
    assert {event["status"] for event in events} == {"error"}
    assert all("nrfprov_default" in event["message"] for event in events)


def test_a_429_lets_nobody_ask_until_the_time_is_over(emulator):
    ids = start(3)
    emulator.service.faults.plan(LIST, Refuse(429, retry_after=2))
    started = time.monotonic()
    assert {event["status"] for event in asyncio.run(events_of(map(trigger, ids)))} == {"ended"}
    assert time.monotonic() - started >= 2
    assert requests(emulator) <= 4


def test_who_gives_up_has_asked_just_then(emulator, monkeypatch):
    monkeypatch.setattr(wait_policy, "SOONEST_EVENT", 1.0)
    monkeypatch.setattr(wait_policy, "LEAST_INTERVAL", 1.0)
    emulator.reset(contract="async", bulk_seconds=3600)
    (id_,) = start(1)
    event = asyncio.run(event_of(trigger(id_, seconds=1.9)))
    assert event == {"status": "timeout", "waiting": [id_]}
    assert requests(emulator) == 2


def test_who_waits_for_a_round_that_does_not_end_gives_up_in_the_end(emulator, monkeypatch):
    monkeypatch.setattr(bulk_ops_poller, "_GRACE", 0.5)
    (id_,) = start(1)
    emulator.service.faults.plan(FETCH, Slow(before=30.0, after=0.0))
    started = time.monotonic()
    event = asyncio.run(event_of(trigger(id_, seconds=1.0)))
    assert event == {"status": "timeout", "waiting": [id_]}
    assert 1.4 < time.monotonic() - started < 10


def test_a_round_without_news_wakes_nobody():
    follower = Follower(BulkOpsWatch(["a", "b"]), 10.0, end_time=time.time() + 100)
    for said in (("bulk operation a is IN_PROGRESS", "bulk operation b is IN_PROGRESS"), ()):
        follower.watch.update(dict.fromkeys("ab", Standing("IN_PROGRESS", is_finished=False)))
        follower.asked(2)
        assert follower.has_news == bool(said)
        assert follower.take_notes() == said


def test_a_round_leaves_next_to_nothing_behind_for_the_garbage_collector(emulator):
    # It stops the event loop for as long as it looks through what there is: 0.2 s, when it was 16 objects a trigger.
    emulator.reset(contract="async", bulk_seconds=3600)
    ids = start(200)

    async def play():
        tasks = [asyncio.create_task(event_of(trigger(id_, interval=1.0))) for id_ in ids]
        await asyncio.sleep(0.5)
        gc.collect()
        before = len(gc.get_objects())
        await asyncio.sleep(1.5)
        asked = requests(emulator)
        gc.collect()
        after = len(gc.get_objects())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        return asked, after - before

    # One first, which loads modules and connects.
    asyncio.run(event_of(trigger(ids[0], seconds=0.1)))
    before = requests(emulator)
    asked, left = asyncio.run(play())
    assert asked > before
    assert left < 3 * len(ids)


def test_two_connections_have_a_poller_each(emulator, connect):
    connect(emulator.url, "other-team-key", "other")
    ours, theirs = start(1)[0], start(1, NrfProvHook("other"))[0]
    other = NrfProvBulkOpsTrigger("other", [theirs], INTERVAL, time.time() + 20)
    events = asyncio.run(events_of([trigger(ours), other]))
    assert [event["failed"] for event in events] == [[ours], [theirs]]


@pytest.fixture
def real_intervals(monkeypatch, intervals_of_one_length):
    monkeypatch.setattr(wait_policy, "LEAST_INTERVAL", 1.0)
    monkeypatch.setattr(wait_policy, "SOONEST_EVENT", 10.0)


def intervals(poll_interval, rounds, monkeypatch, *, operations=1, error=None):
    now = 1000.0
    monkeypatch.setattr(bulk_ops_poller.time, "time", lambda: now)
    follower = Follower(BulkOpsWatch(["a"]), poll_interval, end_time=10**9)
    found = []
    for _ in range(rounds):
        # Sums of floating-point numbers are a little off.
        found.append(round(follower.next_at - now, 6))
        now = follower.next_at
        if error is not None:
            follower.watch.update({"a": error})
        follower.asked(operations)
    return found


@pytest.mark.parametrize("poll_interval", [1.0, 10.0, 300.0])
def test_young_waits_are_asked_about_soon_and_every_one_ends_a_tenth_late_at_most(
    real_intervals, monkeypatch, poll_interval
):
    found = intervals(poll_interval, 110, monkeypatch)
    assert found[0] == 10
    assert all(1 <= seconds <= 1.25 for seconds in found[1:2])
    assert LONGEST_INTERVAL <= found[-1] <= LONGEST_INTERVAL * 1.25
    assert all(seconds <= max(1.25, 0.1 * sum(found[:n])) for n, seconds in enumerate(found[1:], start=1))


def test_many_are_asked_about_in_no_haste(real_intervals, monkeypatch):
    found = intervals(10.0, 80, monkeypatch, operations=1000)
    assert found[0] == 10
    assert all(10 <= seconds <= 12.5 for seconds in found[1:8])
    assert LONGEST_INTERVAL <= found[-1] <= LONGEST_INTERVAL * 1.25
    some = intervals(10.0, 5, monkeypatch, operations=300)
    assert all(3 <= seconds <= 3.75 for seconds in some[1:])


def test_polls_that_fail_are_as_far_from_each_other_as_the_user_says_so_that_an_outage_is_outlasted(
    real_intervals, monkeypatch
):
    down = UnavailableError("503", status=503, text="", problem=Problem("x"), retry_after=None)
    found = intervals(10.0, wait_policy.FAILURES_IN_A_ROW - 1, monkeypatch, error=down)
    assert all(10 <= seconds <= 37.5 for seconds in found[1:])


def test_triggers_of_about_the_same_age_are_asked_about_at_the_same_moments(real_intervals, monkeypatch):
    now = 1000.0
    monkeypatch.setattr(bulk_ops_poller.time, "time", lambda: now)
    followers = []
    for _ in range(40):
        followers.append(Follower(BulkOpsWatch(["a"]), 10.0, end_time=10**9))
        now += 0.05
    for _ in range(30):
        now = max(follower.next_at for follower in followers)
        for follower in followers:
            follower.asked(40)
        # Two where some are a step older than others.
        assert len({follower.next_at for follower in followers}) <= 2


def test_an_old_wait_is_asked_about_no_more_often_than_its_user_wants(real_intervals, monkeypatch):
    found = intervals(600.0, 140, monkeypatch)
    assert found[0] == 10
    assert max(found) <= 600 * 1.25
    assert all(seconds >= 600 for seconds in found[-10:])


@pytest.mark.parametrize("count", [1, 3], ids=["single", "listed"])
def test_a_key_that_was_changed_in_the_connection_ends_no_wait_old_or_new(emulator, connect, count):
    ids = start(count)

    async def play():
        tasks = [asyncio.create_task(event_of(trigger(id_))) for id_ in ids]
        await asyncio.sleep(INTERVAL * 1.5)
        connect(emulator.url, "emulator-admin-key")
        emulator.service.keys.revoke("emulator-key")
        return await asyncio.gather(*tasks, event_of(trigger(ids[0])))

    events = asyncio.run(play())
    assert [event["status"] for event in events] == ["ended"] * (count + 1)
    assert not bulk_ops_poller._pollers


def test_a_connection_is_looked_up_once_for_a_thousand_rounds_and_once_more_at_a_refusal(
    emulator, connect, monkeypatch
):
    looked, real = [], polling._read
    monkeypatch.setattr(polling, "_read", lambda conn_id: looked.append(conn_id) or real(conn_id))
    asyncio.run(events_of(map(trigger, start(3))))
    assert len(looked) == 1
    (one,) = start(1)  # of several, one may join after the others have been told
    emulator.service.keys.revoke("emulator-key")
    event = asyncio.run(event_of(trigger(one)))
    assert event["error"]["kind"] == "UnauthorizedError"
    assert len(looked) == 3


def test_who_joins_after_the_connection_leads_elsewhere_asks_there_and_the_others_wait_on(emulator, connect):
    old = start(1)[0]
    with running_emulator(contract="async", bulk_seconds=0.5) as other:

        async def play():
            first = asyncio.create_task(event_of(trigger(old)))
            await asyncio.sleep(INTERVAL * 1.5)
            connect(other.url)
            new = start(1)[0]
            return await asyncio.gather(first, event_of(trigger(new)))

        events = asyncio.run(play())
        assert requests(other) >= 1
    assert [event["status"] for event in events] == ["ended", "ended"]
    assert not bulk_ops_poller._pollers


@pytest.mark.parametrize("asked", ["inf", "1764156000000", "Thu, 01 Jan 2099 00:00:00 GMT"])
def test_a_wait_that_the_service_asks_for_is_an_hour_at_most(asked):
    error = RateLimitedError("429", status=429, text="", problem=Problem("x"), retry_after=asked)
    poller = bulk_ops_poller.BulkOpsPoller.__new__(bulk_ops_poller.BulkOpsPoller)
    poller._wait_as_told(error)
    assert 3590 < poller._not_before - time.time() <= 3600


@pytest.mark.parametrize("poll_interval", [0, -1, float("nan")])
def test_no_trigger_asks_more_than_once_a_second_whatever_it_is_told(emulator, monkeypatch, poll_interval):
    monkeypatch.setattr(wait_policy, "LEAST_INTERVAL", 1.0)
    emulator.reset(contract="async", bulk_seconds=3600)
    (id_,) = start(1)
    asyncio.run(event_of(trigger(id_, seconds=2.5, interval=poll_interval)))
    assert 2 <= requests(emulator) <= 4


def test_a_trigger_that_is_silent_about_failures_asks_on_until_its_time_is_up():
    missing = NrfProvBulkOpsTrigger("no_such_connection", ["a"], INTERVAL, time.time() + 1, silent_fail=True)
    assert asyncio.run(event_of(missing)) == {"status": "timeout", "waiting": ["a"]}
