"""The claim job, through the wire to the emulator: every row ends in one outcome, nothing is sent twice."""

from __future__ import annotations

import json
import stat
from collections import Counter
from datetime import timedelta
from pathlib import Path

import pytest

from airflow_provider_nrfprov.api.errors import UnauthorizedError, UnavailableError
from airflow_provider_nrfprov.claiming.claim_file import read_rows
from airflow_provider_nrfprov.claiming.file_copy import ClaimFileUnavailableError
from airflow_provider_nrfprov.claiming.job import ClaimJob
from airflow_provider_nrfprov.claiming.recovery import UnsettledError
from airflow_provider_nrfprov.claiming.report import Outcome
from airflow_provider_nrfprov.emulator.accounts import TEAM_A
from airflow_provider_nrfprov.emulator.faults import DropAfter, HtmlBefore, Refuse
from airflow_provider_nrfprov.emulator.mint import mint_devices
from airflow_provider_nrfprov.hooks.nrfprov import NrfProvHook
from tests.traffic import claimed_by_another_team
from tests.unit.claiming.desk import Desk, counts

CLAIMS = {"async": "BulkClaimDeviceOwnership", "sync": "ClaimDeviceOwnershipCsv"}


@pytest.fixture
def desk(tmp_path, nrfcloud) -> Desk:
    return Desk(tmp_path, NrfProvHook())


def test_a_file_of_2500_rows_goes_in_three_chunks_and_every_row_is_accounted_for(desk, emulator):
    devices = list(mint_devices(2500, seed="job"))
    desk.write(*devices)
    assert counts(desk.run(tags=["line=1"])) == {"claimed": 2500}
    assert emulator.service.claimed_ids() == {device.device_id for device in devices}
    assert {tuple(device.tags) for device in emulator.service.claimed_devices()} == {("line=1",)}
    assert [row["device_id"] for row in desk.report()] == [device.device_id for device in devices]
    assert sorted(emulator.service.claims_per_operation().values()) == [500, 1000, 1000]


@pytest.mark.parametrize("contract", ["async", "sync"])
def test_each_kind_of_row_ends_in_its_own_outcome_under_either_contract(desk, nrfcloud, contract):
    ours, theirs, new, tagged = mint_devices(4, seed="kinds")
    nrfcloud.reset(contract=contract, bulk_seconds=0.0)
    desk.service.claim_device(ours.token)
    claimed_by_another_team(nrfcloud, theirs.token)
    desk.file.write_text(
        f'token,tags\n{ours.token}\n{theirs.token}\n{new.token}\n{tagged.token},"own, line=1"\n'
        f"{new.token}\n{new.token[:80]}\n"
    )
    summary = desk.run(tags=["line=1"])
    assert counts(summary) == {"claimed": 2, "already_claimed": 1, "failed": 1, "rejected": 2}
    report = {int(row["line"]): row for row in desk.report()}
    assert [report[line]["outcome"] for line in range(2, 8)] == [
        "already_claimed", "failed", "claimed", "claimed", "rejected", "rejected",
    ]  # fmt: skip
    assert "claimed" in report[3]["message"]  # the service's words
    assert report[6]["status"] == "duplicate_device"
    assert {device.id: tuple(device.tags) for device in nrfcloud.service.claimed_devices()} == {
        ours.device_id: (),
        theirs.device_id: (),
        new.device_id: ("line=1",),
        tagged.device_id: ("own", "line=1"),
    }


@pytest.mark.parametrize("status", [200, 207, 400, 422])
@pytest.mark.parametrize("shape", ["object", "string"])
def test_a_partial_failure_is_read_row_by_row_whatever_its_form(desk, nrfcloud, status, shape):
    devices = list(mint_devices(5, seed="partial"))
    nrfcloud.reset(contract="sync", partial_failure_status=status, failed_shape=shape)
    claimed_by_another_team(nrfcloud, devices[1].token)
    desk.write(*devices)
    assert counts(desk.run()) == {"claimed": 4, "failed": 1}
    assert desk.report()[1]["outcome"] == "failed"
    assert "claimed" in desk.report()[1]["message"]


@pytest.mark.parametrize("form", ["list", "legacy"])
def test_a_failed_operation_blames_the_right_rows_in_both_forms_of_its_error_summary(desk, nrfcloud, form):
    devices = list(mint_devices(5, seed="summary"))
    nrfcloud.reset(contract="async", bulk_seconds=0.0, error_summary=form)
    claimed_by_another_team(nrfcloud, devices[0].token, devices[3].token)
    desk.write(*devices)
    assert counts(desk.run()) == {"claimed": 3, "failed": 2}
    assert [row["outcome"] for row in desk.report()] == [
        "failed",
        "claimed",
        "claimed",
        "failed",
        "claimed",
    ]
    assert all("claimed" in row["message"] for row in desk.report() if row["outcome"] == "failed")


def test_an_operation_that_has_not_ended_leaves_its_rows_unknown_until_it_has(desk, nrfcloud, tokens):
    nrfcloud.reset(contract="async", bulk_seconds=0.6)
    desk.write(*tokens)
    job = desk.plan()
    (operation,) = job.send()
    summary = job.report()
    assert counts(summary) == {"unknown": 5}
    assert operation in desk.report()[0]["message"]
    while not desk.service.fetch_bulk_ops_request(operation).is_finished:
        pass
    assert counts(job.report()) == {"claimed": 5}


@pytest.mark.parametrize("contract", ["async", "sync"])
def test_a_lost_answer_is_settled_by_asking_and_nothing_is_claimed_twice(desk, nrfcloud, contract):
    devices = list(mint_devices(1500, seed="lost"))
    nrfcloud.reset(contract=contract, bulk_seconds=0.0)
    nrfcloud.service.faults.plan(CLAIMS[contract], DropAfter())
    desk.write(*devices)
    assert counts(desk.run()) == {"claimed": 1500}
    assert set(nrfcloud.service.claim_counts().values()) == {1}
    assert len(nrfcloud.service.claimed_ids()) == 1500
    assert len(nrfcloud.service.bulk_operations()) == (2 if contract == "async" else 0)


def test_an_operation_whose_answer_was_lost_is_waited_for_while_it_runs(desk, nrfcloud, tokens):
    nrfcloud.reset(contract="async", bulk_seconds=0.5)
    nrfcloud.service.faults.plan(CLAIMS["async"], DropAfter())
    desk.write(*tokens)
    (operation,) = desk.plan().send()
    assert [started.id for started in nrfcloud.service.bulk_operations()] == [operation]


def test_a_second_try_sends_nothing_that_was_answered(desk, emulator, tokens):
    desk.write(*tokens)
    first = desk.run()
    requests = emulator.service.request_counts()
    assert counts(desk.run()) == counts(first)
    since = Counter(emulator.service.request_counts()) - Counter(requests)
    assert not [name for name in since if "Claim" in name and "Bulk" in name]
    assert len(emulator.service.bulk_operations()) == 1


def test_a_device_that_is_asked_about_when_a_report_is_written_is_asked_about_once(desk, nrfcloud):
    devices = list(mint_devices(40, seed="once"))
    nrfcloud.reset(contract="async", bulk_seconds=0.0)
    claimed_by_another_team(nrfcloud, *(each.token for each in devices[:10]))
    with nrfcloud.service.turn() as now:
        # More than are paged through for ten.
        for old in mint_devices(300, seed="old"):
            nrfcloud.service.devices.claim(TEAM_A, old.token, (), now - timedelta(days=1))
    desk.write(*devices)
    assert counts(desk.run()) == {"claimed": 30, "failed": 10}
    assert nrfcloud.service.request_counts()["FetchClaimedDevice"] <= 10


def test_a_revoked_key_stops_the_job_and_a_later_try_goes_on_where_it_stopped(desk, emulator):
    desk.write(*mint_devices(1001, seed="revoked"))
    emulator.service.keys.revoke("emulator-key")
    job = desk.plan()
    with pytest.raises(UnauthorizedError):
        job.send()
    summary = job.report()
    assert counts(summary) == {"failed": 1001}
    assert {row["status"] for row in desk.report()} == {"not_sent"}
    emulator.service.keys.restore("emulator-key")
    assert counts(desk.run()) == {"claimed": 1001}
    assert len(emulator.service.bulk_operations()) == 2


def test_a_changed_file_is_a_new_job_and_finds_what_is_ours(desk, emulator, tokens, caplog):
    desk.write(*tokens[:3])
    desk.run()
    desk.write(*tokens)
    with caplog.at_level("INFO"):
        summary = desk.run()
    assert "changed" in caplog.text
    assert counts(summary) == {"already_claimed": 3, "claimed": 2}
    assert set(emulator.service.claim_counts().values()) == {1}


def test_failed_rows_can_be_run_again_by_themselves(desk, emulator, tokens):
    desk.file.write_text(f'{tokens[0]}\n{tokens[1]},"own"\n{tokens[2][:60]}\n{tokens[0]}\n')
    (stolen,) = claimed_by_another_team(emulator, tokens[1])
    summary = desk.run(tags=["line=1"])
    emulator.service.unclaim(stolen)
    assert counts(summary) == {"claimed": 1, "failed": 1, "rejected": 2}
    failed_rows = Path(str(summary.failed_rows))
    with failed_rows.open("rb") as stream:
        assert [row.verdict.value for row in read_rows(stream, "failed_rows.csv")] == [
            "ok",
            "malformed_token",
        ]
    again = Desk(failed_rows.parent, desk.service)
    again.file = failed_rows
    assert counts(again.run(tags=["line=1"])) == {"claimed": 1, "rejected": 1}
    (device,) = [device for device in emulator.service.claimed_devices() if device.id == stolen.id]
    assert tuple(device.tags) == ("own", "line=1")


def test_only_failed_rows_csv_holds_tokens_and_only_its_owner_may_read_it(desk, tokens, emulator):
    claimed_by_another_team(emulator, tokens[0])
    desk.write(*tokens)
    summary = desk.run()
    folder = Path(str(desk.folder))
    holding = [
        path.name for path in folder.rglob("*") if path.is_file() and tokens[0][:40] in path.read_text()
    ]
    assert holding == ["failed_rows.csv"]
    assert stat.S_IMODE(Path(str(summary.failed_rows)).stat().st_mode) == 0o600
    assert not [path for path in folder.rglob("*") if path.is_file() and tokens[1][:40] in path.read_text()]


def test_the_summary_says_the_same_as_the_report(desk, tokens):
    desk.write(*tokens, "rubbish")
    summary = desk.run()
    written = json.loads(Path(desk.folder.path_of("summary.json")).read_text())
    assert summary.as_dict().items() <= written.items()
    assert written["claim_file"] == str(desk.file)
    assert written["reasons"] == [reason.as_dict() for reason in summary.reasons]
    assert summary.rows == len(desk.report()) == 6
    assert sum(summary.counts.values()) == 6
    assert summary.counts[Outcome.REJECTED] == 1


def test_other_files_in_the_report_folder_are_no_earlier_job(desk, tokens, caplog):
    Path(str(desk.folder)).mkdir()
    (Path(str(desk.folder)) / "notes.txt").write_text("of another program")
    desk.write(*tokens)
    with caplog.at_level("INFO"):
        desk.run()
    assert "a new job" in caplog.text
    assert "changed" not in caplog.text


def test_a_file_that_is_not_there_is_an_error_that_names_it(desk):
    with pytest.raises(ClaimFileUnavailableError, match=r"there is no claim file .*shift\.csv"):
        desk.plan()


def test_a_job_that_is_not_there_is_an_error_that_says_what_is_missing(desk):
    with pytest.raises(FileNotFoundError, match="holds no job: nothing was sent"):
        ClaimJob.reopen(desk.folder, desk.service)


# --- After a lost answer the bulk operation is found again, or nothing is sent until it can be.


def test_a_service_that_cannot_be_asked_afterwards_leaves_rows_unknown(desk, nrfcloud, tokens):
    faults = nrfcloud.service.faults
    faults.plan(CLAIMS["async"], DropAfter())
    for question in ("ListBulkOpsRequests", "ListClaimedDevices", "FetchClaimedDevice"):
        faults.plan(question, Refuse(503), times=None)
    desk.write(*tokens)
    job = desk.plan()
    with pytest.raises(UnavailableError):
        job.send()
    assert counts(job.report()) == {"unknown": 5}
    faults.clear()
    assert counts(desk.run()) == {"claimed": 5}
    assert set(nrfcloud.service.claim_counts().values()) == {1}


OURS, THEIRS = mint_devices(2, seed="recovery")


@pytest.fixture
def lost(desk, nrfcloud) -> Desk:
    """A claim whose answer was lost: its operation has ended, and refused the second of its two rows."""
    nrfcloud.reset(contract="async", bulk_seconds=0.0)
    claimed_by_another_team(nrfcloud, THEIRS.token)
    nrfcloud.service.faults.plan(CLAIMS["async"], DropAfter())
    desk.write(OURS, THEIRS)
    return desk


@pytest.mark.parametrize(
    "fault", [Refuse(503), HtmlBefore(), DropAfter()], ids=lambda fault: type(fault).__name__
)
def test_nothing_is_sent_again_while_the_rows_of_an_ended_operation_cannot_be_had(lost, nrfcloud, fault):
    nrfcloud.service.faults.plan("DownloadBulkOpsData", fault)
    with pytest.raises(UnsettledError, match="nothing is sent again until that is known"):
        lost.plan().send()
    again = lost.plan()
    assert len(again.send()) == 1
    assert len(nrfcloud.service.bulk_submissions()) == 1
    assert counts(again.report()) == {"claimed": 1, "failed": 1}


def test_rows_that_are_gone_for_good_are_settled_by_the_list_of_our_devices(lost, nrfcloud):
    nrfcloud.service.faults.plan("DownloadBulkOpsData", Refuse(404))
    job = lost.plan()
    # Only what is not ours is sent again; that it was refused before, nobody can say any more.
    assert len(job.send()) == 1
    assert counts(job.report()) == {"claimed": 1, "failed": 1}
    assert nrfcloud.service.claim_counts()[OURS.device_id] == 1
