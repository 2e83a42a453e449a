"""Answers that look as if nothing, or not yet, had been done; files that prove nothing; words that are hard to write."""

from __future__ import annotations

import json

import pytest
import requests

from airflow_provider_nrfprov.emulator.faults import (
    HARD_WORDS,
    DropAfter,
    FalseFailure,
    LaggingList,
    RedirectAfter,
    Twice,
    Words,
    WrongDownload,
)
from airflow_provider_nrfprov.emulator.mint import mint_devices, mint_token
from tests.unit.emulator.asking import BULK, CLAIM, CLAIMS, CSV, DEVICE, tokens

DOWNLOAD = "DownloadBulkOpsData"
OPERATIONS = "/v1/bulk-ops-requests"


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_a_redirect_comes_after_everything_is_done_and_leads_to_another_path_of_this_host(api, status):
    api.service.faults.plan(CLAIM, RedirectAfter(status))
    answer = api.post(f"{CLAIMS}?x=1", json={"claimToken": mint_token(DEVICE)}, allow_redirects=False)
    assert (answer.status_code, answer.headers["Location"]) == (status, f"/moved{CLAIMS}?x=1")
    assert api.service.claimed_ids() == {DEVICE}


@pytest.mark.parametrize(("status", "followed"), [(307, 409), (308, 409), (301, 200), (302, 200)])
def test_who_follows_a_redirect_does_it_again_or_gets_a_list(api, status, followed):
    api.service.faults.plan(CLAIM, RedirectAfter(status))
    assert api.claim(mint_token(DEVICE)).status_code == followed
    counted = {CLAIM: 2} if followed == 409 else {CLAIM: 1, "ListClaimedDevices": 1}
    assert api.service.request_counts() == counted


def test_a_csv_that_a_proxy_repeats_is_answered_as_the_second_time(api):
    devices = list(mint_devices(3))
    api.service.faults.plan(CSV, Twice())
    answer = api.post_csv(CLAIMS, tokens(devices))
    assert answer.status_code == 422
    assert answer.json()["claimedIds"] == []
    assert len(answer.json()["failed"]) == 3
    assert set(api.service.claim_counts().values()) == {1}


def test_a_bulk_claim_that_a_proxy_repeats_begins_two_operations_and_names_the_second(api, clock):
    api.service.faults.plan(BULK, Twice())
    named = api.start_bulk(tokens(mint_devices(2)))
    first, second = (operation.id for operation in api.service.bulk_operations())
    clock.advance(2)
    assert named == second
    assert [api.operation(each)["status"] for each in (first, second)] == ["SUCCEEDED", "FAILED"]


def test_what_a_proxy_repeats_is_not_held_against_the_client(api):
    api.service.faults.plan(BULK, Twice())
    api.start_bulk(mint_token(DEVICE))
    assert [each.repeated for each in api.service.bulk_submissions()] == [False, True]
    assert api.service.submission_counts() == {DEVICE: 1}
    api.start_bulk(mint_token(DEVICE))
    assert api.service.submission_counts() == {DEVICE: 2}


def test_a_repeated_unclaim_is_answered_404(api):
    api.claim(mint_token(DEVICE))
    api.service.faults.plan("UnclaimDevice", Twice())
    assert api.delete(f"{CLAIMS}/{DEVICE}").status_code == 404


def test_a_lagging_list_shows_a_claim_late_and_the_device_itself_is_current(api, clock):
    api.claim(mint_token(DEVICE))
    api.service.faults.plan("ListClaimedDevices", LaggingList(10), times=None)
    assert api.walk() == []
    assert api.get(f"{CLAIMS}/{DEVICE}").status_code == 200
    clock.advance(9.999)
    assert api.walk() == []
    clock.advance(0.001)
    assert api.walk() == [DEVICE]


def test_a_lag_that_is_a_setting_is_for_both_lists_and_for_everyone(world, clock):
    api = world(list_lag_seconds=5)
    operation_id = api.start_bulk(mint_token(DEVICE))
    assert api.get(OPERATIONS).json()["items"] == []
    clock.advance(6)
    (item,) = api.get(OPERATIONS).json()["items"]
    assert item["status"] == "IN_PROGRESS"
    assert "completedAt" not in item
    assert api.operation(operation_id)["status"] == "SUCCEEDED"
    assert api.walk() == []
    clock.advance(1)
    assert api.get(OPERATIONS).json()["items"] == [api.operation(operation_id)]
    assert api.walk() == [DEVICE]


def test_a_filter_by_status_goes_by_what_the_lagging_list_shows(world, clock):
    api = world(list_lag_seconds=5)
    api.start_bulk(mint_token(DEVICE))
    clock.advance(6)
    counts = {
        status: api.get(OPERATIONS, params={"status": status}).json()["total"]
        for status in ("PENDING", "IN_PROGRESS", "SUCCEEDED")
    }
    assert counts == {"PENDING": 0, "IN_PROGRESS": 1, "SUCCEEDED": 0}


def test_a_lagging_list_shows_the_tags_the_status_and_the_devices_of_before(world, clock):
    api = world(list_lag_seconds=5)
    api.claim(mint_token(DEVICE), "old")
    clock.advance(10)
    api.ask("PATCH", f"{CLAIMS}/{DEVICE}", json={"tags": ["new"]})
    api.post(f"{CLAIMS}/{DEVICE}/block")
    (item,) = api.get(CLAIMS).json()["items"]
    assert (item["tags"], item["status"]) == (["old"], "READY")
    assert api.walk(tag="old") == [DEVICE]
    assert api.walk(tag="new") == []
    clock.advance(5)
    (item,) = api.get(CLAIMS).json()["items"]
    assert (item["tags"], item["status"]) == (["new"], "BLOCKED")
    api.delete(f"{CLAIMS}/{DEVICE}")
    assert api.walk() == [DEVICE]
    assert api.get(f"{CLAIMS}/{DEVICE}").status_code == 404
    clock.advance(5)
    assert api.walk() == []


def test_a_device_that_was_given_up_and_claimed_again_is_never_listed_twice(world, clock):
    api = world(list_lag_seconds=5)
    for _ in range(3):
        api.claim(mint_token(DEVICE))
        clock.advance(2)
        api.delete(f"{CLAIMS}/{DEVICE}")
        clock.advance(1)
    api.claim(mint_token(DEVICE))
    seen = []
    for _ in range(8):
        seen.append(len(api.walk()))
        clock.advance(1)
    assert set(seen) <= {0, 1}
    assert seen[-1] == 1


def test_the_pages_of_a_lagging_list_hold_every_device_once(world, clock):
    api = world(list_lag_seconds=5)
    devices = list(mint_devices(25))
    for device in devices:
        api.claim(device.token)
    clock.advance(6)
    api.delete(f"{CLAIMS}/{devices[3].device_id}")
    assert api.walk(pageLimit=10) == [device.device_id for device in devices]


@pytest.fixture
def ended(api, carried_out) -> dict:
    """An operation of ten rows of which six failed, and the URLs of its files."""
    devices = list(mint_devices(10, seed="ended"))
    for device in devices[4:]:
        api.claim(device.token)
    return carried_out(tokens(devices))


def download(api, url: str, content: str) -> requests.Response:
    api.service.faults.plan(DOWNLOAD, WrongDownload(content))
    answer = requests.get(url, timeout=5)
    assert answer.status_code == 200
    return answer


URLS = ("uploadedDataUrl", "resultDataUrl", "errorSummaryUrl")


@pytest.mark.parametrize("name", URLS)
def test_a_file_can_be_empty_a_page_or_json_that_is_no_such_file(api, ended, name):
    assert download(api, ended[name], "empty").content == b""
    assert "<html>" in download(api, ended[name], "html").text
    assert download(api, ended[name], "json").json() == {"message": "OK", "items": []}


@pytest.mark.parametrize(("name", "rows"), zip(URLS, (10, 4, 6), strict=True))
def test_a_file_can_hold_half_of_its_rows(api, ended, name, rows):
    whole, half = requests.get(ended[name], timeout=5).text, download(api, ended[name], "half").text

    def rows_of(text: str) -> list:
        return next(iter(json.loads(text).values())) if text.startswith("{") else text.splitlines()

    assert rows_of(half) == rows_of(whole)[: rows // 2]
    assert len(rows_of(whole)) == rows


@pytest.mark.parametrize("name", URLS)
def test_a_file_can_be_that_of_another_operation_or_of_devices_that_nobody_sent(
    api, carried_out, ended, name
):
    whole = requests.get(ended[name], timeout=5).text
    invented = download(api, ended[name], "other").text
    assert invented != whole
    other = carried_out(f"{tokens(mint_devices(2, seed='other'))}bad\n")
    answered = download(api, ended[name], "other").text
    assert answered == requests.get(other[name], timeout=5).text
    assert answered not in {whole, invented}


def test_a_file_that_is_not_there_is_not_there(api):
    operation_id = api.start_bulk(tokens(mint_devices(1)))
    url = api.operation(operation_id)["uploadedDataUrl"].replace(".csv", "-result.json")
    api.service.faults.plan(DOWNLOAD, WrongDownload("other"), times=None)
    assert requests.get(url, timeout=5).status_code == 404


@pytest.mark.parametrize("words", HARD_WORDS)
def test_a_refusal_and_failed_rows_have_words_that_are_hard_to_write(api, words):
    a, b = mint_devices(2)
    api.claim(a.token)
    api.service.faults.plan(CLAIM, Words(words))
    api.service.faults.plan(CSV, Words(words))
    assert api.claim(a.token).json() == {"code": 40900, "message": words}
    answer = api.post_csv(CLAIMS, tokens([a, b])).json()
    assert (answer["message"], answer["failed"][0]["message"]) == (words, words)
    assert answer["claimedIds"] == [b.device_id]


@pytest.mark.parametrize("words", HARD_WORDS)
def test_an_error_summary_has_words_that_are_hard_to_write(api, carried_out, words):
    api.service.faults.plan(BULK, Words(words))
    summary = requests.get(carried_out("bad\n")["errorSummaryUrl"], timeout=5)
    assert summary.json() == {"errors": [f"[0]: {words}"]}


@pytest.mark.parametrize("shape", ["object", "string"])
@pytest.mark.parametrize("words", HARD_WORDS)
def test_words_that_are_a_setting_are_those_of_every_refusal(world, carried_out, words, shape):
    api = world(refusal_words=words, failed_shape=shape, partial_failure_status=422)
    (failed,) = api.post_csv(CLAIMS, "bad").json()["failed"]
    assert failed == f"[0]: {words}" or failed["message"] == words
    assert api.claim("bad").json()["message"] == words
    assert api.with_key("none").claim("bad").json()["message"] == words
    summary = requests.get(carried_out("bad\n")["errorSummaryUrl"], timeout=5)
    assert summary.json() == {"errors": [f"[0]: {words}"]}


def test_words_change_nothing_of_what_succeeds(api):
    api.service.faults.plan(CLAIM, Words("odd"))
    assert api.claim(mint_token(DEVICE)).json()["id"] == DEVICE


def test_a_lie_about_an_operation_and_a_lost_answer_go_with_a_lagging_list(world, clock):
    api = world(list_lag_seconds=3)
    api.service.faults.plan(BULK, DropAfter())
    api.service.faults.plan(BULK, FalseFailure(), nth=2)
    with pytest.raises(requests.ConnectionError):
        api.start_bulk(mint_token(DEVICE))
    api.start_bulk(mint_token())
    assert api.get(OPERATIONS).json()["items"] == []
    clock.advance(5)
    shown = [item["status"] for item in api.get(OPERATIONS).json()["items"]]
    assert shown == ["SUCCEEDED", "FAILED"]
