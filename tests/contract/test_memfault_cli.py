"""Nordic's own client of the new API, memfault-cli 1.12.0 unmodified, is the judge of that part of the emulator."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from airflow_provider_nrfprov.emulator.accounts import PROJECT
from airflow_provider_nrfprov.emulator.faults import DropAfter, Refuse, StuckOperation
from airflow_provider_nrfprov.emulator.mint import MintedDevice, mint_devices
from harness.memfault import create_devices
from tests.traffic import claimed_by_another_team


@pytest.fixture
def devices() -> list[MintedDevice]:
    return list(mint_devices(5, seed="memfault"))


def csv_of(folder: Path, devices: list[MintedDevice], *more: str) -> Path:
    path = folder / "devices.csv"
    rows = [f"{each.device_id},{each.token}" for each in devices]
    path.write_text("\n".join(["deviceId,attestationToken", *rows, *more]) + "\n")
    return path


def test_it_is_the_version_that_the_contract_was_read_from():
    python = Path(__file__).parent.parent.parent / ".venv-memfault" / "bin" / "python"
    code = "from importlib.metadata import version; print(version('memfault-cli'))"
    assert subprocess.check_output([python, "-c", code], text=True).strip() == "1.12.0"


@pytest.mark.parametrize("where", ["relative", "absolute", "body"])
def test_it_creates_devices_wherever_the_job_is_named(emulator, devices, tmp_path, where):
    emulator.reset(project_status_url=where)
    run = create_devices(emulator.url, csv_of(tmp_path, devices))
    assert (run.code, run.results) == (0, {each.device_id: "OK" for each in devices}), run.text
    assert emulator.service.claimed_ids(PROJECT) == {each.device_id for each in devices}
    assert emulator.service.request_counts() == {"CreateDevicesInBulk": 1, "FetchBulkCreation": 1}


def test_it_waits_while_the_job_is_in_progress(emulator, devices, tmp_path):
    emulator.reset(bulk_seconds=1.0)
    assert create_devices(emulator.url, csv_of(tmp_path, devices)).code == 0
    assert emulator.service.request_counts()["FetchBulkCreation"] == 2


@pytest.mark.parametrize("by", ["device", "row"])
def test_it_reads_which_rows_were_refused(emulator, devices, tmp_path, by):
    emulator.reset(project_errors_by=by)
    create_devices(emulator.url, csv_of(tmp_path, devices[1:3]))
    run = create_devices(emulator.url, csv_of(tmp_path, devices))
    refused = {each.device_id for each in devices[1:3]}
    assert run.code == 1
    assert {id_ for id_, words in run.results.items() if words == "device already exists"} == refused
    assert [words for words in run.results.values() if words == "OK"] == ["OK"] * 3
    assert set(emulator.service.claim_counts().values()) == {1}


def test_an_error_names_the_row_where_there_is_no_device_to_name(emulator, devices, tmp_path):
    run = create_devices(emulator.url, csv_of(tmp_path, devices[:2], f",{devices[2].token}"))
    assert run.results == {
        devices[0].device_id: "OK",
        devices[1].device_id: "OK",
        "": "deviceId is not the device of the token",
    }


def test_what_is_ours_already_is_accepted_or_a_conflict_by_the_settings(emulator, devices, tmp_path):
    path = csv_of(tmp_path, devices)
    emulator.reset(project_readding="accepted")
    assert [create_devices(emulator.url, path).code for _ in range(2)] == [0, 0]
    assert set(emulator.service.claim_counts().values()) == {1}
    emulator.reset(project_readding="conflict")
    create_devices(emulator.url, path)
    assert "a device of the body exists already" in create_devices(emulator.url, path).text


def test_a_device_of_a_team_is_refused_by_name(emulator, devices, tmp_path):
    claimed_by_another_team(emulator, devices[0].token)
    run = create_devices(emulator.url, csv_of(tmp_path, devices))
    assert run.results[devices[0].device_id] == "device belongs to another project"
    assert emulator.service.claimed_ids(PROJECT) == {each.device_id for each in devices[1:]}


def test_it_gives_up_a_job_that_is_stuck_only_after_it_was_killed(emulator, devices, tmp_path):
    emulator.service.faults.plan("CreateDevicesInBulk", StuckOperation())
    with pytest.raises(subprocess.TimeoutExpired):
        create_devices(emulator.url, csv_of(tmp_path, devices), seconds=8)
    assert emulator.service.claimed_ids() == set()
    emulator.service.release_operations()
    assert emulator.service.claimed_ids() == {each.device_id for each in devices}


@pytest.mark.parametrize(
    ("named", "words"),
    [
        ({"token": "oat_nobody"}, "access denied"),
        ({"token": "emulator-key"}, "access denied"),
        ({"organization": "nobody"}, "there is no such organization or project"),
        ({"project": "nothing"}, "there is no such organization or project"),
    ],
)
def test_a_wrong_key_or_project_is_refused_in_the_services_words(emulator, devices, tmp_path, named, words):
    run = create_devices(emulator.url, csv_of(tmp_path, devices), **named)
    assert run.code == 1
    assert "nRF Cloud rejected the upload" in run.text
    assert words in run.text
    assert emulator.service.claimed_ids() == set()


def test_the_plan_that_is_full_and_the_limit_of_requests_are_refusals(emulator, devices, tmp_path):
    emulator.reset(project_plan_limit=4)
    path = csv_of(tmp_path, devices)
    assert "room for 4 devices" in create_devices(emulator.url, path).text
    emulator.service.faults.plan("CreateDevicesInBulk", Refuse(429, retry_after=1))
    assert "rejected the upload" in create_devices(emulator.url, path).text
    assert emulator.service.request_counts() == {"CreateDevicesInBulk": 2}


def test_the_row_at_fault_is_among_the_causes(emulator, devices, tmp_path):
    emulator.reset(project_mismatch="refused")
    path = csv_of(tmp_path, devices[:1], f"{devices[1].device_id},{devices[2].token}")
    text = create_devices(emulator.url, path).text
    assert f"row 1: {devices[1].device_id} is not the device of its token" in text


def test_a_lost_answer_is_devices_that_it_knows_nothing_of(emulator, devices, tmp_path):
    emulator.service.faults.plan("CreateDevicesInBulk", DropAfter())
    run = create_devices(emulator.url, csv_of(tmp_path, devices))
    assert (run.code, run.results) == (1, {})
    assert emulator.service.claimed_ids() == {each.device_id for each in devices}


def test_it_takes_other_words_for_an_end_and_does_not_wait(emulator, devices, tmp_path):
    emulator.reset(bulk_seconds=5.0, project_running="PENDING")
    run = create_devices(emulator.url, csv_of(tmp_path, devices))
    assert "ended with status 'PENDING'" in run.text
    assert emulator.service.request_counts() == {"CreateDevicesInBulk": 1, "FetchBulkCreation": 1}


def test_rows_of_a_job_that_is_said_to_have_failed_are_ok_if_others_are_named(emulator, devices, tmp_path):
    emulator.reset(project_partial_end="PARTIALLY_SUCCEEDED")
    create_devices(emulator.url, csv_of(tmp_path, devices[:1]))
    run = create_devices(emulator.url, csv_of(tmp_path, devices))
    assert [run.results[each.device_id] for each in devices[1:]] == ["OK"] * 4
