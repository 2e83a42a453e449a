"""What is inferred about the service is in the contract, and changing it there changes it everywhere."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

import airflow_provider_nrfprov.api as face
from airflow_provider_nrfprov.api import (
    GoneError,
    NotFoundError,
    ProvisioningClient,
    UnauthorizedError,
    contract,
    operations,
)
from airflow_provider_nrfprov.api.retry import NEVER
from harness.small_server import in_turn, serving
from tests.calls import client_of

DEVICE = "7b21b4bc-1cc9-41df-b05c-61b4605e5bb0"
API = Path(face.__file__).parent
ONLY_THERE = {
    *(
        "pageLimit",
        "pageNextToken",
        "claimedAfter",
        "startRequestedAt",
        "endRequestedAt",
        "BLOCKED",
        "SUCCEEDED",
    ),
    *("claimedIds", "Missing Authentication Token"),
}


@contextmanager
def answering(*answers: tuple[int, object]) -> Iterator[tuple[ProvisioningClient, list[tuple]]]:
    """A client of a service that gives these answers, one after the other and the last for ever, and what it asked."""
    handler = in_turn(*((status, json.dumps(body).encode(), None) for status, body in answers))
    with serving(handler) as url, client_of(url) as client:
        yield client, handler.asked


def test_page_size_and_names_of_paging_are_those_of_the_contract_in_every_list(monkeypatch):
    lists = [name for name in vars(operations) if name.startswith("list_")]
    assert len(lists) == 6
    monkeypatch.setattr(contract, "MAX_PAGE_LIMIT", 7)
    monkeypatch.setattr(contract, "PAGE_LIMIT_PARAMETER", "limit")
    monkeypatch.setattr(contract, "PAGE_TOKEN_PARAMETER", "after")
    for name in lists:
        of_device = [DEVICE] if name in {"list_device_tags", "list_commands"} else []
        assert getattr(operations, name)(*of_device, "token").query == {"limit": 7, "after": "token"}


def test_what_the_contract_calls_a_page_is_one(monkeypatch):
    monkeypatch.setattr(contract, "PAGE_ITEMS", "data")
    monkeypatch.setattr(contract, "NEXT_PAGE_TOKEN", "next")
    with answering((200, {"data": [{"tag": "a"}], "next": "2"}), (200, {"data": [{"tag": "b"}]})) as (
        client,
        asked,
    ):
        assert [tag.tag for tag in client.iterate(operations.list_tags)] == ["a", "b"]
    assert parse_qs(urlsplit(asked[1][0]).query)["pageNextToken"] == ["2"]


@pytest.mark.parametrize("word", sorted(ONLY_THERE))
def test_a_word_of_the_service_that_may_change_stands_in_the_contract_alone(word):
    elsewhere = [
        file.name
        for file in API.glob("*.py")
        if file.name != "contract.py"
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.Constant) and node.value == word
    ]
    assert elsewhere == []


# --- paths that were switched off ----------------------------------------------------------------------


@pytest.mark.parametrize("status", [404, 405, 410])
def test_the_next_candidate_is_asked_where_a_path_is_not_there(status):
    with answering((status, {}), (201, {"claimedIds": [DEVICE]})) as (client, asked):
        assert client.send(operations.bulk_claim("row")).claimed_ids == (DEVICE,)
    assert [what for what, _ in asked] == ["POST /v1/claimed-devices/bulk", "POST /v1/claimed-devices"]


def test_a_device_is_not_said_to_be_missing_because_its_path_was_switched_off():
    with answering((410, {"message": "Gone"})) as (client, _):
        for operation in (operations.fetch_claimed_device(DEVICE), operations.unclaim_device(DEVICE)):
            with pytest.raises(GoneError, match=r"switched this path off. See .*https://docs") as caught:
                client.send(operation)
            assert not isinstance(caught.value, NotFoundError)


def test_a_tag_that_todays_path_does_not_find_is_missing_even_where_the_old_path_was_switched_off():
    with answering((404, {}), (410, {})) as (client, _), pytest.raises(NotFoundError):
        client.send(operations.delete_tag("t1"))


# --- keys of the wrong kind ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("key", "words"),
    [
        ("oat_0815secretsecret", "organization token, which belongs to the new API"),
        ("eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJ4In0.c2lnbmF0dXJl", "JSON Web Token"),
        ("0123456789abcdef0123456789abcdef01234567", "may be revoked"),
        ("anything-else-at-all", ""),
    ],
)
def test_a_401_says_what_kind_of_key_was_used_and_where_the_right_one_is_but_not_the_key(key, words):
    with answering((401, {"message": f"no such key: {key}"})) as (client, _):
        wrong = ProvisioningClient(key, urls=dict.fromkeys(contract.Host, client.urls[0]), retry=NEVER)
        with wrong, pytest.raises(UnauthorizedError) as caught:
            wrong.send(operations.list_tags())
    message = str(caught.value)
    assert words in message
    assert "legacy nRF Cloud app: User Account > Current Team Details" in message
    assert "https://app.memfault.com/organizations/<organization>/nrfcloud-api-key" in message
    assert key not in message
    assert key not in caught.value.text


# --- the face ------------------------------------------------------------------------------------------


def test_all_that_the_package_promises_is_there():
    assert sorted(face._MODULE_OF) == sorted(face.__all__)
    for name in face.__all__:
        assert getattr(face, name).__name__ == name if name != "NEVER" else face.NEVER is NEVER
    with pytest.raises(AttributeError, match="nothing_of_the_kind"):
        face.nothing_of_the_kind  # noqa: B018 - asked for its error


def test_errors_are_imported_without_the_client():
    code = (
        "import sys, airflow_provider_nrfprov.api.errors, airflow_provider_nrfprov.api as face; face.ServiceError\n"
        "print([m for m in ('requests', 'urllib3', 'pendulum', 'airflow') if m in sys.modules])"
    )
    assert (
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
        == "[]\n"
    )


# --- facts of 2026 -------------------------------------------------------------------------------------


def test_a_command_is_read_as_a_real_service_gave_it():
    body = {
        "id": "c1", "deviceId": DEVICE, "ruleId": None, "description": "CSR",
        "request": {
            "certificateSigningRequest": {"secTag": 7, "attributes": "O=Factory", "keyUsage": "101010000"},
            "requestedAt": "2025-04-29T10:00:00.000Z",
        },
        "response": {"certificateSigningRequest": {"message": "MIH0"}, "respondedAt": "2025-04-29T10:00:05.000Z"},
        "status": "SUCCEEDED", "createdAt": "2025-04-29T09:59:00.000Z", "updatedAt": None,
    }  # fmt: skip
    pending = {
        **body,
        "request": {**body["request"], "requestedAt": None},
        "response": None,
        "status": "PENDING",
    }
    with answering((201, pending), (200, body)) as (client, _):
        created = client.send(operations.create_command(DEVICE, {"finished": {}}))
        done = client.send(operations.fetch_command(DEVICE, "c1"))
    assert (created.is_finished, created.response, created.requested_at, created.responded_at) == (
        False,
        None,
        None,
        None,
    )
    assert list(created.request) == list(done.request) == ["certificateSigningRequest"]
    assert done.response == {"certificateSigningRequest": {"message": "MIH0"}}
    assert (done.responded_at - done.requested_at).total_seconds() == 5
    assert done.is_finished


def test_a_tag_with_a_comma_is_one_tag_of_a_single_claim():
    assert operations.claim_device("token", ["a,b"]).json == {"claimToken": "token", "tags": ["a,b"]}
