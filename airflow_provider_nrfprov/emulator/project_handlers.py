"""The API of one project over HTTP: bulk creation, its job, and the list of devices."""

from __future__ import annotations

from datetime import timedelta
from functools import partial
from typing import Any

from airflow_provider_nrfprov.emulator.bulk import BulkOperation, Failure
from airflow_provider_nrfprov.emulator.devices import Device
from airflow_provider_nrfprov.emulator.errors import NotFound
from airflow_provider_nrfprov.emulator.ids import iso
from airflow_provider_nrfprov.emulator.projects import (
    check_creation,
    create_rows,
    project_device,
    project_devices,
    read_device_rows,
    status_of,
)
from airflow_provider_nrfprov.emulator.wire import Call, Reply

ELSEWHERE = "http://nrfcloud.invalid"
"""The host that the setting ``project_status_url`` can name instead of this one."""
_USUAL_PAGE, _LARGEST_PAGE = 20, 5000


def create_devices(call: Call) -> Reply:
    """Take CSV with a header; answer 202 and where the job's status is."""
    _check_project(call)
    service = call.service
    settings = service.settings
    rows = read_device_rows(call.csv_text(), settings)
    check_creation(service.devices, call.team, rows, settings)
    job = service.operations.start(
        call.team, call.csv_text(), rows, call.now, partial(create_rows, settings=settings)
    )
    service.submissions.add(job.id, rows, call.now, repeated=call.repeated)
    path = f"{call.target.partition('?')[0]}/{job.id}"
    where = {"absolute": call.base_url, "elsewhere": ELSEWHERE}.get(settings.project_status_url, "")
    if settings.project_status_url == "nowhere":
        return Reply(202, {}, operation_id=job.id)
    if settings.project_status_url == "body":
        return Reply(202, {"url": path}, operation_id=job.id)
    return Reply(202, {}, operation_id=job.id, headers={"Location": f"{where}{path}"})


def fetch_job(call: Call) -> Reply:
    """Answer 200, the status, and which rows were refused."""
    _check_project(call)
    settings = call.service.settings
    job = call.service.operations.get(call.team, call.path["id"])
    life = settings.project_job_seconds
    if life is not None and call.now > job.completes_at + timedelta(seconds=life):
        raise NotFound("there is no such job")
    body: dict[str, Any] = {"status": status_of(job, settings)}
    if job.outcome is not None and job.outcome.failures:
        by_row = settings.project_errors_by == "row"
        body["errorSummary"] = {"errors": [_error(job, each, by_row=by_row) for each in job.outcome.failures]}
    return Reply(200, body)


def list_devices(call: Call) -> Reply:
    """Answer a page, by its number."""
    _check_project(call)
    size = _number(call.query.get("per_page"), _USUAL_PAGE, _LARGEST_PAGE)
    page = _number(call.query.get("page"), 1)
    devices = project_devices(call.service.devices, call.team, call.service.settings, call.lists_as_of())
    shown = devices[(page - 1) * size : page * size]
    paging = {
        "page": page,
        "per_page": size,
        "page_count": -(-len(devices) // size),
        "item_count": len(shown),
        "total_count": len(devices),
    }
    return Reply(200, {"data": [_body(each) for each in shown], "paging": paging})


def fetch_device(call: Call) -> Reply:
    """Answer 200 and the device."""
    _check_project(call)
    service = call.service
    device = project_device(service.devices, call.team, call.path["id"], service.settings)
    return Reply(200, {"data": _body(device)})


def _check_project(call: Call) -> None:
    settings = call.service.settings
    if (call.path["organization"], call.path["project"]) != (settings.organization, settings.project):
        raise NotFound("there is no such organization or project")


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
