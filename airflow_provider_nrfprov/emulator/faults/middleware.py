"""A request that meets a fault: what is done of it, and what of the answer gets onto the wire."""

from __future__ import annotations

import asyncio
import json
import math
import socket
import time
import uuid
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from email.utils import formatdate
from typing import Any, cast

from fastapi import Response
from fastapi.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from airflow_provider_nrfprov.emulator.bulk import (
    BulkOperation,
    Failure,
    Outcome,
    Row,
    error_summary,
    file_of,
    parts_of,
)
from airflow_provider_nrfprov.emulator.calls import reply
from airflow_provider_nrfprov.emulator.faults import (
    DropAfter,
    DropBefore,
    ExtraFields,
    FailAfter,
    FalseFailure,
    Fault,
    HtmlAfter,
    HtmlBefore,
    LaggingList,
    OddStatus,
    Page,
    RedirectAfter,
    Refuse,
    Slow,
    StuckOperation,
    TruncateAfter,
    Twice,
    Words,
    WrongClaimedIds,
    WrongDownload,
)
from airflow_provider_nrfprov.emulator.mint import mint_devices
from airflow_provider_nrfprov.emulator.service import Service

TRANSPORT = "emulator.transport"
"""Under this key of the ASGI scope's ``state`` lies the ``asyncio.Transport`` of the connection."""

MOVED = "/moved"
"""Below it everything is served as it is without it: where a ``RedirectAfter`` leads."""

_A_NAP = 0.02
"""Seconds between two looks at whether a slow request should give up."""

_INVENTED = uuid.UUID("0b1f7c52-6f0e-4a53-9a3e-5d1c9e0f4b77")
_SAID_AT_THE_END = {"completedAt", "resultDataUrl", "errorSummaryUrl"}


def with_faults(service: Service, app: ASGIApp, operation: str, number: int) -> ASGIApp:
    """Return what answers a request for an operation, the ``number``-th: ``app`` alone unless a fault is due."""
    fault = service.faults.take(operation, number)
    return (
        app if fault is None and not service.faults.lies else FaultMiddleware(app, fault, operation, service)
    )


class FaultMiddleware:
    """ASGI middleware around the route of one request: its fault, if any, and the lies about bulk operations."""

    def __init__(self, app: ASGIApp, fault: Fault | None, operation: str, service: Service) -> None:
        self._app = app
        self._fault = fault
        self._operation = operation
        self._service = service

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Carry a request out as far as the fault lets it, and send what answers it."""
        response = await self._answer(scope, receive)
        await response(scope, receive, send)

    async def _answer(self, scope: Scope, receive: Receive) -> Response:
        fault, service = self._fault, self._service
        if isinstance(fault, Refuse):
            return _page(fault.status, fault.body, _retry_after(fault, service))
        if isinstance(fault, (DropBefore, HtmlBefore)):
            return Dropped() if isinstance(fault, DropBefore) else _page(200, "html")
        if isinstance(fault, Slow):
            return await self._slowly(fault, scope, receive)
        with service.turn():  # so that nobody sees a bulk operation between its start and its lie
            if isinstance(fault, Twice):
                await self._carry_out(scope, receive)
                scope["state"]["repeated"] = True
            if isinstance(fault, LaggingList):
                scope["state"]["list_lag_seconds"] = fault.seconds
            response = await self._carry_out(scope, receive)
            if fault is not None:
                response = _bend(fault, response, scope, service)
        return _spoil(fault, response, scope)

    async def _carry_out(self, scope: Scope, receive: Receive) -> Response:
        """Carry the request out, which waits for nothing, and return the answer with the lies in it that are to be told."""
        sent: list[Message] = []

        async def keep(message: Message) -> None:
            sent.append(message)

        await self._app(scope, receive, keep)
        start, *parts = sent
        response = Response(b"".join(each["body"] for each in parts), start["status"])
        response.raw_headers = list(start["headers"])
        return _with_lies(response, self._operation, scope, self._service)

    async def _slowly(self, fault: Slow, scope: Scope, receive: Receive) -> Response:
        service, begun = self._service, self._service.faults.interruptions
        await _wait(fault.before, service, begun)
        with service.turn():  # so that no reset comes in between
            if service.faults.interruptions != begun:
                return Dropped()
            response = await self._carry_out(scope, receive)
        return response if await _wait(fault.after, service, begun) else Dropped()


def abort(transport: asyncio.Transport) -> None:
    """Close a connection at once, what has been written included."""
    with suppress(OSError, AttributeError):  # the client was faster: then TLS has no socket any more
        # A process that was forked meanwhile holds it too, so to close it is not enough.
        transport.get_extra_info("socket").shutdown(socket.SHUT_RDWR)
    transport.abort()


class Dropped(Response):
    """No answer: the connection closes without another byte."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Close the connection."""
        abort(_transport(scope))
        await _until_closed(receive)


class Truncated(Response):
    """The beginning of another response; then the connection closes."""

    def __init__(self, whole: Response, size: int) -> None:
        super().__init__()
        self._whole, self._size = whole, size

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the headers of the whole, a part of its body, and close the connection."""
        whole = self._whole
        await send({"type": "http.response.start", "status": whole.status_code, "headers": whole.raw_headers})
        part = bytes(whole.body)[: self._size]
        await send({"type": "http.response.body", "body": part, "more_body": True})
        transport = _transport(scope)
        if transport.can_write_eof():  # not over TLS
            transport.write_eof()
        transport.close()  # in its own time, after the last byte
        await _until_closed(receive)


async def _wait(seconds: float, service: Service, begun: int) -> bool:
    """Wait; return whether the emulator is still what it was when the request came."""
    end = time.monotonic() + seconds
    # Looked at again and again, since it is other threads, with no event loop, that interrupt.
    while service.faults.interruptions == begun and (left := end - time.monotonic()) > 0:  # noqa: ASYNC110 - an end that a test may move
        await asyncio.sleep(min(left, _A_NAP))
    return service.faults.interruptions == begun


def _spoil(fault: Fault | None, response: Response, scope: Scope) -> Response:
    """Return what a fault lets through of a response, or puts in its place."""
    if isinstance(fault, FailAfter):
        return _page(fault.status, fault.body)
    if isinstance(fault, RedirectAfter):
        query = scope["query_string"].decode("latin-1")
        target = f"{scope['path']}?{query}" if query else scope["path"]
        return Response(status_code=fault.status, headers={"Location": MOVED + target})
    if isinstance(fault, HtmlAfter):
        return _page(200, "html")
    if isinstance(fault, TruncateAfter) and response.body:
        return Truncated(response, math.floor(len(response.body) * fault.keep))
    if isinstance(fault, (DropAfter, TruncateAfter)):
        return Dropped()
    return response


def _page(status: int, form: Page, headers: dict[str, str] | None = None) -> Response:
    # The words are invented; the form of the JSON is that of the emulator's own refusals.
    if form == "json":
        return JSONResponse({"code": status * 100, "message": "a fault that was asked for"}, status, headers)
    if form == "html":
        text = f"<!DOCTYPE html><html><title>{status}</title><h1>{status}</h1></html>"
        return Response(text, status, headers, media_type="text/html")
    return Response(status_code=status, headers=headers)


def _retry_after(fault: Refuse, service: Service) -> dict[str, str]:
    if fault.retry_after is None:
        return {}
    if fault.retry_after_form == "seconds":
        return {"Retry-After": str(fault.retry_after)}
    # By the same clock as the Date of the answer.
    return {"Retry-After": formatdate(math.ceil(service.now().timestamp()) + fault.retry_after, usegmt=True)}


def _transport(scope: Scope) -> asyncio.Transport:
    transport = scope["state"].get(TRANSPORT)
    if transport is None:
        raise RuntimeError("connections can be dropped only in an emulator started with running_emulator")
    return cast(asyncio.Transport, transport)


async def _until_closed(receive: Receive) -> None:
    # Else the server would find an answer missing, and try to send one.
    while (await receive())["type"] != "http.disconnect":
        pass


def _bend(fault: Fault, response: Response, scope: Scope, service: Service) -> Response:
    """Return what a fault makes of an answer, and remember what is to be said of its bulk operation."""
    status = response.status_code
    if isinstance(fault, WrongDownload) and status == 200:
        return _wrong_file(response, fault.content, scope, service)
    if isinstance(fault, (StuckOperation, FalseFailure, Words)) and status == 202:
        _lie_about(scope["state"].get("operation_id", ""), fault, service)
    if isinstance(fault, Words):
        return _saying(response, lambda body: _with_words(status, body, fault.text))
    if isinstance(fault, ExtraFields):
        return _saying(response, _with_more_fields)
    if isinstance(fault, OddStatus) and status == 200:
        return _saying(response, lambda body: _with_status(body, fault.word))
    if isinstance(fault, WrongClaimedIds):
        return _saying(response, lambda body: _with_other_ids(body, fault))
    return response


def _saying(response: Response, change: Callable[[Any], Any]) -> Response:
    """Return an answer whose JSON is changed; as it is if it has no JSON of its own."""
    if not response.body or response.headers.get("content-type") != "application/json":
        return response
    kept = {name: value for name, value in response.headers.items() if name == "location"}
    return reply(change(json.loads(bytes(response.body))), response.status_code, kept)


def _lie_about(operation_id: str, fault: StuckOperation | FalseFailure | Words, service: Service) -> None:
    operation = service.operations.all().get(operation_id)
    if operation is None:
        return
    if isinstance(fault, Words):
        operation.words = fault.text
    elif isinstance(fault, StuckOperation) and not fault.rows_applied:
        service.operations.hold(operation_id)
    else:
        service.faults.lies[operation_id] = fault


def _with_other_ids(body: Any, fault: WrongClaimedIds) -> Any:
    if not isinstance(body, dict) or "claimedIds" not in body:
        return body
    invented = [str(uuid.uuid5(_INVENTED, str(number))) for number in range(fault.invent)]
    return {**body, "claimedIds": body["claimedIds"][fault.omit :] + invented}


def _with_words(status: int, body: Any, text: str) -> Any:
    if not isinstance(body, dict):
        return body
    said: dict[str, Any] = {}
    if status >= 400 and "message" in body:
        said["message"] = text
    if "failed" in body:
        said["failed"] = [_failed_with_words(each, text) for each in body["failed"]]
    return {**body, **said}


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


def _wrong_file(response: Response, content: str, scope: Scope, service: Service) -> Response:
    """Return the answer to a download that holds something else than the file asked for."""
    kind = response.headers["content-type"]
    if content == "html":
        return _page(200, "html")
    if content == "json":
        return Response(json.dumps({"message": "OK", "items": []}), media_type="application/json")
    if content == "other":
        return Response(_of_another(scope, service), media_type=kind)
    return Response(_half(bytes(response.body).decode()) if content == "half" else "", media_type=kind)


def _half(text: str) -> str:
    if not text.startswith("{"):
        rows = text.splitlines(keepends=True)
        return "".join(rows[: len(rows) // 2])
    body: dict[str, Any] = json.loads(text)
    return json.dumps(
        {name: value[: len(value) // 2] for name, value in body.items()}
    )  # lists, or one string


def _of_another(scope: Scope, service: Service) -> str | None:
    asked = scope["path_params"]
    operation_id, kind = parts_of(asked["file"])
    form = service.settings.error_summary
    one = service.operations.get(asked["team"], operation_id)
    others = [each for each in service.operations.all() if each.team == one.team and each is not one]
    files = (file_of(other, kind, form) for other in [*reversed(others), _invented(one)])
    return next((file for file in files if file is not None), None)


def _invented(one: BulkOperation) -> BulkOperation:
    devices = list(mint_devices(len(one.rows), seed=f"nobody sent these, not {one.id}"))
    outcome = Outcome(
        [device.device_id for device in devices],
        [Failure(number, device.token, "internal error") for number, device in enumerate(devices)],
    )
    text = "".join(f"{device.token}\n" for device in devices)
    return replace(one, text=text, rows=[Row(device.token) for device in devices], outcome=outcome)


def _with_lies(response: Response, operation: str, scope: Scope, service: Service) -> Response:
    """Return an answer with the lies in it that are to be told. A filter by status still goes by the truth."""
    lies, asked = service.faults.lies, scope["path_params"]
    if operation == "DownloadBulkOpsData" and response.status_code == 404:
        return _false_summary(asked["team"], asked["file"], service) or response
    if not lies or response.status_code != 200:
        return response
    if operation == "FetchBulkOpsRequest":
        return _saying(response, lambda body: _told(body, lies))
    if operation == "FetchBulkCreation":
        return _saying(response, lambda body: _told_of_job(asked["id"], body, service))
    if operation == "ListBulkOpsRequests":
        return _saying(
            response, lambda body: {**body, "items": [_told(each, lies) for each in body["items"]]}
        )
    return response


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


def _false_summary(team: str, file: str, service: Service) -> Response | None:
    operation_id, _, kind = file.partition(".")
    lie = service.faults.lies.get(operation_id)
    operation = service.operations.all().get(operation_id)
    if not isinstance(lie, FalseFailure) or lie.summary == "missing" or kind != "json":
        return None
    if operation is None or operation.outcome is None or operation.team != team:
        return None
    rows = operation.rows if lie.summary == "all" else []
    failures = [Failure(number, row.token, "internal error") for number, row in enumerate(rows)]
    text = error_summary(Outcome(failures=failures), service.settings.error_summary)
    return Response(text, media_type="application/json")
