"""The sensor of provisioning commands in both modes, and its trigger, through the wire to the emulator."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import AirflowSensorTimeout, AirflowSkipException

from airflow_provider_nrfprov.api.errors import (
    NotFoundError,
    NrfProvError,
    UnauthorizedError,
    UnavailableError,
)
from airflow_provider_nrfprov.api.models import ProvisioningCommand
from airflow_provider_nrfprov.api.wait_policy import FAILURES_IN_A_ROW, CommandWatch
from airflow_provider_nrfprov.emulator.faults import DropBefore, Refuse
from airflow_provider_nrfprov.exceptions import CommandFailedError
from airflow_provider_nrfprov.hooks.nrfprov import NrfProvHook
from airflow_provider_nrfprov.sensors.provisioning_command import NrfProvCommandSensor
from airflow_provider_nrfprov.triggers.provisioning_command import NrfProvCommandTrigger
from tests.unit.airflow.running import both_modes, finish, only_event

FETCH = "FetchDeviceProvisioningCommand"
CSR = {"certificateSigningRequest": {"secTag": 7}}


@pytest.fixture
def command(nrfcloud, tokens) -> Callable[..., tuple[str, str]]:
    """Create a command for a device of the emulator; return the ids of both."""

    def begin(**settings: Any) -> tuple[str, str]:
        nrfcloud.reset(**{"command_seconds": 0.4, **settings})
        device = NrfProvHook().claim_device(tokens[0])
        return device.id, NrfProvHook().create_command(device.id, CSR).id

    return begin


def sensor(device_id: str, command_id: str, **arguments: Any) -> NrfProvCommandSensor:
    defaults = {"task_id": "wait", "poke_interval": 0.1, "timeout": 10}
    return NrfProvCommandSensor(device_id=device_id, command_id=command_id, **{**defaults, **arguments})


def run(sensor: NrfProvCommandSensor) -> Any:
    """Run a sensor as on two workers: the one that goes on has seen nothing."""

    def forget() -> None:
        sensor._watch = sensor._seen = None

    return finish(sensor, before_resuming=forget)


@both_modes
@pytest.mark.parametrize("seconds", [0, 0.4], ids=["has ended", "ends"])
def test_gives_what_the_device_answered(command, deferrable, seconds):
    device_id, command_id = command(command_seconds=seconds)
    answer = run(sensor(device_id, command_id, deferrable=deferrable))
    assert answer.pop("response")["certificateSigningRequest"]["message"]
    assert answer == {"device_id": device_id, "command_id": command_id, "status": "SUCCEEDED"}


def test_what_was_seen_before_a_deferral_is_not_taken_for_the_answer(command):
    """``dag.test()`` of Airflow 2 goes on in the same process."""
    answer = finish(sensor(*command(), deferrable=True))
    assert answer["status"] == "SUCCEEDED"
    assert answer["response"]["certificateSigningRequest"]["message"]


def test_a_command_that_has_ended_is_not_deferred_for(nrfcloud, command):
    assert sensor(*command(command_seconds=0), deferrable=True).execute({})["status"] == "SUCCEEDED"
    assert nrfcloud.service.request_counts()[FETCH] == 1


@both_modes
def test_a_command_that_failed_fails_the_task_in_the_devices_words(command, deferrable):
    device_id, command_id = command(command_end="FAILED")
    with pytest.raises(CommandFailedError, match=f"{command_id}.*FAILED.*the modem refused it"):
        run(sensor(device_id, command_id, deferrable=deferrable))


@both_modes
@pytest.mark.parametrize("seconds", [0, 0.4], ids=["before the first poke", "later"])
def test_a_command_that_failed_skips_the_task_with_soft_fail(command, deferrable, seconds):
    waiting = sensor(
        *command(command_end="FAILED", command_seconds=seconds), deferrable=deferrable, soft_fail=True
    )
    with pytest.raises(AirflowSkipException):
        run(waiting)


@both_modes
def test_the_command_of_a_blocked_device_is_waited_for_until_the_deadline(command, deferrable):
    device_id, command_id = command()
    NrfProvHook().block_device(device_id)
    with pytest.raises(AirflowSensorTimeout):
        run(sensor(device_id, command_id, deferrable=deferrable, timeout=0.8))
    with pytest.raises(AirflowSkipException):
        run(sensor(device_id, command_id, deferrable=deferrable, timeout=0.3, soft_fail=True))
    NrfProvHook().unblock_device(device_id)
    assert run(sensor(device_id, command_id, deferrable=deferrable))["status"] == "SUCCEEDED"


@both_modes
def test_a_command_or_device_that_is_not_there_fails_the_task_at_once(command, deferrable):
    device_id, command_id = command()
    for where in ((device_id, "no-such-command"), ("7b21b4bc-1cc9-41df-b05c-61b4605e5bb0", command_id)):
        with pytest.raises(NotFoundError):
            run(sensor(*where, deferrable=deferrable))


@both_modes
@pytest.mark.parametrize("fault", [Refuse(503), Refuse(429), DropBefore()], ids=str)
def test_failures_that_pass_are_waited_through(nrfcloud, command, deferrable, fault):
    waiting = sensor(*command(command_seconds=0.2), deferrable=deferrable)
    nrfcloud.service.faults.plan(FETCH, fault, times=3)
    assert run(waiting)["status"] == "SUCCEEDED"


@both_modes
def test_twenty_failures_in_a_row_end_the_wait(nrfcloud, command, deferrable):
    waiting = sensor(*command(command_seconds=60), deferrable=deferrable, poke_interval=0.01)
    nrfcloud.service.faults.plan(FETCH, Refuse(503), times=None)
    with pytest.raises((UnavailableError, NrfProvError), match="503"):
        run(waiting)
    # The trigger counts anew after the worker's first question.
    assert nrfcloud.service.request_counts()[FETCH] in {FAILURES_IN_A_ROW, FAILURES_IN_A_ROW + 1}


@both_modes
def test_a_key_that_is_revoked_meanwhile_fails_the_task_soft_fail_or_not(nrfcloud, command, deferrable):
    waiting = sensor(*command(command_seconds=60), deferrable=deferrable, soft_fail=True)
    nrfcloud.service.faults.plan(FETCH, Refuse(401), nth=2, times=None)
    with pytest.raises((UnauthorizedError, NrfProvError), match="401"):
        run(waiting)


def test_the_trigger_asks_no_sooner_than_after_one_interval(nrfcloud, command):
    where = command(command_seconds=0)
    started = time.monotonic()
    trigger = NrfProvCommandTrigger("nrfprov_default", *where, 0.3, time.time() + 10)
    assert asyncio.run(only_event(trigger)) == {"status": "ended", "failed": []}
    assert time.monotonic() - started >= 0.3
    assert nrfcloud.service.request_counts()[FETCH] == 1


def test_neither_key_nor_answer_is_in_the_triggers_arguments_or_event(command):
    where = command(command_seconds=0)
    trigger = NrfProvCommandTrigger("nrfprov_default", *where, 0.01, time.time() + 10)
    kept = json.dumps([trigger.serialize(), asyncio.run(only_event(trigger))])
    assert "emulator-key" not in kept
    assert "certificateSigningRequest" not in kept


@pytest.mark.parametrize(
    ("status", "is_done", "failed"),
    [("PENDING", False, []), ("IN_PROGRESS", False, []), ("SUCCEEDED", True, []), ("FAILED", True, ["c"]),
     ("DISCARDED", True, ["c"])],
)  # fmt: skip
def test_every_status_but_two_is_an_end_and_only_one_is_a_good_one(status, is_done, failed):
    watch = CommandWatch(["c"])
    watch.poll(lambda id_: ProvisioningCommand(id_, status))
    assert (watch.is_done, watch.failed) == (is_done, failed)
    assert watch.notes == [f"provisioning command c is {status}"]
