"""The bulk claim of a project, against the emulator: what is claimed, what is told of each row, and what it costs."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from airflow_provider_nrfprov.api import NotInThisApiError
from airflow_provider_nrfprov.api.errors import ClaimRefusedError, ForeignStatusUrlError, NrfProvError
from airflow_provider_nrfprov.claiming.claim_one import claim_once
from airflow_provider_nrfprov.claiming.job import ClaimJob
from airflow_provider_nrfprov.claiming.plan import Owner
from airflow_provider_nrfprov.emulator import project_handlers
from airflow_provider_nrfprov.emulator.accounts import PROJECT
from airflow_provider_nrfprov.emulator.faults import (
    DropAfter,
    DropBefore,
    FailAfter,
    FalseFailure,
    Refuse,
    StuckOperation,
    TruncateAfter,
)
from airflow_provider_nrfprov.emulator.mint import MintedDevice, mint_devices
from airflow_provider_nrfprov.emulator.server import Emulator, running_emulator
from airflow_provider_nrfprov.files.storage import Folder
from tests.traffic import claimed_by_another_team
from tests.unit.api.test_project_api import Project
from tests.unit.claiming.desk import Desk, counts

DEVICES = list(mint_devices(10, seed="project job"))
THOUSAND = list(mint_devices(1000, seed="thousand"))
IDS = [each.device_id for each in DEVICES]
OTHER_DEVICE = "7b21b4bc-1cc9-41df-b05c-61b4605e5bb0"
Claim = Callable[..., dict[str, int]]


@pytest.fixture
def claim(emulator, tmp_path) -> Claim:
    """Claim devices; return the number of rows by outcome. What the report says of each is in ``told``."""

    def run(devices: list[MintedDevice | str], **options) -> dict[str, int]:
        desk = Desk(tmp_path, Project(emulator.url))
        desk.write(*devices)
        summary = desk.run(**options)
        run.told = {row["device_id"]: row for row in desk.report()}
        return counts(summary)

    return run


def ours(emulator: Emulator) -> set[str]:
    return emulator.service.claimed_ids(PROJECT)


def test_a_file_past_a_thousand_rows_is_claimed_in_chunks(emulator, claim):
    devices = list(mint_devices(2500, seed="large"))
    assert claim(devices) == {"claimed": 2500}
    assert ours(emulator) == {each.device_id for each in devices}
    assert emulator.service.request_counts() == {
        "ListDevices": 1,
        "CreateDevicesInBulk": 3,
        "FetchBulkCreation": 3,
    }


@pytest.mark.parametrize("by", ["device", "row"])
def test_rows_that_are_refused_are_told_with_the_services_words_and_the_others_are_inferred(
    emulator, claim, by
):
    emulator.reset(project_errors_by=by)
    claimed_by_another_team(emulator, DEVICES[2].token, DEVICES[3].token)
    assert claim(DEVICES) == {"claimed": 8, "failed": 2}
    assert claim.told[IDS[2]]["message"] == "device belongs to another project"
    assert claim.told[IDS[0]]["status"] == "FAILED, not named (inferred)"


@pytest.mark.parametrize("by", ["device", "row"])
def test_one_refused_row_of_a_thousand_costs_few_requests(emulator, claim, by):
    emulator.reset(project_errors_by=by)
    claimed_by_another_team(emulator, THOUSAND[500].token)
    assert claim(THOUSAND) == {"claimed": 999, "failed": 1}
    assert sum(emulator.service.request_counts().values()) <= 15


def test_a_row_at_fault_that_a_refusal_names_costs_few_requests(emulator, claim):
    emulator.reset(poison_ids=[THOUSAND[500].device_id], refusal_words="row 501: no such device")
    assert claim(THOUSAND) == {"claimed": 999, "failed": 1}
    assert emulator.service.request_counts()["CreateDevicesInBulk"] == 5
    assert sum(emulator.service.request_counts().values()) <= 15


@pytest.mark.parametrize("place", [0, 333, 999])
def test_a_row_at_fault_that_nothing_names_is_searched(emulator, claim, place):
    emulator.reset(poison_ids=[THOUSAND[place].device_id])
    assert claim(THOUSAND) == {"claimed": 999, "failed": 1}
    assert ours(emulator) == {each.device_id for each in THOUSAND} - {THOUSAND[place].device_id}
    requests = emulator.service.request_counts()
    assert requests["CreateDevicesInBulk"] + requests["FetchBulkCreation"] <= 20
    assert sum(requests.values()) <= 23


def test_a_service_that_refuses_every_row_is_not_asked_for_each(emulator, claim):
    emulator.service.faults.plan("CreateDevicesInBulk", Refuse(422), times=None)
    assert claim(THOUSAND) == {"failed": 1000}
    assert emulator.service.request_counts()["CreateDevicesInBulk"] == 31 + 8


def test_a_conflict_over_what_is_ours_costs_a_look_and_one_request_more(emulator, claim):
    emulator.reset(project_readding="conflict")
    claim(THOUSAND[:400])
    emulator.service.requests.clear()
    assert claim(THOUSAND) == {"claimed": 600, "already_claimed": 400}
    assert emulator.service.request_counts()["CreateDevicesInBulk"] == 2
    assert sum(emulator.service.request_counts().values()) <= 15


@pytest.mark.parametrize(
    ("readding", "told"),
    [
        ("error", {"claimed": 8, "already_claimed": 2}),
        ("accepted", {"claimed": 10}),  # the service says nothing of it
        ("conflict", {"claimed": 8, "already_claimed": 2}),  # as a whole: it is narrowed down to the rows
    ],
)
def test_what_is_ours_before_is_told_so_where_the_service_says_something(emulator, claim, readding, told):
    emulator.reset(project_readding=readding)
    claim(DEVICES[:2])
    assert claim(DEVICES) == told
    assert set(emulator.service.claim_counts().values()) == {1}


@pytest.mark.parametrize("fault", [DropAfter(), FailAfter(502), TruncateAfter(), DropBefore(), Refuse(503)])
def test_a_lost_answer_is_settled_by_looking_the_devices_up(emulator, claim, fault):
    emulator.service.faults.plan("CreateDevicesInBulk", fault)
    assert claim(DEVICES) == {"claimed": 10}
    assert set(emulator.service.claim_counts().values()) == {1}
    done = isinstance(fault, (DropAfter, FailAfter, TruncateAfter))
    assert emulator.service.request_counts()["CreateDevicesInBulk"] == (1 if done else 2)


@pytest.mark.parametrize("readding", ["error", "accepted", "conflict"])
def test_a_job_that_still_runs_after_a_lost_answer_creates_nothing_twice(emulator, claim, readding):
    emulator.reset(bulk_seconds=0.6, project_readding=readding)
    emulator.service.faults.plan("CreateDevicesInBulk", DropAfter())
    outcomes = claim(DEVICES, visible_after=0.1)
    assert outcomes.keys() <= {"claimed", "unknown"}
    assert ours(emulator) == set(IDS) or "unknown" in outcomes
    assert set(emulator.service.claim_counts().values()) <= {1}


@pytest.mark.parametrize("readding", ["error", "accepted", "conflict"])
def test_rows_that_cannot_be_told_apart_are_unknown(emulator, claim, readding):
    emulator.reset(project_devices_shown=False, project_readding=readding)
    emulator.service.faults.plan("CreateDevicesInBulk", DropAfter())
    told = {"error": "unknown", "accepted": "claimed", "conflict": "unknown"}[readding]
    assert claim(DEVICES) == {told: 10}


def test_rows_beside_a_refused_one_are_not_guessed_where_no_device_of_theirs_shows(emulator, claim):
    emulator.reset(project_unnamed="dropped")
    claimed_by_another_team(emulator, DEVICES[0].token)
    assert claim(DEVICES) == {"failed": 1, "unknown": 9}
    assert ours(emulator) == set()


@pytest.mark.parametrize("summary", ["empty", "all", "missing"])
def test_a_false_failure_is_found_out(emulator, claim, summary):
    emulator.service.faults.plan("CreateDevicesInBulk", FalseFailure(summary))
    assert claim(DEVICES) == {"claimed": 10}


@pytest.mark.parametrize("applied", [False, True])
def test_a_job_that_does_not_end_leaves_rows_unknown_or_looked_up(emulator, claim, applied):
    emulator.service.faults.plan("CreateDevicesInBulk", StuckOperation(rows_applied=applied))
    assert claim(DEVICES) == ({"claimed": 10} if applied else {"unknown": 10})


def test_an_unknown_status_is_no_end(emulator, claim):
    emulator.reset(project_partial_end="PARTIAL", project_failed_end="ENDED")
    claimed_by_another_team(emulator, DEVICES[0].token)
    assert claim(DEVICES) == {"claimed": 9, "unknown": 1}


def test_a_second_try_believes_the_service_where_its_list_shows_nothing(emulator, claim):
    emulator.reset(project_devices_shown=False)
    assert claim(DEVICES) == {"claimed": 10}
    assert claim(DEVICES) == {"claimed": 10}
    assert emulator.service.request_counts()["CreateDevicesInBulk"] == 1


def test_an_answer_that_names_another_host_ends_the_claim_and_loses_nothing(emulator, claim, tmp_path):
    emulator.reset(project_status_url="elsewhere")
    with pytest.raises(ForeignStatusUrlError, match=r"nrfcloud\.invalid"):
        claim(DEVICES)
    assert emulator.service.request_counts()["CreateDevicesInBulk"] == 1
    job = ClaimJob.reopen(Folder(tmp_path / "report"), Project(emulator.url))
    assert {each.ending.outcome.value for each in job.settle()} == {"claimed"}


def test_an_answer_that_names_no_job_is_as_good_as_a_lost_one(emulator, claim):
    emulator.reset(project_status_url="nowhere")
    assert claim(DEVICES) == {"claimed": 10}
    assert emulator.service.request_counts()["CreateDevicesInBulk"] == 1


@pytest.mark.parametrize("readding", ["error", "conflict"])
def test_a_row_that_was_refused_each_time_is_failed_however_often_it_is_sent(emulator, claim, readding):
    emulator.reset(project_readding=readding)
    claimed_by_another_team(emulator, DEVICES[0].token)
    for _ in range(3):
        assert claim(DEVICES[:1]) == {"failed": 1}
    assert emulator.service.request_counts()["CreateDevicesInBulk"] == 3


def test_a_refusal_after_a_lost_answer_is_failed_only_where_the_list_shows_what_is_new(emulator, claim):
    claimed_by_another_team(emulator, DEVICES[0].token)
    emulator.service.faults.plan("CreateDevicesInBulk", DropAfter())
    assert claim(DEVICES) == {"claimed": 9, "failed": 1}, "the nine show"
    emulator.reset()
    claimed_by_another_team(emulator, DEVICES[0].token)
    emulator.service.faults.plan("CreateDevicesInBulk", DropBefore())
    assert claim(DEVICES[:1], owner=Owner(run_id="other")) == {"unknown": 1}, "nothing that shows is new"


def test_a_job_that_was_forgotten_is_looked_up(emulator, claim):
    emulator.reset(project_job_seconds=-1.0)
    assert claim(DEVICES) == {"claimed": 10}


def test_a_device_that_contradicts_its_token_is_not_sent(emulator, claim):
    rows = f"deviceId,attestationToken\n{IDS[0]},{DEVICES[1].token}\n{IDS[2]},{DEVICES[2].token}"
    assert claim([rows]) == {"rejected": 1, "claimed": 1}
    assert claim.told[IDS[1]]["message"] == (
        f"the file says device {IDS[0]}, but the token is that of {IDS[1]}; it is unclear which one is meant, so the row is not sent"
    )
    assert ours(emulator) == {IDS[2]}
    assert emulator.service.submission_counts().keys() == {IDS[2]}


def test_a_row_whose_device_column_holds_something_else_is_not_sent(emulator, claim):
    rows = "\n".join(
        f"{cell},{device.token}" for cell, device in zip(("SN-1", "None", "", "FGF4"), DEVICES, strict=False)
    )
    assert claim([f"deviceId,attestationToken\n{rows}"]) == {"rejected": 2, "claimed": 2}
    said = claim.told[IDS[0]]["message"]
    assert said.startswith("the column of the device does not hold a UUID")
    assert "give the column another name" in said
    assert ours(emulator) == {IDS[1], IDS[2]}


@pytest.mark.parametrize("in_file", [False, True])
def test_tags_are_refused_and_never_dropped(emulator, claim, tmp_path, in_file):
    devices = [*DEVICES[:1], f'{DEVICES[1].token},"lot=7"'] if in_file else DEVICES
    with pytest.raises(NotInThisApiError, match=r"cohort") as caught:
        claim(devices, **({} if in_file else {"tags": ["lot=7"]}))
    assert ("line 2 has tags" in str(caught.value)) == in_file
    assert emulator.service.request_counts() == {}
    assert not (tmp_path / "report").exists()


# --- one device ----------------------------------------------------------------------------------------------


def test_one_device_is_claimed_and_claimed_again(emulator):
    emulator.reset(bulk_seconds=0.3)
    service = Project(emulator.url)
    for _ in range(2):
        device = claim_once(service, DEVICES[0].token, ())
        assert device.id == IDS[0]
        assert device.claimed_at is not None
    assert emulator.service.claim_counts() == {IDS[0]: 1}


def test_one_device_of_somebody_else_is_refused_in_the_services_words(emulator):
    claimed_by_another_team(emulator, DEVICES[0].token)
    with pytest.raises(NrfProvError, match=f"{IDS[0]} was not claimed: device belongs to another project"):
        claim_once(Project(emulator.url), DEVICES[0].token, ())


def test_one_device_whose_job_never_ends_goes_on(emulator, monkeypatch):
    monkeypatch.setattr("airflow_provider_nrfprov.claiming.claim_one.LONGEST_JOB", 0.2)
    emulator.service.faults.plan("CreateDevicesInBulk", StuckOperation())
    with pytest.raises(NrfProvError, match="it goes on"):
        claim_once(Project(emulator.url), DEVICES[0].token, ())


def test_one_device_is_not_claimed_with_tags(emulator):
    with pytest.raises(NotInThisApiError):
        claim_once(Project(emulator.url), DEVICES[0].token, ["lot=7"])
    assert emulator.service.request_counts() == {}


def test_one_device_that_is_not_listed_yet_is_claimed_all_the_same(emulator):
    emulator.reset(project_devices_shown=False)
    assert claim_once(Project(emulator.url), DEVICES[0].token, ()).id == IDS[0]


@pytest.mark.parametrize(
    "named", [{"deviceId": OTHER_DEVICE}, {"row": 10}, {"deviceId": OTHER_DEVICE, "row": 4}]
)
def test_an_error_of_a_row_that_was_not_sent_leaves_no_row_claimed_that_is_not(
    emulator, claim, monkeypatch, named
):
    claimed_by_another_team(emulator, DEVICES[4].token)
    monkeypatch.setattr(project_handlers, "_error", lambda *_, **__: {"error": "no", **named})
    claim(DEVICES)
    told = {id_ for id_, row in claim.told.items() if row["outcome"] in {"claimed", "already_claimed"}}
    assert told == ours(emulator)


def test_one_device_is_not_claimed_where_the_error_is_of_another(emulator, monkeypatch):
    emulator.reset(project_partial_end="SUCCEEDED", project_failed_end="SUCCEEDED")
    claimed_by_another_team(emulator, DEVICES[0].token)
    monkeypatch.setattr(
        project_handlers, "_error", lambda *_, **__: {"error": "no", "deviceId": OTHER_DEVICE}
    )
    with pytest.raises(ClaimRefusedError, match="was not claimed: no"):
        claim_once(Project(emulator.url), DEVICES[0].token, ())


def test_one_device_of_a_failed_job_that_names_nothing_and_does_not_show_is_not_said_to_be_unclaimed(
    emulator,
):
    emulator.reset(project_devices_shown=False)
    emulator.service.faults.plan("CreateDevicesInBulk", FalseFailure(summary="empty"))
    with pytest.raises(NrfProvError, match="is not known, and claiming it again finds out"):
        claim_once(Project(emulator.url), DEVICES[0].token, ())
    assert emulator.service.claimed_ids()


def test_a_job_is_not_reported_by_another_service(emulator, claim, tmp_path):
    claim(DEVICES)
    before = (tmp_path / "report" / "report.csv").read_text()
    with running_emulator() as other, pytest.raises(ValueError, match="use the connection that claimed"):
        ClaimJob.reopen(Folder(tmp_path / "report"), Project(other.url))
    assert (tmp_path / "report" / "report.csv").read_text() == before
