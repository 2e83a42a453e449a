"""A request that meets a fault: what is done of it, and what of the answer gets onto the wire."""

from __future__ import annotations

import asyncio
import math
import socket
import time
from collections.abc import Callable, MutableMapping
from contextlib import suppress
from dataclasses import replace
from email.utils import formatdate
from typing import Any, cast

from fastapi import Response
from fastapi.responses import JSONResponse
from starlette.types import Receive, Scope, Send

from airflow_provider_nrfprov.emulator.faults import (
    DropAfter,
    DropBefore,
    FailAfter,
    Fault,
    HtmlAfter,
    HtmlBefore,
    LaggingList,
    Page,
    RedirectAfter,
    Refuse,
    Slow,
    TruncateAfter,
    Twice,
    bodies,
)
from airflow_provider_nrfprov.emulator.front import MOVED
from airflow_provider_nrfprov.emulator.service import Service
from airflow_provider_nrfprov.emulator.wire import Incoming, Reply

TRANSPORT = "emulator.transport"
"""Under this key of the ASGI scope's ``state`` lies the ``asyncio.Transport`` of the connection."""

_A_NAP = 0.02
"""Seconds between two looks at whether a slow request should give up."""


async def answer(
    fault: Fault,
    incoming: Incoming,
    carry_out: Callable[[Incoming], Reply],
    to_response: Callable[[Reply], Response],
    service: Service,
) -> Response:
    """Carry a request out as far as the fault lets it, and return what answers it."""
    if isinstance(fault, Refuse):
        return _page(fault.status, fault.body, _retry_after(fault, service))
    if isinstance(fault, DropBefore):
        return Dropped()
    if isinstance(fault, HtmlBefore):
        return _page(200, "html")
    if isinstance(fault, Slow):
        return await _answer_slowly(fault, lambda: to_response(carry_out(incoming)), service)
    with service.turn():  # so that nobody sees a bulk operation between its start and its lie
        reply = _carried_out(fault, incoming, carry_out)
        reply = bodies.bend(fault, reply, incoming, service)
    return _spoil(fault, to_response(reply), incoming)


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


def _carried_out(fault: Fault, incoming: Incoming, carry_out: Callable[[Incoming], Reply]) -> Reply:
    if isinstance(fault, Twice):
        carry_out(incoming)
        return carry_out(replace(incoming, repeated=True))
    if isinstance(fault, LaggingList):
        return carry_out(replace(incoming, list_lag_seconds=fault.seconds))
    return carry_out(incoming)


async def _answer_slowly(fault: Slow, carry_out: Callable[[], Response], service: Service) -> Response:
    begun = service.faults.interruptions
    await _wait(fault.before, service, begun)
    with service.turn():  # so that no reset comes in between
        if service.faults.interruptions != begun:
            return Dropped()
        response = carry_out()
    return response if await _wait(fault.after, service, begun) else Dropped()


async def _wait(seconds: float, service: Service, begun: int) -> bool:
    """Wait; return whether the emulator is still what it was when the request came."""
    end = time.monotonic() + seconds
    # Looked at again and again, since it is other threads, with no event loop, that interrupt.
    while service.faults.interruptions == begun and (left := end - time.monotonic()) > 0:  # noqa: ASYNC110 - an end that a test may move
        await asyncio.sleep(min(left, _A_NAP))
    return service.faults.interruptions == begun


def _spoil(fault: Fault, response: Response, incoming: Incoming) -> Response:
    """Return what a fault lets through of a response, or puts in its place."""
    if isinstance(fault, FailAfter):
        return _page(fault.status, fault.body)
    if isinstance(fault, RedirectAfter):
        return Response(status_code=fault.status, headers={"Location": MOVED + incoming.target})
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
        text = (
            f"<!DOCTYPE html><html><head><title>{status}</title></head><body><h1>{status}</h1></body></html>"
        )
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
    state: MutableMapping[str, Any] = scope.get("state", {})
    transport = state.get(TRANSPORT)
    if transport is None:
        raise RuntimeError("connections can be dropped only in an emulator started with running_emulator")
    return cast(asyncio.Transport, transport)


async def _until_closed(receive: Receive) -> None:
    # Else the server would find an answer missing, and try to send one.
    while (await receive())["type"] != "http.disconnect":
        pass
