"""Poke, reschedule and deferred mode end alike, whatever a sensor is told to tolerate; one client a wait."""

from __future__ import annotations

import asyncio
import json
import time
from datetime import datetime, timezone
from types import SimpleNamespace
from typing import ClassVar

import pytest
from airflow.providers.common.compat.sdk import (
    AirflowSensorTimeout,
    AirflowSkipException,
    TaskDeferred,
)

try:
    from airflow.sdk.exceptions import AirflowRescheduleException
except ImportError:  # Airflow before 3.2
    from airflow.exceptions import AirflowRescheduleException

from airflow_provider_nrfprov.api import wait_policy
from airflow_provider_nrfprov.api.errors import (
    NotFoundError,
    NrfProvError,
    Problem,
    UnauthorizedError,
    UnavailableError,
)
from airflow_provider_nrfprov.api.models import BulkOpsRequest
from airflow_provider_nrfprov.arguments import ArgumentError
from airflow_provider_nrfprov.exceptions import BulkOpsFailedError
from airflow_provider_nrfprov.hooks.nrfprov import NrfProvHook
from airflow_provider_nrfprov.sensors.bulk_ops import NrfProvBulkOpsSensor
from airflow_provider_nrfprov.triggers import bulk_ops_poller, polling
from airflow_provider_nrfprov.version_compat import AIRFLOW_V_3_0_PLUS
from harness.small_server import QuietHandler, serving
from tests.unit.airflow.running import only_event

MODES = ("poke", "reschedule", "deferred")
IDS = ["01G4ACS60SAEK1YNGSSJHBEET0", "01G4ACS60SAEK1YNGSSJHBEET1"]


def refusal(kind, status):
    return kind(
        f"FetchBulkOpsRequest: {status}", status=status, text="", problem=Problem("x"), retry_after=None
    )


class Service:
    """Says about each operation what a list of answers says, poll by poll; the last one stays."""

    def __init__(self, **answers):
        self.answers = {IDS[int(name[-1])]: list(says) for name, says in answers.items()}
        self.polls = 0

    def fetch(self, id_):
        self.polls += 1
        says = self.answers[id_]
        answer = says.pop(0) if len(says) > 1 else says[0]
        if isinstance(answer, Exception):
            raise answer
        return BulkOpsRequest(id_, answer)


@pytest.fixture
def attach(monkeypatch, connect):
    """Let workers and triggers ask a service in memory."""

    def to(service):
        connect("http://127.0.0.1:9")
        monkeypatch.setattr(NrfProvHook, "fetch_bulk_ops_request", lambda hook, id_: service.fetch(id_))
        monkeypatch.setattr(
            polling, "_client_of", lambda connection: SimpleNamespace(close=lambda: None, service=service)
        )
        monkeypatch.setattr(
            "airflow_provider_nrfprov.api.bulk_ops_status.BulkOpsStatus._fetch",
            lambda status, id_: fetched(service, id_),
        )
        monkeypatch.setattr(
            "airflow_provider_nrfprov.api.bulk_ops_status.BulkOpsStatus._listed", lambda *_: iter(())
        )
        monkeypatch.setattr("airflow_provider_nrfprov.api.bulk_ops_status._SECONDS_BETWEEN_SINGLES", 0.0)

    return to


def fetched(service, id_):
    try:
        return service.fetch(id_)
    except UnauthorizedError:
        raise
    except NrfProvError as error:
        return error


def end_of(mode, **arguments):
    """Run a sensor in a mode to its end, as Airflow does; return the state of the task, and the exception."""
    waiting = {"bulk_ops_request_ids": IDS, "poke_interval": 0.01, "timeout": 0.5, **arguments}
    waiting |= {"deferrable": True} if mode == "deferred" else {"mode": mode}
    began = datetime.now(timezone.utc)
    # Airflow 2 looks itself for when a task began, in its database and by these.
    known = {"dag_id": "d", "task_id": "wait", "run_id": "r", "map_index": -1, "max_tries": 0}
    context = {"ti": SimpleNamespace(get_first_reschedule_date=lambda context: began, **known)}
    with pytest.MonkeyPatch.context() as patch:
        if not AIRFLOW_V_3_0_PLUS:
            patch.setattr("airflow.sensors.base._orig_start_date", lambda **_: began)
        try:
            work_to_the_end(context, waiting)
        except AirflowSkipException as error:
            return "skipped", type(error.__cause__)
        except Exception as error:  # noqa: BLE001 - the end of a task
            return "failed", type(error)
        return "success", None


def work_to_the_end(context, waiting):
    while True:
        try:
            return new_process(waiting).execute(context)
        except AirflowRescheduleException as later:
            time.sleep(max(0.0, (later.reschedule_date - datetime.now(timezone.utc)).total_seconds()))
        except TaskDeferred as deferred:
            return resumed(waiting, deferred, context)


def new_process(arguments):
    return NrfProvBulkOpsSensor(task_id="wait", **arguments)


def resumed(arguments, deferred, context):
    while True:
        trigger = type(deferred.trigger)(**json.loads(json.dumps(deferred.trigger.serialize()[1])))
        event = asyncio.run(only_event(trigger))
        try:
            return new_process(arguments).resume_execution(
                deferred.method_name, {**(deferred.kwargs or {}), "event": event}, context
            )
        except TaskDeferred as again:
            deferred = again


GOES_ON = ("IN_PROGRESS",)
DOWN = refusal(UnavailableError, 503)
CASES = {
    # what the service says -> how it ends for: nothing, soft_fail, never_fail, silent_fail
    "ends": ({"id0": ["PENDING", "SUCCEEDED"], "id1": ["SUCCEEDED"]}, ["success"] * 4),
    "FAILED at once": ({"id0": ["FAILED"], "id1": ["SUCCEEDED"]}, ["failed", "skipped", "skipped", "failed"]),
    "FAILED, another goes on": (
        {"id0": ["FAILED"], "id1": ["PENDING"] * 4 + ["SUCCEEDED"]},
        ["failed", "skipped", "skipped", "failed"],
    ),
    "FAILED later": ({"id0": ["PENDING"] * 4 + ["FAILED"], "id1": ["PENDING", "SUCCEEDED"]},
                     ["failed", "skipped", "skipped", "failed"]),
    "never ends": ({"id0": GOES_ON, "id1": ["SUCCEEDED"]}, ["failed", "skipped", "failed", "failed"]),
    "401 at once": ({"id0": [refusal(UnauthorizedError, 401)], "id1": GOES_ON},
                    ["failed", "failed", "skipped", "failed"]),
    "401 later": ({"id0": ["PENDING"] * 2 + [refusal(UnauthorizedError, 401)], "id1": GOES_ON},
                  ["failed", "failed", "skipped", "failed"]),
    "404 later": ({"id0": ["PENDING"] * 2 + [refusal(NotFoundError, 404)], "id1": GOES_ON},
                  ["failed", "failed", "skipped", "failed"]),
    "401 for a while": ({"id0": ["PENDING", refusal(UnauthorizedError, 401), "SUCCEEDED"], "id1": ["SUCCEEDED"]},
                        ["failed", "failed", "skipped", "success"]),
    "503 now and then": ({"id0": ["PENDING", DOWN, "PENDING", DOWN, DOWN, "SUCCEEDED"], "id1": ["SUCCEEDED"]},
                         ["success"] * 4),
    "503 for ever": ({"id0": ["PENDING", DOWN], "id1": ["SUCCEEDED"]},
                     ["failed", "failed", "skipped", "failed"]),
}  # fmt: skip
ENDLESS_IF_SILENT = {"401 at once", "401 later", "404 later", "503 for ever"}
TOLERANCES = [{}, {"soft_fail": True}, {"never_fail": True}, {"silent_fail": True}]


@pytest.mark.parametrize("tolerance", TOLERANCES, ids=lambda each: next(iter(each), "nothing"))
@pytest.mark.parametrize("case", CASES)
def test_every_mode_ends_alike(attach, case, tolerance):
    says, states = CASES[case]
    waits_long = case != "never ends" and not ("silent_fail" in tolerance and case in ENDLESS_IF_SILENT)
    seen = {}
    for mode in MODES:
        attach(Service(**says))
        seen[mode] = end_of(mode, **tolerance, timeout=20 if waits_long else 0.5)
    state = states[TOLERANCES.index(tolerance)]
    assert {mode: end[0] for mode, end in seen.items()} == dict.fromkeys(MODES, state)
    if state == "failed":
        assert len(set(seen.values())) == 1
    assert not bulk_ops_poller._pollers


@pytest.mark.parametrize("case", [case for case in CASES if case not in {"never ends", "503 for ever"}])
def test_every_mode_ends_alike_when_it_polls_in_haste(attach, monkeypatch, case):
    monkeypatch.setattr(NrfProvBulkOpsSensor, "_seconds_before_deferral", 0.35)
    says, (state, *_) = CASES[case]
    seen = {}
    for mode in MODES:
        attach(Service(**says))
        seen[mode] = end_of(mode, poke_interval=0.3, timeout=20)
    assert {end[0] for end in seen.values()} == {state}
    assert len(set(seen.values())) == 1


def next_interval(age, **arguments):
    waiting = new_process({"bulk_ops_request_ids": IDS, "poke_interval": 10, **arguments})
    waiting._watch = wait_policy.BulkOpsWatch(IDS)
    return waiting._get_next_poke_interval(datetime.now(timezone.utc), lambda: age, 1)


@pytest.mark.parametrize("mode", ["poke", "reschedule"])
def test_a_young_wait_is_poked_sooner_than_the_poke_interval_says_and_never_later(monkeypatch, mode):
    monkeypatch.setattr(NrfProvBulkOpsSensor, "_seconds_before_deferral", 6.5)
    monkeypatch.setattr(wait_policy, "SOONEST_EVENT", 10.0)
    young, older, old = (next_interval(age, mode=mode) for age in (0.0, 80.0, 3600.0))
    # A task that is rescheduled costs Airflow seconds.
    assert young == (0.1 if mode == "poke" else 10)
    assert older == (pytest.approx(6.4) if mode == "poke" else 10)
    assert old == 10
    assert next_interval(0.0, mode=mode, poke_interval=2) == (0.1 if mode == "poke" else 2)


def test_who_asks_for_airflows_own_growing_intervals_gets_them(monkeypatch):
    monkeypatch.setattr(NrfProvBulkOpsSensor, "_seconds_before_deferral", 6.5)
    assert next_interval(0.0, exponential_backoff=True) >= 5


def test_an_argument_that_cannot_be_read_fails_the_task_in_every_mode_whatever_is_tolerated(attach):
    attach(Service())
    for mode in MODES:
        for tolerance in TOLERANCES:
            end = end_of(mode, bulk_ops_request_ids="['half a list", **tolerance)
            assert end == ("failed", ArgumentError), (mode, tolerance)


@pytest.mark.parametrize(
    ("tolerance", "state"),
    zip(TOLERANCES, ["failed", "skipped", "failed", "failed"], strict=True),
    ids=str,
)
def test_airflows_own_timeout_of_a_deferral_is_the_sensors_timeout(tolerance, state):
    resumed = new_process({"bulk_ops_request_ids": IDS, "deferrable": True, **tolerance})
    with pytest.raises(AirflowSkipException if state == "skipped" else AirflowSensorTimeout):
        resumed.resume_execution("__fail__", {"error": "Trigger timeout"}, {})


# Of the reschedules, each process asks about what has ended, too.
@pytest.mark.parametrize(("mode", "polls"), [("poke", 2 + 1 + 20), ("reschedule", 2 * 2 + 1 + 20)])
def test_twenty_failures_in_a_row_are_counted_across_reschedules(attach, mode, polls):
    service = Service(id0=["PENDING", "PENDING", DOWN], id1=["SUCCEEDED"])
    attach(service)
    assert end_of(mode, timeout=20) == ("failed", UnavailableError)
    assert service.polls == polls


def test_nobody_waits_in_haste(monkeypatch, attach):
    monkeypatch.setattr(wait_policy, "LEAST_INTERVAL", 0.2)
    service = Service(id0=GOES_ON, id1=GOES_ON)
    for mode in MODES:
        attach(service)
        before = service.polls
        end_of(mode, poke_interval=0.001, timeout=0.5)
        assert service.polls - before <= 2 * 5, mode


def test_what_ends_within_moments_is_waited_for_on_the_worker(monkeypatch, attach):
    monkeypatch.setattr(NrfProvBulkOpsSensor, "_seconds_before_deferral", 1.5)
    attach(Service(id0=["PENDING", "SUCCEEDED"], id1=["SUCCEEDED"]))
    assert new_process({"bulk_ops_request_ids": IDS, "deferrable": True}).execute({}) is None
    attach(Service(id0=["PENDING", "FAILED"], id1=["SUCCEEDED"]))
    with pytest.raises(BulkOpsFailedError):
        new_process({"bulk_ops_request_ids": IDS, "deferrable": True}).execute({})
    service = Service(id0=GOES_ON, id1=["SUCCEEDED"])
    attach(service)
    with pytest.raises(TaskDeferred):
        new_process({"bulk_ops_request_ids": IDS, "deferrable": True}).execute({})
    assert service.polls == 2 + 3


class OneOperation(QuietHandler):
    protocol_version = "HTTP/1.1"
    connections: ClassVar[set[object]] = set()
    polls = 0

    def do_GET(self):
        type(self).polls += 1
        self.connections.add(self.client_address)
        status = "SUCCEEDED" if self.polls >= 10 else "PENDING"
        body = json.dumps({"bulkOpsRequestId": IDS[0], "status": status}).encode()
        self.answer(200, body, {"Content-Type": "application/json"})


def test_ten_polls_of_a_wait_on_a_worker_cost_one_connection_and_one_look_up(connect, monkeypatch):
    looked, real = [], NrfProvHook.get_connection
    monkeypatch.setattr(NrfProvHook, "get_connection", lambda *args: looked.append(args) or real(args[-1]))
    with serving(OneOperation) as url:
        connect(url)
        sensor = new_process({"bulk_ops_request_ids": IDS[:1], "poke_interval": 0.01, "timeout": 10})
        sensor.execute({})
        assert (OneOperation.polls, len(OneOperation.connections), len(looked)) == (10, 1, 1)

        assert sensor._hook is None
