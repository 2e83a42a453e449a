"""Operators, sensors and triggers on a connection of a project: what works, and what says that it cannot before it begins."""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import Connection, TaskDeferred

from airflow_provider_nrfprov.api.errors import (
    ClaimRefusedError,
    ConfigurationError,
    NotFoundError,
    NotInThisApiError,
)
from airflow_provider_nrfprov.api.project_contract import NOT_IN_PROJECT
from airflow_provider_nrfprov.emulator.accounts import PROJECT
from airflow_provider_nrfprov.emulator.faults import OddStatus, Refuse
from airflow_provider_nrfprov.exceptions import BulkOpsFailedError, RowsFailedError, RowsUnknownError
from airflow_provider_nrfprov.hooks.connection import client_from, portal_page_of
from airflow_provider_nrfprov.hooks.nrfprov import NrfProvHook
from airflow_provider_nrfprov.operators import block_devices, bulk_ops, tags, unclaim_devices
from airflow_provider_nrfprov.operators.bulk_claim import NrfProvBulkClaimOperator
from airflow_provider_nrfprov.operators.check_claim_file import NrfProvCheckClaimFileOperator
from airflow_provider_nrfprov.operators.claim_device import NrfProvClaimDeviceOperator
from airflow_provider_nrfprov.operators.fetch_device import NrfProvFetchDeviceOperator
from airflow_provider_nrfprov.operators.list_devices import NrfProvListDevicesOperator
from airflow_provider_nrfprov.operators.provisioning_command import NrfProvCreateCommandOperator
from airflow_provider_nrfprov.operators.provisioning_rules import NrfProvEnsureOnboardingRuleOperator
from airflow_provider_nrfprov.operators.tag_devices import NrfProvTagDevicesOperator
from airflow_provider_nrfprov.sensors.bulk_ops import NrfProvBulkOpsSensor
from airflow_provider_nrfprov.sensors.provisioning_command import NrfProvCommandSensor
from airflow_provider_nrfprov.triggers.bulk_ops import NrfProvBulkOpsTrigger
from tests.traffic import claimed_by_another_team
from tests.unit.airflow.project_claims import DEVICES, IDS, bulk_claim, report_of, run

DEVICE = IDS[0]
TOKEN = "oat_emulator-token"


def claim(claim_file: Path, **options: Any) -> dict[str, Any]:
    return run(bulk_claim(claim_file, **options))


# --- what works --------------------------------------------------------------------------------------------------


def test_a_file_is_claimed_and_its_jobs_are_waited_for(emulator, project, claim_file):
    emulator.reset(bulk_seconds=1.2)
    receipt = claim(claim_file, rows_per_request=2)
    assert (receipt["claimed"], receipt["failed"], receipt["unknown"]) == (5, 0, 0)
    assert emulator.service.request_counts()["CreateDevicesInBulk"] == 3
    assert emulator.service.claimed_ids(PROJECT) == set(IDS)
    assert emulator.service.claimed_devices("no team") == []


def test_a_claim_is_sent_waited_for_by_the_sensor_and_reported_in_three_tasks(emulator, project, claim_file):
    emulator.reset(bulk_seconds=0.3)
    sent = claim(claim_file, wait_for_completion=False, rows_per_request=3)
    ids = [each.id for each in emulator.service.bulk_operations()]
    assert sent["bulk_operations"] == len(ids) == 2
    sensor = NrfProvBulkOpsSensor(task_id="wait", bulk_ops_request_ids=ids, poke_interval=1)
    while not sensor.poke({}):
        time.sleep(0.1)
    assert run(report_of(sent))["claimed"] == 5


def test_a_claim_defers_and_the_trigger_asks_job_by_job(emulator, project, claim_file):
    emulator.reset(bulk_seconds=1.0)
    operator = bulk_claim(claim_file, deferrable=True)
    with pytest.raises(TaskDeferred) as deferred:
        run(operator)
    event = asyncio.run(anext(deferred.value.trigger.run()))
    assert event.payload == {"status": "ended", "failed": []}
    assert operator.execute_complete({}, event.payload, **deferred.value.kwargs)["claimed"] == 5
    counts = emulator.service.request_counts()
    assert counts.keys() == {"ListDevices", "CreateDevicesInBulk", "FetchBulkCreation"}


def test_a_trigger_names_the_jobs_that_failed(emulator, project, claim_file):
    claim(claim_file)
    hook = NrfProvHook()
    failing = hook.bulk_claim(f"deviceId,attestationToken\n{DEVICE},{DEVICES[0].token}\n").bulk_ops_request_id
    trigger = NrfProvBulkOpsTrigger("nrfprov_default", [failing], 1.0, time.time() + 30)
    event = asyncio.run(anext(trigger.run()))
    assert event.payload == {"status": "ended", "failed": [failing]}
    with pytest.raises(BulkOpsFailedError):
        NrfProvBulkOpsSensor(task_id="wait", bulk_ops_request_ids=[failing]).poke({})
    shown = run(bulk_ops.NrfProvFetchBulkOpsOperator(task_id="show", bulk_ops_request_id=failing))
    assert shown["examples"] == [f"device {DEVICE}: device already exists"]


def test_rows_that_are_refused_fail_the_claim_with_the_services_words(emulator, project, claim_file):
    claimed_by_another_team(emulator, DEVICES[0].token)
    with pytest.raises(RowsFailedError, match="device belongs to another project"):
        claim(claim_file)
    assert emulator.service.claimed_ids(PROJECT) == set(IDS[1:])


def test_a_status_that_nobody_knows_is_waited_for_until_the_time_out(emulator, project, claim_file):
    emulator.service.faults.plan("FetchBulkCreation", OddStatus("DONE"), times=None)
    assert claim(claim_file, timeout=1)["claimed"] == 5, "they show among the devices"
    emulator.reset(project_devices_shown=False)
    emulator.service.faults.plan("FetchBulkCreation", OddStatus("DONE"), times=None)
    with pytest.raises(RowsUnknownError, match="DONE"):
        claim(claim_file, timeout=1, report_dir=claim_file.parent / "other")
    project(job_statuses={"succeeded": ["DONE"]})
    assert claim(claim_file, report_dir=claim_file.parent / "other")["claimed"] == 5


def test_one_device_is_claimed_listed_and_fetched(emulator, project, tmp_path):
    device = run(NrfProvClaimDeviceOperator(task_id="one", claim_token=DEVICES[0].token))
    assert device["id"] == DEVICE
    assert device["claimed_at"]
    assert run(NrfProvFetchDeviceOperator(task_id="fetch", device_id=DEVICE)) == device
    assert run(NrfProvListDevicesOperator(task_id="list")) == [DEVICE]
    named = {"claimed_after": "2000-01-01", "output_path": tmp_path / "list.csv", "do_xcom_push": False}
    assert run(NrfProvListDevicesOperator(task_id="file", **named))["count"] == 1
    assert run(NrfProvListDevicesOperator(task_id="late", claimed_after="2999-01-01")) == []
    with pytest.raises(NotFoundError):
        run(NrfProvFetchDeviceOperator(task_id="none", device_id=IDS[1]))


def test_one_device_that_is_refused_is_not_tried_again(emulator, project):
    from airflow_provider_nrfprov.retries import _users_mistakes

    claimed_by_another_team(emulator, DEVICES[0].token)
    with pytest.raises(ClaimRefusedError, match="belongs to another project"):
        run(NrfProvClaimDeviceOperator(task_id="one", claim_token=DEVICES[0].token))
    assert issubclass(ClaimRefusedError, _users_mistakes())


def test_a_token_that_is_changed_is_used_from_then_on(emulator, project):
    project("oat_revoked")
    hook = NrfProvHook()
    hook.get_conn()
    project()
    assert list(hook.list_claimed_devices()) == []


# --- what a project has no way for: said at once, from one table ----------------------------------------------------

MISSING_FILE = "/there/is/no/such/file"
CANNOT: dict[str, Callable[[], Any]] = {
    "tags of a claim": lambda: NrfProvBulkClaimOperator(task_id="t", claim_file=MISSING_FILE, tags=["a"]),
    "a dry run of a claim's rows": lambda: NrfProvBulkClaimOperator(
        task_id="t", claim_file=MISSING_FILE, dry_run_rows=1
    ),
    "a dry run of a file": lambda: NrfProvCheckClaimFileOperator(
        task_id="t", claim_file=MISSING_FILE, dry_run_rows=1
    ),
    "a dry run of one": lambda: NrfProvClaimDeviceOperator(task_id="t", claim_token="x", check_only=True),
    "tags of one": lambda: NrfProvClaimDeviceOperator(task_id="t", claim_token=DEVICES[0].token, tags=["a"]),
    "a list by tag": lambda: NrfProvListDevicesOperator(task_id="t", tag="a"),
    "a list by status": lambda: NrfProvListDevicesOperator(task_id="t", status="READY"),
    "tagging": lambda: NrfProvTagDevicesOperator(task_id="t", report=MISSING_FILE, tags=["a"]),
    "blocking": lambda: block_devices.NrfProvBlockDevicesOperator(task_id="t", device_file=MISSING_FILE),
    "unblocking": lambda: block_devices.NrfProvUnblockDevicesOperator(task_id="t", tag="a"),
    "unclaiming": lambda: unclaim_devices.NrfProvUnclaimDevicesOperator(task_id="t", report=MISSING_FILE),
    "creating tags": lambda: tags.NrfProvEnsureTagsOperator(task_id="t", tags=["a"]),
    "renaming a tag": lambda: tags.NrfProvRenameTagOperator(task_id="t", tag="a", new_tag="b"),
    "deleting a tag": lambda: tags.NrfProvDeleteTagOperator(task_id="t", tag="a"),
    "a rule": lambda: NrfProvEnsureOnboardingRuleOperator(task_id="t"),
    "a command": lambda: NrfProvCreateCommandOperator(
        task_id="t", device_id=DEVICE, request={"finished": {}}
    ),
    "a command's end": lambda: NrfProvCommandSensor(
        task_id="t", device_id=DEVICE, command_id="1", silent_fail=True
    ),
    "a list of bulk operations": lambda: bulk_ops.NrfProvListBulkOpsOperator(task_id="t"),
}


@pytest.mark.parametrize("what", CANNOT)
def test_what_a_project_has_no_way_for_is_said_before_a_file_is_read_or_a_request_sent(
    emulator, project, what
):
    with pytest.raises(NotInThisApiError) as caught:
        run(CANNOT[what]())
    assert any(str(each) in str(caught.value) for each in NOT_IN_PROJECT.values())
    assert emulator.service.request_counts() == {}


def test_a_group_that_claims_and_tags_works_without_tags(emulator, project, claim_file):
    receipt = claim(claim_file)
    tagging = NrfProvTagDevicesOperator(task_id="t", report=receipt["report"], tags=[])
    assert run(tagging) == {"changed": 0, "unchanged": 5, "failed": 0}
    replacing = NrfProvTagDevicesOperator(task_id="t", report=receipt["report"], tags=[], mode="replace")
    with pytest.raises(NotInThisApiError, match="tags of a device"):
        run(replacing)


def test_the_same_operators_go_on_to_their_work_with_a_team(nrfcloud):
    for what in ("tagging", "blocking", "unclaiming", "tags of a claim", "a dry run of a file"):
        with pytest.raises(Exception) as caught:  # noqa: PT011 - each says in its own way that there is no file
            run(CANNOT[what]())
        assert not isinstance(caught.value, NotInThisApiError)


# --- the connection ---------------------------------------------------------------------------------------------------


def connection(**fields: Any) -> Connection:
    extra = {"api": "project", "organization": "acme-inc", "project": "smart-sink"} | fields.pop("extra", {})
    return Connection(
        conn_id="factory", conn_type="nrfprov", extra=json.dumps(extra), **{"password": TOKEN, **fields}
    )


def test_a_connection_of_a_project_leads_to_nordics_hosts():
    in_project = "/organizations/acme-inc/projects/smart-sink"
    assert client_from(connection()).urls == (
        f"https://api.nrfcloud.com/v1{in_project}",
        f"https://api.memfault.com/api/v0{in_project}",
    )
    assert client_from(connection(port=443)).urls[0] == f"https://api.nrfcloud.com:443/v1{in_project}"
    assert portal_page_of(connection()) == f"https://app.memfault.com{in_project}"
    assert portal_page_of(connection(host="http://127.0.0.1:8099")) is None


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"extra": {"api": "new"}}, "team or project"),
        ({"extra": {"api": 7}}, "team or project"),
        ({"extra": {"organization": None}}, "extra 'organization'"),
        ({"extra": {"bulk_contract": "sync"}}, "belong to the team's API"),
        ({"extra": {"cloud_url": "https://x"}}, "belong to the team's API"),
        ({"extra": {"job_statuses": {"good": ["X"]}}}, "failed, running, succeeded"),
        ({"extra": {"job_statuses": {"failed": "X"}}}, "lists of words"),
        ({"extra": {"job_statuses": {"failed": [" "]}}}, "lists of words"),
        (
            {"extra": {"job_statuses": {"succeeded": ["X"], "failed": ["X"]}}},
            "'X' as succeeded and as failed",
        ),
        ({"extra": {"job_statuses": {"running": ["SUCCEEDED"]}}}, "'SUCCEEDED' as succeeded and as running"),
        ({"extra": {"endpoints": {"CreateTag": "POST /x"}}}, "CreateDevicesInBulk"),
        ({"extra": {"devices_url": "ftp://x"}}, "api.memfault.com"),
        ({"extra": {"devices_url": 5}}, "extra 'devices_url' is 5; it is a URL"),
        ({"extra": {"api": "team"}}, "set extra 'api' to 'project'"),
        ({"password": "oat_"}, "is not of the form oat_…"),
        ({"password": None}, "no API key"),
        ({"host": "https://api.provisioning.nrfcloud.com"}, "leave the field empty"),
    ],
)
def test_what_is_wrong_with_a_projects_connection_is_said_in_a_sentence(fields, words):
    with pytest.raises(ConfigurationError, match=words) as caught:
        client_from(connection(**fields))
    assert str(caught.value).startswith("Airflow connection 'factory': ")
    assert TOKEN not in str(caught.value)


def test_a_path_that_moved_is_named_in_the_connection(emulator, project, claim_file):
    project(endpoints={"CreateDevicesInBulk": "POST /devices/bulk"})
    with pytest.raises(Exception, match="/projects/smart-sink/devices/bulk"):
        claim(claim_file)


def test_the_test_of_a_connection_asks_what_changes_nothing(emulator, project):
    works, words = NrfProvHook().test_connection()
    assert works, words
    assert words.startswith("The project answered: its devices can be listed.")
    assert emulator.service.request_counts() == {"ListDevices": 1, "FetchBulkCreation": 1}


@pytest.mark.parametrize(
    ("extra", "words"),
    [
        ({"password": "oat_another"}, r"refused the API key \(401\)"),
        ({"password": "emulator-key"}, "is not of the form oat_…"),
        ({"project": "nothing"}, "Check the connection's organization and project"),
    ],
)
def test_the_test_of_a_connection_says_what_is_wrong(emulator, project, extra, words):
    project(**extra)
    works, said = NrfProvHook().test_connection()
    assert not works
    assert re.search(words, said), said


def test_the_test_of_a_connection_takes_it_for_no_error_that_jobs_are_elsewhere(emulator, project):
    project(endpoints={"FetchBulkCreation": "GET /jobs/{job_id}"})
    works, said = NrfProvHook().test_connection()
    assert works, said
    assert emulator.service.request_counts() == {"ListDevices": 1, "unknown path": 1}


def test_the_test_of_a_connection_finds_out_that_creating_is_refused(emulator, project):
    emulator.service.faults.plan("FetchBulkCreation", Refuse(403))
    works, said = NrfProvHook().test_connection()
    assert not works
    assert "but devices cannot be created" in said
