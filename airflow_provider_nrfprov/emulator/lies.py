"""What is said of bulk operations against the truth, while the service itself stays true to it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from airflow_provider_nrfprov.emulator.bulk import Failure, Outcome, error_summary
from airflow_provider_nrfprov.emulator.faults import FalseFailure, Fault, StuckOperation
from airflow_provider_nrfprov.emulator.service import Service
from airflow_provider_nrfprov.emulator.wire import Incoming, Reply

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
