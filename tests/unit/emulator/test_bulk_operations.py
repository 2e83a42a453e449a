"""Asynchronous bulk claims: they take their time, and say afterwards what became of every row."""

from __future__ import annotations

import json
import re

import pytest
import requests

from airflow_provider_nrfprov.emulator.accounts import OTHER_TEAM_KEY
from airflow_provider_nrfprov.emulator.mint import mint_devices
from tests.unit.emulator.asking import tokens, wait_for

CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
LIST = "/v1/bulk-ops-requests"


def milliseconds_of(ulid: str) -> int:
    number = 0
    for letter in ulid[:10]:
        number = number * 32 + CROCKFORD.index(letter)
    return number


def test_the_id_is_a_ulid_that_holds_the_time_of_the_request(api, clock):
    operation_id = api.start_bulk(tokens(mint_devices(1)))
    assert re.fullmatch(r"[0-9A-HJKMNP-TV-Z]{26}", operation_id)
    assert milliseconds_of(operation_id) == int(clock.now.timestamp() * 1000)
    assert api.operation(operation_id)["requestedAt"] == "2026-03-04T05:06:07.891Z"


def test_an_operation_is_pending_then_in_progress_then_succeeded(api, clock):
    operation_id = api.start_bulk(tokens(mint_devices(3)))
    seen = []
    for _ in range(5):
        seen.append(api.operation(operation_id)["status"])
        clock.advance(0.5)
    assert seen == ["PENDING", "PENDING", "IN_PROGRESS", "IN_PROGRESS", "SUCCEEDED"]


def test_its_devices_are_claimed_when_it_ends_and_not_before(api, clock):
    devices = list(mint_devices(3))
    operation_id = api.start_bulk(tokens(devices))
    clock.advance(1.9)
    assert api.get("/v1/claimed-devices").json()["items"] == []
    clock.advance(60)
    listed = api.get("/v1/claimed-devices").json()["items"]
    assert [item["id"] for item in listed] == [device.device_id for device in devices]
    assert {item["claimedAt"] for item in listed} == {"2026-03-04T05:06:09.891Z"}
    assert api.operation(operation_id)["completedAt"] == "2026-03-04T05:06:09.891Z"
    assert api.service.claims_per_operation() == {operation_id: 3}


def test_a_succeeded_operation_says_what_is_documented(carried_out):
    operation = carried_out(tokens(mint_devices(1)))
    assert set(operation) == {
        "bulkOpsRequestId",
        "endpoint",
        "status",
        "requestedAt",
        "completedAt",
        "uploadedDataUrl",
        "resultDataUrl",
    }
    assert operation["endpoint"] == "CLAIM_DEVICE_OWNERSHIP"


def test_one_bad_row_makes_it_fail_and_the_good_ones_are_claimed(api, carried_out):
    a, b = mint_devices(2)
    operation = carried_out(f"{a.token}\nbad\n{b.token}\n{a.token}\n")
    assert operation["status"] == "FAILED"
    assert api.service.claimed_ids() == {a.device_id, b.device_id}
    errors = requests.get(operation["errorSummaryUrl"], timeout=5).json()["errors"]
    assert [error.partition(":")[0] for error in errors] == ["[1]", "[3]"]


def test_the_old_error_summary_counts_rows_from_one_in_a_single_string(world, carried_out):
    world(error_summary="legacy")
    device = next(mint_devices(1))
    operation = carried_out(f"{device.token}\nbad\n{device.token}\nbad\n")
    text = requests.get(operation["errorSummaryUrl"], timeout=5).text
    # As the tool of that time read it: between these two marks, without the backslashes.
    found = text[text.index("(1-based)]: ") + len("(1-based)]: ") : text.rindex('."}')]
    assert sorted(json.loads(found.replace("\\", "")).values()) == [[2, 4], [3]]


def test_uploaded_and_result_data_need_no_api_key_and_errors_exist_only_after_failure(api, clock):
    device = next(mint_devices(1))
    operation_id = api.start_bulk(tokens([device]))
    uploaded = api.operation(operation_id)["uploadedDataUrl"]
    assert uploaded.startswith(f"{api.emulator.url}/")
    assert requests.get(uploaded, timeout=5).text == tokens([device])
    result = uploaded.replace(".csv", "-result.json")
    assert requests.get(result, timeout=5).status_code == 404
    clock.advance(2)
    assert api.operation(operation_id)["resultDataUrl"] == result
    assert requests.get(result, timeout=5).json() == {"claimedIds": [device.device_id]}
    assert requests.get(uploaded.replace(".csv", ".json"), timeout=5).status_code == 404


def test_of_two_operations_with_one_device_the_first_to_end_claims_it(api, clock):
    device = next(mint_devices(1))
    first = api.start_bulk(tokens([device]))
    clock.advance(0.5)
    second = api.start_bulk(tokens([device]))
    clock.advance(10)
    assert api.operation(second)["status"] == "FAILED"
    assert api.operation(first)["status"] == "SUCCEEDED"
    assert api.service.claim_counts() == {device.device_id: 1}
    assert api.service.claims_per_operation() == {first: 1, second: 0}


def test_a_claim_in_between_wins_over_an_operation_that_has_not_ended(api, clock):
    device = next(mint_devices(1))
    operation_id = api.start_bulk(tokens([device]))
    clock.advance(1)
    assert api.claim(device.token).status_code == 201
    clock.advance(1)
    assert api.operation(operation_id)["status"] == "FAILED"


def test_an_operation_of_another_team_or_of_nobody_is_not_found(api):
    operation_id = api.start_bulk(tokens(mint_devices(1)))
    other = api.with_key(OTHER_TEAM_KEY)
    for answer in (other.get(f"{LIST}/{operation_id}"), api.get(f"{LIST}/01G4ACS60SAEK1YNGSSJHBEET0")):
        assert answer.status_code == 404
        assert answer.json()["code"] == 40410
    assert other.get(LIST).json()["items"] == []


def test_operations_are_listed_by_status_time_and_page(api, clock):
    ids = []
    for device in mint_devices(5):
        ids.append(api.start_bulk(tokens([device])))
        clock.advance(1)
    listed = api.get(LIST).json()
    assert [item["bulkOpsRequestId"] for item in listed["items"]] == ids
    assert "pageNextToken" not in listed
    pending = api.get(LIST, params={"status": "IN_PROGRESS"}).json()["items"]
    assert [item["bulkOpsRequestId"] for item in pending] == ids[4:]
    window = {"startRequestedAt": "2026-03-04T05:06:08.891Z", "endRequestedAt": "2026-03-04T05:06:09.891Z"}
    assert [item["bulkOpsRequestId"] for item in api.get(LIST, params=window).json()["items"]] == ids[1:3]
    page = api.get(LIST, params={"pageLimit": 3}).json()
    rest = api.get(LIST, params={"pageLimit": 3, "pageNextToken": page["pageNextToken"]}).json()
    assert [item["bulkOpsRequestId"] for item in page["items"] + rest["items"]] == ids


@pytest.mark.parametrize("query", [{"status": "DONE"}, {"startRequestedAt": "yesterday"}])
def test_a_filter_that_makes_no_sense_is_refused(api, query):
    assert api.get(LIST, params=query).status_code == 422


def test_on_the_real_clock_an_operation_ends_by_itself(start):
    api = start(bulk_seconds=0.2)
    operation_id = api.start_bulk(tokens(mint_devices(2)))
    wait_for(lambda: api.operation(operation_id)["status"] == "SUCCEEDED")
    assert len(api.service.claimed_ids()) == 2
