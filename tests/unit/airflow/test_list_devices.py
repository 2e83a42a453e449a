"""Listing and fetching claimed devices, through the wire to the emulator, as Airflow calls it."""

from __future__ import annotations

import csv
import datetime
import json
import uuid
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException, ObjectStoragePath

from airflow_provider_nrfprov.api.errors import NotFoundError, UnauthorizedError
from airflow_provider_nrfprov.arguments import ArgumentError
from airflow_provider_nrfprov.emulator.clock import ManualClock
from airflow_provider_nrfprov.emulator.faults import Refuse
from airflow_provider_nrfprov.emulator.mint import mint_devices
from airflow_provider_nrfprov.emulator.server import running_emulator
from airflow_provider_nrfprov.exceptions import TooManyForXComError
from airflow_provider_nrfprov.hooks.nrfprov import NrfProvHook
from airflow_provider_nrfprov.operators.fetch_device import NrfProvFetchDeviceOperator
from airflow_provider_nrfprov.operators.list_devices import COLUMNS, NrfProvListDevicesOperator
from tests.unit.airflow.running import TaskInstance


def listing(ti: TaskInstance | None = None, **arguments: Any) -> Any:
    return NrfProvListDevicesOperator(task_id="list", **arguments).execute({"ti": ti or TaskInstance()})


def claim_many(count: int, tags: str = "line=1,lot=7") -> list[str]:
    devices = list(mint_devices(count, seed="listing"))
    for start in range(0, count, 1000):
        rows = "".join(f'"{device.token}","{tags}"\n' for device in devices[start : start + 1000])
        NrfProvHook().bulk_claim(rows)
    return [device.device_id for device in devices]


def test_gives_the_ids_of_the_devices_for_which_every_condition_holds(connect, tokens):
    clock = ManualClock()
    with running_emulator(clock=clock) as emulator:
        connect(emulator.url)
        hook = NrfProvHook()
        early = hook.claim_device(tokens[0], ["x"]).id
        clock.advance(3600)
        late, blocked = hook.claim_device(tokens[1], ["x"]).id, hook.claim_device(tokens[2], ["x"]).id
        hook.block_device(blocked)
        assert listing() == [early, late, blocked]
        assert listing(tag="x", status="READY") == [early, late]
        half_past = clock.now - datetime.timedelta(minutes=30)
        for after in (half_past, half_past.isoformat(), half_past.replace(tzinfo=None).isoformat()):
            assert listing(claimed_after=after) == [late, blocked]
        assert listing(tag="nowhere") == []


def test_more_devices_than_the_limit_fail_the_task_in_words_after_few_pages(nrfcloud):
    claim_many(1000)
    with pytest.raises(TooManyForXComError, match=r"more than 200 such devices.*output_path"):
        listing()
    assert nrfcloud.service.request_counts()["ListClaimedDevices"] == 3
    assert issubclass(TooManyForXComError, AirflowFailException)  # a retry would find as many
    assert len(listing(limit=1000)) == 1000


def test_writes_a_file_of_any_length_and_gives_its_path_and_count(nrfcloud, tmp_path):
    ids = claim_many(1500)
    path = tmp_path / "new folder" / "devices.csv"
    ti = TaskInstance()
    result = listing(ti, output_path=str(path), tag="lot=7")
    assert result == {"path": str(path), "count": 1500}
    assert ti.pushed == {"path": str(path), "count": 1500}
    assert len(json.dumps(result)) < 300
    with path.open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert tuple(rows[0]) == COLUMNS
    assert [row["device_id"] for row in rows] == ids
    assert {(row["status"], row["tags"], row["ownership_status"]) for row in rows} == {
        ("READY", "line=1,lot=7", "IDENTIFIED")
    }
    assert datetime.datetime.fromisoformat(rows[0]["claimed_at"]).tzinfo is not None
    assert [entry.name for entry in path.parent.iterdir()] == ["devices.csv"]


def test_a_name_in_txt_gets_ids_only(nrfcloud, tmp_path):
    ids = claim_many(3)
    listing(output_path=str(tmp_path / "devices.txt"))
    assert (tmp_path / "devices.txt").read_text() == "".join(f"{each}\n" for each in ids)


def test_a_list_that_breaks_off_leaves_no_file(nrfcloud, tmp_path):
    claim_many(250)
    nrfcloud.service.faults.plan("ListClaimedDevices", Refuse(401), nth=2)
    with pytest.raises(UnauthorizedError):
        listing(output_path=str(tmp_path / "devices.csv"))
    assert list(tmp_path.iterdir()) == []


def test_a_list_of_nothing_is_a_file_with_its_header(nrfcloud, tmp_path):
    assert listing(output_path=str(tmp_path / "devices.csv"))["count"] == 0
    assert (tmp_path / "devices.csv").read_text() == ",".join(COLUMNS) + "\n"


def test_writes_to_an_object_store(nrfcloud, object_store):
    claim_many(2)
    path = f"{object_store}/devices.csv"
    assert listing(output_path=path) == {"path": path, "count": 2}
    with ObjectStoragePath(path).open("r") as stream:
        assert len(stream.readlines()) == 3


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"claimed_after": "PT1H"}, "it must be a datetime"),
        ({"output_path": "folder/"}, "names a folder"),
    ],
)
def test_a_condition_that_is_none_is_refused_before_anything_is_asked(nrfcloud, arguments, words):
    with pytest.raises(ValueError, match=words):
        listing(**arguments)
    assert not nrfcloud.service.request_counts()


def test_fetches_one_device_with_its_tags(nrfcloud, tokens):
    device = NrfProvHook().claim_device(tokens[0], ["a", "b"])
    fetched = NrfProvFetchDeviceOperator(task_id="fetch", device_id=device.id).execute({})
    assert fetched == device.as_dict()
    assert (fetched["tags"], fetched["status"]) == (["a", "b"], "READY")
    assert json.loads(json.dumps(fetched)) == fetched


def test_a_device_that_is_not_ours_cannot_be_fetched(nrfcloud):
    with pytest.raises(NotFoundError, match="404"):
        NrfProvFetchDeviceOperator(task_id="fetch", device_id=str(uuid.uuid4())).execute({})


def test_what_is_no_device_is_an_error_that_names_the_argument(nrfcloud):
    words = "device_id of task 'fetch' cannot be used: 'nope' is not a device UUID"
    with pytest.raises(ArgumentError, match=words):
        NrfProvFetchDeviceOperator(task_id="fetch", device_id="nope").execute({})
