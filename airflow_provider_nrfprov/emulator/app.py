"""The emulated service as one application: the APIs of a team and of a project, and ``/emulator/…`` for demos and tests.

The latter are side doors, which the real service does not have. They never show a claim token.
"""

from __future__ import annotations

import ipaddress
from dataclasses import replace
from email.utils import formatdate
from functools import partial
from typing import Annotated, Any
from urllib.parse import urlsplit

from fastapi import APIRouter, Depends, FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic import Field, PlainValidator
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from airflow_provider_nrfprov.emulator import project_handlers, team_handlers
from airflow_provider_nrfprov.emulator.calls import (
    BODY,
    Body,
    Call,
    ThisCall,
    TurnRoute,
    content_type,
    page_reply,
    refusal,
    refused,
    reply,
)
from airflow_provider_nrfprov.emulator.clock import iso
from airflow_provider_nrfprov.emulator.devices import Device
from airflow_provider_nrfprov.emulator.errors import Forbidden, Gone, Invalid, NotFound, ServiceError
from airflow_provider_nrfprov.emulator.faults import RECOVERABLE, Fault, from_json
from airflow_provider_nrfprov.emulator.faults.middleware import MOVED, with_faults
from airflow_provider_nrfprov.emulator.service import Service

UNKNOWN = "unknown path"
"""Under this name are counted requests for paths and methods that are not served."""


def create_app(service: Service | None = None) -> FastAPI:
    """Return the emulator as an ASGI application.

    :param service: the state to serve; a fresh one by default. It is ``app.state.service`` then.
    """
    app = FastAPI(
        title="nRF Cloud Provisioning Service (emulator)",
        openapi_url=None,  # without the real service's document, one of our own would only mislead
        redirect_slashes=False,
        exception_handlers={
            404: _not_served,
            405: _not_served,
            ServiceError: refused,
            RequestValidationError: refused,
        },
    )
    app.state.service = service or Service()
    app.state.with_faults = partial(with_faults, app.state.service)
    app.add_middleware(Front, service=app.state.service)
    for prefix, routers in {**team_handlers.ROUTERS, **project_handlers.ROUTERS}.items():
        for router in routers:
            app.include_router(router, prefix=prefix)
    app.include_router(SIDE_DOORS, prefix="/emulator")
    return app


class Front:
    """ASGI middleware before the service, as a gateway is: takes a request whole, and dates every answer.

    The ``Date`` is by the service's clock, not the machine's. Below ``MOVED`` everything is served as it is without it.
    """

    def __init__(self, app: ASGIApp, service: Service) -> None:
        self._app = app
        self._service = service
        self._date = (0, b"")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, and its answer back with a date."""
        try:
            body = await Request(scope, receive).body()
        except ClientDisconnect:
            return
        path = scope["path"].removeprefix(MOVED) if scope["path"].startswith(f"{MOVED}/") else scope["path"]

        async def send_dated(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], (b"date", self._http_date())]
            await send(message)

        state = scope.get("state", {})
        await self._app({**scope, "path": path, "state": state, BODY: body}, receive, send_dated)

    def _http_date(self) -> bytes:
        second = int(self._service.now().timestamp())
        if second != self._date[0]:
            self._date = (second, formatdate(second, usegmt=True).encode())
        return self._date[1]


async def _not_served(request: Request, error: Exception) -> Response:
    service: Service = request.app.state.service
    service.count_request(UNKNOWN)
    if service.settings.unknown_path == "gone":
        return refusal(Gone("this API was switched off"), service.settings)
    if service.settings.unknown_path == "gateway":
        return reply({"message": "Missing Authentication Token"}, 403)
    status = error.status_code if isinstance(error, HTTPException) else 404
    return reply({"code": status * 100 + 20, "message": "there is nothing at this path"}, status)


async def _may_enter(request: Request) -> None:
    """Raise ``Forbidden`` for a request that may come from a web page of somewhere else.

    The side doors need no key, so without this any page that a browser shows could use them: by a request that
    needs no preflight, or as a host of its own whose name leads to this machine. Such a name has a dot and
    is no address; those of containers have none.
    """
    host, origin = request.headers.get("host", ""), request.headers.get("origin")
    near = _is_near(urlsplit(f"//{host}").hostname or "") and (
        origin is None or urlsplit(origin).netloc == host
    )
    simple = bool(request.scope[BODY]) and content_type(request.scope) != "application/json"
    if not near or (simple and request.method != "GET"):
        raise Forbidden("a page of another origin has no business here; a body is application/json")


def _is_near(name: str) -> bool:
    if "." not in name and ":" not in name:
        return bool(name)
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


SIDE_DOORS = APIRouter(route_class=TurnRoute, dependencies=[Depends(_may_enter)])
"""Routes that need no key, are not counted and never meet a fault."""


_AFault = Annotated[Fault, PlainValidator(from_json)]


class _Plan(Body, extra="forbid"):
    operation: str
    fault: _AFault
    nth: int = 1
    times: int | None = 1


class _Schedule(Body, extra="forbid"):
    seed: int
    rate: float
    limit: int = 20
    kinds: list[_AFault] = Field(default_factory=lambda: list(RECOVERABLE))
    operations: list[str] = Field(default_factory=list)


@SIDE_DOORS.get("/health")
async def health() -> Response:
    """Answer 200 as soon as the emulator answers at all."""
    return reply({"status": "ok"})


@SIDE_DOORS.get("/devices")
async def all_devices(call: ThisCall) -> Response:
    """Answer every claimed device of every team, on one page."""
    return page_reply([_shown(call, device) for device in call.service.devices])


@SIDE_DOORS.get("/devices/{id}")
async def one_device(call: ThisCall, id: str) -> Response:
    """Answer one claimed device of whichever team: the page that a link to it leads to."""
    for device in call.service.devices:
        if device.id == id:
            return reply(_shown(call, device))
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


@SIDE_DOORS.get("/operations")
async def all_operations(call: ThisCall) -> Response:
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
            "claimed": operation.claimed,
            "failed": len(operation.outcome.failures) if operation.outcome else 0,
        }
        for operation in call.service.operations.all()
    ]
    return page_reply(items)


@SIDE_DOORS.get("/submissions")
async def all_submissions(call: ThisCall) -> Response:
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
    return page_reply(items)


@SIDE_DOORS.get("/requests")
async def request_counts(call: ThisCall) -> Response:
    """Answer how many requests arrived, by operation; side doors are not counted."""
    return reply(call.service.request_counts())


@SIDE_DOORS.post("/reset")
async def reset(call: ThisCall) -> Response:
    """Forget everything, also faults; answer 204. Takes fields of ``Settings`` that differ from now on, or no body."""
    given = call.json_object() if call.raw_body else {}
    try:
        settings = replace(call.service.settings, **given)
    except (TypeError, ValueError) as error:
        raise Invalid(str(error)) from None
    call.service.reset(settings)
    return Response(status_code=204)


@SIDE_DOORS.get("/faults")
async def show(call: ThisCall) -> Response:
    """Answer 200 and ``{"plans", "schedule", "injected"}``."""
    return reply(call.service.faults.as_json())


@SIDE_DOORS.post("/faults")
async def plan_or_schedule(call: ThisCall) -> Response:
    """Take what ``Faults.plan`` or ``Faults.schedule`` takes; answer 200 and what ``show`` shows, or 422.

    A plan: ``{"operation", "fault": {"kind", …}, "nth"?, "times"?}``. A schedule:
    ``{"seed", "rate", "limit"?, "kinds"?: [{"kind", …}], "operations"?}``.
    """
    faults = call.service.faults
    try:
        if "seed" in call.json_object():
            faults.schedule(**dict(call.json(_Schedule)))
        else:
            faults.plan(**dict(call.json(_Plan)))
    except ValueError as error:
        raise Invalid(str(error)) from None
    return await show(call)


@SIDE_DOORS.delete("/faults")
async def clear(call: ThisCall) -> Response:
    """End all plans and the schedule; answer 204."""
    call.service.faults.clear()
    return Response(status_code=204)


@SIDE_DOORS.post("/faults/release")
async def release(call: ThisCall) -> Response:
    """Let every stuck bulk operation end; answer 204."""
    call.service.release_operations()
    return Response(status_code=204)
