"""The API of a team: claimed devices, tags, bulk operations, provisioning commands and rules."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

from airflow_provider_nrfprov.emulator.bulk import (
    BulkOperation,
    Failure,
    claim_rows,
    error_summary,
    read_rows,
)
from airflow_provider_nrfprov.emulator.clock import iso
from airflow_provider_nrfprov.emulator.devices import Device, Tag
from airflow_provider_nrfprov.emulator.errors import Invalid, NotFound
from airflow_provider_nrfprov.emulator.provisioning import Command, Rule
from airflow_provider_nrfprov.emulator.wire import Call, Reply, page_body, text_field, texts_field


def claim_one(call: Call) -> Reply:
    """Take ``{"claimToken", "tags"?}``; answer 201 and the device."""
    body = call.json_object()
    tags = texts_field(body, "tags", [])
    device = call.service.devices.claim(call.team, text_field(body, "claimToken"), tags, call.now)
    return Reply(201, device_body(device))


def dry_run(call: Call) -> Reply:
    """Check a claim and store nothing: 202 and no body if it would succeed."""
    body = call.json_object()
    tags = texts_field(body, "tags", [])
    call.service.devices.check_claim(call.team, text_field(body, "claimToken"), tags)
    return Reply(202)


def claim_csv(call: Call) -> Reply:
    """Take CSV; answer ``{"claimedIds", "failed"}`` with 201, or the chosen status if a row failed."""
    settings = call.service.settings
    rows = read_rows(call.csv_text(), settings)
    call.service.submissions.add(None, rows, call.now, repeated=call.repeated)
    outcome = claim_rows(call.service.devices, call.team, rows, call.now, settings.refusal_words)
    body: dict[str, Any] = {
        "claimedIds": outcome.claimed_ids,
        "failed": [_failed_element(failure, settings.failed_shape) for failure in outcome.failures],
    }
    if not outcome.failures:
        return Reply(201, body)
    if settings.partial_failure_status >= 400:
        told = f"{len(outcome.failures)} of {len(rows)} rows could not be claimed"
        words = told if settings.refusal_words is None else settings.refusal_words
        body |= {"code": settings.partial_failure_status * 100, "message": words}
    return Reply(settings.partial_failure_status, body)


def list_devices(call: Call) -> Reply:
    """Answer a page of the team's devices; ``tag``, ``status`` and ``claimedAfter`` filter (their names are choices)."""
    filters = call.service.settings.device_filters
    given = {"tag", "status", "claimedAfter"} & call.query.keys()
    if filters == "refused" and given:
        raise Invalid(f"there is no parameter {', '.join(sorted(given))}")
    if filters == "overlooked":
        page = call.service.devices.page(call.team, call.page_request(), as_of=call.lists_as_of())
    else:
        page = call.service.devices.page(
            call.team,
            call.page_request(),
            tag=call.query.get("tag"),
            status=call.query.get("status"),
            claimed_after=call.moment("claimedAfter"),
            as_of=call.lists_as_of(),
        )
    return Reply(200, page_body([device_body(device) for device in page.items], page.next_token))


def fetch_device(call: Call) -> Reply:
    """Answer 200 and the device."""
    return Reply(200, device_body(device_of(call)))


def update_device(call: Call) -> Reply:
    """Take ``{"tags"}`` and replace the tags; answer 200 and the device."""
    device = device_of(call)
    body = call.json_object()
    if unknown := body.keys() - {"tags"}:
        raise Invalid(f"only tags can be changed, not {', '.join(sorted(unknown))}")
    call.service.devices.set_tags(device, texts_field(body, "tags"), call.now)
    return Reply(200, device_body(device))


def block_device(call: Call) -> Reply:
    """Block; answer 200 and the device, also if it is blocked already."""
    device = device_of(call)
    call.service.block(device)
    return Reply(200, device_body(device))


def unblock_device(call: Call) -> Reply:
    """Unblock; answer 200 and the device, also if it is not blocked."""
    device = device_of(call)
    call.service.unblock(device)
    return Reply(200, device_body(device))


def unclaim_device(call: Call) -> Reply:
    """Unclaim; answer 204."""
    call.service.unclaim(device_of(call))
    return Reply(204)


def device_of(call: Call) -> Device:
    """Return the device of the path; raise ``NotFound``."""
    return call.service.devices.get(call.team, call.path["id"])


def device_body(device: Device) -> dict[str, Any]:
    """Return a device as documented: nine fields."""
    return {
        "id": device.id,
        "deviceType": device.device_type,
        "firmwareId": device.firmware_id,
        "imei": device.imei,
        "ownerId": device.team,
        "ownershipStatus": "IDENTIFIED",
        "tags": device.tags,
        "status": device.status,
        "claimedAt": iso(device.claimed_at),
    }


def _failed_element(failure: Failure, shape: str) -> dict[str, Any] | str:
    if shape == "string":
        return f"[{failure.row}]: {failure.message}"
    return {"row": failure.row, "claimToken": failure.token, "message": failure.message}


def create_tag(call: Call) -> Reply:
    """Take ``{"tag", "description"?}``; answer 201 and the tag, 409 if it exists."""
    body = call.json_object()
    tag = call.service.tags.create(call.team, text_field(body, "tag"), text_field(body, "description", ""))
    return Reply(201, tag_body(tag))


def list_tags(call: Call) -> Reply:
    """Answer 200 and ``{"items": [tag, …]}``, all of them."""
    return Reply(200, {"items": [tag_body(tag) for tag in call.service.tags.of_team(call.team)]})


def fetch_tag(call: Call) -> Reply:
    """Answer 200 and the tag; if the id is a device's, the tags of that device.

    Nordic's guide calls the id of this one path a device's on GET and a tag's on PUT and DELETE.
    """
    tag = call.service.tags.find(call.team, call.path["id"])
    device = call.service.devices.find(call.team, call.path["id"])
    if tag is None and device is not None:
        return Reply(200, {"items": [tag_body(held) for held in device.held_tags if not held.deleted]})
    return Reply(200, tag_body(tag or call.service.tags.get(call.team, call.path["id"])))


def update_tag(call: Call) -> Reply:
    """Take ``{"tag", "description"?}`` and rename the tag on every device; answer 200 and the tag."""
    tag = call.service.tags.get(call.team, call.path["id"])
    body = call.json_object()
    call.service.tags.update(tag, text_field(body, "tag"), text_field(body, "description", tag.description))
    return Reply(200, tag_body(tag))


def delete_tag(call: Call) -> Reply:
    """Delete the tag, also from every device; answer 204."""
    call.service.tags.delete(call.service.tags.get(call.team, call.path["id"]))
    return Reply(204)


def tag_body(tag: Tag) -> dict[str, Any]:
    """Return a tag: id, name and description."""
    return {"id": tag.id, "tag": tag.tag, "description": tag.description}


STATUSES = ("PENDING", "IN_PROGRESS", "FAILED", "SUCCEEDED")


def start_bulk_claim(call: Call) -> Reply:
    """Take CSV; answer 202 and ``{"bulkOpsRequestId"}``."""
    operation = call.service.operations.submit(call.team, call.csv_text(), call.now)
    call.service.submissions.add(operation.id, operation.rows, call.now, repeated=call.repeated)
    return Reply(202, {"bulkOpsRequestId": operation.id}, operation_id=operation.id)


def fetch_operation(call: Call) -> Reply:
    """Answer 200 and the bulk operation."""
    return Reply(200, operation_body(call.service.operations.get(call.team, call.path["id"]), call))


def list_operations(call: Call) -> Reply:
    """Answer a page of the team's operations, by ``status`` and by ``requestedAt`` (both ends included)."""
    status = call.query.get("status")
    if status is not None and status not in STATUSES:
        raise Invalid(f"status is one of {', '.join(STATUSES)}")
    start, end = call.moment("startRequestedAt"), call.moment("endRequestedAt")
    shelf = call.service.operations.all()
    if (as_of := call.lists_as_of()) is not None:
        shelf, call = shelf.as_of(lambda operation: operation.as_of(as_of)), replace(call, now=as_of)

    def keep(operation: BulkOperation) -> bool:
        return (
            operation.team == call.team
            and operation.carry_out is None
            and (status is None or operation.status(call.now) == status)
            and (start is None or operation.requested_at >= start)
            and (end is None or operation.requested_at <= end)
        )

    page = shelf.page(call.page_request(), keep)
    return Reply(200, page_body([operation_body(each, call) for each in page.items], page.next_token))


def download(call: Call) -> Reply:
    """Answer the file behind ``uploadedDataUrl``, ``resultDataUrl`` or ``errorSummaryUrl``; no API key.

    What the result file of the real service holds is unknown; here it is ``{"claimedIds": […]}``.
    """
    operation_id, kind = parts_of(call.path["file"])
    operation = call.service.operations.get(call.path["team"], operation_id)
    file = file_of(operation, kind, call.service.settings.error_summary)
    if file is None:
        raise NotFound("there is no such file")
    return file


def parts_of(file: str) -> tuple[str, str]:
    """Split the name of a file into the id of its operation and ``.csv``, ``-result.json`` or ``.json``."""
    operation_id = file.partition(".")[0].removesuffix("-result")
    return operation_id, file.removeprefix(operation_id)


def file_of(operation: BulkOperation, kind: str, summary_form: str) -> Reply | None:
    """Return the file of that kind of an operation, or None if it has none (yet)."""
    outcome = operation.outcome
    if kind == ".csv":
        return Reply(200, text=operation.text, media_type="text/csv")
    if kind == "-result.json" and outcome:
        return Reply(200, text=json.dumps({"claimedIds": outcome.claimed_ids}))
    if kind == ".json" and outcome and outcome.failures:
        return Reply(200, text=error_summary(outcome, summary_form))
    return None


def operation_body(operation: BulkOperation, call: Call) -> dict[str, Any]:
    """Return a bulk operation as documented; its URLs lead to the host that the client asked."""
    folder = f"{call.base_url}/bulk-ops-data/{operation.team}/claim_device_ownership/{operation.id}"
    body = {
        "bulkOpsRequestId": operation.id,
        "endpoint": "CLAIM_DEVICE_OWNERSHIP",
        "status": operation.status(call.now),
        "requestedAt": iso(operation.requested_at),
        "uploadedDataUrl": f"{folder}.csv",
    }
    if operation.outcome is not None:
        body |= {"completedAt": iso(operation.completes_at), "resultDataUrl": f"{folder}-result.json"}
        if operation.outcome.failures:
            body["errorSummaryUrl"] = f"{folder}.json"
    return body


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
