"""What the real service does not have: ``/emulator/…``, for demos and tests. Never shows a claim token."""

from __future__ import annotations

from airflow_provider_nrfprov.emulator.ids import iso
from airflow_provider_nrfprov.emulator.wire import Call, Reply


def health(_: Call) -> Reply:
    """Answer 200 as soon as the emulator answers at all."""
    return Reply(200, {"status": "ok"})


def all_devices(call: Call) -> Reply:
    """Answer every claimed device of every team, on one page."""
    counts = call.service.devices.claim_counts
    items = [
        {
            "id": device.id,
            "team": device.team,
            "tags": device.tags,
            "status": device.status,
            "claimedAt": iso(device.claimed_at),
            "claimCount": counts[device.id],
        }
        for device in call.service.devices
    ]
    return Reply(200, {"items": items, "total": len(items)})


def all_operations(call: Call) -> Reply:
    """Answer every bulk operation of every team, with its numbers of rows."""
    items = [
        {
            "id": operation.id,
            "team": operation.team,
            "status": operation.status(call.now),
            "requestedAt": iso(operation.requested_at),
            "completesAt": iso(operation.completes_at),
            "stuck": operation.held,
            "rows": len(operation.rows),
            "claimed": len(operation.outcome.claimed_ids) if operation.outcome else 0,
            "failed": len(operation.outcome.failures) if operation.outcome else 0,
        }
        for operation in call.service.operations.all()
    ]
    return Reply(200, {"items": items, "total": len(items)})


def all_submissions(call: Call) -> Reply:
    """Answer every accepted CSV of claims, of both contracts and all teams, with the devices it named."""
    items = [
        {
            "operation": each.operation_id,
            "devices": sorted(each.device_ids),
            "at": iso(each.at),
            "repeated": each.repeated,
        }
        for each in call.service.bulk_submissions()
    ]
    return Reply(200, {"items": items, "total": len(items)})


def request_counts(call: Call) -> Reply:
    """Answer how many requests arrived, by operation; side doors are not counted."""
    return Reply(200, call.service.request_counts())


def reset(call: Call) -> Reply:
    """Forget everything, also faults; answer 204."""
    call.service.reset()
    return Reply(204)
