"""The API of one project: devices created from a CSV body by a job, the job, and the list of devices."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from fastapi import APIRouter, Depends, Response

from airflow_provider_nrfprov.emulator.bulk import BulkOperation, Failure, Outcome, Row, device_of
from airflow_provider_nrfprov.emulator.calls import Operation, ThisCall, reply
from airflow_provider_nrfprov.emulator.clock import iso
from airflow_provider_nrfprov.emulator.devices import Device, Devices
from airflow_provider_nrfprov.emulator.errors import (
    BadRequest,
    Conflict,
    Forbidden,
    NotFound,
    ServiceError,
    Unprocessable,
)
from airflow_provider_nrfprov.emulator.settings import Settings

HEADER = ["deviceId", "attestationToken"]


def read_device_rows(text: str, settings: Settings) -> list[Row]:
    """Read a CSV body: a header, then a device and its token in each row.

    :raises BadRequest: for another header, no row or too many, or a row of another length. Nothing is applied then.
    """
    try:
        header, *records = list(csv.reader(io.StringIO(text, newline=""), strict=True))
    except (csv.Error, ValueError):
        raise BadRequest("the body is no CSV with a header") from None
    if header != HEADER:
        raise BadRequest(f"the header is {','.join(HEADER)}; other credentials are not emulated")
    if not 1 <= len(records) <= settings.max_rows:
        raise BadRequest(f"the body has {len(records)} rows; it can have 1 to {settings.max_rows}")
    causes = [f"row {number}: 2 columns are wanted" for number, each in enumerate(records) if len(each) != 2]
    rows = [Row(record[1], device_id=record[0]) for record in records if len(record) == 2]
    if settings.project_mismatch == "refused":
        causes += [
            f"row {number}: {row.device_id} is not the device of its token"
            for number, row in enumerate(rows)
            if device_of(row.token) not in {None, row.device_id}
        ]
    if causes:
        raise BadRequest("the body cannot be read", causes)
    if any(row.device_id in settings.poison_ids for row in rows):
        raise Unprocessable(settings.poison_status)
    return rows


def check_creation(devices: Devices, team: str, rows: list[Row], settings: Settings) -> None:
    """Check what refuses a body as a whole, by the settings.

    :raises Conflict: if one of its devices exists.
    :raises Forbidden: if the plan has no room for them.
    """
    owners = [owner for row in rows if (owner := devices.owner(row.device_id)) is not None]
    own = settings.project_readding == "conflict" and any(owner == team for owner in owners)
    foreign = settings.project_foreign == "conflict" and any(owner != team for owner in owners)
    if own or foreign:
        raise Conflict("a device of the body exists already")
    limit = settings.project_plan_limit
    if limit is not None and len(devices.of_team(team)) + len(rows) > limit:
        raise Forbidden(f"the plan of the organization has room for {limit} devices")


def create_rows(
    devices: Devices, team: str, rows: list[Row], at: datetime, words: str | None, *, settings: Settings
) -> Outcome:
    """Create row by row. A refused row stops nothing, unless the settings say that it drops the others."""
    outcome = Outcome()
    wanted: dict[str, Row] = {}
    for number, row in enumerate(rows):
        try:
            device_id = _checked(devices, row, settings)
            if _is_new(devices, team, device_id, settings, wanted):
                wanted[device_id] = row
        except ServiceError as error:
            outcome.failures.append(Failure(number, row.token, error.message if words is None else words))
    if outcome.failures and settings.project_unnamed == "dropped":
        return outcome
    outcome.claimed_ids += [devices.claim(team, row.token, (), at).id for row in wanted.values()]
    return outcome


def _checked(devices: Devices, row: Row, settings: Settings) -> str:
    """Return the device of a row; raise what refuses its token or its ``deviceId``."""
    token = devices.tokens.read(row.token)
    if settings.project_mismatch != "accepted" and token.device_id != row.device_id:
        raise Conflict("deviceId is not the device of the token")
    return token.device_id


def _is_new(
    devices: Devices, team: str, device_id: str, settings: Settings, wanted: Mapping[str, Row]
) -> bool:
    """Return whether a device is to be created; raise ``Conflict`` if it exists, or is in an earlier row, and may not."""
    owner = team if device_id in wanted else devices.owner(device_id)
    if owner is None:
        return True
    if owner == team and settings.project_readding == "accepted":
        return False
    raise Conflict("device already exists" if owner == team else "device belongs to another project")


def status_of(operation: BulkOperation, settings: Settings) -> str:
    """Return the status of a job, in the words of the settings."""
    if operation.outcome is None:
        return settings.project_running
    if not operation.outcome.failures:
        return "SUCCEEDED"
    all_failed = len(operation.outcome.failures) == len(operation.rows)
    return settings.project_failed_end if all_failed else settings.project_partial_end


ELSEWHERE = "http://nrfcloud.invalid"
"""The host that the setting ``project_status_url`` can name instead of this one."""
_USUAL_PAGE, _LARGEST_PAGE = 20, 5000


class _ProjectOperation(Operation):
    api = "project"


class _DeviceOperation(Operation):
    api = "memfault"


async def _check_project(call: ThisCall, organization: str, project: str) -> None:
    settings = call.service.settings
    if (organization, project) != (settings.organization, settings.project):
        raise NotFound("there is no such organization or project")


_creation = APIRouter(route_class=_ProjectOperation, dependencies=[Depends(_check_project)])
_devices = APIRouter(route_class=_DeviceOperation, dependencies=[Depends(_check_project)])
_IN_PROJECT = "/organizations/{organization}/projects/{project}"

ROUTERS = {
    f"/v1{_IN_PROJECT}/long-range/devices/bulk": (_creation,),
    f"/api/v0{_IN_PROJECT}/devices": (_devices,),
}
"""Routers by the beginning of their paths."""


@_creation.post("", name="CreateDevicesInBulk")
async def create_devices(call: ThisCall) -> Response:
    """Take CSV with a header; answer 202 and where the job's status is."""
    settings = call.service.settings
    text = call.csv_text()
    rows = read_device_rows(text, settings)
    check_creation(call.service.devices, call.team, rows, settings)
    job = call.started(text, rows, partial(create_rows, settings=settings))
    path = f"{call.request.scope['path']}/{job.id}"
    where = {"absolute": call.base_url, "elsewhere": ELSEWHERE}.get(settings.project_status_url, "")
    if settings.project_status_url == "nowhere":
        return reply({}, 202)
    if settings.project_status_url == "body":
        return reply({"url": path}, 202)
    return reply({}, 202, {"Location": f"{where}{path}"})


@_creation.get("/{id}", name="FetchBulkCreation")
async def fetch_job(call: ThisCall, id: str) -> Response:
    """Answer 200, the status, and which rows were refused."""
    settings = call.service.settings
    job = call.service.operations.get(call.team, id)
    life = settings.project_job_seconds
    if life is not None and call.now > job.completes_at + timedelta(seconds=life):
        raise NotFound("there is no such job")
    body: dict[str, Any] = {"status": status_of(job, settings)}
    if job.outcome is not None and job.outcome.failures:
        by_row = settings.project_errors_by == "row"
        body["errorSummary"] = {"errors": [_error(job, each, by_row=by_row) for each in job.outcome.failures]}
    return reply(body)


@_devices.get("", name="ListDevices")
async def list_devices(call: ThisCall, per_page: str | None = None, page: str | None = None) -> Response:
    """Answer a page, by its number."""
    size, number = _number(per_page, _USUAL_PAGE, _LARGEST_PAGE), _number(page, 1)
    are_shown = call.service.settings.project_devices_shown
    devices = call.service.devices.of_team(call.team, call.lists_as_of()) if are_shown else []
    shown = devices[(number - 1) * size : number * size]
    paging = {
        "page": number,
        "per_page": size,
        "page_count": -(-len(devices) // size),
        "item_count": len(shown),
        "total_count": len(devices),
    }
    return reply({"data": [_body(each) for each in shown], "paging": paging})


@_devices.get("/{id}", name="FetchDevice")
async def fetch_device(call: ThisCall, id: str) -> Response:
    """Answer 200 and the device."""
    if not call.service.settings.project_devices_shown:
        raise NotFound("device not found")
    return reply({"data": _body(call.service.devices.get(call.team, id))})


def _number(text: str | None, usual: int, largest: int = 1_000_000) -> int:
    # What the real service makes of a number that is none is unknown: here it is the usual one.
    return min(int(text), largest) if text and text.isascii() and text.isdigit() and int(text) else usual


def _error(job: BulkOperation, failure: Failure, *, by_row: bool) -> dict[str, Any]:
    device_id = job.rows[failure.row].device_id
    named = {"row": failure.row} if by_row or not device_id else {"deviceId": device_id}
    return {"error": failure.message, **named}


def _body(device: Device) -> dict[str, Any]:
    return {
        "id": int(device.id[:8], 16),
        "device_serial": device.id,
        "hardware_version": {"name": device.device_type},
        "cohort": {"id": 1, "name": "default", "slug": "default"},
        "nickname": "",
        "description": "",
        "created_date": iso(device.claimed_at),
        "updated_date": iso(device.claimed_at),
        "last_seen": None,
    }
