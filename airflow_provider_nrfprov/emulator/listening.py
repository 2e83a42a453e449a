"""The server behind a running emulator: in a thread of this process, and able to be down for a while."""

from __future__ import annotations

import asyncio
import socket
import ssl
import threading
import time
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState

from airflow_provider_nrfprov.emulator.fault_answers import TRANSPORT, abort

HOST = "127.0.0.1"
"""The address served unless another is asked for: API keys and tokens go over plain HTTP."""

_PATIENCE = 10.0
"""Seconds until going down or up, a matter of milliseconds, counts as broken."""


class Server:
    """Serves an ASGI application at one port from ``start`` to ``stop``. ``port`` stays the same while it is down.

    :raises OSError: if the address or the port is unavailable.
    """

    def __init__(
        self, app: Any, port: int, log_level: str, host: str = HOST, tls: ssl.SSLContext | None = None
    ) -> None:
        self._host = host
        self._socket = _bind(host, port)
        self.port: int = self._socket.getsockname()[1]
        self._lock = threading.Lock()
        self._doors = _Doors()
        self._server = _StartableServer(
            uvicorn.Config(
                app,
                log_config=None,  # logging belongs to the program around us
                log_level=log_level,
                access_log=False,
                date_header=False,  # the machine's clock; the emulator has its own
                loop="asyncio",  # uvloop would become the event loop of the whole process
                http=_protocol(self._doors),
                ws="none",
                lifespan="off",
                timeout_graceful_shutdown=1,  # a client that never reads must not keep a test from ending
            ),
            tls,
        )
        self._thread = threading.Thread(
            target=self._server.run, kwargs={"sockets": [self._socket]}, name="nrfprov-emulator", daemon=True
        )

    @property
    def is_up(self) -> bool:
        """Whether it takes connections."""
        return self._doors.open

    def start(self) -> None:
        """Start, and return when it serves."""
        self._socket.listen(128)  # so that nobody is refused, however soon they come
        self._thread.start()
        while not self._server.started:
            if not self._thread.is_alive():
                raise RuntimeError("the emulator's server ended before it had started")
            time.sleep(0.002)

    def stop(self) -> None:
        """End the server and its thread, and give up the port."""
        try:
            if self._thread.is_alive():
                self._server.should_exit = True
                self._thread.join()
        finally:
            self._socket.close()

    def down(self) -> None:
        """Refuse connections from now on, and close those that are open without another byte."""
        with self._lock:
            if self.is_up:
                self._doors.open = False
                self._run(self._close_all())
                # Bound but not listening: connections are refused, and nobody else can take the port.
                self._socket = _bind(self._host, self.port)

    def up(self) -> None:
        """Take connections again."""
        with self._lock:
            if not self.is_up:
                self._doors.open = True  # first, else who comes at once is sent away
                try:
                    self._run(self._server.startup(sockets=[self._socket]))
                except BaseException:
                    self._doors.open = False
                    raise

    async def _close_all(self) -> None:
        with suppress(OSError):  # systems other than Linux shut down connections only
            self._socket.shutdown(socket.SHUT_RDWR)  # a forked process may hold it too
        for each in self._server.servers:
            each.close()
        for transport in list(self._doors.connections):
            abort(transport)
        await asyncio.sleep(0)  # the closing itself comes with the next turn of the loop

    def _run(self, what: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(what, self._server.loop).result(_PATIENCE)


class _StartableServer(uvicorn.Server):
    """A server whose ``startup`` can be called again, from outside, once its listening socket was closed."""

    loop: asyncio.AbstractEventLoop

    def __init__(self, config: uvicorn.Config, tls: ssl.SSLContext | None) -> None:
        super().__init__(config)
        self._tls = tls

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        self.config.ssl = self._tls  # uvicorn itself takes a certificate from files only
        self.loop = asyncio.get_running_loop()
        await super().startup(sockets)


class _Doors:
    """Whether connections are taken, and which are open."""

    def __init__(self) -> None:
        self.open = True
        self.connections: set[asyncio.Transport] = set()


def _protocol(doors: _Doors) -> type[asyncio.Protocol]:
    # Always h11, never httptools: uvicorn brings it along, so every machine serves the same bytes; and
    # a connection can only be dropped if the protocol hands it on.
    class Protocol(H11Protocol):
        def __init__(
            self, config: uvicorn.Config, server_state: ServerState, app_state: dict[str, Any], **others: Any
        ) -> None:
            # The server copies this into the scope of every request on the connection.
            self._of_connection = dict(app_state)
            super().__init__(config, server_state, self._of_connection, **others)

        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            self._of_connection[TRANSPORT] = transport
            doors.connections.add(transport)
            super().connection_made(transport)
            if not doors.open:  # it was accepted just before
                abort(transport)

        def connection_lost(self, exc: Exception | None) -> None:
            doors.connections.discard(self.transport)
            super().connection_lost(exc)

    return Protocol


def _bind(host: str, port: int) -> socket.socket:
    # With the protocol named, else asyncio sets no TCP_NODELAY and every answer waits 40 ms.
    bound = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        # Else a port that was just given up is unavailable for a minute.
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind((host, port))
    except BaseException:
        bound.close()
        raise
    return bound
