"""Whatever goes wrong, no claim token and no API key is in what Airflow and the provider write."""

from __future__ import annotations

import json
import logging
import sqlite3
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import BaseOperator

from airflow_provider_nrfprov.claiming.token import decode
from airflow_provider_nrfprov.emulator.faults import (
    ANY,
    RECOVERABLE,
    DropAfter,
    DropBefore,
    FalseFailure,
    Fault,
    OddStatus,
    Refuse,
    StuckOperation,
    WrongClaimedIds,
)
from airflow_provider_nrfprov.emulator.faults.plans import Faults
from airflow_provider_nrfprov.emulator.mint import mint_devices
from airflow_provider_nrfprov.emulator.server import Emulator, running_emulator
from airflow_provider_nrfprov.operators.bulk_claim import (
    NrfProvBulkClaimOperator,
    NrfProvBulkClaimReportOperator,
)
from airflow_provider_nrfprov.operators.claim_device import NrfProvClaimDeviceOperator
from airflow_provider_nrfprov.operators.tag_devices import NrfProvTagDevicesOperator
from airflow_provider_nrfprov.operators.unclaim_devices import NrfProvUnclaimDevicesOperator
from airflow_provider_nrfprov.sensors.bulk_ops import NrfProvBulkOpsSensor
from airflow_provider_nrfprov.triggers.bulk_ops import NrfProvBulkOpsTrigger
from harness.small_server import QuietHandler, serving
from reliability.judge import read_report
from tests.integration.dag_runs import End, database, new_dag, run
from tests.integration.leaks import PIECE, Secrets, folder, words_of, written_by_airflow
from tests.traffic import claimed_by_another_team

# dag.test() runs Airflow's own code, whose warnings are not ours to mend.
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]

# No words that a log may hold for another reason.
KEYS = {"right": "k3y-of-t3am-A/97c1+f2", "wrong": "k3y-of-nobody/5a88+e1"}
CONNECTION_OF = {"right": "nrfprov_default", "wrong": "nrfprov_wrong_key"}

CONTRACTS = ["async", pytest.param("sync", marks=pytest.mark.airflow_independent)]
"""Who writes what is the Airflow's; the other contract takes as long again."""

LIES: tuple[tuple[str, Fault], ...] = (
    ("ClaimDeviceOwnershipCsv", WrongClaimedIds(omit=1)),
    ("ClaimDeviceOwnershipCsv", WrongClaimedIds(omit=0, invent=2)),
    ("BulkClaimDeviceOwnership", StuckOperation()),
    ("BulkClaimDeviceOwnership", StuckOperation(rows_applied=True)),
    ("BulkClaimDeviceOwnership", FalseFailure("empty")),
    ("BulkClaimDeviceOwnership", FalseFailure("all")),
    ("BulkClaimDeviceOwnership", FalseFailure("missing")),
    ("FetchBulkOpsRequest", OddStatus()),
)
"""Each with the operation that it is for."""
REFUSALS = (Refuse(401), Refuse(403), Refuse(404, body="html"), Refuse(503))
"""For as long as the task lasts: it fails."""


CLAIMING_OPERATIONS = (
    "BulkClaimDeviceOwnership",
    "ClaimDeviceOwnershipCsv",
    "FetchBulkOpsRequest",
    "ListBulkOpsRequests",
    "ListClaimedDevices",
    "FetchClaimedDevice",
    "DownloadBulkOpsData",
)

Planning = Callable[[Faults], None]


def lies(contract: str) -> list[Fault]:
    """Return the lies that an emulator of that contract can be made to tell."""
    return [
        lie for operation, lie in LIES if (operation == "ClaimDeviceOwnershipCsv") is (contract == "sync")
    ]


def plans(contract: str) -> dict[str, Planning]:
    """Return all that goes wrong, by a name that can be a task's."""
    named: dict[str, Planning] = {}
    for number, fault in enumerate(RECOVERABLE):
        named[f"meets_{number}_{type(fault).__name__}"] = of_each_kind(fault)
    for number, lie in enumerate(lies(contract)):
        named[f"hears_{number}_{type(lie).__name__}"] = partial(lie_of, lie)
    for refusal in REFUSALS:
        named[f"refused_{refusal.status}"] = partial(always, refusal)
    return named


def of_each_kind(fault: Fault) -> Planning:
    """Let the first request of each kind meet a fault."""

    def plan(faults: Faults) -> None:
        for operation in CLAIMING_OPERATIONS:
            faults.plan(operation, fault)

    return plan


def lie_of(lie: Fault, faults: Faults) -> None:
    for operation in lie.only_on:
        faults.plan(operation, lie)
    if isinstance(lie, OddStatus):
        # The list is asked after a lost answer only.
        faults.plan("BulkClaimDeviceOwnership", DropAfter())


def always(refusal: Fault, faults: Faults) -> None:
    faults.plan(ANY, refusal, times=None)


@dataclass
class Run:
    """What one run was given, and what it left behind."""

    emulator: Emulator
    home: Path
    tokens: list[str] = field(default_factory=list)
    triggers: list[str] = field(default_factory=list)
    """Each trigger's arguments and events, as Airflow stores them."""
    log: Path = Path()
    """What Python's logging was given, from DEBUG on, before Airflow masks anything."""

    def mint(self, count: int, seed: str) -> list[str]:
        minted = [device.token for device in mint_devices(count, seed=f"no leak {self.home} {seed}")]
        self.tokens += minted
        return minted

    def before(self, plan: Planning) -> Callable[[Any], None]:
        """Return a callback that lets go wrong for the coming task what is planned, and nothing else."""

        def start(_: Any) -> None:
            self.emulator.service.faults.clear()
            plan(self.emulator.service.faults)

        return start

    def places(self, ends: dict[str, End], printed: str) -> dict[str, str]:
        """Return all that was written, by where."""
        return {
            **written_by_airflow(),
            # Their owner's only: rows to run again, and the copy of a claim file that is not done with.
            **folder(self.home / "reports", apart_from=["failed_rows.csv", "claim_file.csv"]),
            "stdout and stderr": printed,
            "Python's log": self.log.read_text(),
            "triggers and events": "\n".join(self.triggers),
            **{f"exception of {task}": words_of(end.error) for task, end in ends.items()},
            **{f"XCom of {task}": json.dumps(end.xcoms) for task, end in ends.items()},
        }


@pytest.fixture
def a_run(load_dag, connect, tmp_path, monkeypatch) -> Iterator[Run]:
    run_unwatched = NrfProvBulkOpsTrigger.run
    with running_emulator(api_key=KEYS["right"], bulk_seconds=0.1) as emulator:
        the_run = Run(emulator, tmp_path)

        async def run_watched(trigger: NrfProvBulkOpsTrigger) -> Any:
            the_run.triggers.append(json.dumps(trigger.serialize()))
            async for event in run_unwatched(trigger):
                the_run.triggers.append(json.dumps(event.payload))
                yield event

        monkeypatch.setattr(NrfProvBulkOpsTrigger, "run", run_watched)
        for name, connection in CONNECTION_OF.items():
            connect(emulator.url, KEYS[name], connection)
        with everything_logged_to(tmp_path / "python.log"):
            the_run.log = tmp_path / "python.log"
            yield the_run


@contextmanager
def everything_logged_to(path: Path) -> Iterator[None]:
    """Let the root logger write all, from DEBUG on, to a file of its own."""
    root = logging.getLogger()
    level = root.level
    with closing(logging.FileHandler(path)) as handler:
        root.addHandler(handler)
        root.setLevel(logging.DEBUG)
        try:
            yield
        finally:
            root.setLevel(level)
            root.removeHandler(handler)


def assert_the_search_saw(the_run: Run, places: dict[str, str], *, deferred: bool) -> None:
    """Fail if the search looked at nothing: what has to be in each place is there."""
    assert str(the_run.home / "reports") in places["table rendered_task_instance_fields"]
    assert str(the_run.home / "reports") in places["table xcom"]
    assert the_run.emulator.url in places["Python's log"]
    assert "rows sent so far" in places["Python's log"]
    assert the_run.emulator.url in places["stdout and stderr"]
    assert ('"status"' in places["triggers and events"]) is deferred
    assert sum(len(text) for text in places.values()) > 100_000


@pytest.mark.xdist_group("leaks of bulk claims")
@pytest.mark.parametrize("mode", ["poke", "deferrable"])
@pytest.mark.parametrize("contract", CONTRACTS)
def test_bulk_claims_under_every_fault_write_no_secret(a_run, capfd, contract, mode):
    a_run.emulator.reset(contract=contract)
    served = {"async": "BulkClaimDeviceOwnership", "sync": "ClaimDeviceOwnershipCsv"}[contract]
    with new_dag() as dag:
        for name, plan in plans(contract).items():
            good = a_run.mint(4, name)
            claimed_by_another_team(a_run.emulator, good[3])
            file = a_run.home / f"{name}.csv"
            file.write_text("\n".join([*good, good[0], good[1][:100], "rubbish"]))
            NrfProvBulkClaimOperator(
                task_id=name,
                claim_file=str(file),
                report_dir=str(a_run.home / "reports" / name),
                deferrable=mode == "deferrable",
                poll_interval=0.1,
                timeout=0.3,
                on_execute_callback=[a_run.before(plan)],
            )
    ends = run(dag)
    met = {type(fault) for operation, _, fault in a_run.emulator.service.faults.injected}
    assert met >= {type(fault) for fault in RECOVERABLE} | {type(lie) for lie in lies(contract)}
    assert {end.state for end in ends.values()} == {"failed"}  # a row of each file is another team's
    assert a_run.emulator.service.request_counts()[served] >= len(ends) - len(REFUSALS)
    places = a_run.places(ends, "".join(capfd.readouterr()))
    assert_the_search_saw(a_run, places, deferred=(contract, mode) == ("async", "deferrable"))
    reports = (a_run.home / "reports").rglob("report.csv")
    outcomes = {row["outcome"] for report in reports for row in read_report(report.parent)}
    assert outcomes >= {"claimed", "failed", "rejected", "unknown"}
    assert Secrets(a_run.tokens, KEYS.values()).found_in_places(places) == {}


def bad_rows(a_run: Run) -> list[str]:
    """Return rows that cannot be sent, each with (a part of) a real token in another place."""
    one, other, third, fourth, fifth, sixth, *rest = a_run.mint(12, "bad rows")
    return [
        one[:-30],
        other.split(".")[0],
        other.split(".")[1],
        third.replace(".", "_"),
        f"{fourth}{fifth}",
        f"Bearer {fifth}",
        f'{sixth},"{rest[0]}"',
        f'{rest[1]},"unbalanced',
        f"351358811330130,{rest[2]},{rest[3]},now",
        f"{rest[4]};{rest[5]}",
        rest[5][:60] + "é" + rest[5][61:],
    ]


@pytest.mark.parametrize("contract", CONTRACTS)
def test_every_other_task_that_fails_writes_no_secret(a_run, capfd, contract):
    a_run.emulator.reset(contract=contract, conflict_names_owner=True)
    singles = a_run.mint(7 + len(RECOVERABLE), "singles")
    claimed_by_another_team(a_run.emulator, singles[0])
    files = {"shift": a_run.mint(3, "shift"), "bad": bad_rows(a_run), "wrong_key": a_run.mint(2, "wrong key")}
    for name, rows in files.items():
        (a_run.home / f"{name}.csv").write_text("\n".join(rows))

    def single(task_id: str, number: int, *planned: Any, **arguments: Any) -> Any:
        template = "{{ token(%d) }}" % number  # noqa: UP031 - braces
        return NrfProvClaimDeviceOperator(
            task_id=task_id,
            claim_token=arguments.pop("claim_token", template),
            on_execute_callback=[a_run.before(lambda faults: planned and faults.plan(*planned))],
            **arguments,
        )

    def bulk(name: str, **arguments: Any) -> NrfProvBulkClaimOperator:
        return NrfProvBulkClaimOperator(
            task_id=name,
            claim_file=str(a_run.home / f"{name}.csv"),
            report_dir=str(a_run.home / "reports" / name),
            poll_interval=0.1,
            on_execute_callback=[a_run.before(lambda faults: None)],
            **arguments,
        )

    wrong_key = {"nrfprov_conn_id": CONNECTION_OF["wrong"]}
    claim = "ClaimDeviceOwnership"
    # Not through params, a variable or an XCom: those are kept by Airflow itself.
    with new_dag(user_defined_macros={"token": singles.__getitem__}) as dag:
        single("claims_one", 1, tags=["line=1"])
        single("as_text_in_the_dag", 2, claim_token=singles[2])
        single("of_team_b", 0)
        single("dry_run_of_team_b", 0, check_only=True)
        single("with_the_wrong_key", 3, **wrong_key)
        single("half_a_token", 4, claim_token=singles[4].split(".")[0])
        single("two_tokens", 5, claim_token=singles[5] + singles[6])
        for number, fault in enumerate(RECOVERABLE, start=7):
            single(f"meets_{number}_{type(fault).__name__}", number, claim, fault)
        bulk("bad")
        bulk("wrong_key", **wrong_key)
        tag = NrfProvTagDevicesOperator(
            task_id="tag",
            report=str(a_run.home / "reports" / "shift" / "report.csv"),
            tags=["line=1", "lot=7"],
        )
        refused = NrfProvTagDevicesOperator(
            task_id="tag_refused",
            report=tag.report,
            tags=["line=2"],
            on_execute_callback=[
                a_run.before(lambda faults: faults.plan(ANY, Refuse(403), nth=3, times=None))
            ],
        )
        claimed = bulk("shift", wait_for_completion=False)
        wait = NrfProvBulkOpsSensor(
            task_id="wait",
            bulk_ops_request_ids=claimed.output["bulk_ops_request_ids"],
            poke_interval=0.1,
            deferrable=True,
            # Else it may have ended before the first poll.
            on_execute_callback=[
                a_run.before(lambda faults: faults.plan("FetchBulkOpsRequest", OddStatus()))
            ],
        )
        report = NrfProvBulkClaimReportOperator(task_id="report", report_dir=claimed.output["report_dir"])
        unclaim = NrfProvUnclaimDevicesOperator(
            task_id="unclaim_refused",
            device_ids=[decode(singles[1]).device_id],
            on_execute_callback=[a_run.before(partial(always, Refuse(500)))],
            trigger_rule="all_done",
        )
        claimed >> wait >> report >> tag >> refused >> unclaim
    ends = run(dag)
    assert {task for task, end in ends.items() if end.state == "success"} == {
        *("claims_one", "as_text_in_the_dag", "dry_run_of_team_b", "shift", "wait", "report", "tag"),
        *(
            f"meets_{number}_{type(fault).__name__}"
            for number, fault in enumerate(RECOVERABLE, start=7)
            if not isinstance(fault, (Refuse, DropBefore))
        ),
    }
    places = a_run.places(ends, "".join(capfd.readouterr()))
    assert_the_search_saw(a_run, places, deferred=contract == "async")
    assert Secrets(a_run.tokens, KEYS.values()).found_in_places(places) == {}


class Echo(QuietHandler):
    """A service that says in every answer what it was sent: body, path and API key. The emulator never does."""

    def do_POST(self) -> None:
        body = self.read().decode()
        sent = f"cannot use {body} for {self.path} of {self.headers['Authorization']}"
        status = int(self.path.split("/")[1])
        # 200 and no JSON is an answer that cannot be read.
        text = sent if status == 200 else json.dumps({"message": sent, "detail": {"row": body}})
        self.answer(status, text.encode())

    do_GET = do_PATCH = do_PUT = do_POST


@pytest.fixture
def echo_url() -> Iterator[str]:
    with serving(Echo) as url:
        yield url


def test_a_service_that_repeats_what_it_was_sent_makes_nobody_write_a_secret(a_run, capfd, connect, echo_url):
    rows = a_run.mint(3, "echo")
    (a_run.home / "echo.csv").write_text("\n".join(rows))
    statuses = (200, 400, 401, 403, 409, 422, 429, 500, 503)
    with new_dag(user_defined_macros={"token": rows.__getitem__}) as dag:
        for status in statuses:
            conn_id = connect(f"{echo_url}/{status}", KEYS["right"], f"echo_{status}")
            NrfProvBulkClaimOperator(
                task_id=f"file_{status}",
                claim_file=str(a_run.home / "echo.csv"),
                report_dir=str(a_run.home / "reports" / str(status)),
                poll_interval=0.1,
                nrfprov_conn_id=conn_id,
            )
            NrfProvClaimDeviceOperator(
                task_id=f"one_{status}",
                claim_token="{{ token(0) }}",
                tags=["line=1"],
                nrfprov_conn_id=conn_id,
            )
    ends = run(dag)
    assert {end.state for end in ends.values()} == {"failed"}
    places = a_run.places(ends, "".join(capfd.readouterr()))
    # After the others the service is asked whether the device is ours.
    for status in (400, 401, 403, 422, 429):
        assert "<claim token>" in places[f"exception of one_{status}"]
    assert Secrets(a_run.tokens, KEYS.values()).found_in_places(places) == {}


class Careless(BaseOperator):
    """Does all that our operators must not do."""

    def __init__(self, *, token_file: str, leak_to: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.token_file, self.leak_to = token_file, leak_to

    def execute(self, context: Any) -> Any:
        whole, logged, printed, in_xcom, reported = Path(self.token_file).read_text().split()
        self.log.warning("refused: %s", logged.split(".")[1])
        sys.stdout.write(f"debug {printed[70 : 70 + PIECE]}\n")
        context["ti"].xcom_push(key="careless", value={"row": in_xcom[30 : 30 + PIECE], "key": KEYS["right"]})
        Path(self.leak_to).mkdir(parents=True)
        Path(self.leak_to, "report.csv").write_text(f"1,{reported}\n")
        raise ValueError(f"no device: {whole}")


@pytest.fixture
def forgotten_afterwards() -> Iterator[None]:
    """Take what is planted out of the database again: other tests of the process search it, too."""
    yield
    with closing(sqlite3.connect(database())) as connection:
        # Its pages, too, since they are searched as bytes.
        connection.execute("pragma secure_delete = on")
        connection.execute("delete from xcom where task_id = 'careless'")
        connection.commit()
        connection.execute("pragma wal_checkpoint(truncate)")


@pytest.mark.usefixtures("forgotten_afterwards")
def test_the_search_finds_what_is_planted(a_run, capfd):
    planted = a_run.mint(5, "planted")
    (a_run.home / "tokens.txt").write_text("\n".join(planted))
    with new_dag() as dag:
        Careless(
            task_id="careless",
            token_file=str(a_run.home / "tokens.txt"),
            leak_to=str(a_run.home / "reports" / "careless"),
        )
    ends = run(dag)
    assert isinstance(ends["careless"].error, ValueError)
    places = a_run.places(ends, "".join(capfd.readouterr()))

    def found(which: int | str) -> set[str]:
        secrets = Secrets([planted[which]], []) if isinstance(which, int) else Secrets([], [which])
        return set(secrets.found_in_places(places))

    assert found(0) >= {"exception of careless", "stdout and stderr"}
    assert found(1) >= {"stdout and stderr"}
    assert found(2) == {"stdout and stderr"}
    in_database = {place for place in written_by_airflow() if Path(place).name.startswith("airflow.db")}
    assert found(3) >= {"table xcom", "XCom of careless"}
    assert found(3) & in_database
    assert found(4) == {str(a_run.home / "reports" / "careless" / "report.csv")}
    assert found(KEYS["right"]) >= {"table xcom", "XCom of careless"}
    other = [device.token for device in mint_devices(5, seed="not planted")]
    assert Secrets(other, [KEYS["wrong"]]).found_in_places(places) == {}
