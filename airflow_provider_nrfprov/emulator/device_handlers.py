"""Operations on claimed devices: claim one or a CSV at once, list, tag, block, unclaim."""

from __future__ import annotations

from typing import Any

from airflow_provider_nrfprov.emulator.bulk import Failure, claim_rows, read_rows
from airflow_provider_nrfprov.emulator.devices import Device
from airflow_provider_nrfprov.emulator.errors import Invalid
from airflow_provider_nrfprov.emulator.ids import iso
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
