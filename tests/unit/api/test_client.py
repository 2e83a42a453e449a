"""The client through the wire: against the emulator, and against servers that misbehave."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager

import pendulum
import pytest

from airflow_provider_nrfprov.api import operations
from airflow_provider_nrfprov.api.claimed_devices import find_claimed_devices
from airflow_provider_nrfprov.api.client import ProvisioningClient
from airflow_provider_nrfprov.api.contract import BulkContract, endpoints
from airflow_provider_nrfprov.api.errors import (
    ConfigurationError,
    ConflictError,
    ForbiddenError,
    NotFoundError,
    NrfProvError,
    RateLimitedError,
    ServiceError,
    UnavailableError,
    UnreachableError,
)
from airflow_provider_nrfprov.api.retry import retry_after
from airflow_provider_nrfprov.claiming.token import decode
from airflow_provider_nrfprov.emulator.faults import Refuse
from airflow_provider_nrfprov.emulator.mint import mint_devices
from airflow_provider_nrfprov.emulator.server import running_emulator
from harness.small_server import answering
from tests.calls import client_of

KEY = "emulator-key"
DEVICE = "7b21b4bc-1cc9-41df-b05c-61b4605e5bb0"


@pytest.fixture
def client(emulator) -> Iterator[ProvisioningClient]:
    with client_of(emulator.url) as client:
        yield client


@contextmanager
def client_told(
    status: int, body: bytes, headers: dict[str, str] | None = None
) -> Iterator[ProvisioningClient]:
    """A client of a service that gives every request this answer."""
    with answering(status, body, headers) as url, client_of(url) as client:
        yield client


def test_claims_one_device_and_reads_all_that_is_known_of_it(client, tokens):
    device = client.send(operations.claim_device(tokens[0], ["line=1"]))
    assert device.id == decode(tokens[0]).device_id
    assert (device.tags, device.status, device.ownership_status) == (("line=1",), "READY", "IDENTIFIED")
    assert device.claimed_at is not None
    assert device.claimed_at.timezone_name == "UTC"
    assert (pendulum.now("UTC") - device.claimed_at).total_seconds() < 60
    assert client.send(operations.fetch_claimed_device(device.id)) == device


@pytest.mark.parametrize("offset", [3600, -3600, 0])
def test_a_date_to_wait_for_is_one_of_the_services_clock(offset):
    with running_emulator(clock_offset_seconds=offset) as emulator, client_of(emulator.url) as client:
        refusal = Refuse(429, retry_after=20, retry_after_form="date")
        emulator.service.faults.plan("FetchClaimedDevice", refusal)
        with pytest.raises(RateLimitedError) as caught:
            client.send(operations.fetch_claimed_device(DEVICE))
    assert 19 <= retry_after(caught.value) <= 22


def test_a_second_claim_is_a_conflict_in_the_services_words(client, tokens):
    client.send(operations.claim_device(tokens[0]))
    with pytest.raises(ConflictError, match="409") as caught:
        client.send(operations.claim_device(tokens[0]))
    assert caught.value.problem.message in str(caught.value)
    assert caught.value.problem.code is not None


def test_a_dry_run_says_whether_and_why_not_and_claims_nothing(emulator, client, tokens):
    assert client.send(operations.dry_run_claim(tokens[0])).claimable
    assert emulator.service.claimed_ids() == set()
    client.send(operations.claim_device(tokens[0]))
    refused = client.send(operations.dry_run_claim(tokens[0]))
    assert not refused.claimable
    assert refused.reason
    assert not client.send(operations.dry_run_claim("rubbish")).claimable


@pytest.mark.parametrize("contract", ["async", "sync", "both"])
def test_a_bulk_claim_works_under_either_contract_without_being_told(contract, tokens):
    rows = "".join(f'"{token}"\n' for token in tokens)
    with running_emulator(contract=contract, bulk_seconds=0.0) as emulator, client_of(emulator.url) as client:
        answer = client.send(operations.bulk_claim(rows))
        if contract == "sync":
            assert set(answer.claimed_ids) == {decode(token).device_id for token in tokens}
        else:
            operation = client.send(operations.fetch_bulk_ops_request(str(answer.bulk_ops_request_id)))
            assert operation.status == "SUCCEEDED"
            assert operation.endpoint == "CLAIM_DEVICE_OWNERSHIP"
            assert operation.requested_at is not None
        assert len(emulator.service.claimed_ids()) == 5


def test_a_path_that_proved_not_to_exist_is_not_asked_again(tokens):
    with running_emulator(contract="sync") as emulator, client_of(emulator.url) as client:
        for token in tokens:
            client.send(operations.bulk_claim(f'"{token}"\n'))
        # One for the path that is not there, then one a claim.
        assert sum(emulator.service.request_counts().values()) == 6


def test_a_contract_that_is_chosen_is_not_looked_for(tokens):
    chosen = endpoints(BulkContract.ASYNC)
    with (
        running_emulator(contract="sync") as emulator,
        client_of(emulator.url, endpoint_candidates=chosen) as client,
        pytest.raises(ForbiddenError, match="path that does not exist"),
    ):
        client.send(operations.bulk_claim(f'"{tokens[0]}"\n'))


@pytest.mark.parametrize("status", [200, 207, 400, 422])
@pytest.mark.parametrize("shape", ["object", "string"])
def test_a_partial_success_is_a_result_whatever_its_status(status, shape, tokens):
    rows = f'"{tokens[0]}"\n"rubbish"\n'
    with (
        running_emulator(contract="sync", partial_failure_status=status, failed_shape=shape) as emulator,
        client_of(emulator.url) as client,
    ):
        answer = client.send(operations.bulk_claim(rows))
    assert answer.claimed_ids == (decode(tokens[0]).device_id,)
    assert answer.status == status
    assert len(answer.failed) == 1
    assert answer.failed[0].message


@pytest.mark.parametrize("count", [1, 5, 6, 40])
def test_finds_which_of_some_devices_are_ours(client, count):
    devices = list(mint_devices(300, seed="lookup"))
    client.send(operations.bulk_claim("".join(f'"{device.token}"\n' for device in devices[:200])))
    asked = [device.device_id for device in devices[200 - count : 200 + count]]
    assert set(find_claimed_devices(client, asked)) == set(asked[:count])


def test_looking_up_many_devices_costs_few_requests(emulator, client):
    devices = list(mint_devices(1000, seed="lookup"))
    client.send(operations.bulk_claim("".join(f'"{device.token}"\n' for device in devices)))
    before = sum(emulator.service.request_counts().values())
    assert len(find_claimed_devices(client, [device.device_id for device in devices])) == 1000
    assert sum(emulator.service.request_counts().values()) - before == 10


@pytest.mark.parametrize("contract", ["async", "sync"])
def test_tags_are_found_wherever_this_generation_has_them(contract):
    with running_emulator(contract=contract) as emulator, client_of(emulator.url) as client:
        client.send(operations.create_tag("a"))
        assert [tag.tag for tag in client.iterate(operations.list_tags)] == ["a"]


def test_sets_the_tags_of_a_device_and_unclaims_it(client, tokens):
    device = client.send(operations.claim_device(tokens[0], ["a"]))
    client.send(operations.set_device_tags(device.id, ["b", "c"]))
    assert client.send(operations.fetch_claimed_device(device.id)).tags == ("b", "c")
    client.send(operations.unclaim_device(device.id))
    with pytest.raises(NotFoundError):
        client.send(operations.fetch_claimed_device(device.id))


def test_an_endpoint_of_the_users_choice_is_asked(emulator, tokens):
    chosen = endpoints(overrides={"UpdateClaimedDevice": "PUT /claimed-devices/{device_id}"})
    with client_of(emulator.url, endpoint_candidates=chosen) as client:
        device = client.send(operations.claim_device(tokens[0]))
        client.send(operations.set_device_tags(device.id, ["x"]))
        assert client.send(operations.fetch_claimed_device(device.id)).tags == ("x",)


@pytest.mark.parametrize("key", [None, "", "  ", "two words", "k\u00e9y", "line\nbreak"])
def test_a_key_that_cannot_be_one_is_refused_before_anything_is_sent(key):
    with pytest.raises(ConfigurationError, match="API key"):
        ProvisioningClient(key)


@pytest.mark.parametrize(
    ("body", "shown"),
    [
        (b'{"code": 40000, "message": "no such tag"}', "no such tag"),
        (b'{"type": "x", "title": "Bad", "detail": "the detail"}', "the detail"),
        (b'["a list of words"]', "a list of words"),
        (b"<html>400 from a proxy</html>", "400 from a proxy"),
        (b"", "(empty body)"),
        (b'{"message": {"not": "text"}}', '{"not": "text"}'),
    ],
)
def test_the_services_words_are_shown_unedited_whatever_their_shape(body, shown):
    with client_told(400, body) as client, pytest.raises(ServiceError) as caught:
        client.send(operations.create_tag("x"))
    assert shown in str(caught.value)
    assert caught.value.text == body.decode()
    assert caught.value.status == 400


def test_a_token_or_key_that_the_service_sends_back_is_not_shown(tokens):
    body = json.dumps({"message": f"{tokens[0]} was refused for {KEY}"}).encode()
    with client_told(422, body) as client, pytest.raises(ServiceError) as caught:
        client.send(operations.claim_device(tokens[0]))
    for text in (str(caught.value), caught.value.text, repr(caught.value), caught.value.problem.message):
        assert tokens[0][:20] not in text
        assert tokens[0][-20:] not in text
    assert KEY not in str(caught.value)


@pytest.mark.parametrize("status", [500, 502, 504])
def test_a_5xx_with_a_page_instead_of_json_is_an_error_of_the_service(status):
    page = b"<html>Bad gateway</html>"
    with client_told(status, page) as client, pytest.raises(UnavailableError, match="Bad gateway"):
        client.send(operations.list_claimed_devices())


def test_a_truncated_answer_may_have_been_carried_out():
    cut_off = client_told(200, b'{"id": "', {"Content-Length": "500"})
    with cut_off as client, pytest.raises(UnreachableError) as caught:
        client.send(operations.unclaim_device(DEVICE))
    assert caught.value.maybe_sent


@pytest.mark.parametrize("url", ["http://127.0.0.1:9", "http://no-such-host.invalid"])
def test_a_host_that_cannot_be_reached_was_never_asked(url, tokens):
    with client_of(url) as client, pytest.raises(UnreachableError, match="could not be reached") as caught:
        client.send(operations.claim_device(tokens[0]))
    assert not caught.value.maybe_sent


def test_a_list_without_end_is_an_error():
    page = json.dumps({"items": [], "pageNextToken": "again"}).encode()
    with client_told(200, page) as client, pytest.raises(NrfProvError, match="never end"):
        list(client.iterate(operations.list_claimed_devices))


def test_unknown_fields_statuses_and_times_survive():
    body = {
        "bulkOpsRequestId": "X",
        "status": "PAUSED",
        "requestedAt": "soon",
        "completedAt": None,
        "new": [1],
    }
    with client_told(200, json.dumps(body).encode()) as client:
        operation = client.send(operations.fetch_bulk_ops_request("X"))
    assert (operation.status, operation.is_finished, operation.requested_at) == ("PAUSED", False, None)
    assert operation.extra == {"new": [1]}
