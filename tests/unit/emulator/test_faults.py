"""Faults on request: what the client sees of each, and what was done all the same."""

from __future__ import annotations

import inspect
import json
import socket
import time
from datetime import timedelta
from email.utils import parsedate_to_datetime

import pytest
import requests

from airflow_provider_nrfprov.emulator import faults
from airflow_provider_nrfprov.emulator.app import create_app
from airflow_provider_nrfprov.emulator.calls import OpenOperation, TurnRoute
from airflow_provider_nrfprov.emulator.faults import (
    ANY,
    DropAfter,
    DropBefore,
    ExtraFields,
    FailAfter,
    FalseFailure,
    HtmlAfter,
    HtmlBefore,
    LaggingList,
    OddStatus,
    RedirectAfter,
    Refuse,
    Slow,
    StuckOperation,
    TruncateAfter,
    Words,
    WrongClaimedIds,
    WrongDownload,
)
from airflow_provider_nrfprov.emulator.mint import mint_devices, mint_token
from airflow_provider_nrfprov.emulator.settings import OPERATION_NAMES
from tests.unit.emulator.asking import BULK, CLAIM, CLAIMS, CSV, DEVICE, port_of, raw_claim, tokens, wait_for

FETCH = "FetchBulkOpsRequest"
A_YEAR = 365 * 24 * 3600


def sent_raw(api, request: bytes) -> bytes:
    """Everything that comes back until the connection closes."""
    received = b""
    with socket.create_connection(("127.0.0.1", port_of(api.emulator)), timeout=5) as connection:
        connection.sendall(request)
        while part := connection.recv(65536):
            received += part
    return received


def claim_met_by(api, fault: faults.Fault) -> requests.Response:
    api.service.faults.plan(CLAIM, fault)
    return api.claim(mint_token(DEVICE))


@pytest.mark.parametrize("status", [400, 401, 403, 404, 408, 410, 429, 500, 502, 503, 504])
def test_a_refusal_does_nothing_and_answers_its_status(api, status):
    answer = claim_met_by(api, Refuse(status))
    assert (answer.status_code, answer.json()["code"]) == (status, status * 100)
    assert "Retry-After" not in answer.headers
    assert api.service.claimed_ids() == set()
    assert api.claim(mint_token(DEVICE)).status_code == 201


@pytest.mark.parametrize("fault", [Refuse(502, body="html"), FailAfter(502, body="html")])
def test_an_error_can_be_an_html_page(api, fault):
    answer = claim_met_by(api, fault)
    assert answer.status_code == 502
    assert answer.headers["Content-Type"].startswith("text/html")
    assert "<html>" in answer.text


@pytest.mark.parametrize("fault", [Refuse(503, body="empty"), FailAfter(504, body="empty")])
def test_an_error_can_have_no_body(api, fault):
    answer = claim_met_by(api, fault)
    assert (answer.status_code, answer.content) == (fault.status, b"")


def test_a_refusal_says_in_seconds_when_to_come_again(api):
    assert claim_met_by(api, Refuse(429, retry_after=7)).headers["Retry-After"] == "7"


@pytest.mark.parametrize("ahead", [90, 0, -90])
def test_a_refusal_says_when_to_come_again_as_a_date_by_the_clock_of_its_own_date(api, ahead):
    answer = claim_met_by(api, Refuse(503, retry_after=ahead, retry_after_form="date"))
    said, now = (parsedate_to_datetime(answer.headers[name]) for name in ("Retry-After", "Date"))
    assert timedelta(0) <= said - now - timedelta(seconds=ahead) <= timedelta(seconds=1)


@pytest.mark.parametrize(("fault", "done"), [(DropBefore(), set()), (DropAfter(), {DEVICE})])
def test_a_drop_before_has_done_nothing_and_one_after_everything(api, fault, done):
    with pytest.raises(requests.ConnectionError, match="without response"):
        claim_met_by(api, fault)
    assert (api.service.claimed_ids(), api.service.request_counts()) == (done, {CLAIM: 1})
    assert api.claim(mint_token(DEVICE)).status_code == (409 if done else 201)


def test_a_drop_takes_a_large_body_too(api, clock):
    devices = list(mint_devices(1000))
    api.service.faults.plan(BULK, DropAfter())
    with pytest.raises(requests.ConnectionError):
        api.start_bulk(tokens(devices))
    clock.advance(2)
    assert len(api.service.claimed_ids()) == 1000


def test_a_bulk_claim_whose_answer_was_dropped_runs_on_unknown_to_its_client(api, clock):
    api.service.faults.plan(BULK, DropAfter())
    with pytest.raises(requests.ConnectionError):
        api.start_bulk(mint_token(DEVICE))
    (listed,) = api.get("/v1/bulk-ops-requests").json()["items"]
    clock.advance(2)
    assert api.operation(listed["bulkOpsRequestId"])["status"] == "SUCCEEDED"
    assert api.service.claimed_ids() == {DEVICE}


def test_nothing_is_logged_as_an_error_when_a_connection_is_dropped(api, caplog):
    api.service.faults.plan(CLAIM, DropAfter())
    api.service.faults.plan(CLAIM, TruncateAfter(), nth=2)
    for _ in range(2):
        sent_raw(api, raw_claim())
    assert caplog.text == ""


@pytest.mark.parametrize("status", [408, 500, 502, 503, 504, 599])
def test_a_failure_after_has_done_everything(api, status):
    assert claim_met_by(api, FailAfter(status)).status_code == status
    assert api.service.claimed_ids() == {DEVICE}


def test_a_truncated_answer_ends_short_of_its_length(api):
    api.service.faults.plan(CLAIM, TruncateAfter(), times=2)
    with pytest.raises(requests.exceptions.ChunkedEncodingError, match="IncompleteRead"):
        api.claim(mint_token(DEVICE))
    head, _, body = sent_raw(api, raw_claim()).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 201")
    length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r")[0])
    assert len(body) == length // 2
    assert len(api.service.claimed_ids()) == 2


def test_an_answer_can_be_cut_right_after_its_headers(api):
    api.service.faults.plan(CLAIM, TruncateAfter(keep=0))
    assert sent_raw(api, raw_claim()).endswith(b"\r\n\r\n")


def test_an_answer_without_a_body_is_cut_before_its_first_byte(api):
    api.claim(mint_token(DEVICE))
    api.service.faults.plan("UnclaimDevice", TruncateAfter())
    with pytest.raises(requests.ConnectionError, match="without response"):
        api.delete(f"/v1/claimed-devices/{DEVICE}")
    assert api.service.claimed_ids() == set()


@pytest.mark.parametrize(("fault", "done"), [(HtmlBefore(), set()), (HtmlAfter(), {DEVICE})])
def test_a_page_of_html_comes_with_200_before_anything_is_done_or_after_everything(api, fault, done):
    answer = claim_met_by(api, fault)
    assert (answer.status_code, answer.headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    assert "<html>" in answer.text
    assert api.service.claimed_ids() == done


@pytest.mark.parametrize("fault", [Slow(before=0.1), Slow(after=0.1), Slow(before=0.05, after=0.05)])
def test_a_slow_answer_takes_its_time_and_is_right(api, fault):
    api.service.faults.plan(CLAIM, fault)
    started = time.monotonic()
    assert api.claim(mint_token(DEVICE)).status_code == 201
    assert time.monotonic() - started >= 0.1


def claim_impatiently(api) -> None:
    with pytest.raises(requests.ReadTimeout):
        api.post(CLAIMS, json={"claimToken": mint_token(DEVICE)}, timeout=0.05)


def test_others_are_answered_while_one_waits(api):
    api.service.faults.plan(CLAIM, Slow(before=30))
    claim_impatiently(api)
    assert api.get("/v1/claimed-devices").elapsed.total_seconds() < 20


def test_a_request_that_its_client_gave_up_is_carried_out_later(api):
    api.service.faults.plan(CLAIM, Slow(before=1.5))
    claim_impatiently(api)
    assert api.service.claimed_ids() == set()
    wait_for(api.service.claimed_ids)


def test_a_request_that_still_waits_at_a_reset_is_never_carried_out(api):
    api.service.faults.plan(CLAIM, Slow(before=30))
    with socket.create_connection(("127.0.0.1", port_of(api.emulator)), timeout=5) as waiting:
        waiting.sendall(raw_claim())
        wait_for(lambda: api.service.faults.injected)
        api.emulator.reset()
        assert waiting.recv(1000) == b""
    assert api.service.claim_counts() == {}


def test_claimed_ids_can_miss_devices_that_were_claimed(api):
    devices = list(mint_devices(3))
    api.service.faults.plan(CSV, WrongClaimedIds(omit=2))
    answer = api.post_csv("/v1/claimed-devices", tokens(devices))
    assert answer.status_code == 201
    assert answer.json() == {"claimedIds": [devices[2].device_id], "failed": []}
    assert len(api.service.claimed_ids()) == 3


def test_claimed_ids_can_name_devices_that_nobody_sent(api):
    devices = list(mint_devices(2))
    sent = [device.device_id for device in devices]
    api.service.faults.plan(CSV, WrongClaimedIds(omit=0, invent=2))
    named = api.post_csv("/v1/claimed-devices", tokens(devices)).json()["claimedIds"]
    assert named[:2] == sent
    assert len(set(named)) == 4
    assert api.service.claimed_ids() == set(sent)


def test_a_stuck_operation_does_not_end_until_it_is_released(api, clock):
    api.service.faults.plan(BULK, StuckOperation())
    stuck, other = api.start_bulk(mint_token(DEVICE)), api.start_bulk(mint_token())
    clock.advance(A_YEAR)
    assert api.operation(stuck)["status"] == "IN_PROGRESS"
    assert api.operation(other)["status"] == "SUCCEEDED"
    assert DEVICE not in api.service.claimed_ids()
    shown = {each["id"]: each["stuck"] for each in api.get("/emulator/operations").json()["items"]}
    assert shown == {stuck: True, other: False}
    api.service.release_operations(stuck)
    operation = api.operation(stuck)
    assert operation["status"] == "SUCCEEDED"
    assert operation["completedAt"] == "2027-03-04T05:06:07.891Z"
    assert DEVICE in api.service.claimed_ids()


def test_a_stuck_operation_that_is_released_early_ends_at_its_usual_time_and_once(api, clock):
    api.service.faults.plan(BULK, StuckOperation())
    operation_id = api.start_bulk(mint_token(DEVICE))
    api.service.release_operations()
    clock.advance(1)
    assert api.operation(operation_id)["status"] == "IN_PROGRESS"
    clock.advance(1)
    assert api.operation(operation_id)["completedAt"] == "2026-03-04T05:06:09.891Z"
    assert api.service.claim_counts() == {DEVICE: 1}


def test_an_operation_can_look_stuck_although_its_rows_are_applied(api, clock):
    api.service.faults.plan(BULK, StuckOperation(rows_applied=True))
    operation_id = api.start_bulk(mint_token(DEVICE))
    clock.advance(A_YEAR)
    assert set(api.operation(operation_id)) == {
        "bulkOpsRequestId",
        "endpoint",
        "status",
        "requestedAt",
        "uploadedDataUrl",
    }
    assert api.operation(operation_id)["status"] == "IN_PROGRESS"
    assert api.service.claimed_ids() == {DEVICE}
    api.post("/emulator/faults/release")
    assert api.operation(operation_id)["completedAt"] == "2026-03-04T05:06:09.891Z"


def test_an_operation_of_no_duration_can_be_stuck_too(api):
    api.emulator.reset(bulk_seconds=0)
    api.service.faults.plan(BULK, StuckOperation())
    assert api.operation(api.start_bulk(mint_token()))["status"] != "SUCCEEDED"


@pytest.mark.parametrize("summary", ["empty", "all", "missing"])
def test_an_operation_can_be_said_to_have_failed_although_all_its_rows_were_claimed(api, clock, summary):
    devices = list(mint_devices(2))
    api.service.faults.plan(BULK, FalseFailure(summary))
    operation_id = api.start_bulk(tokens(devices))
    assert api.operation(operation_id)["status"] == "PENDING"
    clock.advance(2)
    operation = api.operation(operation_id)
    assert operation["status"] == "FAILED"
    assert api.get("/v1/bulk-ops-requests").json()["items"] == [operation]
    assert api.service.claimed_ids() == {device.device_id for device in devices}
    answer = requests.get(operation["errorSummaryUrl"], timeout=5)
    if summary == "missing":
        assert answer.status_code == 404
    else:
        rows = [error.partition(":")[0] for error in answer.json()["errors"]]
        assert rows == ([] if summary == "empty" else ["[0]", "[1]"])


def test_an_operation_that_really_failed_tells_the_truth(api, carried_out):
    api.service.faults.plan(BULK, FalseFailure("missing"))
    operation = carried_out(f"{mint_token()}\nbad\n")
    summary = requests.get(operation["errorSummaryUrl"], timeout=5)
    assert summary.json()["errors"][0].startswith("[1]")


@pytest.mark.parametrize("status", [404, 500])
def test_the_error_summary_cannot_be_downloaded(api, carried_out, status):
    url = carried_out("bad")["errorSummaryUrl"]
    api.service.faults.plan("DownloadBulkOpsData", Refuse(status))
    assert requests.get(url, timeout=5).status_code == status
    assert requests.get(url, timeout=5).status_code == 200


def test_an_operation_has_a_status_that_nobody_knows_for_a_while(api):
    operation_id = api.start_bulk(mint_token())
    api.service.faults.plan(FETCH, OddStatus(), times=2)
    api.service.faults.plan("ListBulkOpsRequests", OddStatus("ON_HOLD"))
    seen = [api.operation(operation_id)["status"] for _ in range(3)]
    assert seen == ["QUEUED", "QUEUED", "PENDING"]
    assert api.get("/v1/bulk-ops-requests").json()["items"][0]["status"] == "ON_HOLD"


def test_every_object_has_one_more_field_and_all_that_are_known(api, carried_out):
    operation_id = carried_out(mint_token(DEVICE))["bulkOpsRequestId"]
    paths = [
        f"/v1/claimed-devices/{DEVICE}",
        "/v1/claimed-devices",
        f"/v1/bulk-ops-requests/{operation_id}",
        "/v1/claimed-devices/none",
    ]
    plain = [api.get(path).json() for path in paths]
    api.service.faults.plan(ANY, ExtraFields(), times=None)
    more = [api.get(path).json() for path in paths]
    assert all(len(after) == len(before) + 1 for before, after in zip(plain, more, strict=True))
    assert more[0].items() >= plain[0].items()
    assert more[1]["items"][0].items() >= plain[1]["items"][0].items()
    assert len(more[1]["items"][0]) == 10


@pytest.mark.parametrize("fault", [WrongClaimedIds(), ExtraFields(), DropAfter()])
def test_a_fault_after_a_request_that_was_refused_anyway_changes_nothing(api, fault):
    api.service.faults.plan(CSV, fault)
    try:
        assert api.post_csv("/v1/claimed-devices", "a,b\n\nc").status_code == 422
    except requests.ConnectionError:
        assert fault == DropAfter()
    assert api.service.claimed_ids() == set()


def test_every_kind_can_be_written_as_json_and_read_again():
    named = [*faults.RECOVERABLE, *faults.DECEPTIVE, *faults.WRONG_DOWNLOADS]
    named += [Words(text) for text in faults.HARD_WORDS]
    assert {type(kind) for kind in named} <= set(faults.KINDS.values())
    for kind in [*named, *[kind() for kind in faults.KINDS.values()]]:
        assert faults.from_json(json.loads(json.dumps(kind.as_json()))) == kind


@pytest.mark.parametrize(
    ("kind", "wrong"),
    [
        (Refuse, {"status": 399}),
        (Refuse, {"status": 600}),
        (Refuse, {"status": []}),
        (Refuse, {"body": "xml"}),
        (Refuse, {"retry_after": -1}),
        (Refuse, {"retry_after": 1.5}),
        (Refuse, {"retry_after": 1, "retry_after_form": "weeks"}),
        (FailAfter, {"status": 200}),
        (FailAfter, {"status": True}),
        (RedirectAfter, {"status": 303}),
        (LaggingList, {"seconds": -1}),
        (WrongDownload, {"content": "right"}),
        (Words, {"text": None}),
        (FailAfter, {"body": "xml"}),
        (TruncateAfter, {"keep": 1}),
        (TruncateAfter, {"keep": "half"}),
        (Slow, {"before": -1}),
        (Slow, {"after": True}),
        (OddStatus, {"word": ""}),
        (WrongClaimedIds, {"omit": -1}),
        (WrongClaimedIds, {"invent": "many"}),
        (StuckOperation, {"rows_applied": "yes"}),
        (FalseFailure, {"summary": "long"}),
        (DropAfter, {"when": "later"}),
    ],
)
def test_a_value_that_a_kind_does_not_have_is_an_error(kind, wrong):
    with pytest.raises(ValueError, match=r"\w"):
        faults.from_json({"kind": kind.__name__, **wrong})


def test_faults_can_be_planned_for_every_operation_that_is_served():
    served = {route.name for route in create_app().routes if isinstance(route, OpenOperation)}
    assert served == OPERATION_NAMES


def test_nothing_that_answers_waits_for_a_thread_of_its_own_which_would_break_up_a_turn():
    def calls(dependant):
        return [dependant.call, *(call for each in dependant.dependencies for call in calls(each))]

    routes = [route for route in create_app().routes if isinstance(route, TurnRoute)]
    every = {call for route in routes for call in calls(route.dependant)}
    assert len(every) > 40
    assert [call for call in every if not inspect.iscoroutinefunction(call)] == []
