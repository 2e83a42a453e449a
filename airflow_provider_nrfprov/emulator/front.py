"""What stands before the emulated service as a gateway does: dates every answer, and serves it below ``/moved`` too."""

from __future__ import annotations

from email.utils import formatdate

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from airflow_provider_nrfprov.emulator.service import Service

MOVED = "/moved"
"""Below it everything is served as it is without it: where a ``RedirectAfter`` leads."""


class Front:
    """ASGI middleware. The ``Date`` of every answer is the service's clock, not the machine's."""

    def __init__(self, app: ASGIApp, service: Service) -> None:
        self._app = app
        self._service = service
        self._date = (0, b"")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, and its answer back with a date."""
        if scope["type"] == "http" and scope["path"].startswith(f"{MOVED}/"):
            scope = {**scope, "path": scope["path"].removeprefix(MOVED)}

        async def send_dated(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], (b"date", self._http_date())]
            await send(message)

        await self._app(scope, receive, send_dated)

    def _http_date(self) -> bytes:
        second = int(self._service.now().timestamp())
        if second != self._date[0]:
            self._date = (second, formatdate(second, usegmt=True).encode())
        return self._date[1]
