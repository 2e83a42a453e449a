"""Which requests meet a fault: planned, at random from a seed, and by the side door."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

import pytest
import requests

from airflow_provider_nrfprov.emulator.faults import (
    ANY,
    RECOVERABLE,
    DropAfter,
    DropBefore,
    ExtraFields,
    OddStatus,
    Refuse,
    WrongClaimedIds,
)
from airflow_provider_nrfprov.emulator.faults.plans import Injected
from airflow_provider_nrfprov.emulator.mint import mint_devices, mint_token

CLAIM = "ClaimDeviceOwnership"
LIST = "ListClaimedDevices"
DOOR = "/emulator/faults"


def statuses(api, count: int, path: str = "/v1/claimed-devices") -> list[int]:
    return [api.get(path).status_code for _ in range(count)]


def test_a_plan_is_for_the_nth_request_of_its_operation_and_for_some_after_it(api):
    api.service.faults.plan(LIST, Refuse(503), nth=2, times=2)
    api.claim(mint_token())
    assert statuses(api, 5) == [200, 503, 503, 200, 200]


def test_requests_are_counted_from_when_it_was_planned(api):
    statuses(api, 3)
    api.service.faults.plan(LIST, Refuse(503))
    assert statuses(api, 2) == [503, 200]
    assert api.service.faults.injected == [Injected(LIST, 4, Refuse(503))]


def test_a_plan_can_be_for_all_requests_until_it_is_cleared(api):
    api.service.faults.plan(LIST, Refuse(500), nth=2, times=None)
    assert statuses(api, 4) == [200, 500, 500, 500]
    api.service.faults.clear()
    assert statuses(api, 2) == [200, 200]
    assert [each.n for each in api.service.faults.injected] == [2, 3, 4]


def test_a_plan_can_be_for_any_operation(api):
    api.service.faults.plan(ANY, Refuse(500), nth=2, times=2)
    answers = [
        api.get("/v1/claimed-devices"),
        api.claim(mint_token()),
        api.get("/v1/bulk-ops-requests"),
        api.get("/v1/claimed-devices"),
    ]
    assert [answer.status_code for answer in answers] == [200, 500, 500, 200]
    named = [(each.operation, each.n) for each in api.service.faults.injected]
    assert named == [(CLAIM, 1), ("ListBulkOpsRequests", 1)]


def test_of_two_plans_for_one_request_the_later_one_counts(api):
    api.service.faults.plan(LIST, Refuse(500), times=None)
    api.service.faults.plan(LIST, Refuse(503), nth=2)
    assert statuses(api, 3) == [500, 503, 500]


def test_a_fault_for_some_operations_leaves_the_others_alone_under_any(api):
    api.service.faults.plan(ANY, OddStatus(), times=None)
    assert statuses(api, 1) == [200]
    assert api.service.faults.injected == []


@pytest.mark.parametrize(
    ("operation", "fault", "numbers"),
    [
        ("ClaimEverything", DropAfter(), {}),
        ("/emulator/health", DropAfter(), {}),
        (CLAIM, WrongClaimedIds(), {}),
        (CLAIM, DropAfter(), {"nth": 0}),
        (CLAIM, DropAfter(), {"times": 0}),
    ],
)
def test_a_plan_that_makes_no_sense_is_an_error(api, operation, fault, numbers):
    with pytest.raises(ValueError, match=r"\w"):
        api.service.faults.plan(operation, fault, **numbers)


def outcomes(api, count: int) -> list[str]:
    """What becomes of requests that always come in the same order."""
    seen = []
    for number in range(count):
        path = "/v1/claimed-devices" if number % 3 else "/v1/bulk-ops-requests"
        try:
            seen.append(str(api.get(path).status_code))
        except requests.RequestException as error:
            seen.append(type(error).__name__)
    return seen


def test_the_same_seed_gives_the_same_faults_and_another_seed_others(api):
    runs = []
    for seed in (7, 7, 8):
        api.emulator.reset()
        api.service.faults.schedule(seed=seed, rate=0.4)
        runs.append((outcomes(api, 40), api.service.faults.injected))
    assert runs[0] == runs[1] != runs[2]
    assert 5 < len(runs[0][1]) <= 20


def test_a_schedule_ends_at_its_limit(api):
    api.service.faults.schedule(seed=1, rate=1, limit=4, kinds=[Refuse(503)])
    assert statuses(api, 6) == [503] * 4 + [200] * 2


def test_a_schedule_takes_its_kinds_its_operations_and_only_what_fits(api):
    api.service.faults.schedule(
        seed=1, rate=1, kinds=[Refuse(503), OddStatus(), WrongClaimedIds()], operations=[LIST]
    )
    assert statuses(api, 10) == [503] * 10
    assert statuses(api, 2, "/v1/bulk-ops-requests") == [200, 200]
    api.service.faults.schedule(seed=1, rate=1, kinds=[OddStatus()])
    assert statuses(api, 2) == [200, 200]


def test_a_plan_goes_before_the_schedule_and_leaves_its_limit_alone(api):
    api.service.faults.schedule(seed=1, rate=1, limit=2, kinds=[Refuse(503)])
    api.service.faults.plan(LIST, Refuse(500), nth=2)
    assert statuses(api, 4) == [503, 500, 503, 200]


@pytest.mark.parametrize(
    "wrong",
    [{"rate": 1.1}, {"rate": -0.1}, {"limit": -1}, {"kinds": []}, {"operations": ["ClaimEverything"]}],
)
def test_a_schedule_that_makes_no_sense_is_an_error(api, wrong):
    with pytest.raises(ValueError, match=r"\w"):
        api.service.faults.schedule(**{"seed": 1, "rate": 0.5, **wrong})


def claimed_in_the_end(api, token: str) -> None:
    """Claim as a simple client would: again until the answer is clear; nobody else claims here."""
    for _ in range(50):
        try:
            answer = api.claim(token)
            if answer.status_code == 409 or (answer.status_code == 201 and answer.json()["id"]):
                return
        except requests.RequestException:
            continue
    raise AssertionError("the faults did not end")


@pytest.mark.parametrize("seed", range(5))
def test_a_client_that_repeats_itself_gets_through_all_that_is_recoverable(api, seed):
    api.service.faults.schedule(seed=seed, rate=0.9, limit=40)
    devices = list(mint_devices(10))
    for device in devices:
        claimed_in_the_end(api, device.token)
    assert api.service.claim_counts() == dict.fromkeys((device.device_id for device in devices), 1)
    assert {each.fault for each in api.service.faults.injected} <= set(RECOVERABLE)


def test_as_many_requests_meet_a_fault_as_planned_however_many_threads_ask_and_plan(api):
    url, headers = f"{api.emulator.url}/v1/claimed-devices", {"Authorization": "Bearer emulator-key"}

    def ask(_: int) -> None:
        with requests.Session() as session:
            for _ in range(20):
                api.service.faults.plan(LIST, Refuse(503), nth=1000)
                session.get(url, headers=headers, timeout=10)

    api.service.faults.plan(LIST, Refuse(429), nth=11, times=30)
    with ThreadPoolExecutor(4) as threads:
        list(threads.map(ask, range(4)))
    assert len(api.service.faults.injected) == 30
    assert [each.n for each in api.service.faults.injected] == list(range(11, 41))


def test_a_request_without_faults_pays_next_to_nothing(api):
    started = time.process_time()
    for number in range(10_000):
        api.service.faults.take(LIST, number)
    assert (time.process_time() - started) / 10_000 < 0.00001


def test_side_doors_never_meet_a_fault(api):
    api.service.faults.plan(ANY, DropBefore(), times=None)
    api.service.faults.schedule(seed=1, rate=1)
    for door in ("health", "devices", "operations", "requests", "submissions", "faults"):
        assert api.get(f"/emulator/{door}").status_code == 200
    assert api.service.faults.injected == []


def test_a_fault_is_planned_shown_and_cleared_by_the_side_door(api):
    body = {
        "operation": LIST,
        "fault": {"kind": "Refuse", "status": 429, "retry_after": 3},
        "nth": 2,
        "times": 9,
    }
    planned = requests.post(f"{api.emulator.url}{DOOR}", json=body, timeout=5)
    assert (planned.status_code, planned.json()["plans"][0]["seen"]) == (200, 0)
    assert statuses(api, 2) == [200, 429]
    shown = api.get(DOOR).json()
    fault = {
        "kind": "Refuse",
        "status": 429,
        "body": "json",
        "retry_after": 3,
        "retry_after_form": "seconds",
    }
    assert shown == {
        "plans": [{"operation": LIST, "fault": fault, "nth": 2, "times": 9, "seen": 2}],
        "schedule": None,
        "injected": [{"operation": LIST, "n": 2, "fault": fault}],
    }
    assert api.delete(DOOR).status_code == 204
    assert statuses(api, 1) == [200]
    assert api.get(DOOR).json()["plans"] == []
    assert len(api.get(DOOR).json()["injected"]) == 1


def test_a_fault_for_all_requests_is_planned_by_the_side_door(api):
    api.post(DOOR, json={"operation": ANY, "fault": {"kind": "ExtraFields"}, "times": None})
    assert len(api.get("/v1/claimed-devices").json()) == 3
    assert api.service.faults.injected == [Injected(LIST, 1, ExtraFields())]


def test_a_schedule_is_given_by_the_side_door(api):
    kinds = [{"kind": "Refuse", "status": 503}]
    answer = api.post(DOOR, json={"seed": 3, "rate": 1, "limit": 2, "kinds": kinds, "operations": [LIST]})
    assert answer.json()["schedule"]["left"] == 2
    assert statuses(api, 3) == [503, 503, 200]
    assert api.get(DOOR).json()["schedule"]["left"] == 0
    api.post(DOOR, json={"seed": 3, "rate": 0.5})
    assert len(api.get(DOOR).json()["schedule"]["kinds"]) == len(RECOVERABLE)


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"operation": LIST},
        {"operation": LIST, "fault": "DropAfter"},
        {"operation": LIST, "fault": {"kind": "Explode"}},
        {"operation": LIST, "fault": {"kind": "Refuse", "status": "503"}},
        {"operation": LIST, "fault": {"kind": "DropAfter"}, "nth": "first"},
        {"operation": LIST, "fault": {"kind": "DropAfter"}, "times": 1.5},
        {"operation": LIST, "fault": {"kind": "DropAfter"}, "rate": 1},
        {"operation": 7, "fault": {"kind": "DropAfter"}},
        {"operation": "ClaimEverything", "fault": {"kind": "DropAfter"}},
        {"seed": 1},
        {"seed": "x", "rate": 0.5},
        {"seed": 1, "rate": 2},
        {"seed": 1, "rate": True},
        {"seed": 1, "rate": 0.5, "kinds": "all"},
        {"seed": 1, "rate": 0.5, "kinds": []},
        {"seed": 1, "rate": 0.5, "nth": 1},
    ],
)
def test_the_side_door_refuses_what_makes_no_sense(api, body):
    answer = api.post(DOOR, json=body)
    assert (answer.status_code, answer.json()["code"]) == (422, 42200)
    assert api.get(DOOR).json() == {"plans": [], "schedule": None, "injected": []}
