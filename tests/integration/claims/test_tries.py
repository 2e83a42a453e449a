"""A claim in several tries: run again, at once, after lost answers, by clocks that are off, and asked to end."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import task

from airflow_provider_nrfprov.api.service_clock import ServiceClock
from airflow_provider_nrfprov.claiming.ledger import SupersededError
from airflow_provider_nrfprov.claiming.recovery import Inquiry
from airflow_provider_nrfprov.emulator.accounts import TEAM_A
from airflow_provider_nrfprov.emulator.faults import (
    DropAfter,
    DropBefore,
    Slow,
    StuckOperation,
    Twice,
    WrongDownload,
)
from airflow_provider_nrfprov.hooks.nrfprov import NrfProvHook
from airflow_provider_nrfprov.operators.bulk_claim import NrfProvBulkClaimOperator
from airflow_provider_nrfprov.operators.unclaim_devices import NrfProvUnclaimDevicesOperator
from tests.integration.claims.field import (
    CLAIMS,
    SHIFT,
    TEN,
    THOUSAND,
    assert_sent_once,
    begun,
    outcomes,
    requests_of,
    write,
)
from tests.integration.dag_runs import new_dag, run
from tests.integration.one_try import ClaimTask
from tests.traffic import claimed_by_another_team

pytestmark = [pytest.mark.slow, pytest.mark.airflow_independent, pytest.mark.filterwarnings("ignore")]


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


# --- Two tries at once.


def test_an_older_try_that_still_sends_and_a_newer_one_send_nothing_twice(service, contract, ten, claim_task):
    service.service.faults.plan(CLAIMS[contract], Slow(before=1.0), nth=2)
    older = begun(service, CLAIMS[contract], 2, claim_task.claim, ten, rows_per_request=2)
    newer = ClaimTask(claim_task.folder)
    assert outcomes(newer.claim(ten, rows_per_request=2)["report"]) == {"claimed": 10}
    assert type(older.exception()) is SupersededError
    assert_sent_once(service, TEN)


# --- Answers that are lost, twice or lies.


@pytest.mark.parametrize("contract", ["async"], indirect=True)
def test_a_download_of_other_rows_leaves_it_to_the_list_of_devices(service, ten, claim_task):
    service.service.faults.plan("BulkClaimDeviceOwnership", DropAfter())
    service.service.faults.plan("DownloadBulkOpsData", WrongDownload("other"), times=None)
    assert outcomes(claim_task.claim(ten)["report"]) == {"claimed": 10}
    assert_sent_once(service, TEN)


def test_a_request_that_a_proxy_repeats_claims_once_and_is_reported_as_claimed(
    service, contract, ten, claim_task
):
    service.service.faults.plan(CLAIMS[contract], Twice())
    assert outcomes(claim_task.claim(ten)["report"]) == {"claimed": 10}
    assert_sent_once(service, TEN)


def test_a_list_that_lags_is_looked_at_again_before_anything_is_sent_again(
    service, contract, tmp_path, claim_task
):
    service.reset(list_lag_seconds=4.0)
    service.service.faults.plan(CLAIMS[contract], DropAfter())
    receipt = claim_task.claim(write(tmp_path / "shift.csv", THOUSAND[:100]))
    assert outcomes(receipt["report"]) == {"claimed": 100}
    assert_sent_once(service, THOUSAND[:100])


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
