"""Which devices were sent in bulk, and how often: what a judge of clients asks."""

from __future__ import annotations

import pytest
import requests

from airflow_provider_nrfprov.emulator.accounts import OTHER_TEAM_KEY, VIEWER_KEY
from airflow_provider_nrfprov.emulator.faults import DropAfter, DropBefore, Refuse
from airflow_provider_nrfprov.emulator.mint import mint_devices
from tests.unit.emulator.asking import tokens

SYNC = "/v1/claimed-devices"
ASYNC = "/v1/claimed-devices/bulk"


def test_every_csv_is_known_with_its_operation_its_devices_and_its_time(api, clock):
    a, b, c = mint_devices(3)
    at = clock.now
    operation_id = api.start_bulk(tokens([a, b]))
    clock.advance(1)
    api.with_key(OTHER_TEAM_KEY).post_csv(SYNC, tokens([c, c]))
    first, second = api.service.bulk_submissions()
    assert (first.operation_id, first.device_ids) == (operation_id, {a.device_id, b.device_id})
    assert (second.operation_id, second.device_ids) == (None, {c.device_id})
    assert abs((first.at - at).total_seconds()) < 0.001
    assert (second.at - first.at).total_seconds() == 1


def test_a_device_that_was_sent_twice_is_found_whatever_became_of_it(api):
    a, b, c = mint_devices(3)
    api.start_bulk(tokens([a, b]))
    api.start_bulk(tokens([b]))
    api.post_csv(SYNC, tokens([b, c]))
    api.claim(c.token)
    assert api.service.submission_counts() == {a.device_id: 1, b.device_id: 3, c.device_id: 1}


@pytest.mark.parametrize("path", [SYNC, ASYNC])
def test_what_was_done_before_the_answer_was_lost_counts_and_what_was_not_done_does_not(api, path):
    (device,) = mint_devices(1)
    for fault in (DropBefore(), Refuse(503), DropAfter()):
        operation = "ClaimDeviceOwnershipCsv" if path == SYNC else "BulkClaimDeviceOwnership"
        api.service.faults.plan(operation, fault)
        try:
            assert api.post_csv(path, device.token).status_code == 503
        except requests.ConnectionError:
            continue
    assert api.service.submission_counts() == {device.device_id: 1}


@pytest.mark.parametrize("path", [SYNC, ASYNC])
def test_a_csv_that_was_refused_as_a_whole_was_not_accepted(api, path):
    (device,) = mint_devices(1)
    assert api.with_key(VIEWER_KEY).post_csv(path, device.token).status_code == 403
    assert api.post_csv(path, f"{device.token}\n\n{device.token}\n").status_code == 422
    assert api.service.bulk_submissions() == []


def test_a_row_that_cannot_be_read_names_no_device_and_one_with_too_many_columns_does(api):
    a, b = mint_devices(2)
    api.start_bulk(f"bad\n{a.token},x,y\n{b.token}\n")
    assert api.service.bulk_submissions()[0].device_ids == {a.device_id, b.device_id}


def test_the_side_door_shows_them_without_tokens(api):
    devices = list(mint_devices(2))
    operation_id = api.start_bulk(tokens(devices))
    answer = requests.get(f"{api.emulator.url}/emulator/submissions", timeout=5)
    (item,) = answer.json()["items"]
    assert item == {
        "operation": operation_id,
        "devices": sorted(device.device_id for device in devices),
        "at": "2026-03-04T05:06:07.891Z",
        "repeated": False,
    }
