"""Provisioning commands, which an imagined device carries out, and provisioning rules."""

from __future__ import annotations

import uuid
from collections import defaultdict
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Literal

from airflow_provider_nrfprov.emulator.clock import iso
from airflow_provider_nrfprov.emulator.devices import READY, Device
from airflow_provider_nrfprov.emulator.errors import Conflict, Invalid, NotFound
from airflow_provider_nrfprov.emulator.mint import SEC_TAG, mint_keygen

MAX_COMMANDS = 20
"""Commands per claimed device; documented by Nordic."""

REQUESTS = frozenset(
    {
        "certificateSigningRequest",
        "clientCertificate",
        "clientPrivateKey",
        "clientPrivateKeyGeneration",
        "cloudAccessKeyGeneration",
        "config",
        "finished",
        "preSharedKey",
        "serverCertificate",
    }
)


@dataclass(slots=True, eq=False)
class Command:
    """A command for a device: PENDING, and ``end`` once the device has answered."""

    request: dict[str, Any]
    description: str
    created_at: datetime
    due_at: datetime
    end: Literal["SUCCEEDED", "FAILED"]
    id: str = field(default_factory=lambda: str(uuid.uuid4()))
    requested_at: datetime | None = None
    response: dict[str, Any] | None = None

    @property
    def status(self) -> str:
        """PENDING, or how it ended. ``SUCCEEDED`` was observed, ``FAILED`` is inferred."""
        return "PENDING" if self.response is None else self.end


@dataclass(slots=True, eq=False)
class Rule:
    """A provisioning rule. It is kept and listed; it does nothing to devices."""

    team: str
    name: str
    description: str
    active: bool
    commands: list[Any]
    tags: list[str]
    id: str = field(default_factory=lambda: str(uuid.uuid4()))


class Commands:
    """The commands of all devices."""

    def __init__(self, seconds: float, end: Literal["SUCCEEDED", "FAILED"]) -> None:
        self._time_needed = timedelta(seconds=seconds)
        self._end = end
        self._of_device: dict[str, list[Command]] = defaultdict(list)

    def create(self, device: Device, request: dict[str, Any], description: str, now: datetime) -> Command:
        """Add a command to a device's; raise ``Invalid``."""
        if len(request) != 1 or not request.keys() <= REQUESTS:
            raise Invalid(f"request has exactly one key of {', '.join(sorted(REQUESTS))}")
        if not all(isinstance(value, dict) for value in request.values()):
            raise Invalid("what is requested is an object")
        commands = self._of_device[device.id]
        if len(commands) >= MAX_COMMANDS:
            raise Invalid(f"the device has {MAX_COMMANDS} commands, which are the most")
        command = Command(request, description, now, now + self._time_needed, self._end)
        commands.append(command)
        return command

    def of_device(self, device: Device, now: datetime) -> list[Command]:
        """Return a device's commands as they are now, oldest first."""
        commands = self._of_device.get(device.id, [])
        if device.status == READY:
            for command in commands:
                if command.response is None and command.due_at <= now:
                    command.requested_at = command.due_at - self._time_needed
                    command.response = _response(device, command)
        return commands

    def get(self, device: Device, command_id: str, now: datetime) -> Command:
        """Return one command of a device; raise ``NotFound``."""
        for command in self.of_device(device, now):
            if command.id == command_id:
                return command
        raise NotFound("the device has no such command")

    def resume(self, device: Device, now: datetime) -> None:
        """Let an unblocked device begin again with what is still pending."""
        for command in self._of_device.get(device.id, []):
            if command.response is None:
                command.due_at = now + self._time_needed

    def forget(self, device: Device) -> None:
        """Drop the commands of a device that is given up."""
        self._of_device.pop(device.id, None)


class Rules:
    """The provisioning rules of all teams."""

    def __init__(self) -> None:
        self._rules: list[Rule] = []

    def of_team(self, team: str) -> list[Rule]:
        """Return a team's rules, oldest first."""
        return [rule for rule in self._rules if rule.team == team]

    def add(self, rule: Rule) -> None:
        """Keep a rule; raise ``Conflict`` if the team has one of that name."""
        if any(known.name == rule.name for known in self.of_team(rule.team)):
            raise Conflict(f"there is a provisioning rule {rule.name!r} already")
        self._rules.append(rule)


def _response(device: Device, command: Command) -> dict[str, Any]:
    request = command.request
    key = next(iter(request))
    if command.end == "FAILED":  # of the device's own protocol only the two names are documented
        return {key: {"cmeError": 514, "message": "the modem refused it"}}
    if key != "certificateSigningRequest":
        return {key: {}}
    return {key: {"message": mint_keygen(device.id, sec_tag=request[key].get("secTag", SEC_TAG))}}


def command_body(command: Command, device_id: str) -> dict[str, Any]:
    """Return a command with the fields of a real one, whose times are beside the kind of request and response.

    ``updatedAt`` stays null even when it is done, as was observed. None is made by a rule here.
    """
    requested_at, response = command.requested_at, command.response
    return {
        "id": command.id,
        "deviceId": device_id,
        "ruleId": None,
        "description": command.description,
        "request": {**command.request, "requestedAt": iso(requested_at) if requested_at else None},
        "response": {**response, "respondedAt": iso(command.due_at)} if response else None,
        "status": command.status,
        "createdAt": iso(command.created_at),
        "updatedAt": None,
    }


def rule_body(rule: Rule) -> dict[str, Any]:
    """Return a rule. ``DRAFT`` is documented; the name of the other status is a choice."""
    return {
        "id": rule.id,
        "name": rule.name,
        "description": rule.description,
        "status": "ACTIVE" if rule.active else "DRAFT",
        "active": rule.active,
        "commands": rule.commands,
        "tags": rule.tags,
    }
