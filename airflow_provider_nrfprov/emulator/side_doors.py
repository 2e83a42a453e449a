"""What the real service does not have: ``/emulator/…``, for demos and tests. Never shows a claim token."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

from airflow_provider_nrfprov.emulator.clock import iso
from airflow_provider_nrfprov.emulator.devices import Device
from airflow_provider_nrfprov.emulator.errors import Invalid, NotFound
from airflow_provider_nrfprov.emulator.faults import from_json
from airflow_provider_nrfprov.emulator.wire import Call, Reply, text_field, texts_field

KEEP_OUT = "a page of another origin has no business here; a body is application/json"
"""What a request is told that ``may_enter`` turns away."""


def may_enter(method: str, headers: Mapping[str, str], has_body: bool) -> bool:
    """Return whether a request does not come from a web page of somewhere else.

    These doors need no key, so without this any page that a browser shows could use them: by a request that
    needs no preflight, or as a host of its own whose name leads to this machine. Such a name has a dot and
    is no address; those of containers have none.
    """
    host = headers.get("host", "")
    if not _is_near(urlsplit(f"//{host}").hostname or ""):
        return False
    origin = headers.get("origin")
    if origin is not None and urlsplit(origin).netloc != host:
        return False
    kind = headers.get("content-type", "").partition(";")[0].strip().lower()
    return method == "GET" or not has_body or kind == "application/json"


def _is_near(name: str) -> bool:
    if "." not in name and ":" not in name:
        return bool(name)
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def health(_: Call) -> Reply:
    """Answer 200 as soon as the emulator answers at all."""
    return Reply(200, {"status": "ok"})


def all_devices(call: Call) -> Reply:
    """Answer every claimed device of every team, on one page."""
    items = [_shown(call, device) for device in call.service.devices]
    return Reply(200, {"items": items, "total": len(items)})


def one_device(call: Call) -> Reply:
    """Answer one claimed device of whichever team: the page that a link to it leads to."""
    for device in call.service.devices:
        if device.id == call.path["id"]:
            return Reply(200, _shown(call, device))
    raise NotFound("no team has claimed this device")


def _shown(call: Call, device: Device) -> dict[str, Any]:
    return {
        "id": device.id,
        "team": device.team,
        "tags": device.tags,
        "status": device.status,
        "claimedAt": iso(device.claimed_at),
        "claimCount": call.service.devices.claim_counts[device.id],
    }


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
    """Forget everything, also faults; answer 204. Takes fields of ``Settings`` that differ from now on, or no body."""
    given = call.json_object() if call.raw_body else {}
    try:
        settings = replace(call.service.settings, **given)
    except (TypeError, ValueError) as error:
        raise Invalid(str(error)) from None
    call.service.reset(settings)
    return Reply(204)


_OF_A_PLAN = frozenset({"operation", "fault", "nth", "times"})
_OF_A_SCHEDULE = frozenset({"seed", "rate", "limit", "kinds", "operations"})


def show(call: Call) -> Reply:
    """Answer 200 and ``{"plans", "schedule", "injected"}``."""
    return Reply(200, call.service.faults.as_json())


def plan_or_schedule(call: Call) -> Reply:
    """Take what ``Faults.plan`` or ``Faults.schedule`` takes; answer 200 and what ``show`` shows, or 422.

    A plan: ``{"operation", "fault": {"kind", …}, "nth"?, "times"?}``. A schedule:
    ``{"seed", "rate", "limit"?, "kinds"?: [{"kind", …}], "operations"?}``.
    """
    body = call.json_object()
    known = _OF_A_SCHEDULE if "seed" in body else _OF_A_PLAN
    if unknown := body.keys() - known:
        raise Invalid(f"unknown: {', '.join(sorted(unknown))}")
    try:
        if "seed" in body:
            _schedule(call, body)
        else:
            _plan(call, body)
    except ValueError as error:
        raise Invalid(str(error)) from None
    return show(call)


def clear(call: Call) -> Reply:
    """End all plans and the schedule; answer 204."""
    call.service.faults.clear()
    return Reply(204)


def release(call: Call) -> Reply:
    """Let every stuck bulk operation end; answer 204."""
    call.service.release_operations()
    return Reply(204)


def _plan(call: Call, body: Mapping[str, Any]) -> None:
    times = None if body.get("times", 1) is None else _whole(body, "times", 1)
    fault = from_json(body.get("fault"))
    call.service.faults.plan(text_field(body, "operation"), fault, nth=_whole(body, "nth", 1), times=times)


def _schedule(call: Call, body: Mapping[str, Any]) -> None:
    rate, kinds = body.get("rate"), body.get("kinds")
    if isinstance(rate, bool) or not isinstance(rate, (int, float)):
        raise Invalid("rate is a number and must be given")
    if kinds is not None and not isinstance(kinds, list):
        raise Invalid("kinds is a list of faults")
    call.service.faults.schedule(
        seed=_whole(body, "seed", 0),
        rate=rate,
        limit=_whole(body, "limit", 20),
        operations=texts_field(body, "operations", []),
        **({} if kinds is None else {"kinds": [from_json(kind) for kind in kinds]}),
    )


def _whole(body: Mapping[str, Any], name: str, default: int) -> int:
    value = body.get(name, default)
    if type(value) is not int:
        raise Invalid(f"{name} is a whole number")
    return value
