"""A service that refuses a body because of one row, switches paths off, or has a clock of its own."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from email.utils import parsedate_to_datetime

import pytest
import requests

from airflow_provider_nrfprov.emulator.faults import DropBefore
from airflow_provider_nrfprov.emulator.mint import mint_devices, mint_token
from airflow_provider_nrfprov.emulator.settings import Settings
from tests.unit.emulator.asking import CLAIMS, DEVICE, tokens

BULK = f"{CLAIMS}/bulk"


@pytest.mark.parametrize("status", [400, 409, 413, 415, 422])
@pytest.mark.parametrize("path", [CLAIMS, BULK])
def test_one_row_of_a_certain_device_makes_a_body_refused_as_a_whole(world, path, status):
    devices = list(mint_devices(20))
    api = world(poison_ids=[devices[7].device_id], poison_status=status)
    answer = api.post_csv(path, tokens(devices))
    assert answer.status_code == status
    assert answer.json() == {"code": status * 100, "message": "the request cannot be processed"}
    assert api.service.claimed_ids() == set()
    assert api.service.bulk_operations() == []
    assert api.service.bulk_submissions() == []
    assert api.post_csv(path, f"{tokens(devices[:7])}bad\n{tokens(devices[8:])}").status_code in {202, 422}
    assert len(api.service.bulk_submissions()) == 1


@pytest.mark.parametrize("path", [CLAIMS, BULK])
def test_one_row_with_a_certain_tag_does_so_too(world, path):
    a, b = mint_devices(2)
    api = world(poison_tags={"lot=13", "x"})
    assert api.post_csv(path, f'{a.token},"ok"\n{b.token},"line=2,lot=13"\n').status_code == 400
    assert api.post_csv(path, f'{a.token},"lot=1"\n{b.token},"lot=133"\n').status_code in {201, 202}


def test_a_body_that_is_too_large_is_refused_and_meets_its_faults_first(world):
    api = world(max_body_bytes=1000)
    assert api.post_csv(CLAIMS, tokens(mint_devices(6))).status_code == 413
    assert api.claim(mint_token(DEVICE)).status_code == 201
    assert api.service.claimed_ids() == {DEVICE}
    api.service.faults.plan("ClaimDeviceOwnershipCsv", DropBefore())
    with pytest.raises(requests.ConnectionError):
        api.post_csv(CLAIMS, tokens(mint_devices(6)))


def test_operations_can_be_switched_off_by_name(world):
    api = world(gone=["BulkClaimDeviceOwnership", "FetchClaimedDevice"])
    assert api.post_csv(BULK, mint_token(DEVICE)).status_code == 410
    assert api.post_csv(CLAIMS, mint_token(DEVICE)).status_code == 201
    gone = api.get(f"{CLAIMS}/{DEVICE}")
    assert (gone.status_code, gone.json()["code"]) == (410, 41000)
    assert api.delete(f"{CLAIMS}/{DEVICE}").status_code == 204
    assert api.service.request_counts()["BulkClaimDeviceOwnership"] == 1


def test_what_is_not_served_can_be_gone(world):
    api = world(unknown_path="gone", contract="sync")
    assert [api.post_csv(BULK, "x").status_code, api.get("/v1/nothing").status_code] == [410, 410]
    assert api.service.request_counts() == {"unknown path": 2}


@pytest.mark.parametrize("offset", [3600, -3600, 0.5])
def test_all_that_the_service_says_of_time_is_off_by_as_much_as_its_clock(start, offset):
    api = start(clock_offset_seconds=offset, bulk_seconds=0)
    before = datetime.now(timezone.utc).replace(microsecond=0) + timedelta(seconds=offset)
    answer = api.claim(mint_token(DEVICE))
    operation = api.operation(api.start_bulk(mint_token()))
    after = datetime.now(timezone.utc) + timedelta(seconds=offset)
    texts = [answer.json()["claimedAt"], operation["requestedAt"], operation["completedAt"]]
    said = [datetime.fromisoformat(text.replace("Z", "+00:00")) for text in texts]
    said.append(parsedate_to_datetime(answer.headers["Date"]))
    assert all(before - timedelta(seconds=1) <= moment <= after for moment in said)


@pytest.mark.parametrize("path", [CLAIMS, "/v1/nothing", "/emulator/health", "/v1/claimed-devices/none"])
def test_every_answer_has_one_date_which_is_the_services(api, clock, path):
    clock.advance(86400)
    dates = api.get(path).raw.headers.getlist("Date")
    assert dates == ["Thu, 05 Mar 2026 05:06:07 GMT"]


@pytest.mark.parametrize(
    "wrong",
    [
        {"contract": "none"},
        {"partial_failure_status": 500},
        {"bulk_seconds": -1},
        {"bulk_seconds": float("nan")},
        {"max_rows": 0},
        {"gone": ["ClaimEverything"]},
        {"gone": "FetchTag"},
        {"poison_tags": "lot"},
        {"poison_ids": [1]},
        {"poison_status": 500},
        {"max_body_bytes": -1},
        {"list_lag_seconds": -1},
        {"clock_offset_seconds": float("inf")},
        {"unknown_path": "lost"},
    ],
)
def test_a_value_that_a_setting_does_not_have_is_an_error_that_names_it(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Settings(**wrong)


def test_settings_are_changed_by_the_side_door_with_a_reset(start):
    api = start()
    api.claim(mint_token())
    assert api.post("/emulator/reset", json={"gone": ["BulkClaimDeviceOwnership"]}).status_code == 204
    assert api.service.claimed_ids() == set()
    assert api.post_csv(BULK, mint_token(DEVICE)).status_code == 410
    assert api.post("/emulator/reset").status_code == 204
    assert api.post_csv(BULK, mint_token(DEVICE)).status_code == 410


@pytest.mark.parametrize("wrong", [{"gone": ["x"]}, {"lag": 1}, {"max_rows": "many"}, {"gone": 1}])
def test_the_side_door_refuses_a_setting_that_makes_no_sense_and_forgets_nothing(api, wrong):
    api.claim(mint_token(DEVICE))
    assert api.post("/emulator/reset", json=wrong).status_code == 422
    assert api.service.claimed_ids() == {DEVICE}
