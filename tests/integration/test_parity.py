"""Waiting on a worker and waiting deferred end alike: same state, XCom, exception and load on the service."""

from __future__ import annotations

import asyncio
import csv
import json
import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import AirflowSensorTimeout

from airflow_provider_nrfprov.api import wait_policy
from airflow_provider_nrfprov.api.errors import (
    ForbiddenError,
    NotFoundError,
    NrfProvError,
    UnauthorizedError,
    UnreachableError,
)
from airflow_provider_nrfprov.api.wait_policy import FAILURES_IN_A_ROW
from airflow_provider_nrfprov.emulator.faults import (
    DropBefore,
    FalseFailure,
    Fault,
    HtmlAfter,
    OddStatus,
    Refuse,
    Slow,
    StuckOperation,
    TruncateAfter,
)
from airflow_provider_nrfprov.emulator.mint import mint_devices
from airflow_provider_nrfprov.emulator.server import Emulator, running_emulator
from airflow_provider_nrfprov.exceptions import BulkOpsFailedError, RowsFailedError, RowsUnknownError
from airflow_provider_nrfprov.hooks.nrfprov import NrfProvHook
from airflow_provider_nrfprov.operators.bulk_claim import NrfProvBulkClaimOperator
from airflow_provider_nrfprov.operators.claim_reporting import IDS_IN_XCOM
from airflow_provider_nrfprov.sensors.bulk_ops import NrfProvBulkOpsSensor
from airflow_provider_nrfprov.triggers.bulk_ops import NrfProvBulkOpsTrigger
from airflow_provider_nrfprov.version_compat import AIRFLOW_V_3_3_PLUS
from tests.event_loop_lag import Lag
from tests.integration.dag_runs import IS_AIRFLOW_3_0, End, new_dag, run
from tests.traffic import claimed_by_another_team

# dag.test() runs Airflow's own code, whose warnings are not ours to mend.
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]

POLLS = ("FetchBulkOpsRequest", "ListBulkOpsRequests")
"""The trigger may ask for a list where there is more than one operation to wait for."""
CLAIM = "BulkClaimDeviceOwnership"
INTERVAL = 0.05
"""Seconds between two polls, in every case here."""
TOKENS = [device.token for device in mint_devices(60, seed="parity")]
NO_OPERATION = "01G4ACS60SAEK1YNGSSJHBEET0"
MODES = ("poke", "deferrable")


class World:
    """An emulator whose time goes on by one second with each poll, and the claims that it gets.

    So an operation ends at the poll that a case says, in both modes, however slow the machine is.
    """

    def __init__(self) -> None:
        self.emulator: Emulator
        self.folder: Path
        self.at_poll: dict[int, Callable[[], None]] = {}
        """What happens just before the poll of that number is answered."""

    def now(self) -> datetime:
        polls = self.polls() if hasattr(self, "emulator") else 0
        if action := self.at_poll.pop(polls, None):
            action()
        return self._start + timedelta(seconds=polls)

    def begin(self, **settings: Any) -> None:
        self.at_poll.clear()
        self._start = datetime.now(timezone.utc)
        self.emulator.reset(**{"bulk_seconds": 0, **settings})

    def polls(self) -> int:
        return sum(self.emulator.service.requests[name] for name in POLLS)

    def requests(self) -> dict[str, int]:
        return self.emulator.service.request_counts()

    def fault(self, fault: Fault, nth: int = 1, times: int | None = 1, on: str = POLLS[0]) -> None:
        self.emulator.service.faults.plan(on, fault, nth=nth, times=times)

    def claim(self, *tokens: str) -> str:
        body = "".join(f'"{token}"\n' for token in tokens)
        return str(NrfProvHook().bulk_claim(body).bulk_ops_request_id)

    def revoke_at(self, poll: int) -> None:
        self.at_poll[poll] = lambda: self.emulator.service.keys.revoke("emulator-key")


class Triggers:
    """The triggers of a run: how often one ran, what it yielded, and how long it kept its event loop."""

    def __init__(self) -> None:
        self.runs = 0
        self.events: list[Any] = []
        self.lag = Lag()


@pytest.fixture(scope="module")
def world_of_the_module() -> Iterator[World]:
    world = World()
    world._start = datetime.now(timezone.utc)
    with running_emulator(clock=world.now) as emulator:
        world.emulator = emulator
        yield world


@pytest.fixture
def world(world_of_the_module, load_dag, connect, tmp_path) -> World:
    world_of_the_module.begin()
    world_of_the_module.folder = tmp_path
    connect(world_of_the_module.emulator.url)
    return world_of_the_module


@pytest.fixture(autouse=True)
def intervals_of_one_length(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the worker and the trigger poll equally often; else there were more polls in the same time where a wait is young."""
    monkeypatch.setattr(wait_policy, "LEAST_INTERVAL", INTERVAL)
    monkeypatch.setattr(wait_policy, "SOONEST_EVENT", INTERVAL)


@pytest.fixture(autouse=True)
def triggers(monkeypatch: pytest.MonkeyPatch) -> Triggers:
    """Watch every trigger; one that hangs fails its task instead of the whole run of tests."""
    seen, run_unwatched = Triggers(), NrfProvBulkOpsTrigger.run

    async def run_watched(trigger: NrfProvBulkOpsTrigger) -> Any:
        seen.runs += 1
        events = run_unwatched(trigger)
        async with seen.lag.measured():
            try:
                while True:
                    event = await asyncio.wait_for(anext(events), timeout=30)
                    seen.events.append(json.loads(json.dumps(event.payload)))
                    yield event
            except StopAsyncIteration:
                return

    monkeypatch.setattr(NrfProvBulkOpsTrigger, "run", run_watched)
    return seen


@dataclass(frozen=True)
class Case:
    """What happens, and how the task has to end in both modes."""

    name: str
    state: str = "success"
    error: type[BaseException] | None = None
    polls: int | range = 1
    """Requests about operations: their number in both modes; a range where real time decides."""
    defers: bool = True
    """Whether the deferrable mode gets as far as its trigger."""
    settings: dict[str, Any] = field(default_factory=dict)
    arguments: dict[str, Any] = field(default_factory=dict)
    connection: dict[str, Any] = field(default_factory=dict)
    arrange: Callable[[World], Any] = lambda world: None
    outcomes: dict[str, int] = field(default_factory=dict)
    """Of the claim's report; empty for the sensor, which writes none."""


@dataclass
class Seen:
    """All that a run in one mode left behind, without what differs from run to run."""

    end: End
    requests: dict[str, int]
    report: list[dict[str, str]] = field(default_factory=list)

    @property
    def polls(self) -> int:
        return sum(self.requests.get(name, 0) for name in POLLS)

    @property
    def other_requests(self) -> dict[str, int]:
        return {name: count for name, count in self.requests.items() if name not in POLLS}


def by_name(cases: list[Case]) -> Any:
    return pytest.mark.parametrize("case", cases, ids=[case.name for case in cases])


def judge(case: Case, seen: dict[str, Seen], triggers: Triggers) -> None:
    """Hold both modes against what the case says, and against each other."""
    poke, deferrable = (seen[mode] for mode in MODES)
    allowed = case.polls if isinstance(case.polls, range) else range(case.polls, case.polls + 1)
    for mode, each in seen.items():
        assert each.end.state == case.state, (mode, each.end)
        assert type(each.end.error) is (case.error or type(None)), (mode, each.end)
        assert each.polls in allowed, (mode, each.requests)
    assert deferrable.end.xcoms == poke.end.xcoms
    assert deferrable.report == poke.report
    assert deferrable.other_requests == poke.other_requests
    assert triggers.runs == len(triggers.events) == case.defers
    # It neither asked on its event loop nor looped without sleeping.
    assert triggers.lag.worst < 0.5


def begin(world: World, case: Case, connect: Any) -> None:
    world.begin(**case.settings)
    connect(world.emulator.url, **case.connection)


# --- the sensor ---------------------------------------------------------------------------------------


def one(*tokens: str, then: Callable[[World], Any] = lambda world: None) -> Callable[[World], list[str]]:
    """Start one operation, and let something go wrong after that."""

    def arrange(world: World) -> list[str]:
        ids = [world.claim(*(tokens or TOKENS[:2]))]
        then(world)
        return ids

    return arrange


def polls_meet(fault: Fault, nth: int = 1, times: int | None = 1) -> Callable[[World], None]:
    """The poll of the first number, and as many after it as the second, meet a fault."""
    return lambda world: world.fault(fault, nth, times)


def met_by(fault: Fault, nth: int = 1, times: int | None = 1) -> Callable[[World], list[str]]:
    """Start one operation, whose polls meet a fault."""
    return one(then=polls_meet(fault, nth, times))


def one_failed_and_one_that_goes_on(world: World) -> list[str]:
    failed = world.claim("rubbish")
    world.fault(StuckOperation(), on=CLAIM)
    world.at_poll[4] = world.emulator.service.release_operations
    return [failed, world.claim(TOKENS[0])]


def a_list_of_many(world: World) -> str:
    """Return the path of a list, as a bulk claim pushes it to XCom if there are more ids than fit."""
    path = world.folder / "bulk_ops_request_ids.txt"
    path.write_text("".join(f"{world.claim(token)}\n" for token in TOKENS[: IDS_IN_XCOM + 1]))
    return str(path)


def revoked(world: World) -> None:
    world.revoke_at(2)


LATER = {"bulk_seconds": 3}
NEVER = {"bulk_seconds": 900}
SHORT = {"timeout": 0.3}
UNTIL_SHORT = range(2, round(0.3 / INTERVAL) + 3)
FAILED = {"state": "failed", "error": BulkOpsFailedError}
TIMED_OUT = {"state": "failed", "error": AirflowSensorTimeout, "polls": UNTIL_SHORT, "arguments": SHORT}


def at_once(error: type[BaseException]) -> dict[str, Any]:
    return {"state": "failed", "error": error, "polls": 1, "defers": False}


def later(error: type[BaseException], polls: int = 2) -> dict[str, Any]:
    return {"state": "failed", "error": error, "polls": polls, "settings": LATER}


SENSOR = [
    Case("done at the first poll", polls=1, defers=False, arrange=one()),
    Case("done at the third poll", polls=3, settings=LATER, arrange=one()),
    Case("no operations", polls=0, defers=False, arrange=lambda world: []),
    # 41 polls in the first round; in the second one list, or 41 polls again.
    Case("41 operations", polls=range(42, 83), settings={"bulk_seconds": 42}, arrange=a_list_of_many),
    Case("FAILED at the first poll", **at_once(BulkOpsFailedError), arrange=one("rubbish")),
    Case("FAILED later", **later(BulkOpsFailedError, 3), arrange=one("rubbish")),
    Case("partly failed", **later(BulkOpsFailedError, 3), arrange=one(TOKENS[0], "rubbish")),
    Case(
        "FAILED at the first poll and another goes on",
        **FAILED,
        polls=range(4, 6),  # who defers may let the trigger ask about the failed one again
        arrange=one_failed_and_one_that_goes_on,
    ),
    Case("unknown status for two polls", polls=3, arrange=met_by(OddStatus(), times=2)),
    Case("unknown status that stays", **TIMED_OUT, arrange=met_by(OddStatus(), times=None)),
    Case("deadline", **TIMED_OUT, settings=NEVER, arrange=one()),
    Case("deadline in an outage", **TIMED_OUT, arrange=met_by(Refuse(503), times=None)),
    Case("503 at the first poll", polls=2, arrange=met_by(Refuse(503))),
    Case("503 at the second poll", polls=3, settings=LATER, arrange=met_by(Refuse(503), 2)),
    Case("429 at the second poll", polls=3, settings=LATER, arrange=met_by(Refuse(429), 2)),
    Case("connection dropped at the first poll", polls=2, arrange=met_by(DropBefore())),
    Case("connection dropped at the second poll", polls=3, settings=LATER, arrange=met_by(DropBefore(), 2)),
    Case("half an answer at the second poll", polls=3, settings=LATER, arrange=met_by(TruncateAfter(), 2)),
    Case("HTML at the second poll", polls=3, settings=LATER, arrange=met_by(HtmlAfter(), 2)),
    Case("slow answer at the second poll", polls=3, settings=LATER, arrange=met_by(Slow(0.7), 2)),
    Case(
        "no answer to any poll",
        "failed",
        UnreachableError,
        range(FAILURES_IN_A_ROW, FAILURES_IN_A_ROW + 2),
        arrange=met_by(DropBefore(), times=None),
    ),
    Case("401 at the first poll", **at_once(UnauthorizedError), arrange=met_by(Refuse(401))),
    Case("403 at the first poll", **at_once(ForbiddenError), arrange=met_by(Refuse(403))),
    Case("404 at the first poll", **at_once(NotFoundError), arrange=lambda world: [NO_OPERATION]),
    Case("403 later", **later(ForbiddenError), arrange=met_by(Refuse(403), 2)),
    Case("404 later", **later(NotFoundError), arrange=met_by(Refuse(404), 2)),
    Case("key revoked later", **later(UnauthorizedError), arrange=one(then=revoked)),
]


def tolerated(name: str, argument: str, state: str, **changes: Any) -> Case:
    """Return a case from above that ends otherwise where the sensor is told to tolerate something."""
    case = next(each for each in SENSOR if each.name == name)
    arguments = {**case.arguments, argument: True, **changes.pop("arguments", {})}
    error = case.error if state == "failed" else None
    changed = {"state": state, "error": error, **changes, "arguments": arguments}
    return replace(case, name=f"{argument} and {name}", **changed)


SENSOR += [
    tolerated("partly failed", "allow_failed", "success"),
    tolerated("FAILED at the first poll", "soft_fail", "skipped"),
    tolerated("FAILED later", "soft_fail", "skipped"),
    tolerated("deadline", "soft_fail", "skipped"),
    tolerated("401 at the first poll", "soft_fail", "failed"),
    tolerated("key revoked later", "soft_fail", "failed"),
    tolerated("FAILED at the first poll", "never_fail", "skipped"),
    tolerated("FAILED later", "never_fail", "skipped"),
    tolerated("401 at the first poll", "never_fail", "skipped"),
    tolerated("key revoked later", "never_fail", "skipped"),
    tolerated("deadline", "never_fail", "failed"),
    tolerated("FAILED later", "silent_fail", "failed"),
    tolerated("403 at the first poll", "silent_fail", "success", polls=3, defers=True, settings=LATER),
    tolerated("403 later", "silent_fail", "success", polls=3),
    # It is revoked for good.
    tolerated("key revoked later", "silent_fail", **TIMED_OUT),
]


def sensor(ids: Any, mode: str, **arguments: Any) -> NrfProvBulkOpsSensor:
    return NrfProvBulkOpsSensor(
        task_id="wait",
        bulk_ops_request_ids=ids,
        deferrable=mode == "deferrable",
        poke_interval=INTERVAL,
        **arguments,
    )


@by_name(SENSOR)
def test_the_sensor_ends_alike_in_both_modes(world, connect, triggers, case):
    seen = {}
    for mode in MODES:
        begin(world, case, connect)
        ids = case.arrange(world)
        with new_dag() as dag:
            sensor(ids, mode, **{"timeout": 30, **case.arguments})
        seen[mode] = Seen(run(dag)["wait"], world.requests())
    judge(case, seen, triggers)


# --- the bulk claim -----------------------------------------------------------------------------------


def one_row_is_another_teams(world: World) -> None:
    claimed_by_another_team(world.emulator, TOKENS[0])


def stuck(world: World) -> None:
    world.fault(StuckOperation(), on=CLAIM)


def falsely_failed(world: World) -> None:
    world.fault(FalseFailure(), on=CLAIM)


ALL_CLAIMED = {"outcomes": {"claimed": 5}}
ONE_REFUSED = {"arrange": one_row_is_another_teams, "outcomes": {"claimed": 4, "failed": 1}}
NOT_KNOWN = {"state": "failed", "outcomes": {"unknown": 5}}

# Of the polls, the last one is the report's, which asks once more about each operation.
CLAIM_CASES = [
    Case("done at the first poll", polls=2, defers=False, **ALL_CLAIMED),
    Case("done at the third poll", polls=4, settings=LATER, **ALL_CLAIMED),
    Case("synchronous contract", polls=0, defers=False, settings={"contract": "sync"}, **ALL_CLAIMED),
    Case("partly failed at the first poll", "failed", RowsFailedError, 2, False, **ONE_REFUSED),
    Case("partly failed at the third poll", "failed", RowsFailedError, 4, settings=LATER, **ONE_REFUSED),
    Case(
        "partly failed and allowed",
        polls=4,
        settings=LATER,
        arguments={"max_failed_rows": 1},
        **ONE_REFUSED,
    ),
    Case("FAILED against the truth", polls=4, settings=LATER, arrange=falsely_failed, **ALL_CLAIMED),
    Case("unknown status for two polls", polls=4, arrange=polls_meet(OddStatus(), times=2), **ALL_CLAIMED),
    Case("deadline", error=RowsUnknownError, polls=UNTIL_SHORT, arguments=SHORT, arrange=stuck, **NOT_KNOWN),
    Case("503 at the first poll", polls=3, arrange=polls_meet(Refuse(503)), **ALL_CLAIMED),
    Case(
        "503 at the second poll", polls=4, settings=LATER, arrange=polls_meet(Refuse(503), 2), **ALL_CLAIMED
    ),
    Case(
        "connection dropped at the second poll",
        polls=4,
        settings=LATER,
        arrange=polls_meet(DropBefore(), 2),
        **ALL_CLAIMED,
    ),
    Case(
        # However long a call may be repeated by the connection's settings: a poll is repeated by the next one.
        "no answer to any poll",
        "failed",
        UnreachableError,
        FAILURES_IN_A_ROW + 2,
        connection={"retry_deadline": 30},
        arrange=polls_meet(DropBefore(), times=FAILURES_IN_A_ROW + 1),
        **ALL_CLAIMED,
    ),
    Case(
        "401 at the first poll",
        error=UnauthorizedError,
        polls=2,
        defers=False,
        settings=NEVER,
        arrange=lambda world: world.revoke_at(1),
        **NOT_KNOWN,
    ),
    *(
        Case(f"{name} later", error=error, polls=3, settings=settings, arrange=arrange, **NOT_KNOWN)
        for name, error, settings, arrange in (
            ("key revoked", UnauthorizedError, LATER, revoked),
            ("403", ForbiddenError, NEVER, polls_meet(Refuse(403), 2, None)),
            ("404", NotFoundError, NEVER, polls_meet(Refuse(404), 2, None)),
        )
    ),
    Case(
        # 41 polls in the first round; in the second one list, or 41 polls again; 41 of the report.
        "41 operations",
        polls=range(83, 124),
        settings={"bulk_seconds": 42},
        arguments={"rows_per_request": 1},
        outcomes={"claimed": IDS_IN_XCOM + 1},
    ),
]


# Beside the others: a process has enough to do with either.
@pytest.mark.xdist_group("parity of the bulk claim")
@by_name(CLAIM_CASES)
def test_the_bulk_claim_ends_alike_in_both_modes(world, connect, triggers, tmp_path, case):
    seen = {}
    for mode in MODES:
        begin(world, case, connect)
        case.arrange(world)
        folder = tmp_path / mode
        with new_dag() as dag:
            bulk_claim(folder, mode, rows=sum(case.outcomes.values()), **case.arguments)
        end = run(dag)["claim"]
        report = list(csv.DictReader(plain((folder / "report" / "report.csv").read_text(), world, folder)))
        # A link to the page of a run is another one for each run.
        pushed = {key: value for key, value in end.xcoms.items() if not key.startswith("_link_")}
        end.xcoms = json.loads(plain(json.dumps(pushed), world, folder)[0])
        seen[mode] = Seen(end, world.requests(), report)
        assert Counter(row["outcome"] for row in report) == case.outcomes
        assert set(world.emulator.service.submission_counts().values()) == {1}
        assert ("return_value" in end.xcoms) is (case.state == "success")
        # More ids than fit into a small XCom: the path of their list.
        assert isinstance(end.xcoms["bulk_ops_request_ids"], str) is (len(report) > IDS_IN_XCOM)
    judge(case, seen, triggers)


def bulk_claim(folder: Path, mode: str, rows: int = 5, **arguments: Any) -> NrfProvBulkClaimOperator:
    folder.mkdir()
    (folder / "shift.csv").write_text("".join(f"{token}\n" for token in TOKENS[:rows]))
    return NrfProvBulkClaimOperator(
        task_id="claim",
        claim_file=str(folder / "shift.csv"),
        report_dir=str(folder / "report"),
        poll_interval=INTERVAL,
        deferrable=mode == "deferrable",
        **arguments,
    )


def plain(text: str, world: World, folder: Path) -> list[str]:
    """Return the lines of a text in which operations and folders are named alike in every run."""
    for number, operation in enumerate(world.emulator.service.bulk_operations()):
        text = text.replace(operation.id, f"<operation {number}>")
    # One that is cut off, as text and as JSON.
    text = re.sub(r"\b01[0-9A-Z]{0,24}(?=…|\\u2026)", "<operation>", text)
    text = re.sub(r"(\"job\": \"|\bjob )[0-9a-f]{16}\b", r"\1<job>", text)
    return text.replace(str(folder), "<folder>").replace(world.emulator.url, "<url>").splitlines()


# --- one after the other, again, and what no trigger of ours says ---------------------------------------


@pytest.mark.parametrize(
    ("contract", "polls"), [("sync", range(1)), ("async", range(3, 5))], ids=["sync", "async"]
)
def test_claim_and_sensor_in_a_row_end_alike_in_both_modes(world, triggers, tmp_path, contract, polls):
    seen = {}
    for mode in MODES:
        world.begin(contract=contract, **LATER)
        with new_dag() as dag:
            claim = bulk_claim(tmp_path / mode, mode, rows_per_request=3, wait_for_completion=False)
            sensor(claim.output["bulk_ops_request_ids"], mode)
        ends = run(dag)
        assert {task: end.state for task, end in ends.items()} == {"claim": "success", "wait": "success"}
        seen[mode] = Seen(ends["wait"], world.requests())
        assert seen[mode].polls in polls
        assert len(world.emulator.service.claimed_ids()) == 5
    assert seen["deferrable"].other_requests == seen["poke"].other_requests
    assert triggers.runs == (contract == "async")


MODES_WITH_RETRIES = (
    "poke",
    pytest.param(
        "deferrable",
        marks=pytest.mark.skipif(
            IS_AIRFLOW_3_0,
            reason="Airflow 3.0 begins no try anew after a deferral: it goes on as the failed one did (apache/airflow#56704)",
        ),
    ),
)


@pytest.mark.parametrize("mode", MODES_WITH_RETRIES)
def test_a_key_that_is_revoked_later_costs_no_second_try_on_airflow_3_3(world, mode):
    world.begin(**LATER)
    operation = world.claim(*TOKENS[:2])
    world.revoke_at(2)
    with new_dag() as dag:
        sensor([operation], mode, retries=2, retry_delay=timedelta(0))
    end = run(dag)["wait"]
    assert (end.state, type(end.error)) == ("failed", UnauthorizedError)
    assert world.polls() == (2 if AIRFLOW_V_3_3_PLUS else 4)


@pytest.mark.parametrize("mode", MODES_WITH_RETRIES)
def test_a_second_try_after_an_outage_sends_nothing_twice(world, tmp_path, mode):
    world.fault(DropBefore(), times=FAILURES_IN_A_ROW + 2)
    with new_dag() as dag:
        bulk_claim(tmp_path / mode, mode, retries=1, retry_delay=timedelta(0))
    end = run(dag)["claim"]
    assert (end.state, end.xcoms["return_value"]["claimed"]) == ("success", 5)
    assert world.requests()[CLAIM] == 1


@pytest.mark.parametrize("event", [{"status": "success"}, {"status": "ended"}, {}, "done"], ids=str)
def test_an_event_that_is_not_understood_is_no_success(world, tmp_path, monkeypatch, triggers, event):
    async def wait(*_: Any) -> Any:
        return event

    monkeypatch.setattr(NrfProvBulkOpsTrigger, "wait", wait)
    world.begin(**NEVER)
    with new_dag() as dag:
        claim = bulk_claim(tmp_path / "claim", "deferrable")
        ids = claim.output["bulk_ops_request_ids"]
        claim >> sensor(ids, "deferrable", soft_fail=True, trigger_rule="all_done")
    ends = run(dag)
    assert {task: (end.state, type(end.error)) for task, end in ends.items()} == {
        "claim": ("failed", NrfProvError),
        "wait": ("failed", NrfProvError),
    }
    assert triggers.events == [event, event]
    assert (tmp_path / "claim" / "report" / "report.csv").exists()
