"""The onboarding rule and provisioning commands, through the wire to the emulator, as Airflow calls them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from airflow_provider_nrfprov.api.errors import (
    ForbiddenError,
    NotFoundError,
    ServiceError,
    UnreachableError,
)
from airflow_provider_nrfprov.api.onboarding import NRF_CLOUD_COAP_CA, ROOT_CERTIFICATES
from airflow_provider_nrfprov.arguments import ArgumentError
from airflow_provider_nrfprov.claiming.token import decode
from airflow_provider_nrfprov.emulator.accounts import VIEWER_KEY
from airflow_provider_nrfprov.emulator.faults import DropAfter, DropBefore, Refuse
from airflow_provider_nrfprov.hooks.nrfprov import NrfProvHook
from airflow_provider_nrfprov.operators.provisioning_command import NrfProvCreateCommandOperator
from airflow_provider_nrfprov.operators.provisioning_rules import NrfProvEnsureOnboardingRuleOperator
from tests.unit.airflow.running import TaskInstance

CSR = {"certificateSigningRequest": {"secTag": 7, "attributes": "O=Factory", "keyUsage": "101010000"}}


RUN = {"run_id": "manual__1", "params": {}, "ti": TaskInstance()}


def create(device_id: str, run: dict[str, Any] | None = None, **arguments: Any) -> dict[str, Any]:
    defaults = {"task_id": "command", "request": CSR}
    operator = NrfProvCreateCommandOperator(device_id=device_id, **{**defaults, **arguments})
    return operator.execute(RUN if run is None else run)


@pytest.fixture
def device_id(nrfcloud, tokens) -> str:
    # No command ends by itself, however slow the machine is.
    nrfcloud.reset(command_seconds=3600)
    return NrfProvHook().claim_device(tokens[0]).id


# --- the onboarding rule ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "wrong",
    [
        "abc", "0", "../..", "{}", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----",
        ROOT_CERTIFICATES[:-60], ROOT_CERTIFICATES.replace("\n", " "), "é",
        f"{ROOT_CERTIFICATES}-----BEGIN PRIVATE KEY-----\nc2VjcmV0\n-----END PRIVATE KEY-----\n",
    ],
)  # fmt: skip
def test_what_is_no_certificate_is_refused_before_a_request_and_not_quoted(nrfcloud, wrong):
    with pytest.raises(ArgumentError, match=r"^certificates of task 'rule' ") as caught:
        NrfProvEnsureOnboardingRuleOperator(task_id="rule", certificates=wrong)
    operator = NrfProvEnsureOnboardingRuleOperator(task_id="rule", certificates="{{ params.roots }}")
    operator.certificates = wrong
    with pytest.raises(ArgumentError, match=r"^certificates of task 'rule' "):
        operator.execute({})
    assert "c2VjcmV0" not in str(caught.value)
    assert not nrfcloud.service.request_counts()


def test_the_certificates_that_are_given_are_those_of_the_rule(nrfcloud):
    NrfProvEnsureOnboardingRuleOperator(task_id="rule", certificates=f"{NRF_CLOUD_COAP_CA}\n").execute({})
    (rule,) = NrfProvHook().list_rules()
    assert NRF_CLOUD_COAP_CA.strip() in json.dumps(rule.commands).replace("\\n", "\n")


def test_the_onboarding_rule_is_made_once(nrfcloud):
    operator = NrfProvEnsureOnboardingRuleOperator(task_id="rule", sec_tag="42")
    made = operator.execute({})
    (rule,) = NrfProvHook().list_rules()
    assert made == {"rule_id": rule.id, "name": "nRF Cloud Onboarding", "created": True}
    assert operator.execute({}) == {**made, "created": False}
    assert rule.commands[0] == {"request": {"clientPrivateKeyGeneration": {"secTag": 42}}}


def test_a_draft_for_the_onboarding_tag_will_do_but_is_warned_of(nrfcloud, written):
    NrfProvHook().create_rule("ours", [], ["nrf-cloud-onboarding"], active=False)
    assert not NrfProvEnsureOnboardingRuleOperator(task_id="rule").execute({})["created"]
    assert "is a draft" in written()


def test_a_viewer_makes_no_rule(connect, emulator):
    connect(emulator.url, VIEWER_KEY)
    with pytest.raises(ForbiddenError, match="Editor, Admin or Owner"):
        NrfProvEnsureOnboardingRuleOperator(task_id="rule").execute({})
    assert "CreateProvisioningRule" not in emulator.service.request_counts()


# --- commands --------------------------------------------------------------------------------------------


def test_gives_a_device_a_command(device_id):
    made = create(device_id, description="rotate the key")
    (command,) = NrfProvHook().list_commands(device_id)
    assert made == {"device_id": device_id, "command_id": command.id, "status": "PENDING"}
    assert RUN["ti"].pushed == {"command_id": command.id}
    assert command.request.items() >= CSR.items()
    assert str(command.description).startswith("rotate the key [airflow ")


def test_a_repeated_task_makes_no_second_command_and_a_new_run_does(device_id):
    first = create(device_id)
    assert create(device_id) == first
    assert create(device_id, {**RUN, "run_id": "manual__2"})["command_id"] != first["command_id"]
    assert create(device_id, task_id="another")["command_id"] != first["command_id"]
    assert len(list(NrfProvHook().list_commands(device_id))) == 3


def test_a_command_whose_answer_was_lost_is_found_and_not_made_twice(device_id, emulator):
    emulator.service.faults.plan("CreateDeviceProvisioningCommand", DropAfter())
    made = create(device_id)
    assert [command.id for command in NrfProvHook().list_commands(device_id)] == [made["command_id"]]


def test_a_command_that_was_not_made_is_an_error_that_a_retry_mends(device_id, emulator):
    emulator.service.faults.plan("CreateDeviceProvisioningCommand", DropBefore())
    with pytest.raises(UnreachableError):
        create(device_id)
    assert list(NrfProvHook().list_commands(device_id)) == []
    assert create(device_id)["status"] == "PENDING"


def test_a_command_that_has_failed_is_made_anew(nrfcloud, tokens):
    nrfcloud.reset(command_seconds=0, command_end="FAILED")
    device_id = NrfProvHook().claim_device(tokens[0]).id
    first = create(device_id)
    assert create(device_id)["command_id"] != first["command_id"]


def test_a_service_that_cannot_list_commands_is_given_the_command(device_id, emulator):
    emulator.service.faults.plan("ListDeviceProvisioningCommands", Refuse(404), times=None)
    assert create(device_id)["status"] == "PENDING"


@pytest.mark.parametrize(
    ("request_", "words"), [({"dance": {}}, "exactly one key"), ({"finished": 1}, "is an object")]
)
def test_a_request_that_makes_no_sense_is_refused_in_the_services_words(device_id, request_, words):
    with pytest.raises(ServiceError, match=words):
        create(device_id, request=request_)


def test_a_device_that_is_not_ours_gets_no_command(nrfcloud, tokens):
    with pytest.raises(NotFoundError):
        create(decode(tokens[0]).device_id)


def test_a_private_key_is_rendered_but_is_in_no_view_log_or_result(device_id, written):
    request = {"clientPrivateKey": {"secTag": 7, "content": "{{ params.key }}"}}
    made = create(device_id, {**RUN, "params": {"key": "very-private"}}, request=request)
    (command,) = NrfProvHook().list_commands(device_id)
    assert command.request["clientPrivateKey"] == {"secTag": 7, "content": "very-private"}
    assert "request" not in NrfProvCreateCommandOperator.template_fields
    log = written()
    assert made["command_id"] in log  # it was looked at, not missed
    assert "very-private" not in log + json.dumps(made)
