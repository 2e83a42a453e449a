"""Asynchronous bulk claims: started, fetched, listed, and the files behind their URLs."""

from __future__ import annotations

import json
from typing import Any

from airflow_provider_nrfprov.emulator.bulk import BulkOperation, error_summary
from airflow_provider_nrfprov.emulator.errors import Invalid, NotFound
from airflow_provider_nrfprov.emulator.ids import iso
from airflow_provider_nrfprov.emulator.wire import Call, Reply, page_body

STATUSES = ("PENDING", "IN_PROGRESS", "FAILED", "SUCCEEDED")


def start_bulk_claim(call: Call) -> Reply:
    """Take CSV; answer 202 and ``{"bulkOpsRequestId"}``."""
    operation = call.service.operations.submit(call.team, call.csv_text(), call.now)
    call.service.submissions.add(operation.id, operation.rows, call.now)
    return Reply(202, {"bulkOpsRequestId": operation.id})


def fetch_operation(call: Call) -> Reply:
    """Answer 200 and the bulk operation."""
    return Reply(200, operation_body(call.service.operations.get(call.team, call.path["id"]), call))


def list_operations(call: Call) -> Reply:
    """Answer a page of the team's operations, by ``status`` and by ``requestedAt`` (both ends included)."""
    status = call.query.get("status")
    if status is not None and status not in STATUSES:
        raise Invalid(f"status is one of {', '.join(STATUSES)}")
    start, end = call.moment("startRequestedAt"), call.moment("endRequestedAt")

    def keep(operation: BulkOperation) -> bool:
        return (
            operation.team == call.team
            and (status is None or operation.status(call.now) == status)
            and (start is None or operation.requested_at >= start)
            and (end is None or operation.requested_at <= end)
        )

    page = call.service.operations.all().page(call.page_request(), keep)
    return Reply(200, page_body([operation_body(each, call) for each in page.items], page.next_token))


def download(call: Call) -> Reply:
    """Answer the file behind ``uploadedDataUrl``, ``resultDataUrl`` or ``errorSummaryUrl``; no API key.

    What the result file of the real service holds is unknown; here it is ``{"claimedIds": […]}``.
    """
    file = call.path["file"]
    operation_id = file.partition(".")[0].removesuffix("-result")
    operation = call.service.operations.get(call.path["team"], operation_id)
    outcome = operation.outcome
    if file == f"{operation_id}.csv":
        return Reply(200, text=operation.text, media_type="text/csv")
    if file == f"{operation_id}-result.json" and outcome:
        return Reply(200, text=json.dumps({"claimedIds": outcome.claimed_ids}))
    if file == f"{operation_id}.json" and outcome and outcome.failures:
        return Reply(200, text=error_summary(outcome, call.service.settings.error_summary))
    raise NotFound("there is no such file")


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
