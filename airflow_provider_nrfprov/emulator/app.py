"""The emulated service over HTTP: from a request to an operation, and from its outcome to a response."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from functools import partial

from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from airflow_provider_nrfprov.emulator import side_doors
from airflow_provider_nrfprov.emulator.errors import BodyTooLarge, Forbidden, Gone, Invalid, ServiceError
from airflow_provider_nrfprov.emulator.faults import answers, bodies
from airflow_provider_nrfprov.emulator.front import Front
from airflow_provider_nrfprov.emulator.routes import ROUTES, ApiName, Operation, Route
from airflow_provider_nrfprov.emulator.service import Service
from airflow_provider_nrfprov.emulator.settings import Settings
from airflow_provider_nrfprov.emulator.wire import Call, Incoming, Reply

UNKNOWN = "unknown path"
"""Under this name are counted requests for paths and methods that are not served."""

_SWITCHED_OFF = "this API was switched off"


def create_app(settings: Settings | None = None, service: Service | None = None) -> FastAPI:
    """Return the emulator as an ASGI application.

    :param settings: how it behaves; not looked at if a service is given, which has its own.
    :param service: the state to serve; a fresh one by default. It is ``app.state.service`` then.
    """
    service = service or Service(settings)
    app = FastAPI(
        title="nRF Cloud Provisioning Service (emulator)",
        openapi_url=None,  # without the real service's document, one of our own would only mislead
        redirect_slashes=False,
    )
    app.state.service = service
    app.add_middleware(Front, service=service)
    for route in ROUTES:
        _mount(app, route, service)

    async def not_served(_: Request, error: Exception) -> Response:
        service.count_request(UNKNOWN)
        return _unknown_path(service.settings, error.status_code if isinstance(error, HTTPException) else 404)

    app.add_exception_handler(404, not_served)
    app.add_exception_handler(405, not_served)
    return app


def _mount(app: FastAPI, route: Route, service: Service) -> None:
    # Mounted even if the contract hides it: another may be set later, and without its route
    # "/claimed-devices/tags" would be taken for a device called "tags".
    app.add_api_route(route.path, _endpoint(route, service), methods=[route.method], response_model=None)


def _endpoint(route: Route, service: Service) -> Callable[[Request], Awaitable[Response]]:
    async def answer(request: Request) -> Response:
        incoming = Incoming(
            method=request.method,
            path=request.path_params,
            query=request.query_params,
            content_type=_content_type(request),
            raw_body=await request.body(),
            base_url=str(request.base_url).rstrip("/"),
            authorization=request.headers.get("authorization"),
            target=_target(request),
        )
        operation = _meant(route, incoming, service)
        if not operation.counted:  # a side door: never faulted
            if not side_doors.may_enter(request.method, request.headers, bool(incoming.raw_body)):
                return _response(_refusal(Forbidden(side_doors.KEEP_OUT), service.settings))
            return _response(_carry_out(operation, service, incoming))
        number = service.count_request(operation.name)
        if operation.name in service.settings.gone:
            return _response(_refusal(Gone(_SWITCHED_OFF), service.settings, operation.api))
        fault = service.faults.take(operation.name, number)
        if fault is None:
            return _response(_carry_out_and_tell(operation, service, incoming))
        carry_out = partial(_carry_out_and_tell, operation, service)
        return await answers.answer(fault, incoming, carry_out, _response, service)

    return answer


def _meant(route: Route, incoming: Incoming, service: Service) -> Operation:
    contract = service.settings.contract
    for operation in route.operations:
        if operation.served_under(contract) and operation.when(incoming):
            return operation
    raise HTTPException(404)


def _carry_out_and_tell(operation: Operation, service: Service, incoming: Incoming) -> Reply:
    reply = _carry_out(operation, service, incoming)
    if not service.faults.lies:
        return reply
    with service.turn():
        return bodies.tell(reply, operation.name, incoming, service)


def _carry_out(operation: Operation, service: Service, incoming: Incoming) -> Reply:
    most = service.settings.max_body_bytes
    try:
        if most is not None and operation.counted and len(incoming.raw_body) > most:
            raise BodyTooLarge(f"the body has more than {most} bytes")
        with service.turn() as now:
            of_project = operation.api != "team"
            caller = (
                service.keys.caller(incoming.authorization, of_project=of_project)
                if operation.needs_key
                else None
            )
            if caller is not None and incoming.method != "GET":
                caller.require_write()
            return operation.handler(Call(**vars(incoming), service=service, now=now, caller=caller))
    except ServiceError as error:
        return _refusal(error, service.settings, operation.api)


def _refusal(error: ServiceError, settings: Settings, api: ApiName = "team") -> Reply:
    words = error.message if settings.refusal_words is None else settings.refusal_words
    status = error.code // 100
    if api == "team":
        return Reply(status, {"code": error.code, "message": words})
    if isinstance(error, Invalid):
        status = 400  # the one status by which the new API is known to refuse a body
    if api == "memfault":
        inner = {"code": 1000, "http_code": status, "message": words, "type": f"{type(error).__name__}Error"}
        return Reply(status, {"error": inner})
    causes = {"cause": list(error.causes)} if error.causes else {}
    return Reply(status, {"message": words, **causes})


def _target(request: Request) -> str:
    query: bytes = request.scope["query_string"]
    path: str = request.scope["path"]
    return f"{path}?{query.decode('latin-1')}" if query else path


def _content_type(request: Request) -> str | None:
    header = request.headers.get("content-type")
    return None if header is None else header.partition(";")[0].strip().lower()


def _response(reply: Reply) -> Response:
    headers = dict(reply.headers)
    if reply.text is not None:
        return Response(reply.text, reply.status, headers, media_type=reply.media_type)
    if reply.body is None:
        return Response(status_code=reply.status, headers=headers)
    try:
        return JSONResponse(reply.body, reply.status, headers)
    except UnicodeEncodeError:  # half a UTF-16 pair can only be written as an escape
        return Response(json.dumps(reply.body), reply.status, headers, media_type="application/json")


def _unknown_path(settings: Settings, status: int) -> Response:
    if settings.unknown_path == "gone":
        return _response(_refusal(Gone(_SWITCHED_OFF), settings))
    if settings.unknown_path == "gateway":
        return JSONResponse({"message": "Missing Authentication Token"}, 403)
    return JSONResponse({"code": status * 100 + 20, "message": "there is nothing at this path"}, status)
