"""What people do with claims and what a plant's network, disks and clocks do to them, through the operators.

A section a kind of trouble; each ends in the right outcome, or in an error that says what to do, and no device is sent
twice in one try nor claimed twice.
"""

from __future__ import annotations

import csv
import json
import logging
import os
import secrets
import shutil
import signal
import stat
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import ObjectStoragePath, task

from airflow_provider_nrfprov.api.service_clock import ServiceClock
from airflow_provider_nrfprov.claiming.job import ClaimJob
from airflow_provider_nrfprov.claiming.ledger import Ledger, SupersededError
from airflow_provider_nrfprov.claiming.recovery import Inquiry, UnsettledError
from airflow_provider_nrfprov.claiming.token import decode
from airflow_provider_nrfprov.emulator.accounts import TEAM_A
from airflow_provider_nrfprov.emulator.faults import (
    HARD_WORDS,
    DropAfter,
    DropBefore,
    Slow,
    StuckOperation,
    Twice,
    WrongDownload,
)
from airflow_provider_nrfprov.emulator.mint import mint_devices
from airflow_provider_nrfprov.emulator.server import Emulator, running_emulator
from airflow_provider_nrfprov.exceptions import ClaimFileChangedError, RowsFailedError
from airflow_provider_nrfprov.hooks.nrfprov import NrfProvHook
from airflow_provider_nrfprov.operators.bulk_claim import (
    NrfProvBulkClaimOperator,
    NrfProvBulkClaimReportOperator,
)
from airflow_provider_nrfprov.operators.unclaim_devices import NrfProvUnclaimDevicesOperator
from benchmarks.claim_file import tokens as tokens_of_devices
from benchmarks.process import measure
from tests.integration.dag_runs import new_dag, run
from tests.integration.one_try import ClaimTask
from tests.traffic import claimed_by_another_team

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]

CLAIMS = {"async": "BulkClaimDeviceOwnership", "sync": "ClaimDeviceOwnershipCsv"}
SHIFT = datetime(2026, 11, 23, 6, tzinfo=timezone.utc)
THOUSAND = [device.token for device in mint_devices(1000, seed="in the field")]
TEN = THOUSAND[:10]


@pytest.fixture(params=["sync", "async"])
def contract(request) -> str:
    return request.param


@pytest.fixture
def service(contract, connect) -> Iterator[Emulator]:
    """A service of one contract, and the connection to it."""
    with running_emulator(contract=contract, bulk_seconds=0.0) as running:
        connect(running.url)
        yield running


@pytest.fixture
def shows_at_once(monkeypatch) -> None:
    """Let nothing be waited for that may not show in the service's lists yet."""
    monkeypatch.setitem(ClaimJob.plan.__func__.__kwdefaults__, "visible_after", 0.0)


def write(path: Path, tokens: list[str]) -> str:
    path.write_text("".join(f"{token}\n" for token in tokens))
    return str(path)


@pytest.fixture
def ten(tmp_path: Path) -> str:
    """A claim file of ten rows."""
    return write(tmp_path / "shift.csv", TEN)


@pytest.fixture
def claim_task(tmp_path: Path) -> ClaimTask:
    return ClaimTask(tmp_path / "report")


def outcomes(report: str) -> dict[str, int]:
    """Count the rows of a report, read anew from where it lies."""
    path = ObjectStoragePath(report) if "://" in report else Path(report)
    with path.open("r") as stream:
        return dict(Counter(row["outcome"] for row in csv.DictReader(stream.read().splitlines())))


def devices(tokens: list[str]) -> set[str]:
    return {decode(token).device_id for token in tokens}


def assert_sent_once(service: Emulator, tokens: list[str]) -> None:
    assert service.service.submission_counts() == dict.fromkeys(devices(tokens), 1)
    assert set(service.service.claim_counts().values()) == {1}


def begun(
    service: Emulator, operation: str, count: int, call: Callable[..., Any], *args: Any, **arguments: Any
) -> Future[Any]:
    """Make a call in a thread; return when so many requests of an operation have arrived."""
    pool = ThreadPoolExecutor(1)
    future = pool.submit(call, *args, **arguments)
    pool.shutdown(wait=False)
    while service.service.request_counts().get(operation, 0) < count:
        assert not future.done(), future
        time.sleep(0.01)
    return future


def requests_of(service: Emulator) -> int:
    return sum(service.service.request_counts().values())


# --- Whose a claim is.


def connection_to(service: Emulator) -> str:
    return json.dumps(
        {
            "conn_type": "nrfprov",
            "host": service.url,
            "password": "emulator-key",
            "extra": {"retry_deadline": 0},
        }
    )


def test_the_same_file_and_folder_with_two_connections_claims_at_both_services(
    load_dag, service, contract, tokens, tmp_path, monkeypatch
):
    with running_emulator(contract=contract, bulk_seconds=0.0) as other:
        monkeypatch.setenv("AIRFLOW_CONN_OTHER", connection_to(other))
        same = {"claim_file": write(tmp_path / "shift.csv", tokens), "report_dir": str(tmp_path / "r")}
        with new_dag() as dag:
            first = NrfProvBulkClaimOperator(task_id="first", **same)
            first >> NrfProvBulkClaimOperator(task_id="second", nrfprov_conn_id="other", **same)
        ends = run(dag)
        reports = [ends[name].xcoms["report"] for name in ("first", "second")]
        assert [outcomes(report) for report in reports] == [{"claimed": 5}] * 2
        assert len(set(reports)) == 2
        for each in (service, other):
            assert_sent_once(each, tokens)


def test_a_connection_that_is_moved_to_another_service_claims_there(
    service, contract, connect, tokens, tmp_path, claim_task
):
    file = write(tmp_path / "shift.csv", tokens)
    at_test = claim_task.claim(file)
    with running_emulator(contract=contract, bulk_seconds=0.0) as production:
        connect(production.url)
        moved = claim_task.claim(file)
        assert_sent_once(production, tokens)
    assert outcomes(at_test["report"]) == outcomes(moved["report"]) == {"claimed": 5}
    summary = json.loads((Path(moved["report"]).parent / "summary.json").read_text())
    assert summary["service"][0].startswith(production.url)


@pytest.fixture
def two_files(tmp_path, tokens) -> list[str]:
    """``split -d`` names them so: two rows and three."""
    return [write(tmp_path / "tokens.001", tokens[:2]), write(tmp_path / "tokens.002", tokens[2:])]


@pytest.mark.parametrize("one_folder", [True, False], ids=["one report_dir", "the default one"])
def test_each_of_two_mapped_files_has_its_own_rows_in_its_own_report(
    load_dag, service, tokens, tmp_path, two_files, one_folder
):
    given = {"report_dir": str(tmp_path / "r")} if one_folder else {}
    with new_dag() as dag:
        claim = NrfProvBulkClaimOperator.partial(task_id="claim", rows_per_request=1, **given).expand(
            claim_file=two_files
        )

        @task
        def see(reports):
            return list(reports)

        see(claim.output["report"])
    reports = run(dag)["see"].xcoms["return_value"]
    assert [outcomes(report) for report in reports] == [{"claimed": 2}, {"claimed": 3}]
    if not one_folder:
        assert [Path(report).relative_to(tmp_path).parts[0] for report in reports] == [
            "tokens.001-reports",
            "tokens.002-reports",
        ]
    assert_sent_once(service, tokens)


def test_two_runs_of_a_day_that_share_a_folder_keep_a_report_each(
    load_dag, service, tokens, tmp_path, two_files
):
    with new_dag() as dag:
        NrfProvBulkClaimOperator(
            task_id="claim",
            claim_file=str(tmp_path / "tokens.{{ '001' if logical_date.hour < 12 else '002' }}"),
            report_dir=str(tmp_path / "{{ ds }}"),
        )
    reports = [run(dag, at=SHIFT.replace(hour=hour))["claim"].xcoms["report"] for hour in (6, 14)]
    assert [outcomes(report) for report in reports] == [{"claimed": 2}, {"claimed": 3}]
    assert_sent_once(service, tokens)


def test_reports_of_two_claims_that_share_a_folder_are_written_by_their_jobs(
    load_dag, service, tokens, tmp_path, two_files
):
    folder = str(tmp_path / "r")
    with new_dag() as dag:
        claim = NrfProvBulkClaimOperator.partial(
            task_id="claim", report_dir=folder, wait_for_completion=False
        ).expand(claim_file=two_files)
        # Airflow maps over what a task returns, not over what it pushes by a key.
        NrfProvBulkClaimReportOperator.partial(task_id="report").expand_kwargs(
            claim.output.map(lambda sent: {name: sent[name] for name in ("report_dir", "job")})
        )
        unnamed = NrfProvBulkClaimReportOperator(task_id="unnamed", report_dir=folder)
        claim >> unnamed

        @task
        def see(reports):
            return list(reports)

        see(dag.get_task("report").output["report"])
    ends = run(dag)
    reports = ends["see"].xcoms["return_value"]
    assert [outcomes(report) for report in reports] == [{"claimed": 2}, {"claimed": 3}]
    # Which of the two it would have to guess.
    assert ends["unnamed"].state == "failed"
    assert 'job=claim.output["job"]' in str(ends["unnamed"].error)


# --- The file changes.


@pytest.fixture
def after_a_claim(monkeypatch) -> Callable[[Callable[[], None]], None]:
    """Let something happen once, when the first request of a claim has been answered."""

    def then(happen: Callable[[], None]) -> None:
        real, todo = NrfProvHook.bulk_claim, [happen]

        def bulk_claim(self: NrfProvHook, csv: str) -> Any:
            answer = real(self, csv)
            while todo:
                todo.pop()()
            return answer

        monkeypatch.setattr(NrfProvHook, "bulk_claim", bulk_claim)

    return then


def test_a_file_that_grows_while_it_is_sent_is_claimed_as_it_was_read(
    service, tmp_path, ten, claim_task, after_a_claim
):
    after_a_claim(lambda: write(tmp_path / "shift.csv", THOUSAND[:15]) and None)
    assert outcomes(claim_task.claim(ten, rows_per_request=5)["report"]) == {"claimed": 10}
    assert_sent_once(service, TEN)


def test_a_try_after_the_file_grew_and_the_worker_died_goes_on_with_what_was_read(
    service, tmp_path, ten, claim_task, after_a_claim
):

    def grow_and_die() -> None:
        write(tmp_path / "shift.csv", THOUSAND[:15])
        raise SystemExit

    after_a_claim(grow_and_die)
    with pytest.raises(SystemExit):
        claim_task.claim(ten, rows_per_request=5)
    # Nobody who looks at its state only is to think that the file as it is now was claimed.
    with pytest.raises(ClaimFileChangedError, match=r"shift\.csv has changed since"):
        claim_task.claim(ten, rows_per_request=5)
    assert outcomes(claim_task.pushed["report"]) == {"claimed": 10}
    assert_sent_once(service, TEN)


# --- A claim runs again.


@pytest.mark.usefixtures("shows_at_once")
def test_a_rig_is_claimed_anew_when_its_work_is_cleared_and_in_the_next_run(
    load_dag, service, tokens, tmp_path
):
    with new_dag() as dag:
        claim = NrfProvBulkClaimOperator(
            task_id="claim",
            claim_file=write(tmp_path / "rig.csv", tokens),
            report_dir=str(tmp_path / "r"),
        ).as_setup()

        @task
        def work():
            return len(list(NrfProvHook().list_claimed_devices()))

        unclaim = NrfProvUnclaimDevicesOperator(task_id="unclaim", report=claim.output["report"])
        claim >> work() >> unclaim.as_teardown(setups=claim)
    # Clearing the work clears its setup and teardown; the same run again, then another one.
    for hour in (6, 6, 14):
        ends = run(dag, at=SHIFT.replace(hour=hour))
        assert ends["claim"].xcoms["return_value"]["claimed"] == 5
        assert ends["work"].xcoms["return_value"] == 5
        assert not service.service.claimed_ids()


@pytest.mark.usefixtures("shows_at_once")
def test_a_refused_row_is_claimed_once_its_cause_is_mended_and_the_task_is_cleared(
    load_dag, service, tokens, tmp_path
):
    (theirs,) = claimed_by_another_team(service, tokens[0])
    with new_dag() as dag:
        NrfProvBulkClaimOperator(task_id="claim", claim_file=write(tmp_path / "shift.csv", tokens))
    refused = run(dag, at=SHIFT)["claim"]
    assert refused.state == "failed"
    assert outcomes(refused.xcoms["report"]) == {"claimed": 4, "failed": 1}
    service.service.unclaim(theirs)
    mended = run(dag, at=SHIFT)["claim"]
    assert mended.state == "success"
    assert mended.xcoms["report"] == refused.xcoms["report"]
    assert outcomes(mended.xcoms["report"]) == {"claimed": 5}
    assert Counter(service.service.submission_counts().values()) == {1: 4, 2: 1}


def test_a_finished_claim_of_a_thousand_that_runs_again_asks_at_most_twelve_times(
    service, tmp_path, claim_task
):
    file = write(tmp_path / "shift.csv", THOUSAND)
    claim_task.claim(file)
    before = requests_of(service)
    assert outcomes(claim_task.claim(file)["report"]) == {"claimed": 1000}
    assert requests_of(service) - before <= 12
    assert_sent_once(service, THOUSAND)


# --- One row, refused.


@pytest.mark.parametrize("status", [400, 409, 413, 415, 422])
def test_a_row_for_which_a_chunk_is_refused_voids_no_other(service, contract, tmp_path, claim_task, status):
    poison = decode(THOUSAND[637]).device_id
    service.reset(poison_ids=[poison], poison_status=status)
    with pytest.raises(RowsFailedError, match=rf"1 row failed(.|\n)*line 638 \({poison}\)"):
        claim_task.claim(write(tmp_path / "shift.csv", THOUSAND))
    assert outcomes(claim_task.pushed["report"]) == {"claimed": 999, "failed": 1}
    assert service.service.request_counts()[CLAIMS[contract]] <= 25
    assert service.service.claim_counts() == dict.fromkeys(devices(THOUSAND) - {poison}, 1)


def test_one_refused_row_in_a_team_of_twenty_thousand_costs_fifteen_requests(service, tmp_path, claim_task):
    with service.service.turn():
        for _, token in tokens_of_devices(20_000):
            service.service.devices.claim(TEAM_A, token, (), SHIFT)
    claimed_by_another_team(service, THOUSAND[500])
    sent = claim_task.claim(write(tmp_path / "shift.csv", THOUSAND), wait_for_completion=False)
    before = requests_of(service)
    report = NrfProvBulkClaimReportOperator(
        task_id="report", report_dir=sent["report_dir"], job=sent["job"], max_failed_rows=1
    )
    assert outcomes(report.execute(claim_task.context)["report"]) == {"claimed": 999, "failed": 1}
    assert requests_of(service) - before <= 15


# --- Two tries at once.


def test_an_older_try_that_still_sends_and_a_newer_one_send_nothing_twice(service, contract, ten, claim_task):
    service.service.faults.plan(CLAIMS[contract], Slow(before=1.0), nth=2)
    older = begun(service, CLAIMS[contract], 2, claim_task.claim, ten, rows_per_request=2)
    newer = ClaimTask(claim_task.folder)
    assert outcomes(newer.claim(ten, rows_per_request=2)["report"]) == {"claimed": 10}
    assert type(older.exception()) is SupersededError
    assert_sent_once(service, TEN)


def test_a_try_that_sends_while_the_next_one_begins_sends_nothing_twice(
    service, ten, claim_task, monkeypatch
):
    real, newer = Ledger.begin, ClaimTask(claim_task.folder)

    def begin(self: Ledger) -> bool:
        monkeypatch.setattr(Ledger, "begin", real)
        begun = real(self)
        # The older try stands between taking its turn and its first request; the newer one comes and goes.
        newer.claim(ten, rows_per_request=5)
        return begun

    monkeypatch.setattr(Ledger, "begin", begin)
    with suppress(SupersededError):
        claim_task.claim(ten, rows_per_request=5)
    assert outcomes(newer.pushed["report"]) == {"claimed": 10}
    assert_sent_once(service, TEN)


# --- Answers that are lost, twice or lies.


@pytest.mark.parametrize("content", ["empty", "half", "json", "html"])
@pytest.mark.parametrize("contract", ["async"], indirect=True)
def test_a_lost_answer_and_a_download_that_lies_send_nothing_twice(service, ten, claim_task, content):
    service.service.faults.plan("BulkClaimDeviceOwnership", DropAfter())
    service.service.faults.plan("DownloadBulkOpsData", WrongDownload(content), times=None)
    with pytest.raises(UnsettledError, match="nothing is sent again until that is known"):
        claim_task.claim(ten)
    service.service.faults.clear()
    assert outcomes(claim_task.claim(ten)["report"]) == {"claimed": 10}
    assert_sent_once(service, TEN)


@pytest.mark.parametrize("contract", ["async"], indirect=True)
def test_a_download_of_other_rows_leaves_it_to_the_list_of_devices(service, ten, claim_task):
    service.service.faults.plan("BulkClaimDeviceOwnership", DropAfter())
    service.service.faults.plan("DownloadBulkOpsData", WrongDownload("other"), times=None)
    receipt = claim_task.claim(ten)
    assert outcomes(receipt["report"]) == {"claimed": 10}
    assert_sent_once(service, TEN)


def test_a_request_that_a_proxy_repeats_claims_once_and_is_reported_as_claimed(
    service, contract, ten, claim_task
):
    service.service.faults.plan(CLAIMS[contract], Twice())
    receipt = claim_task.claim(ten)
    assert outcomes(receipt["report"]) == {"claimed": 10}
    assert_sent_once(service, TEN)


def test_a_list_that_lags_is_looked_at_again_before_anything_is_sent_again(
    service, contract, tmp_path, claim_task
):
    service.reset(list_lag_seconds=4.0)
    service.service.faults.plan(CLAIMS[contract], DropAfter())
    receipt = claim_task.claim(write(tmp_path / "shift.csv", THOUSAND[:100]))
    assert outcomes(receipt["report"]) == {"claimed": 100}
    assert_sent_once(service, THOUSAND[:100])


# --- Ledgers that are damaged.


@pytest.mark.parametrize("damage", ["0 bytes", "zeros", "cut in half"])
def test_a_damaged_ledger_counts_as_sent_and_is_named(service, ten, claim_task, damage, caplog):
    claim_task.claim(ten, rows_per_request=5)
    entries = list((Path(claim_task.folder) / "ledger").glob("0*.json"))
    assert len(entries) == 2
    for path in entries:
        whole = path.read_bytes()
        path.write_bytes(
            {"0 bytes": b"", "zeros": bytes(len(whole)), "cut in half": whole[: len(whole) // 2]}[damage]
        )
    with caplog.at_level(logging.WARNING):
        assert outcomes(claim_task.claim(ten, rows_per_request=5)["report"]) == {"claimed": 10}
    assert all(str(path) in caplog.text for path in entries)
    assert_sent_once(service, TEN)


# --- Clocks.


@pytest.mark.parametrize("hours", [-1, 1], ids=["behind", "ahead"])
@pytest.mark.parametrize("fault", [DropAfter(), DropBefore()], ids=["done", "not done"])
def test_a_worker_whose_clock_is_an_hour_off_has_the_right_outcomes_in_time(
    service, contract, ten, claim_task, hours, fault
):
    # The service is an hour off, seen from this worker.
    service.reset(clock_offset_seconds=-3600.0 * hours)
    with service.service.turn() as now:
        service.service.devices.claim(TEAM_A, TEN[9], (), now - timedelta(minutes=10))
    service.service.faults.plan(CLAIMS[contract], fault)
    started = time.monotonic()
    receipt = claim_task.claim(ten)
    # What may still be under way is waited for 15 s, whatever the clocks say.
    assert time.monotonic() - started < (15 if isinstance(fault, DropAfter) else 20)
    assert set(service.service.claim_counts().values()) == {1}
    assert outcomes(receipt["report"]) == {"claimed": 9, "already_claimed": 1}


@pytest.mark.parametrize("seconds", [-3600, 3600], ids=["back", "forward"])
def test_a_clock_that_is_set_between_two_tries_changes_neither_outcomes_nor_time(
    service, contract, ten, claim_task, monkeypatch, seconds
):
    # Its answer is lost, and then the worker.
    service.service.faults.plan(CLAIMS[contract], DropAfter())
    with monkeypatch.context() as patch:
        patch.setattr(Inquiry, "recover", _die)
        with pytest.raises(SystemExit):
            claim_task.claim(ten)
    real = time.time
    monkeypatch.setattr(time, "time", lambda: real() + seconds)
    monkeypatch.setattr(ServiceClock.__init__, "__defaults__", (time.time, time.monotonic))
    started = time.monotonic()
    assert outcomes(claim_task.claim(ten)["report"]) == {"claimed": 10}
    assert time.monotonic() - started < 15
    assert_sent_once(service, TEN)


def _die(*_: Any, **__: Any) -> Any:
    raise SystemExit


# --- Folders: on object stores, of several containers, of others.


@pytest.fixture(params=["memory", "S3"])
def store(request) -> str:
    """The URL of a folder on an object store."""
    return request.getfixturevalue("in_memory" if request.param == "memory" else "s3")


@pytest.fixture
def in_memory() -> Iterator[str]:
    from fsspec.implementations.memory import MemoryFileSystem

    try:
        from airflow.sdk.io import attach
    except ImportError:  # Airflow 2
        from airflow.io.store import attach
    attach(protocol="memory", fs=MemoryFileSystem())
    yield "memory://bucket/reports"
    MemoryFileSystem.store.clear()


@pytest.fixture
def s3(monkeypatch) -> Iterator[str]:
    """S3 as moto's server has it."""
    server = pytest.importorskip("moto.server", reason="moto is in the group dev-newest only")
    import boto3
    from werkzeug.serving import WSGIRequestHandler

    # It would send a Server beside moto's own, and in Python's development mode aiohttp refuses two.
    monkeypatch.setattr(WSGIRequestHandler, "send_response", WSGIRequestHandler.send_response_only)
    running = server.ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    running.start()
    try:
        host, port = running.get_host_and_port()
        url = f"http://{host}:{port}"
        # Its servers in one process share what they store.
        bucket = f"reports-{secrets.token_hex(8)}"
        keys = {"aws_access_key_id": "of-a-test", "aws_secret_access_key": "of-a-test"}
        boto3.client("s3", endpoint_url=url, region_name="us-east-1", **keys).create_bucket(Bucket=bucket)
        connection = {
            "conn_type": "aws",
            "login": "of-a-test",
            "password": "of-a-test",
            "extra": {"endpoint_url": url, "region_name": "us-east-1"},
        }
        # Airflow keeps a file system for each connection.
        monkeypatch.setenv(f"AIRFLOW_CONN_STORE_{port}", json.dumps(connection))
        yield f"s3://store_{port}@{bucket}/claims"
    finally:
        running.stop()


def summary_at(folder: str) -> dict[str, Any]:
    return json.loads((ObjectStoragePath(folder) / "summary.json").read_text())


@pytest.mark.parametrize("contract", ["async"], indirect=True)
@pytest.mark.parametrize("end", [SystemExit, KeyboardInterrupt, OSError])
def test_a_report_on_an_object_store_stays_whole_if_the_next_try_ends_while_it_reports(
    service, tmp_path, store, end, monkeypatch
):
    file = write(tmp_path / "shift.csv", THOUSAND)
    claim_task = ClaimTask(store)
    report = claim_task.claim(file)["report"]
    assert outcomes(report) == {"claimed": 1000}
    settle = ClaimJob.settle

    def settle_some(self: ClaimJob) -> Iterator[Any]:
        rows = 0
        for outcome in settle(self):
            rows += outcome.size
            if rows > 700:
                raise end
            yield outcome

    with monkeypatch.context() as patch:
        patch.setattr(ClaimJob, "settle", settle_some)
        with pytest.raises(end):
            claim_task.claim(file)
    assert outcomes(report) == {"claimed": 1000}
    assert (summary_at(store)["rows"], summary_at(store)["try_number"]) == (1000, 1)
    assert claim_task.claim(file)["report"] == report
    assert outcomes(report) == {"claimed": 1000}
    assert summary_at(store)["try_number"] == 3
    assert_sent_once(service, THOUSAND)


def one_try(*arguments: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, "-m", "tests.integration.one_try", *arguments],
        cwd=Path(__file__).parents[2], check=False, capture_output=True, timeout=120,
    )  # fmt: skip


def test_a_task_that_is_killed_while_it_reports_to_an_object_store_leaves_a_report_or_none(
    service, tmp_path, s3
):
    file = write(tmp_path / "shift.csv", THOUSAND)
    killed = one_try(file, s3, "--killed-after", "700")
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert len(service.service.claimed_ids()) == 1000
    report = ObjectStoragePath(s3) / "report.csv"
    assert not report.exists()
    assert outcomes(ClaimTask(s3).claim(file)["report"]) == {"claimed": 1000}
    killed = one_try(file, s3, "--killed-after", "700")
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert outcomes(str(report)) == {"claimed": 1000}
    assert summary_at(s3)["rows"] == 1000
    assert_sent_once(service, THOUSAND)


def test_containers_with_one_pid_that_share_a_folder_do_not_take_their_files_for_one(
    service, tmp_path, ten, claim_task, monkeypatch
):
    """Tries of one task in six containers; each writes for a while, so that they do so at the same time."""
    monkeypatch.setattr(os, "getpid", lambda: 27)
    sync = os.fsync
    monkeypatch.setattr(os, "fsync", lambda descriptor: time.sleep(0.05) or sync(descriptor))
    errors, together = [], threading.Barrier(6)

    def container(_: int) -> None:
        together.wait()
        try:
            ClaimTask(claim_task.folder).claim(ten)
        except SupersededError:
            pass
        except BaseException as error:  # noqa: BLE001 - whatever it is
            errors.append(error)

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(container, range(6)))
    assert not errors
    assert outcomes(claim_task.claim(ten)["report"]) == {"claimed": 10}
    assert not list(tmp_path.rglob("*.part"))
    assert_sent_once(service, TEN)


@pytest.mark.parametrize("contract", ["async"], indirect=True)
@pytest.mark.parametrize("trap", ["link", "file of everybody"])
def test_traps_in_a_folder_of_others_take_no_token_and_change_no_row(service, tmp_path, claim_task, trap):
    # A row that is cut off goes into failed_rows.csv, with its token.
    file = write(tmp_path / "shift.csv", [*TEN, THOUSAND[10][:150]])
    claim_task.claim(file)
    job, folder = claim_task.pushed["job"], Path(claim_task.folder)
    shutil.rmtree(folder)
    service.reset()
    theirs = tmp_path / "theirs"
    theirs.write_text(f"{THOUSAND[20]}\n")
    theirs.chmod(0o666)
    traps = [
        base / name
        for base in (folder, folder / job)
        for name in ("failed_rows.csv", "ledger/claim_file.csv")
    ]
    for path in traps:
        path.parent.mkdir(parents=True, exist_ok=True)
        if trap == "link":
            path.symlink_to(theirs)
        else:
            shutil.copy(theirs, path)
            path.chmod(0o666)
    sent = claim_task.claim(file, wait_for_completion=False)
    report = NrfProvBulkClaimReportOperator(task_id="report", report_dir=sent["report_dir"], job=sent["job"])
    receipt = report.execute(claim_task.context)
    assert outcomes(receipt["report"]) == {"claimed": 10, "rejected": 1}
    assert_sent_once(service, TEN)
    assert theirs.read_text() == f"{THOUSAND[20]}\n"
    written = Path(receipt["failed_rows"])
    assert not written.is_symlink()
    assert stat.S_IMODE(written.stat().st_mode) == 0o600
    for path in folder.rglob("*"):
        if path.is_file() and any(token in path.read_text() for token in (*TEN, THOUSAND[10][:150])):
            assert path == written


# --- Large files of bad rows.


@pytest.mark.parametrize("kind", ["duplicates", "cut off"])
@pytest.mark.parametrize("contract", ["sync"], indirect=True)
def test_half_a_million_bad_rows_take_no_more_memory_than_a_thousand(service, tmp_path, kind):
    def peak(rows: int) -> float:
        file = tmp_path / f"{rows}.csv"
        tokens = [f"{token if kind == 'duplicates' else token[:150]}\n" for token in THOUSAND]
        with file.open("w") as stream:
            for _ in range(rows // 1000):
                stream.writelines(tokens)
        service.reset()
        folder = tmp_path / f"report-{rows}"
        measured = measure(["tests.integration.one_try", str(file), str(folder)])
        assert json.loads((folder / "summary.json").read_text())["rows"] == rows
        return measured.peak

    assert peak(500_000) - peak(1000) <= 60


# --- Hard words.


@pytest.mark.parametrize(
    "words", HARD_WORDS, ids=["half a pair", "control characters", "140 kB", "a formula"]
)
@pytest.mark.usefixtures("shows_at_once")
def test_whatever_the_service_says_of_a_row_its_report_is_whole_and_small(
    service, tmp_path, claim_task, words
):
    service.reset(refusal_words=words)
    claimed_by_another_team(service, *THOUSAND[:100])
    file = write(tmp_path / "shift.csv", THOUSAND[:110])
    for _ in range(2):
        receipt = claim_task.claim(file, max_failed_rows=None)
        assert outcomes(receipt["report"]) == {"claimed": 10, "failed": 100}
        text = Path(receipt["report"]).read_text()
        assert len(text) < 110 * 2_300
        messages = [row["message"] for row in csv.DictReader(text.splitlines()) if row["message"]]
        assert len(messages) == 100
        assert all(message.isprintable() and not message.startswith("=") for message in messages)
        assert len(words) <= 2_000 or all("… (cut, " in each for each in messages)


# --- Asked to end.


@pytest.fixture
def killed(ten, claim_task, service) -> Callable[..., float]:
    """Run a claim, end it once a request has arrived, and say how many seconds that took."""

    def run_and_kill(operation: str, nth: int = 1, **arguments: Any) -> float:
        claiming = begun(service, operation, nth, claim_task.claim, ten, rows_per_request=5, **arguments)
        time.sleep(0.2)
        claim_task.operator.on_kill()
        killed_at = time.monotonic()
        assert type(claiming.exception(timeout=30)) is SupersededError
        return time.monotonic() - killed_at

    return run_and_kill


@pytest.mark.parametrize(
    ("trouble", "fault", "nth"),
    [
        ("its first request", Slow(before=20), 1),
        ("the claim", Slow(before=20), 2),
        ("what a lost answer did", DropBefore(), 1),
    ],
)
def test_a_task_that_is_killed_while_it_sends_ends_within_five_seconds(
    service, contract, ten, claim_task, killed, trouble, fault, nth, request
):
    operation = "ListClaimedDevices" if trouble == "its first request" else CLAIMS[contract]
    service.service.faults.plan(operation, fault, nth=nth)
    assert killed(operation, nth) < 5
    request.getfixturevalue("shows_at_once")  # for the next try
    service.service.faults.clear()
    service.service.faults.interrupt()
    assert outcomes(claim_task.claim(ten, rows_per_request=5)["report"]) == {"claimed": 10}
    assert set(service.service.claim_counts().values()) == {1}


@pytest.mark.parametrize("trouble", ["an operation is stuck", "a poll is slow"])
@pytest.mark.parametrize("contract", ["async"], indirect=True)
def test_a_task_that_is_killed_while_it_waits_ends_within_five_seconds(
    service, ten, claim_task, killed, trouble
):
    service.service.faults.plan("BulkClaimDeviceOwnership", StuckOperation(), times=None)
    if trouble == "a poll is slow":
        service.service.faults.plan("FetchBulkOpsRequest", Slow(before=20))
    assert killed("FetchBulkOpsRequest", poll_interval=600) < 5
    service.service.faults.clear()
    service.service.faults.interrupt()
    service.service.release_operations()
    assert outcomes(claim_task.claim(ten, rows_per_request=5)["report"]) == {"claimed": 10}
    assert_sent_once(service, TEN)


@pytest.mark.usefixtures("shows_at_once")
def test_a_task_that_is_killed_while_it_settles_ends_within_five_seconds(service, ten, claim_task, killed):
    claimed_by_another_team(service, TEN[0])
    before = service.service.request_counts().get("FetchClaimedDevice", 0)
    service.service.faults.plan("FetchClaimedDevice", Slow(before=20), times=None)
    assert killed("FetchClaimedDevice", before + 1) < 5
    service.service.faults.clear()
    service.service.faults.interrupt()
    again = claim_task.claim(ten, rows_per_request=5, max_failed_rows=1)
    assert outcomes(again["report"]) == {"claimed": 9, "failed": 1}
    assert Counter(service.service.claim_counts().values()) == {1: 10}
