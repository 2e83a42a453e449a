"""Asynchronous bulk claims: started, fetched, listed, and the files behind their URLs."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

from airflow_provider_nrfprov.emulator.bulk import BulkOperation, error_summary
from airflow_provider_nrfprov.emulator.errors import Invalid, NotFound
from airflow_provider_nrfprov.emulator.ids import iso
from airflow_provider_nrfprov.emulator.wire import Call, Reply, page_body

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
