"""Provisioning commands are carried out by an imagined device; rules are kept."""

from __future__ import annotations

import pytest

from airflow_provider_nrfprov.emulator.accounts import OTHER_TEAM_KEY
from airflow_provider_nrfprov.emulator.mint import mint_token

DEVICE = "7b21b4bc-1cc9-41df-b05c-61b4605e5bb0"
ONE = f"/v1/claimed-devices/{DEVICE}"
COMMANDS = f"{ONE}/provisioning"
RULES = "/v1/provisioning-rules"
FINISHED = {"description": "done", "request": {"finished": {}}}


@pytest.fixture
def claimed(api):
    api.claim(mint_token(DEVICE))
    return api


def test_a_command_is_pending_until_the_device_has_had_its_time(claimed, clock):
    created = claimed.post(COMMANDS, json=FINISHED)
    assert created.status_code == 201
    command = created.json()
    assert command["status"] == "PENDING"
    assert command == {
        "id": command["id"],
        "deviceId": DEVICE,
        "ruleId": None,
        "description": "done",
        "request": {"finished": {}, "requestedAt": None},
        "response": None,
        "status": "PENDING",
        "createdAt": "2026-03-04T05:06:07.891Z",
        "updatedAt": None,
    }
    clock.advance(1)
    done = claimed.get(f"{COMMANDS}/{command['id']}").json()
    assert done == {
        **command,
        "status": "SUCCEEDED",
        "request": {"finished": {}, "requestedAt": "2026-03-04T05:06:07.891Z"},
        "response": {"finished": {}, "respondedAt": "2026-03-04T05:06:08.891Z"},
    }
    assert claimed.get(COMMANDS).json() == {"items": [done]}


def test_a_command_can_fail_instead(world, clock):
    api = world(command_end="FAILED")
    api.claim(mint_token(DEVICE))
    command = api.post(COMMANDS, json=FINISHED).json()["id"]
    assert api.get(f"{COMMANDS}/{command}").json()["status"] == "PENDING"
    clock.advance(1)
    done = api.get(f"{COMMANDS}/{command}").json()
    assert done["status"] == "FAILED"
    assert done["response"]["finished"]["message"]


def test_the_commands_of_a_blocked_device_stay_pending_and_run_after_unblock(claimed, clock):
    early = claimed.post(COMMANDS, json=FINISHED).json()["id"]
    clock.advance(1)
    late = claimed.post(COMMANDS, json=FINISHED).json()["id"]
    claimed.post(f"{ONE}/block")
    clock.advance(60)
    states = {item["id"]: item["status"] for item in claimed.get(COMMANDS).json()["items"]}
    assert states == {early: "SUCCEEDED", late: "PENDING"}
    claimed.post(f"{ONE}/unblock")
    assert claimed.get(f"{COMMANDS}/{late}").json()["status"] == "PENDING"
    clock.advance(1)
    assert claimed.get(f"{COMMANDS}/{late}").json()["status"] == "SUCCEEDED"


def test_a_device_has_at_most_twenty_commands(claimed):
    for _ in range(20):
        assert claimed.post(COMMANDS, json=FINISHED).status_code == 201
    assert claimed.post(COMMANDS, json=FINISHED).status_code == 422


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"request": []},
        {"request": {}},
        {"request": {"dance": {}}},
        {"request": {"finished": 1}},
        {"request": {"finished": {}, "config": {}}},
    ],
)
def test_a_command_that_makes_no_sense_is_refused(claimed, body):
    assert claimed.post(COMMANDS, json=body).status_code == 422


def test_the_commands_of_a_device_do_not_survive_that_it_is_given_up(claimed):
    command = claimed.post(COMMANDS, json=FINISHED).json()["id"]
    claimed.delete(ONE)
    assert claimed.get(f"{COMMANDS}/{command}").status_code == 404
    claimed.claim(mint_token(DEVICE))
    assert claimed.get(COMMANDS).json() == {"items": []}
    assert claimed.get(f"{COMMANDS}/{command}").status_code == 404


def test_rules_are_kept_under_unique_names_for_each_team(api):
    body = {"name": "onboarding", "active": True, "commands": [{"request": {"finished": {}}}], "tags": ["a"]}
    created = api.post(RULES, json=body)
    assert created.status_code == 201
    assert created.json().items() >= body.items()
    assert created.json()["status"] == "ACTIVE"
    assert api.post(RULES, json=body).status_code == 409
    assert api.with_key(OTHER_TEAM_KEY).post(RULES, json={"name": "onboarding"}).json()["status"] == "DRAFT"
    assert api.get(RULES).json() == {"items": [created.json()]}


@pytest.mark.parametrize("body", [{}, {"name": "r", "active": "yes"}, {"name": "r", "tags": "a"}])
def test_a_rule_that_makes_no_sense_is_refused(api, body):
    assert api.post(RULES, json=body).status_code == 422
