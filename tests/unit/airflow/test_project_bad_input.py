"""What goes wrong with a project, through the operators: a sentence each, and nothing sent that should not be, or lost."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_nrfprov.api.errors import ConfigurationError, ForeignStatusUrlError, NotEndedError
from airflow_provider_nrfprov.emulator.faults import StuckOperation
from airflow_provider_nrfprov.emulator.server import Emulator, running_emulator
from airflow_provider_nrfprov.emulator.settings import Settings
from airflow_provider_nrfprov.exceptions import RowsUnknownError
from airflow_provider_nrfprov.operators.bulk_ops import NrfProvFetchBulkOpsOperator
from airflow_provider_nrfprov.operators.claim_device import NrfProvClaimDeviceOperator
from airflow_provider_nrfprov.operators.fetch_device import NrfProvFetchDeviceOperator
from airflow_provider_nrfprov.operators.list_devices import NrfProvListDevicesOperator
from airflow_provider_nrfprov.sensors.bulk_ops import NrfProvBulkOpsSensor
from airflow_provider_nrfprov.triggers.bulk_ops import NrfProvBulkOpsTrigger
from airflow_provider_nrfprov.triggers.deferral import read_event
from tests.unit.airflow.project_claims import DEVICES, IDS, bulk_claim, report_of, run
from tests.unit.airflow.running import both_modes, finish

TOKEN = Settings.organization_token


# --- a connection that cannot be one --------------------------------------------------------------------------


def event_of_a_trigger(_: Path) -> None:
    trigger = NrfProvBulkOpsTrigger("nrfprov_default", ["1"], 1.0, time.time() + 30)
    read_event(asyncio.run(anext(trigger.run())).payload)


OPERATORS: dict[str, Callable[[Path], Any]] = {
    "a bulk claim": lambda file: run(bulk_claim(file)),
    "a bulk claim that defers": lambda file: run(bulk_claim(file, deferrable=True)),
    "one device": lambda _: run(NrfProvClaimDeviceOperator(task_id="t", claim_token=DEVICES[0].token)),
    "the list": lambda _: run(NrfProvListDevicesOperator(task_id="t")),
    "a device": lambda _: run(NrfProvFetchDeviceOperator(task_id="t", device_id=IDS[0])),
    "a job": lambda _: run(NrfProvFetchBulkOpsOperator(task_id="t", bulk_ops_request_id="1")),
    "a sensor": lambda _: NrfProvBulkOpsSensor(task_id="t", bulk_ops_request_ids=["1"]).poke({}),
    "a trigger": event_of_a_trigger,
}


@pytest.mark.parametrize("what", OPERATORS)
@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"organization": "Acme Inc."}, r"extra 'organization' is 'Acme Inc\.'; it must be a slug"),
        ({"organization": ""}, "extra 'organization' is ''; it must be a slug"),
        ({"project": "../other"}, r"extra 'project' is '\.\./other'; it must be a slug"),
        ({"password": "f" * 40}, "is not of the form oat_…: a project takes an organization token"),
        ({"password": Settings.api_key}, "A key of the legacy app belongs to the team's API"),
    ],
)
def test_a_connection_that_cannot_be_one_is_said_so_and_nothing_is_sent(
    emulator, project, claim_file, what, fields, words
):
    project(**fields)
    with pytest.raises(ConfigurationError, match=words) as caught:
        OPERATORS[what](claim_file)
    assert "Airflow connection 'nrfprov_default'" in str(caught.value)
    assert "f" * 40 not in str(caught.value)
    assert emulator.service.request_counts() == {}
    assert [each.name for each in claim_file.parent.iterdir()] == [claim_file.name]


# --- an answer that names another host ----------------------------------------------------------------------------


@pytest.fixture
def other_host(emulator, monkeypatch) -> Iterator[Emulator]:
    """A server that the emulator's answers name to ask about a job."""
    with running_emulator() as other:
        monkeypatch.setattr("airflow_provider_nrfprov.emulator.project_handlers.ELSEWHERE", other.url)
        emulator.reset(project_status_url="elsewhere")
        yield other


@both_modes
def test_a_job_on_another_host_is_not_asked_for_and_its_rows_are_looked_up(
    emulator, project, claim_file, other_host, deferrable
):
    with pytest.raises(
        ForeignStatusUrlError,
        match=rf"refers to {re.escape(other_host.url)} for its status, which is not a host of",
    ) as caught:
        run(bulk_claim(claim_file, deferrable=deferrable))
    assert TOKEN not in str(caught.value)
    receipt = run(bulk_claim(claim_file, deferrable=deferrable))
    assert (receipt["claimed"], receipt["unknown"]) == (5, 0)
    assert emulator.service.request_counts()["CreateDevicesInBulk"] == 1
    assert other_host.service.request_counts() == {}


def test_one_device_whose_job_is_on_another_host_is_looked_up(emulator, project, other_host):
    device = run(NrfProvClaimDeviceOperator(task_id="one", claim_token=DEVICES[0].token))
    assert device["id"] == IDS[0]
    assert emulator.service.request_counts() == {"CreateDevicesInBulk": 1, "FetchDevice": 1}
    assert other_host.service.request_counts() == {}


# --- a job that never ends ------------------------------------------------------------------------------------------


@both_modes
def test_a_claim_whose_job_never_ends_is_unknown_and_the_next_try_knows(
    emulator, project, claim_file, deferrable
):
    emulator.service.faults.plan("CreateDevicesInBulk", StuckOperation())
    with pytest.raises(RowsUnknownError, match="IN_PROGRESS"):
        finish(bulk_claim(claim_file, deferrable=deferrable, timeout=1.5))
    emulator.service.release_operations()
    assert run(bulk_claim(claim_file))["claimed"] == 5
    assert emulator.service.request_counts()["CreateDevicesInBulk"] == 1


def test_a_report_of_a_job_that_never_ends_names_its_rows_unknown_and_knows_later(
    emulator, project, claim_file
):
    emulator.service.faults.plan("CreateDevicesInBulk", StuckOperation())
    sent = run(bulk_claim(claim_file, wait_for_completion=False))
    [job] = [each.id for each in emulator.service.bulk_operations()]
    assert NrfProvBulkOpsSensor(task_id="wait", bulk_ops_request_ids=[job]).poke({}) is False
    report = report_of(sent)
    with pytest.raises(RowsUnknownError, match="IN_PROGRESS"):
        run(report)
    emulator.service.release_operations()
    assert run(report)["claimed"] == 5


def test_one_device_whose_job_never_ends_is_given_up_and_found_later(emulator, project, monkeypatch):
    monkeypatch.setattr("airflow_provider_nrfprov.claiming.claim_one.LONGEST_JOB", 0.2)
    emulator.service.faults.plan("CreateDevicesInBulk", StuckOperation())
    one = NrfProvClaimDeviceOperator(task_id="one", claim_token=DEVICES[0].token)
    with pytest.raises(NotEndedError, match=f"which claims device {IDS[0]}, is IN_PROGRESS .* it goes on"):
        run(one)
    emulator.service.release_operations()
    assert run(one)["id"] == IDS[0]
    assert emulator.service.claim_counts() == {IDS[0]: 1}
