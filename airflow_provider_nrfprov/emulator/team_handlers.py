"""The API of a team: claimed devices, tags, bulk operations, provisioning commands and rules."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Query, Response
from pydantic import BeforeValidator, Field

from airflow_provider_nrfprov.emulator.bulk import (
    BulkOperation,
    Failure,
    claim_rows,
    file_of,
    parts_of,
    read_rows,
)
from airflow_provider_nrfprov.emulator.calls import (
    AsyncOperation,
    Body,
    Call,
    CsvClaim,
    DryRun,
    OpenOperation,
    Operation,
    SyncOperation,
    ThisCall,
    ThisPage,
    json_body,
    moment,
    page_reply,
    reply,
)
from airflow_provider_nrfprov.emulator.clock import iso
from airflow_provider_nrfprov.emulator.devices import Device, Tag, device_body, tag_body
from airflow_provider_nrfprov.emulator.errors import Invalid, NotFound
from airflow_provider_nrfprov.emulator.provisioning import Rule, command_body, rule_body

_dry_runs = APIRouter(route_class=DryRun)
_csv_claims = APIRouter(route_class=CsvClaim)
_claims = APIRouter(route_class=Operation)
_bulk_claims = APIRouter(route_class=AsyncOperation)
_old_tags = APIRouter(route_class=AsyncOperation)
_tags = APIRouter(route_class=SyncOperation)
_team = APIRouter(route_class=Operation)
_downloads = APIRouter(route_class=OpenOperation)

CLAIMS = (_dry_runs, _csv_claims, _claims)
"""Routers of what can be posted to claim a device, each for what those before it leave."""

ROUTERS = {
    "/v1/claimed-devices": (*CLAIMS, _bulk_claims),
    "/v1/identities/claimed-devices": CLAIMS,
    # Fixed paths come before those that take an id in the same place.
    "/v1/claimed-devices/tags": (_old_tags,),
    "/v1/provisioning/tags": (_tags,),
    "/v1": (_team,),
    "": (_downloads,),
}
"""Routers by the beginning of their paths, in the order in which they are asked."""


class _ClaimBody(Body):
    claimToken: str
    tags: list[str] = Field(default_factory=list)


class _TagsBody(Body, extra="forbid"):
    tags: list[str]


class _TagBody(Body):
    tag: str
    description: str = ""


class _CommandBody(Body):
    request: dict[str, Any]
    description: str = ""


class _RuleBody(Body):
    name: str
    description: str = ""
    active: bool = False
    commands: list[Any] = Field(default_factory=list)
    tags: list[str] = Field(default_factory=list)


async def _device_of(call: ThisCall, id: str) -> Device:
    return call.service.devices.get(call.team, id)


async def _tag_of(call: ThisCall, id: str) -> Tag:
    return call.service.tags.get(call.team, id)


ClaimBody = Annotated[_ClaimBody, json_body(_ClaimBody)]
TagsBody = Annotated[_TagsBody, json_body(_TagsBody)]
TagBody = Annotated[_TagBody, json_body(_TagBody)]
CommandBody = Annotated[_CommandBody, json_body(_CommandBody)]
RuleBody = Annotated[_RuleBody, json_body(_RuleBody)]
ThisDevice = Annotated[Device, Depends(_device_of)]
ThisTag = Annotated[Tag, Depends(_tag_of)]
ThisMoment = Annotated[datetime | None, BeforeValidator(moment)]


@_claims.post("", name="ClaimDeviceOwnership")
async def claim_one(call: ThisCall, body: ClaimBody) -> Response:
    """Take ``{"claimToken", "tags"?}``; answer 201 and the device."""
    device = call.service.devices.claim(call.team, body.claimToken, body.tags, call.now)
    return reply(device_body(device), 201)


@_dry_runs.post("", name="ClaimDeviceOwnershipDryRun")
async def dry_run(call: ThisCall, body: ClaimBody) -> Response:
    """Check a claim and store nothing: 202 and no body if it would succeed."""
    call.service.devices.check_claim(call.team, body.claimToken, body.tags)
    return Response(status_code=202)


@_csv_claims.post("", name="ClaimDeviceOwnershipCsv")
async def claim_csv(call: ThisCall) -> Response:
    """Take CSV; answer ``{"claimedIds", "failed"}`` with 201, or the chosen status if a row failed."""
    settings = call.service.settings
    rows = read_rows(call.csv_text(), settings)
    call.submitted(None, rows)
    outcome = claim_rows(call.service.devices, call.team, rows, call.now, settings.refusal_words)
    body: dict[str, Any] = {
        "claimedIds": outcome.claimed_ids,
        "failed": [_failed_element(failure, settings.failed_shape) for failure in outcome.failures],
    }
    if not outcome.failures:
        return reply(body, 201)
    if settings.partial_failure_status >= 400:
        told = f"{len(outcome.failures)} of {len(rows)} rows could not be claimed"
        words = told if settings.refusal_words is None else settings.refusal_words
        body |= {"code": settings.partial_failure_status * 100, "message": words}
    return reply(body, settings.partial_failure_status)


@_team.get("/claimed-devices", name="ListClaimedDevices")
async def list_devices(
    call: ThisCall,
    asked: ThisPage,
    tag: str | None = None,
    status: str | None = None,
    claimed_after: Annotated[str | None, Query(alias="claimedAfter")] = None,
) -> Response:
    """Answer a page of the team's devices; ``tag``, ``status`` and ``claimedAfter`` filter (their names are choices)."""
    filters = call.service.settings.device_filters
    given = {"tag": tag, "status": status, "claimedAfter": claimed_after}
    names = [name for name, value in given.items() if value is not None]
    if filters == "refused" and names:
        raise Invalid(f"there is no parameter {', '.join(sorted(names))}")
    if filters == "overlooked":
        tag = status = claimed_after = None
    page = call.service.devices.page(
        call.team,
        asked,
        tag=tag,
        status=status,
        claimed_after=moment(claimed_after),
        as_of=call.lists_as_of(),
    )
    return page_reply([device_body(device) for device in page.items], page.next_token)


@_team.get("/claimed-devices/{id}", name="FetchClaimedDevice")
async def fetch_device(device: ThisDevice) -> Response:
    """Answer 200 and the device."""
    return reply(device_body(device))


@_team.patch("/claimed-devices/{id}", name="UpdateClaimedDevice")
@_team.put("/claimed-devices/{id}", name="UpdateClaimedDevice")
async def update_device(call: ThisCall, device: ThisDevice, body: TagsBody) -> Response:
    """Take ``{"tags"}`` and replace the tags; answer 200 and the device."""
    call.service.devices.set_tags(device, body.tags, call.now)
    return reply(device_body(device))


@_team.post("/claimed-devices/{id}/block", name="BlockClaimedDevice")
async def block_device(call: ThisCall, device: ThisDevice) -> Response:
    """Block; answer 200 and the device, also if it is blocked already."""
    call.service.block(device)
    return reply(device_body(device))


@_team.post("/claimed-devices/{id}/unblock", name="UnblockClaimedDevice")
async def unblock_device(call: ThisCall, device: ThisDevice) -> Response:
    """Unblock; answer 200 and the device, also if it is not blocked."""
    call.service.unblock(device)
    return reply(device_body(device))


@_team.delete("/claimed-devices/{id}", name="UnclaimDevice")
async def unclaim_device(call: ThisCall, device: ThisDevice) -> Response:
    """Unclaim; answer 204."""
    call.service.unclaim(device)
    return Response(status_code=204)


def _failed_element(failure: Failure, shape: str) -> dict[str, Any] | str:
    if shape == "string":
        return f"[{failure.row}]: {failure.message}"
    return {"row": failure.row, "claimToken": failure.token, "message": failure.message}


@_old_tags.post("", name="CreateTag")
@_tags.post("", name="CreateTag")
async def create_tag(call: ThisCall, body: TagBody) -> Response:
    """Take ``{"tag", "description"?}``; answer 201 and the tag, 409 if it exists."""
    return reply(tag_body(call.service.tags.create(call.team, body.tag, body.description)), 201)


@_old_tags.get("", name="ListTags")
@_tags.get("", name="ListTags")
async def list_tags(call: ThisCall) -> Response:
    """Answer 200 and ``{"items": [tag, …]}``, all of them."""
    return reply({"items": [tag_body(tag) for tag in call.service.tags.of_team(call.team)]})


@_old_tags.get("/{id}", name="FetchTag")
@_tags.get("/{id}", name="FetchTag")
async def fetch_tag(call: ThisCall, id: str) -> Response:
    """Answer 200 and the tag; if the id is a device's, the tags of that device.

    Nordic's guide calls the id of this one path a device's on GET and a tag's on PUT and DELETE.
    """
    tag = call.service.tags.find(call.team, id)
    device = call.service.devices.find(call.team, id)
    if tag is None and device is not None:
        return reply({"items": [tag_body(held) for held in device.held_tags if not held.deleted]})
    return reply(tag_body(tag or call.service.tags.get(call.team, id)))


@_old_tags.put("/{id}", name="UpdateTag")
@_tags.put("/{id}", name="UpdateTag")
async def update_tag(call: ThisCall, tag: ThisTag, body: TagBody) -> Response:
    """Take ``{"tag", "description"?}`` and rename the tag on every device; answer 200 and the tag."""
    description = body.description if "description" in body.model_fields_set else tag.description
    call.service.tags.update(tag, body.tag, description)
    return reply(tag_body(tag))


@_old_tags.delete("/{id}", name="DeleteTags")
@_tags.delete("/{id}", name="DeleteTags")
async def delete_tag(call: ThisCall, tag: ThisTag) -> Response:
    """Delete the tag, also from every device; answer 204."""
    call.service.tags.delete(tag)
    return Response(status_code=204)


@_bulk_claims.post("/bulk", name="BulkClaimDeviceOwnership")
async def start_bulk_claim(call: ThisCall) -> Response:
    """Take CSV; answer 202 and ``{"bulkOpsRequestId"}``."""
    text = call.csv_text()
    operation = call.started(text, read_rows(text, call.service.settings))
    return reply({"bulkOpsRequestId": operation.id}, 202)


@_team.get("/bulk-ops-requests/{id}", name="FetchBulkOpsRequest")
async def fetch_operation(call: ThisCall, id: str) -> Response:
    """Answer 200 and the bulk operation."""
    return reply(operation_body(call.service.operations.get(call.team, id), call))


@_team.get("/bulk-ops-requests", name="ListBulkOpsRequests")
async def list_operations(
    call: ThisCall,
    asked: ThisPage,
    status: Literal["PENDING", "IN_PROGRESS", "FAILED", "SUCCEEDED"] | None = None,
    start: Annotated[ThisMoment, Query(alias="startRequestedAt")] = None,
    end: Annotated[ThisMoment, Query(alias="endRequestedAt")] = None,
) -> Response:
    """Answer a page of the team's operations, by ``status`` and by ``requestedAt`` (both ends included)."""
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

    page = shelf.page(asked, keep)
    return page_reply([operation_body(each, call) for each in page.items], page.next_token)


@_downloads.get("/bulk-ops-data/{team}/claim_device_ownership/{file}", name="DownloadBulkOpsData")
async def download(call: ThisCall, team: str, file: str) -> Response:
    """Answer the file behind ``uploadedDataUrl``, ``resultDataUrl`` or ``errorSummaryUrl``; no API key.

    What the result file of the real service holds is unknown; here it is ``{"claimedIds": […]}``.
    """
    operation_id, kind = parts_of(file)
    operation = call.service.operations.get(team, operation_id)
    text = file_of(operation, kind, call.service.settings.error_summary)
    if text is None:
        raise NotFound("there is no such file")
    return Response(text, media_type="text/csv" if kind == ".csv" else "application/json")


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


@_team.post("/claimed-devices/{id}/provisioning", name="CreateDeviceProvisioningCommand")
async def create_command(call: ThisCall, device: ThisDevice, body: CommandBody) -> Response:
    """Take ``{"description"?, "request": {key: {…}}}``; answer 201 and the command."""
    command = call.service.commands.create(device, body.request, body.description, call.now)
    return reply(command_body(command, device.id), 201)


@_team.get("/claimed-devices/{id}/provisioning", name="ListDeviceProvisioningCommands")
async def list_commands(call: ThisCall, device: ThisDevice) -> Response:
    """Answer 200 and ``{"items": [command, …]}``."""
    commands = call.service.commands.of_device(device, call.now)
    return reply({"items": [command_body(command, device.id) for command in commands]})


@_team.get("/claimed-devices/{id}/provisioning/{command}", name="FetchDeviceProvisioningCommand")
async def fetch_command(call: ThisCall, device: ThisDevice, command: str) -> Response:
    """Answer 200 and the command."""
    return reply(command_body(call.service.commands.get(device, command, call.now), device.id))


@_team.post("/provisioning-rules", name="CreateProvisioningRule")
async def create_rule(call: ThisCall, body: RuleBody) -> Response:
    """Take ``{"name", "description"?, "active"?, "commands"?, "tags"?}``; answer 201 and the rule."""
    rule = Rule(team=call.team, **body.model_dump())
    call.service.rules.add(rule)
    return reply(rule_body(rule), 201)


@_team.get("/provisioning-rules", name="ListProvisioningRules")
async def list_rules(call: ThisCall) -> Response:
    """Answer 200 and ``{"items": [rule, …]}``."""
    return reply({"items": [rule_body(rule) for rule in call.service.rules.of_team(call.team)]})
