"""What all routers share: from a request to an operation of the service, and from its outcome to a response."""

from __future__ import annotations

import json
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from typing import Annotated, Any, ClassVar, Literal, TypeVar
from urllib.parse import parse_qs

from fastapi import Depends, HTTPException, Query, Request, Response
from fastapi.responses import JSONResponse
from fastapi.routing import APIRoute
from pydantic import BaseModel, BeforeValidator, ValidationError
from starlette.routing import Match
from starlette.types import ASGIApp, Receive, Scope, Send

from airflow_provider_nrfprov.emulator.accounts import Caller
from airflow_provider_nrfprov.emulator.bulk import BulkOperation, BulkSubmission, CarryOut, Row
from airflow_provider_nrfprov.emulator.errors import (
    BadRequest,
    BodyTooLarge,
    Gone,
    Invalid,
    ServiceError,
    UnsupportedContentType,
)
from airflow_provider_nrfprov.emulator.paging import PageRequest
from airflow_provider_nrfprov.emulator.service import Service
from airflow_provider_nrfprov.emulator.settings import Settings

BODY = "emulator.body"
"""Under this key of an ASGI scope lies the whole body of the request."""

_CALL = "emulator.call"
_MAX_PAGE = 100

ApiName = Literal["team", "project", "memfault"]
"""Whose keys are taken, and what a refusal looks like: the two hosts of the new API differ in that."""


class Body(BaseModel, strict=True):
    """A JSON object as the service takes it: no type is made of another, and fields that nobody knows are left alone."""


AnyBody = TypeVar("AnyBody", bound=Body)


@dataclass(frozen=True, kw_only=True)
class Call:
    """A request that is being carried out. The caller is None only if no API key is needed."""

    request: Request
    raw_body: bytes = field(repr=False)
    service: Service
    now: datetime
    caller: Caller | None

    @property
    def base_url(self) -> str:
        """The scheme and the host that were asked."""
        return str(self.request.base_url).rstrip("/")

    @property
    def repeated(self) -> bool:
        """Whether this is the second time that it is carried out, because of a ``Twice``."""
        return bool(self.request.scope["state"].get("repeated"))

    @property
    def team(self) -> str:
        """The team of the caller."""
        if self.caller is None:
            raise RuntimeError("an operation without an API key has no team")
        return self.caller.team

    def lists_as_of(self) -> datetime | None:
        """Return the time whose truth a list shows, or None for now."""
        lag = self.request.scope["state"].get("list_lag_seconds") or self.service.settings.list_lag_seconds
        return self.now - timedelta(seconds=lag) if lag else None

    def started(self, text: str, rows: list[Row], carry_out: CarryOut | None = None) -> BulkOperation:
        """Start the bulk operation that this request asks for, of a CSV body and the rows in it."""
        operation = self.service.operations.start(self.team, text, rows, self.now, carry_out)
        self.submitted(operation.id, rows)
        self.request.scope["state"]["operation_id"] = operation.id
        return operation

    def submitted(self, operation_id: str | None, rows: list[Row]) -> None:
        """Note a CSV that is accepted."""
        self.service.submissions.append(BulkSubmission(operation_id, rows, self.now, self.repeated))

    def json_object(self) -> dict[str, Any]:
        """Return the body, a JSON object.

        :raises UnsupportedContentType: if it says that it is something else.
        :raises BadRequest: if it is not JSON.
        :raises Invalid: if it is JSON but not an object.
        """
        if content_type(self.request.scope) not in {None, "application/json"}:
            raise UnsupportedContentType("Content-Type is application/json")
        try:
            body = json.loads(self.raw_body)
        except ValueError:  # UnicodeDecodeError is one; its text would quote the body
            raise BadRequest("the body is not JSON") from None
        if not isinstance(body, dict):
            raise Invalid("the body is a JSON object")
        return body

    def json(self, model: type[AnyBody]) -> AnyBody:
        """Return the body read into a model; raise what ``json_object`` does."""
        try:
            return model.model_validate(self.json_object())
        except ValidationError as error:
            raise _as_invalid(error.errors(include_input=False)) from None

    def csv_text(self) -> str:
        """Return the body, a CSV text; raise ``UnsupportedContentType`` or ``BadRequest``."""
        if content_type(self.request.scope) not in {None, "text/csv"}:
            raise UnsupportedContentType("Content-Type is text/csv")
        try:
            return self.raw_body.decode("utf-8")
        except UnicodeDecodeError:
            raise BadRequest("the body is not UTF-8") from None


# All that FastAPI is given is async, though nothing waits: a thread of its own for each would break up a turn.
async def _call_of(request: Request) -> Call:
    return request.scope[_CALL]  # type: ignore[no-any-return]


ThisCall = Annotated[Call, Depends(_call_of)]


def json_body(model: type[AnyBody]) -> Any:
    """Return the dependency that is the body, read into a model; it raises what ``Call.json_object`` does.

    FastAPI itself would read a body before anybody is asked for an API key.
    """

    async def read(call: ThisCall) -> AnyBody:
        return call.json(model)

    return Depends(read)


def _digits(text: Any) -> Any:
    if isinstance(text, str) and not (text.isascii() and text.isdigit()):
        raise ValueError("a number has digits only")
    return text


async def _page_of(
    limit: Annotated[int, BeforeValidator(_digits), Query(alias="pageLimit", ge=1, le=_MAX_PAGE)] = 10,
    sort: Annotated[Literal["asc", "desc"], Query(alias="pageSort")] = "asc",
    token: Annotated[str | None, Query(alias="pageNextToken")] = None,
) -> PageRequest:
    # The names of the parameters are those of nRF Cloud's other lists; inferred here.
    return PageRequest(limit, token, sort == "desc")


ThisPage = Annotated[PageRequest, Depends(_page_of)]


def moment(text: str | None) -> datetime | None:
    """Return a time of a query (ISO-8601; UTC if it names no zone), None for None; raise ``Invalid``."""
    if text is None:
        return None
    try:
        read = datetime.fromisoformat(text.replace("Z", "+00:00"))
    except ValueError:
        raise Invalid("a time is an ISO-8601 one") from None
    return read if read.tzinfo else read.replace(tzinfo=timezone.utc)


class TurnRoute(APIRoute):
    """A route whose endpoint is carried out in a turn of its own: nothing else happens meanwhile."""

    needs_key: ClassVar[bool] = False
    counted: ClassVar[bool] = False
    api: ClassVar[ApiName] = "team"

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Return what answers a request."""
        carry_out = super().get_route_handler()

        async def in_turn(request: Request) -> Response:
            service: Service = request.app.state.service
            most, body = service.settings.max_body_bytes, request.scope[BODY]
            if self.counted and most is not None and len(body) > most:
                raise BodyTooLarge(f"the body has more than {most} bytes")
            with service.turn() as now:
                caller = self._caller(request, service) if self.needs_key else None
                request.scope[_CALL] = Call(
                    request=request, raw_body=body, service=service, now=now, caller=caller
                )
                return await carry_out(request)

        return in_turn

    def _caller(self, request: Request, service: Service) -> Caller:
        caller = service.keys.caller(request.headers.get("authorization"), of_project=self.api != "team")
        if request.method != "GET":
            caller.require_write()
        return caller


class OpenOperation(TurnRoute):
    """An operation of the service that needs no API key. Its route's name is the service's own where that is known."""

    counted = True
    only_in: ClassVar[Literal["async", "sync"] | None] = None
    """The contract that it belongs to, if it is not in both."""

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Count a request, let it meet its fault if it is to meet one, and have it answered."""
        service: Service = scope["app"].state.service
        if scope["method"] not in self.methods:
            raise HTTPException(405)
        if not self.is_served(service.settings):
            # Here and not in ``matches``: "/claimed-devices/tags" would be taken for a device called "tags".
            raise HTTPException(404)
        number = service.count_request(self.name)
        if self.name in service.settings.gone:
            refused = refusal(Gone("this API was switched off"), service.settings, self.api)
            await refused(scope, receive, send)
            return
        answer: ASGIApp = scope["app"].state.with_faults(super().handle, self.name, number)
        await answer(scope, receive, send)

    def is_served(self, settings: Settings) -> bool:
        """Whether the operation exists under the contract of the settings."""
        return settings.contract == "both" or self.only_in in {None, settings.contract}


class Operation(OpenOperation):
    """An operation of the service that needs an API key."""

    needs_key = True


class AsyncOperation(Operation):
    """One of the service of 2023."""

    only_in = "async"


class SyncOperation(Operation):
    """One of the service of 2024 and later."""

    only_in = "sync"


def content_type(scope: Scope) -> str | None:
    """Return the Content-Type of a request without its parameters, or None."""
    header = dict(scope["headers"]).get(b"content-type")
    return None if header is None else header.decode("latin-1").partition(";")[0].strip().lower()


def is_csv(scope: Scope) -> bool:
    """Whether a body counts as CSV.

    Nordic's own tool sends its CSV with no Content-Type at all, so then the first character
    that is not blank decides.
    """
    kind = content_type(scope)
    body: bytes = scope[BODY]
    return kind == "text/csv" if kind is not None else not body.lstrip().startswith(b"{")


def is_dry_run(scope: Scope) -> bool:
    """Whether the query says ``dryrun=true``."""
    query: str = scope["query_string"].decode("latin-1")
    return parse_qs(query).get("dryrun", [""])[-1] == "true"


class DryRun(Operation):
    """A claim that is tried only."""

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """Return whether the request is one for this route."""
        return super().matches(scope) if is_dry_run(scope) else (Match.NONE, {})


class CsvClaim(SyncOperation):
    """A claim whose body is CSV."""

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """Return whether the request is one for this route."""
        served = self.is_served(scope["app"].state.service.settings)
        return super().matches(scope) if served and is_csv(scope) else (Match.NONE, {})


def reply(body: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """Return a JSON answer."""
    try:
        return JSONResponse(body, status, headers)
    except UnicodeEncodeError:  # half a UTF-16 pair can only be written as an escape
        return Response(json.dumps(body), status, headers, media_type="application/json")


def page_reply(items: list[dict[str, Any]], next_token: str | None = None) -> Response:
    """Return a page of a list. ``total`` counts this page, as documented of nRF Cloud's lists."""
    body: dict[str, Any] = {"items": items, "total": len(items)}
    return reply(body if next_token is None else {**body, "pageNextToken": next_token})


def refusal(error: ServiceError, settings: Settings, api: ApiName = "team") -> Response:
    """Return the answer that an error is."""
    words = error.message if settings.refusal_words is None else settings.refusal_words
    status = error.code // 100
    if api == "team":
        return reply({"code": error.code, "message": words}, status)
    if isinstance(error, Invalid):
        status = 400  # the one status by which the new API is known to refuse a body
    if api == "memfault":
        inner = {"code": 1000, "http_code": status, "message": words, "type": f"{type(error).__name__}Error"}
        return reply({"error": inner}, status)
    causes = {"cause": list(error.causes)} if error.causes else {}
    return reply({"message": words, **causes}, status)


async def refused(request: Request, error: Exception) -> Response:
    """Answer what an endpoint, or FastAPI before it, raised."""
    if not isinstance(error, ServiceError):  # a query that is none
        error = _as_invalid(error.errors())  # type: ignore[attr-defined]
    return refusal(error, request.app.state.service.settings, request.scope["route"].api)


def _as_invalid(problems: Any) -> Invalid:
    # Without what was given, which may be a claim token.
    place = [str(part) for part in problems[0]["loc"] if part != "query"]
    return Invalid(f"{'.'.join(place)}: {problems[0]['msg']}")
