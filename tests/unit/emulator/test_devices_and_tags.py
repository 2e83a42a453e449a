"""Claimed devices are listed, tagged, blocked and given up; tags live a life of their own."""

from __future__ import annotations

import pytest

from airflow_provider_nrfprov.emulator.accounts import OTHER_TEAM_KEY
from airflow_provider_nrfprov.emulator.mint import mint_devices, mint_token
from tests.unit.emulator.asking import CLAIMS, DEVICE

ONE = f"{CLAIMS}/{DEVICE}"
TAG_PATHS = ["/v1/claimed-devices/tags", "/v1/provisioning/tags"]


def claim_many(api, count: int, tags: str = "") -> list[str]:
    devices = list(mint_devices(count))
    answer = api.post_csv(CLAIMS, "".join(f'{device.token},"{tags}"\n' for device in devices))
    assert answer.status_code == 201
    return [device.device_id for device in devices]


def test_a_list_has_ten_devices_a_page_unless_asked_otherwise(api):
    ids = claim_many(api, 25)
    assert len(api.get(CLAIMS).json()["items"]) == 10
    assert api.walk() == ids
    assert api.walk(pageLimit=25) == ids
    assert api.walk(pageLimit=7, pageSort="desc") == ids[::-1]


def test_a_list_of_nothing_is_empty(api):
    assert api.get(CLAIMS).json() == {"items": [], "total": 0}


def test_no_device_is_skipped_or_shown_twice_when_others_go_between_two_pages(api):
    ids = claim_many(api, 20)
    page = api.get(CLAIMS, params={"pageLimit": 10}).json()
    for gone in [*ids[:5], ids[9], ids[12]]:
        api.delete(f"{CLAIMS}/{gone}")
    rest = api.get(CLAIMS, params={"pageLimit": 50, "pageNextToken": page["pageNextToken"]}).json()
    assert [item["id"] for item in rest["items"]] == [each for each in ids[10:] if each != ids[12]]


def test_a_list_stays_whole_when_most_of_a_large_team_is_given_up(api):
    devices = list(mint_devices(1000))
    for _ in range(3):
        api.post_csv(CLAIMS, "".join(f"{device.token}\n" for device in devices))
        with api.service.turn():
            for device in api.service.claimed_devices()[:-3]:
                api.service.unclaim(device)
    assert len(api.walk()) == 3


def test_a_list_can_be_filtered_by_tag_and_status(api):
    claim_many(api, 12, "even")
    api.claim(mint_token(DEVICE), "odd")
    api.post(f"{ONE}/block")
    assert api.walk(tag="odd") == [DEVICE]
    assert len(api.walk(tag="even", pageLimit=5)) == 12
    assert api.walk(status="BLOCKED") == [DEVICE]
    assert api.walk(tag="even", status="BLOCKED") == []


def test_a_list_can_be_filtered_by_the_time_of_the_claim(api, clock):
    early = claim_many(api, 3)
    clock.advance(60)
    api.claim(mint_token(DEVICE))
    claimed_at = api.get(ONE).json()["claimedAt"]
    assert api.walk(claimedAfter=claimed_at) == [DEVICE]
    assert api.walk(claimedAfter="2020-01-01T00:00:00Z") == [*early, DEVICE]
    assert api.get(CLAIMS, params={"claimedAfter": "yesterday"}).status_code == 422


def test_filters_can_be_overlooked_or_refused(world):
    api = world(device_filters="overlooked")
    api.claim(mint_token(DEVICE), "a")
    assert api.walk(tag="b", status="BLOCKED", claimedAfter="2200-01-01") == [DEVICE]
    api = world(device_filters="refused")
    assert api.get(CLAIMS).status_code == 200
    for name in ("tag", "status", "claimedAfter"):
        answer = api.get(CLAIMS, params={name: "x"})
        assert (answer.status_code, answer.json()["message"]) == (422, f"there is no parameter {name}")


@pytest.mark.parametrize(
    "query",
    [{"pageLimit": 0}, {"pageLimit": 101}, {"pageLimit": "ten"}, {"pageSort": "up"}, {"pageNextToken": "?"}],
)
def test_a_page_that_cannot_be_is_refused(api, query):
    assert api.get(CLAIMS, params=query).status_code == 422


def test_a_device_can_be_fetched_and_given_up_once(api):
    claimed = api.claim(mint_token(DEVICE)).json()
    assert api.get(ONE).json() == claimed
    gone = api.delete(ONE)
    assert (gone.status_code, gone.content) == (204, b"")
    assert api.get(ONE).status_code == 404
    again = api.delete(ONE)
    assert (again.status_code, again.json()["code"]) == (404, 40410)


def test_a_device_that_was_given_up_can_be_claimed_by_another_team(api):
    api.claim(mint_token(DEVICE))
    api.delete(ONE)
    assert api.with_key(OTHER_TEAM_KEY).claim(mint_token(DEVICE)).status_code == 201
    assert api.get(ONE).status_code == 404
    assert api.service.claim_counts() == {DEVICE: 2}


def test_devices_and_tags_of_another_team_are_not_there(api):
    api.claim(mint_token(DEVICE), "ours")
    (tag,) = api.get(TAG_PATHS[0]).json()["items"]
    other = api.with_key(OTHER_TEAM_KEY)
    assert other.get(CLAIMS).json()["items"] == []
    assert other.get(TAG_PATHS[0]).json() == {"items": []}
    for method, path in [
        ("GET", ONE),
        ("PATCH", ONE),
        ("DELETE", ONE),
        ("POST", f"{ONE}/block"),
        ("POST", f"{ONE}/unblock"),
        ("GET", f"{ONE}/provisioning"),
        ("GET", f"{TAG_PATHS[0]}/{DEVICE}"),
        ("PUT", f"{TAG_PATHS[0]}/{tag['id']}"),
        ("DELETE", f"{TAG_PATHS[0]}/{tag['id']}"),
    ]:
        assert other.ask(method, path, json={"tags": []}).status_code == 404, (method, path)


def test_blocking_and_unblocking_answer_with_the_device_however_often(api):
    api.claim(mint_token(DEVICE))
    for verb, status in [
        ("block", "BLOCKED"),
        ("block", "BLOCKED"),
        ("unblock", "READY"),
        ("unblock", "READY"),
    ]:
        answer = api.post(f"{ONE}/{verb}")
        assert (answer.status_code, answer.json()["status"]) == (200, status)
    assert api.get(ONE).json()["status"] == "READY"


@pytest.mark.parametrize("method", ["PATCH", "PUT"])
def test_an_update_replaces_the_tags_of_a_device(api, method):
    api.claim(mint_token(DEVICE), "old", "kept")
    answer = api.ask(method, ONE, json={"tags": ["kept", "new", "new"]})
    assert answer.status_code == 200
    assert answer.json()["tags"] == ["kept", "new"]
    assert api.ask(method, ONE, json={"tags": []}).json()["tags"] == []


@pytest.mark.parametrize(
    "body",
    [{}, {"tags": "a"}, {"tags": [1]}, {"tags": ["x" * 101]}, {"tags": [""]}, {"tags": [], "imei": "1"}],
)
def test_an_update_that_makes_no_sense_changes_nothing(api, body):
    api.claim(mint_token(DEVICE), "old")
    assert api.ask("PATCH", ONE, json=body).status_code == 422
    assert api.tags_of(DEVICE) == ["old"]


def test_an_update_can_refuse_unknown_tags(world):
    api = world(unknown_tags="refused")
    api.claim(mint_token(DEVICE))
    assert api.ask("PATCH", ONE, json={"tags": ["new"]}).status_code == 422


@pytest.mark.parametrize("path", TAG_PATHS)
def test_a_tag_lives_from_creation_to_deletion(api, path):
    body = {"tag": "location=Trondheim", "description": "Devices deployed in Trondheim."}
    created = api.post(path, json=body)
    assert created.status_code == 201
    tag = created.json()
    assert tag == {"id": tag["id"], **body}
    assert api.get(path).json() == {"items": [tag]}
    assert api.get(f"{path}/{tag['id']}").json() == tag
    assert api.delete(f"{path}/{tag['id']}").status_code == 204
    assert api.get(path).json() == {"items": []}
    for method in ("GET", "PUT", "DELETE"):
        assert api.ask(method, f"{path}/{tag['id']}", json=body).status_code == 404


def test_a_tag_exists_once_under_both_paths(api):
    assert api.post(TAG_PATHS[0], json={"tag": "a"}).status_code == 201
    assert api.post(TAG_PATHS[1], json={"tag": "a"}).status_code == 409
    assert api.get(TAG_PATHS[0]).json() == api.get(TAG_PATHS[1]).json()


@pytest.mark.parametrize(("length", "status"), [(0, 422), (1, 201), (100, 201), (101, 422)])
def test_a_tag_has_1_to_100_characters(api, length, status):
    assert api.post(TAG_PATHS[0], json={"tag": "ø" * length}).status_code == status


def test_a_renamed_tag_has_its_new_name_on_every_device(api):
    ids = claim_many(api, 3, "old,other")
    old = next(tag for tag in api.get(TAG_PATHS[0]).json()["items"] if tag["tag"] == "old")
    answer = api.put(f"{TAG_PATHS[0]}/{old['id']}", json={"tag": "new", "description": "d"})
    assert answer.json() == {"id": old["id"], "tag": "new", "description": "d"}
    assert [api.tags_of(each) for each in ids] == [["new", "other"]] * 3
    assert api.put(f"{TAG_PATHS[0]}/{old['id']}", json={"tag": "other"}).status_code == 409
    assert api.post(TAG_PATHS[0], json={"tag": "old"}).status_code == 201


def test_a_deleted_tag_is_gone_from_every_device_and_stays_gone_when_created_anew(api):
    api.claim(mint_token(DEVICE), "a", "b")
    a = next(tag for tag in api.get(TAG_PATHS[0]).json()["items"] if tag["tag"] == "a")
    api.delete(f"{TAG_PATHS[0]}/{a['id']}")
    api.post(TAG_PATHS[0], json={"tag": "a"})
    assert api.tags_of(DEVICE) == ["b"]


def test_the_tags_of_a_device_are_listed_by_its_id(api):
    api.claim(mint_token(DEVICE), "a", "b")
    listed = api.get(f"/v1/claimed-devices/tags/{DEVICE}").json()["items"]
    assert [tag["tag"] for tag in listed] == ["a", "b"]
