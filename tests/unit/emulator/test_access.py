"""Who may ask for what, in which order it is checked, and what is not there at all."""

from __future__ import annotations

import pytest
import requests

from airflow_provider_nrfprov.emulator.accounts import ADMIN_KEY, EDITOR_KEY, OTHER_TEAM_KEY, VIEWER_KEY
from airflow_provider_nrfprov.emulator.mint import mint_devices, mint_token
from tests.unit.emulator.asking import CLAIMS, DEVICE

WRITES = [
    ("POST", CLAIMS),
    ("POST", f"{CLAIMS}?dryrun=true"),
    ("POST", f"{CLAIMS}/bulk"),
    ("PATCH", f"{CLAIMS}/{DEVICE}"),
    ("DELETE", f"{CLAIMS}/{DEVICE}"),
    ("POST", f"{CLAIMS}/{DEVICE}/block"),
    ("POST", f"{CLAIMS}/{DEVICE}/provisioning"),
    ("POST", f"{CLAIMS}/tags"),
    ("POST", "/v1/provisioning-rules"),
]
READS = [CLAIMS, f"{CLAIMS}/tags", "/v1/provisioning/tags", "/v1/bulk-ops-requests", "/v1/provisioning-rules"]


@pytest.mark.parametrize(
    "header", [None, "", "Bearer", "Bearer nobody", "Basic emulator-key", "emulator-key"]
)
def test_without_a_known_key_everything_is_refused_with_401(api, header):
    headers = {} if header is None else {"Authorization": header}
    for method, path in [*WRITES, *[("GET", path) for path in READS]]:
        answer = requests.request(method, api.emulator.url + path, headers=headers, timeout=5)
        assert answer.status_code == 401, (method, path)
        assert answer.json()["code"] == 40100


def test_a_viewer_may_read_and_nothing_else(api):
    api.claim(mint_token(DEVICE))
    viewer = api.with_key(VIEWER_KEY)
    assert {viewer.get(path).status_code for path in READS} == {200}
    assert viewer.get(f"{CLAIMS}/{DEVICE}").status_code == 200
    for method, path in WRITES:
        assert viewer.ask(method, path).status_code == 403, (method, path)
    assert api.service.claimed_ids() == {DEVICE}


@pytest.mark.parametrize("key", [EDITOR_KEY, ADMIN_KEY])
def test_an_editor_and_an_admin_may_write_for_the_same_team(api, key):
    api.with_key(key).claim(mint_token(DEVICE))
    assert api.get(f"{CLAIMS}/{DEVICE}").status_code == 200


def test_the_owners_key_can_be_chosen(world):
    api = world(api_key="0a1b2c")
    assert api.get(CLAIMS).status_code == 200
    assert api.with_key("emulator-key").get(CLAIMS).status_code == 401


def test_a_revoked_key_fails_until_it_is_restored(api):
    api.service.keys.revoke("emulator-key")
    assert api.get(CLAIMS).status_code == 401
    assert api.with_key(OTHER_TEAM_KEY).get(CLAIMS).status_code == 200
    api.service.keys.restore("emulator-key")
    assert api.get(CLAIMS).status_code == 200


def test_what_is_not_there_comes_before_what_is_wrong_with_the_body(api):
    answers = [
        api.ask("PATCH", f"{CLAIMS}/{DEVICE}", data="{"),
        api.post(f"{CLAIMS}/{DEVICE}/provisioning", data="{"),
        api.put(f"{CLAIMS}/tags/{DEVICE}", data="{"),
    ]
    assert {answer.status_code for answer in answers} == {404}


def test_a_wrong_content_type_comes_before_a_malformed_body(api):
    headers = {"Content-Type": "application/xml"}
    assert api.post(f"{CLAIMS}/tags", data="{", headers=headers).status_code == 415
    assert api.post(f"{CLAIMS}/bulk", data="a", headers=headers).status_code == 415
    assert api.post(f"{CLAIMS}/tags", data="{").status_code == 400


def test_a_bad_token_comes_before_a_conflict(api):
    api.claim(mint_token(DEVICE))
    assert api.claim(mint_token(DEVICE)[:-4]).status_code == 422
    assert api.claim(mint_token(DEVICE), "x" * 101).status_code == 422


UNKNOWN = [("GET", "/v1/nothing"), ("GET", f"{CLAIMS}/"), ("DELETE", CLAIMS), ("GET", f"{CLAIMS}/bulk/x/y")]


@pytest.mark.parametrize(("method", "path"), UNKNOWN)
def test_an_unknown_path_or_method_answers_as_an_api_gateway_even_without_a_key(api, method, path):
    for key in ("emulator-key", "nobody"):
        answer = api.with_key(key).ask(method, path)
        assert (answer.status_code, answer.json()) == (403, {"message": "Missing Authentication Token"})


def test_an_unknown_path_or_method_can_answer_404_or_405_instead(world):
    api = world(unknown_path="not_found")
    assert [api.ask(method, path).status_code for method, path in UNKNOWN] == [404, 404, 405, 404]


def test_the_contract_of_today_hides_what_the_old_one_had(world):
    api = world(contract="sync", unknown_path="not_found")
    device = next(mint_devices(1))
    assert api.post_csv(f"{CLAIMS}/bulk", device.token).status_code == 404
    assert api.get(f"{CLAIMS}/tags").status_code == 404
    assert api.post(f"{CLAIMS}/tags", json={"tag": "a"}).status_code == 404
    assert api.get("/v1/provisioning/tags").status_code == 200
    assert api.post_csv(CLAIMS, device.token).status_code == 201
    assert api.post(CLAIMS, json={"claimToken": mint_token(DEVICE)}).status_code == 201


def test_the_old_contract_hides_what_today_has(world):
    api = world(contract="async")
    device = next(mint_devices(1))
    assert api.get("/v1/provisioning/tags").json() == {"message": "Missing Authentication Token"}
    assert api.post_csv(CLAIMS, device.token).status_code == 415
    assert api.post_csv(f"{CLAIMS}/bulk", device.token).status_code == 202
    assert api.get(f"{CLAIMS}/tags").status_code == 200
    assert api.claim(mint_token(DEVICE)).status_code == 201


def test_the_side_doors_show_everything_but_tokens(api, clock):
    a, b = mint_devices(2)
    api.claim(a.token, "x")
    api.with_key(OTHER_TEAM_KEY).start_bulk(f"{b.token}\nbad\n")
    clock.advance(2)
    url = f"{api.emulator.url}/emulator"
    answers = {door: requests.get(f"{url}/{door}", timeout=5) for door in ("health", "devices", "operations")}
    assert answers["health"].json() == {"status": "ok"}
    devices = answers["devices"].json()["items"]
    assert [(each["id"], each["tags"], each["claimCount"]) for each in devices] == [
        (a.device_id, ["x"], 1),
        (b.device_id, [], 1),
    ]
    assert devices[0]["team"] != devices[1]["team"]
    (operation,) = answers["operations"].json()["items"]
    assert (operation["status"], operation["rows"], operation["claimed"], operation["failed"]) == (
        "FAILED",
        2,
        1,
        1,
    )
    for answer in answers.values():
        assert a.token not in answer.text
        assert b.token not in answer.text


def test_requests_are_counted_by_operation_whatever_their_outcome(api):
    device = next(mint_devices(1))
    api.claim(device.token)
    api.claim(device.token)
    api.post_csv(CLAIMS, device.token)
    api.post(f"{CLAIMS}?dryrun=true", json={"claimToken": device.token})
    api.with_key("nobody").get(CLAIMS)
    api.get("/v1/nothing")
    assert api.get("/emulator/requests").json() == {
        "ClaimDeviceOwnership": 2,
        "ClaimDeviceOwnershipCsv": 1,
        "ClaimDeviceOwnershipDryRun": 1,
        "ListClaimedDevices": 1,
        "unknown path": 1,
    }


def test_a_reset_forgets_everything(api):
    api.claim(mint_token(DEVICE), "a")
    api.start_bulk(mint_token())
    api.post("/v1/provisioning-rules", json={"name": "r"})
    api.service.keys.revoke("emulator-key")
    assert requests.post(f"{api.emulator.url}/emulator/reset", timeout=5).status_code == 204
    assert api.get("/emulator/requests").json() == {}
    assert [api.get(path).json()["items"] for path in READS] == [[]] * len(READS)
    assert (api.service.claim_counts(), api.service.bulk_submissions()) == ({}, [])
    assert api.claim(mint_token(DEVICE)).status_code == 201
