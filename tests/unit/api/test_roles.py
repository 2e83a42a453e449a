"""What each role may do in the emulator, and what a 401 or 403 says to whom it meets."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

import pytest

from airflow_provider_nrfprov.api import operations
from airflow_provider_nrfprov.api.contract import CHANGING_ROLES, ENDPOINTS, READING_ROLES, wanted_roles
from airflow_provider_nrfprov.api.errors import ForbiddenError, NotFoundError, UnauthorizedError
from airflow_provider_nrfprov.api.operations import Operation
from airflow_provider_nrfprov.emulator.accounts import ADMIN_KEY, EDITOR_KEY, VIEWER_KEY
from airflow_provider_nrfprov.emulator.faults import Refuse
from airflow_provider_nrfprov.emulator.mint import mint_token
from tests.calls import client_of

DEVICE = "7b21b4bc-1cc9-41df-b05c-61b4605e5bb0"
TOKEN = mint_token(DEVICE)

CHANGES: dict[str, Operation] = {
    each.name: each
    for each in (
        operations.claim_device(TOKEN),
        operations.bulk_claim(f'"{TOKEN}"\n'),
        operations.set_device_tags(DEVICE, ["a"]),
        operations.block_device(DEVICE),
        operations.unblock_device(DEVICE),
        operations.unclaim_device(DEVICE),
        operations.create_tag("a"),
        operations.update_tag(DEVICE, "a"),
        operations.delete_tag(DEVICE),
        operations.create_command(DEVICE, {"finished": {}}),
        operations.create_rule("r", [], []),
    )
}
READS: dict[str, Operation] = {
    each.name: each
    for each in (
        operations.list_claimed_devices(),
        operations.fetch_claimed_device(DEVICE),
        operations.list_tags(),
        operations.list_device_tags(DEVICE),
        operations.list_commands(DEVICE),
        operations.fetch_command(DEVICE, "x"),
        operations.list_rules(),
        operations.list_bulk_ops_requests(),
        operations.fetch_bulk_ops_request("x"),
    )
}


@pytest.fixture
def send(emulator) -> Callable[[Operation, str], None]:
    """Send an operation with an API key."""

    def send_with(operation: Operation, key: str) -> None:
        with client_of(emulator.url, key) as client:
            client.send(operation)

    return send_with


def test_every_operation_is_tried_below():
    assert {*CHANGES, *READS} == set(ENDPOINTS)


@pytest.mark.parametrize("name", CHANGES)
def test_a_viewer_is_told_which_role_a_change_wants(send, emulator, name):
    with pytest.raises(ForbiddenError) as caught:
        send(CHANGES[name], VIEWER_KEY)
    assert f"{name} requires the role Editor, Admin or Owner" in str(caught.value)
    assert "the role viewer cannot change anything" in str(caught.value)  # the service's own words
    assert not emulator.service.claimed_ids()


@pytest.mark.parametrize("key", [EDITOR_KEY, ADMIN_KEY, "emulator-key"], ids=["editor", "admin", "owner"])
@pytest.mark.parametrize("name", [*CHANGES, *READS])
def test_an_editor_an_admin_and_an_owner_may_do_everything(send, key, name):
    # What there is nothing of is missing, but it is not forbidden.
    with suppress(NotFoundError):
        send({**CHANGES, **READS}[name], key)


@pytest.mark.parametrize("name", READS)
def test_a_viewer_may_read(send, name):
    with suppress(NotFoundError):
        send(READS[name], VIEWER_KEY)


@pytest.mark.parametrize("name", READS)
def test_a_read_that_is_forbidden_says_that_any_role_will_do(send, emulator, name):
    emulator.service.faults.plan("*", Refuse(403), times=None)
    with pytest.raises(ForbiddenError, match=f"{name} requires the role Viewer, Editor, Admin or Owner"):
        send(READS[name], "emulator-key")


@pytest.mark.parametrize("name", [*CHANGES, *READS])
def test_a_401_says_that_the_key_of_the_legacy_app_is_wanted(send, name):
    with pytest.raises(UnauthorizedError, match=r"legacy nRF Cloud app.*gets a 401"):
        send({**CHANGES, **READS}[name], "a-user-api-key-of-the-new-app")


def test_a_download_that_is_forbidden_says_nothing_of_roles(emulator, tokens):
    with client_of(emulator.url) as client:
        answer = client.send(operations.bulk_claim(f'"{tokens[0]}"\n'))
        operation = client.send(operations.fetch_bulk_ops_request(str(answer.bulk_ops_request_id)))
        emulator.service.faults.plan("DownloadBulkOpsData", Refuse(403))
        with pytest.raises(ForbiddenError) as caught:
            client.download(str(operation.result_data_url))
    assert "role" not in str(caught.value)


def test_the_contract_knows_the_roles_of_every_operation():
    assert {name: wanted_roles(name) for name in ENDPOINTS} == {
        **dict.fromkeys(CHANGES, CHANGING_ROLES),
        **dict.fromkeys(READS, READING_ROLES),
    }
    assert wanted_roles("download") == ()
