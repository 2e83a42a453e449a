"""What a fault makes of a reply before it is written, and what is said of bulk operations against the truth."""

from __future__ import annotations

import json
import uuid
from dataclasses import replace
from typing import Any, Literal

from airflow_provider_nrfprov.emulator.bulk import BulkOperation, Failure, Outcome, Row, error_summary
from airflow_provider_nrfprov.emulator.faults import (
    ExtraFields,
    FalseFailure,
    Fault,
    OddStatus,
    StuckOperation,
    Words,
    WrongClaimedIds,
    WrongDownload,
)
from airflow_provider_nrfprov.emulator.mint import mint_devices
from airflow_provider_nrfprov.emulator.service import Service
from airflow_provider_nrfprov.emulator.team_handlers import file_of, parts_of
from airflow_provider_nrfprov.emulator.wire import Incoming, Reply

_INVENTED = uuid.UUID("0b1f7c52-6f0e-4a53-9a3e-5d1c9e0f4b77")


def bend(fault: Fault, reply: Reply, incoming: Incoming, service: Service) -> Reply:
    """Return what a fault makes of a reply, and remember what is to be said of its bulk operation."""
    if isinstance(fault, Words):
        return _with_words(reply, fault.text, service)
    if isinstance(fault, WrongDownload) and reply.status == 200:
        return replace_file(reply, fault.content, incoming, service)
    if isinstance(fault, ExtraFields):
        return replace(reply, body=_with_more_fields(reply.body))
    if isinstance(fault, OddStatus) and reply.status == 200:
        return replace(reply, body=_with_status(reply.body, fault.word))
    if isinstance(fault, WrongClaimedIds) and isinstance(reply.body, dict) and "claimedIds" in reply.body:
        invented = [str(uuid.uuid5(_INVENTED, str(number))) for number in range(fault.invent)]
        return replace(
            reply, body={**reply.body, "claimedIds": reply.body["claimedIds"][fault.omit :] + invented}
        )
    if isinstance(fault, (StuckOperation, FalseFailure)) and reply.status == 202:
        _lie_about(reply.operation_id, fault, service)
    return reply


def _lie_about(operation_id: str, fault: StuckOperation | FalseFailure, service: Service) -> None:
    if isinstance(fault, StuckOperation) and not fault.rows_applied:
        service.operations.hold(operation_id)
    else:
        service.faults.lies[operation_id] = fault


def _with_words(reply: Reply, text: str, service: Service) -> Reply:
    body = reply.body
    if not isinstance(body, dict):
        return reply
    operation = service.operations.all().get(reply.operation_id)
    if operation is not None and reply.status == 202:
        operation.words = text
    said: dict[str, Any] = {}
    if reply.status >= 400 and "message" in body:
        said["message"] = text
    if "failed" in body:
        said["failed"] = [_failed_with_words(each, text) for each in body["failed"]]
    return replace(reply, body={**body, **said})


def _failed_with_words(element: Any, text: str) -> Any:
    if isinstance(element, str):
        return f"{element.partition(']: ')[0]}]: {text}"
    return {**element, "message": text}


def _with_more_fields(value: Any) -> Any:
    if isinstance(value, list):
        return [_with_more_fields(each) for each in value]
    if isinstance(value, dict):
        known = {name: _with_more_fields(each) for name, each in value.items()}
        return {**known, "addedLater": {"version": 2, "values": [None, True, "x"]}}
    return value


def _with_status(body: Any, word: str) -> Any:
    if "items" in body:
        return {**body, "items": [_with_status(each, word) for each in body["items"]]}
    return {**body, "status": word}


_HTML = "<!DOCTYPE html><html><head><title>Sign in</title></head><body><h1>Sign in</h1></body></html>"


def replace_file(
    reply: Reply,
    content: Literal["empty", "half", "json", "html", "other"],
    request: Incoming,
    service: Service,
) -> Reply:
    """Return the answer to a download that holds something else than the file of ``reply``."""
    if content == "html":
        return Reply(200, text=_HTML, media_type="text/html")
    if content == "json":
        return Reply(200, text=json.dumps({"message": "OK", "items": []}))
    if content == "half":
        return replace(reply, text=_half(reply.text or ""))
    return replace(reply, text="") if content == "empty" else _of_another(request, service) or reply


def _half(text: str) -> str:
    if not text.startswith("{"):
        rows = text.splitlines(keepends=True)
        return "".join(rows[: len(rows) // 2])
    body: dict[str, Any] = json.loads(text)
    halves = {name: value[: len(value) // 2] for name, value in body.items()}  # lists, or one string
    return json.dumps(halves)


def _of_another(request: Incoming, service: Service) -> Reply | None:
    operation_id, kind = parts_of(request.path["file"])
    form = service.settings.error_summary
    one = service.operations.get(request.path["team"], operation_id)
    others = [each for each in service.operations.all() if each.team == one.team and each is not one]
    for other in [*reversed(others), _invented(one)]:
        found = file_of(other, kind, form)
        if found is not None:
            return found
    return None


def _invented(one: BulkOperation) -> BulkOperation:
    devices = list(mint_devices(len(one.rows), seed=f"nobody sent these, not {one.id}"))
    outcome = Outcome(
        [device.device_id for device in devices],
        [Failure(number, device.token, "internal error") for number, device in enumerate(devices)],
    )
    text = "".join(f"{device.token}\n" for device in devices)
    return replace(one, text=text, rows=[Row(device.token) for device in devices], outcome=outcome)


_SAID_AT_THE_END = {"completedAt", "resultDataUrl", "errorSummaryUrl"}


def tell(reply: Reply, operation: str, request: Incoming, service: Service) -> Reply:
    """Return a reply with the lies in it that are to be told. A filter by status still goes by the truth."""
    lies = service.faults.lies
    if operation == "FetchBulkOpsRequest" and reply.status == 200:
        return replace(reply, body=_told(reply.body, lies))
    if operation == "FetchBulkCreation" and reply.status == 200:
        return replace(reply, body=_told_of_job(request.path["id"], reply.body, service))
    if operation == "ListBulkOpsRequests" and reply.status == 200:
        return replace(
            reply, body={**reply.body, "items": [_told(each, lies) for each in reply.body["items"]]}
        )
    if operation == "DownloadBulkOpsData" and reply.status == 404:
        return _false_summary(request, service) or reply
    return reply


def _told(body: dict[str, Any], lies: dict[str, Fault]) -> dict[str, Any]:
    lie = lies.get(body["bulkOpsRequestId"])
    if isinstance(lie, StuckOperation) and "completedAt" in body:
        return {name: body[name] for name in body.keys() - _SAID_AT_THE_END} | {"status": "IN_PROGRESS"}
    if isinstance(lie, FalseFailure) and body["status"] == "SUCCEEDED":
        summary = body["uploadedDataUrl"].removesuffix(".csv") + ".json"
        return {**body, "status": "FAILED", "errorSummaryUrl": summary}
    return body


def _told_of_job(id_: str, body: dict[str, Any], service: Service) -> dict[str, Any]:
    lie = service.faults.lies.get(id_)
    if isinstance(lie, StuckOperation):
        return {"status": service.settings.project_running}
    if isinstance(lie, FalseFailure) and body["status"] == "SUCCEEDED":
        job = service.operations.all().get(id_)
        rows = job.rows if job is not None and lie.summary == "all" else []
        errors = [{"error": "internal error", "deviceId": row.device_id} for row in rows]
        summary = {} if lie.summary == "missing" else {"errorSummary": {"errors": errors}}
        return {"status": service.settings.project_failed_end, **summary}
    return body


def _false_summary(request: Incoming, service: Service) -> Reply | None:
    operation_id, _, kind = request.path["file"].partition(".")
    lie = service.faults.lies.get(operation_id)
    operation = service.operations.all().get(operation_id)
    if not isinstance(lie, FalseFailure) or lie.summary == "missing" or kind != "json":
        return None
    if operation is None or operation.outcome is None or operation.team != request.path["team"]:
        return None
    rows = operation.rows if lie.summary == "all" else []
    failures = [Failure(number, row.token, "internal error") for number, row in enumerate(rows)]
    return Reply(200, text=error_summary(Outcome(failures=failures), service.settings.error_summary))
