"""A dry run of one claim says whether the device could be claimed, and why not."""

from __future__ import annotations

import json
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import BaseOperator

from airflow_provider_nrfprov.api.errors import ServiceError, UnauthorizedError
from airflow_provider_nrfprov.claiming.token import decode
from airflow_provider_nrfprov.emulator.accounts import OTHER_TEAM_KEY
from airflow_provider_nrfprov.emulator.faults import Refuse
from airflow_provider_nrfprov.hooks.nrfprov import NrfProvHook
from airflow_provider_nrfprov.operators.claim_device import NrfProvClaimDeviceOperator


def claim(token: str, **arguments: Any) -> Any:
    return NrfProvClaimDeviceOperator(task_id="claim", claim_token=token, **arguments).execute({})


def test_gives_all_attributes_of_the_device_and_no_token(nrfcloud, tokens):
    device = claim(tokens[0], tags=["a"])
    (claimed,) = nrfcloud.service.claimed_devices()
    assert device == {
        "id": claimed.id,
        "device_type": claimed.device_type,
        "firmware_id": claimed.firmware_id,
        "imei": claimed.imei,
        "owner_id": claimed.team,
        "ownership_status": "IDENTIFIED",
        "tags": ["a"],
        "status": "READY",
        "claimed_at": claimed.claimed_at.isoformat(),
    }
    assert tokens[0] not in json.dumps(device)
    assert claim(tokens[0], tags=["a"]) == device  # repeated: it is ours


@pytest.mark.parametrize("check_only", [True, "True", "true", "1"])
def test_a_device_that_could_be_claimed_is_not_claimed(nrfcloud, tokens, check_only):
    assert claim(tokens[0], check_only=check_only) == {
        "device_id": decode(tokens[0]).device_id,
        "claimable": True,
        "reason": None,
        "is_ours": False,
    }
    assert not nrfcloud.service.claimed_ids()


@pytest.mark.parametrize(("key", "is_ours"), [("emulator-key", True), (OTHER_TEAM_KEY, False)])
def test_a_claimed_device_is_none_to_claim_and_whose_it_is_is_found_out(
    connect, emulator, tokens, key, is_ours
):
    connect(emulator.url, key)
    NrfProvHook().claim_device(tokens[0])
    connect(emulator.url)
    answer = claim(tokens[0], check_only=True)
    assert (answer["claimable"], answer["is_ours"]) == (False, is_ours)
    assert answer["reason"] == f"device {decode(tokens[0]).device_id} is already claimed"


def test_the_answer_stands_where_it_cannot_be_found_out_whose_the_device_is(nrfcloud, tokens):
    NrfProvHook().claim_device(tokens[0])
    nrfcloud.service.faults.plan("FetchClaimedDevice", Refuse(403), times=None)
    answer = claim(tokens[0], check_only=True)
    assert (answer["claimable"], answer["is_ours"]) == (False, None)


def test_a_token_that_cannot_be_used_is_a_reason_too(nrfcloud, tokens):
    answer = claim(tokens[0][:90], check_only=True)
    assert not answer["claimable"]
    assert "cut short" in answer["reason"]
    assert tokens[0][:60] not in json.dumps(answer)
    assert not nrfcloud.service.request_counts()


@pytest.mark.parametrize(("status", "error"), [(401, UnauthorizedError), (503, ServiceError)])
def test_an_answer_that_says_nothing_of_the_device_is_an_error(nrfcloud, tokens, status, error):
    nrfcloud.service.faults.plan("ClaimDeviceOwnershipDryRun", Refuse(status), times=None)
    with pytest.raises(error, match=str(status)):
        claim(tokens[0], check_only=True)


def test_what_is_neither_yes_nor_no_claims_nothing(nrfcloud, tokens):
    with pytest.raises(ValueError, match="check_only of task 'claim' is 'flase'; it must be true or false"):
        claim(tokens[0], check_only="flase")
    assert not nrfcloud.service.request_counts()


@pytest.mark.skipif(not hasattr(BaseOperator, "dry_run"), reason="operators of Airflow 3.0 have no dry_run()")
def test_airflows_own_dry_run_of_a_task_still_works(tokens):
    NrfProvClaimDeviceOperator(task_id="claim", claim_token=tokens[0], check_only=True).dry_run()
