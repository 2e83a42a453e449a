"""The side doors need no key, so no web page of somewhere else may use them."""

from __future__ import annotations

import pytest

from airflow_provider_nrfprov.emulator.app import SIDE_DOORS
from airflow_provider_nrfprov.emulator.faults import Refuse
from airflow_provider_nrfprov.emulator.mint import mint_token

DOORS = [(method, f"/emulator{route.path}") for route in SIDE_DOORS.routes for method in route.methods]


@pytest.fixture
def used(api):
    api.claim(mint_token())
    api.service.faults.plan("FetchTag", Refuse())
    return api


def unchanged(api) -> bool:
    return len(api.service.claimed_ids()) == 1 and len(api.get("/emulator/faults").json()["plans"]) == 1


@pytest.mark.parametrize(("method", "path"), DOORS)
@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://127.0.0.1:1", "http://127.0.0.1"])
def test_a_page_of_another_origin_is_turned_away_and_changes_nothing(used, method, path, origin):
    assert used.ask(method, path, headers={"Origin": origin}).status_code == 403
    assert unchanged(used)


@pytest.mark.parametrize(("method", "path"), DOORS)
@pytest.mark.parametrize("host", ["evil.example", "evil.example:8099", "127.0.0.1.evil.example"])
def test_a_host_whose_name_was_made_to_lead_here_is_turned_away(used, method, path, host):
    headers = {"Host": host, "Origin": f"http://{host}"}
    assert used.ask(method, path, headers=headers).status_code == 403
    assert unchanged(used)


@pytest.mark.parametrize(
    "kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", None]
)
def test_a_body_that_a_form_could_send_is_turned_away(used, kind):
    body = b'{"operation": "*", "fault": {"kind": "DropAfter"}}'
    headers = {} if kind is None else {"Content-Type": kind}
    assert used.post("/emulator/faults", data=body, headers=headers).status_code == 403
    assert used.post("/emulator/reset", data=body, headers=headers).status_code == 403
    assert unchanged(used)


@pytest.mark.parametrize(
    "host", ["127.0.0.1:8099", "localhost:8099", "emulator:8099", "[::1]:8099", "10.1.2.3"]
)
def test_addresses_and_names_of_containers_are_let_in_and_so_is_a_page_of_this_origin(used, host):
    headers = {"Host": host, "Origin": f"http://{host}"}
    assert used.get("/emulator/devices", headers=headers).status_code == 200
    assert used.post("/emulator/reset", headers={"Host": host}).status_code == 204
