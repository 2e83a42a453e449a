"""Operations on provisioning commands and rules, as far as Nordic's own tool uses them."""

from __future__ import annotations

from typing import Any

from airflow_provider_nrfprov.emulator.device_handlers import device_of
from airflow_provider_nrfprov.emulator.errors import Invalid
from airflow_provider_nrfprov.emulator.ids import iso
from airflow_provider_nrfprov.emulator.provisioning import Command, Rule
from airflow_provider_nrfprov.emulator.wire import Call, Reply, text_field, texts_field


def create_command(call: Call) -> Reply:
    """Take ``{"description"?, "request": {key: {…}}}``; answer 201 and the command."""
    device = device_of(call)
    body = call.json_object()
    request = body.get("request")
    if not isinstance(request, dict):
        raise Invalid("request is an object and must be given")
    description = text_field(body, "description", "")
    command = call.service.commands.create(device, request, description, call.now)
    return Reply(201, command_body(command, device.id))


def list_commands(call: Call) -> Reply:
    """Answer 200 and ``{"items": [command, …]}``."""
    device = device_of(call)
    commands = call.service.commands.of_device(device, call.now)
    return Reply(200, {"items": [command_body(command, device.id) for command in commands]})


def fetch_command(call: Call) -> Reply:
    """Answer 200 and the command."""
    device = device_of(call)
    command = call.service.commands.get(device, call.path["command"], call.now)
    return Reply(200, command_body(command, device.id))


def create_rule(call: Call) -> Reply:
    """Take ``{"name", "description"?, "active"?, "commands"?, "tags"?}``; answer 201 and the rule."""
    body = call.json_object()
    active, commands = body.get("active", False), body.get("commands", [])
    if not isinstance(active, bool) or not isinstance(commands, list):
        raise Invalid("active is true or false, commands a list")
    rule = Rule(
        team=call.team,
        name=text_field(body, "name"),
        description=text_field(body, "description", ""),
        active=active,
        commands=commands,
        tags=texts_field(body, "tags", []),
    )
    call.service.rules.add(rule)
    return Reply(201, rule_body(rule))


def list_rules(call: Call) -> Reply:
    """Answer 200 and ``{"items": [rule, …]}``."""
    return Reply(200, {"items": [rule_body(rule) for rule in call.service.rules.of_team(call.team)]})


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
