"""Faults by HTTP: ``/emulator/faults``, for tests and demos in another process."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from airflow_provider_nrfprov.emulator.errors import Invalid
from airflow_provider_nrfprov.emulator.faults import from_json
from airflow_provider_nrfprov.emulator.wire import Call, Reply, text_field, texts_field

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
