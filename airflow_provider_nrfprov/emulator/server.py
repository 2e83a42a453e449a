"""The emulator as a running server, in a thread of this process, and able to be down for a while."""

from __future__ import annotations

import asyncio
import socket
import ssl
import tempfile
import threading
import time
from collections.abc import Coroutine, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState

from airflow_provider_nrfprov.emulator.app import create_app
from airflow_provider_nrfprov.emulator.clock import Clock, utc_now
from airflow_provider_nrfprov.emulator.faults.middleware import TRANSPORT, abort
from airflow_provider_nrfprov.emulator.service import Service
from airflow_provider_nrfprov.emulator.settings import Settings


class Tls(NamedTuple):
    """What a server needs for TLS, and the file that a client needs to believe it."""

    context: ssl.SSLContext
    ca_file: Path


@contextmanager
def temporary_tls(host: str) -> Iterator[Tls]:
    """Yield a certificate for an address, for localhost and for this machine's name; its CA file is removed afterwards.

    The private keys are in no file that stays, and the CA is used for nothing else.

    :raises ModuleNotFoundError: if trustme is not installed.
    """
    import trustme  # only here: an emulator without TLS needs none

    authority = trustme.CA()
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    names = dict.fromkeys((host, "127.0.0.1", "localhost", socket.gethostname()))
    authority.issue_cert(*names).configure_cert(context)
    with tempfile.TemporaryDirectory(prefix="nrfprov-emulator-") as folder:
        ca_file = Path(folder, "ca.pem")
        authority.cert_pem.write_to_path(str(ca_file))
        yield Tls(context, ca_file)


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
        self.is_up = True
        """Whether it takes connections."""
        self.connections: set[asyncio.Transport] = set()
        """Those that are open."""
        self._server = _StartableServer(
            uvicorn.Config(
                app,
                log_config=None,  # logging belongs to the program around us
                log_level=log_level,
                access_log=False,
                date_header=False,  # the machine's clock; the emulator has its own
                loop="asyncio",  # uvloop would become the event loop of the whole process
                http=_protocol(self),
                ws="none",
                lifespan="off",
                timeout_graceful_shutdown=1,  # a client that never reads must not keep a test from ending
            ),
            tls,
        )
        self._thread = threading.Thread(
            target=self._server.run, kwargs={"sockets": [self._socket]}, name="nrfprov-emulator", daemon=True
        )

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
                self.is_up = False
                self._run(self._close_all())
                # Bound but not listening: connections are refused, and nobody else can take the port.
                self._socket = _bind(self._host, self.port)

    def up(self) -> None:
        """Take connections again."""
        with self._lock:
            if not self.is_up:
                self.is_up = True  # first, else who comes at once is sent away
                try:
                    self._run(self._server.startup(sockets=[self._socket]))
                except BaseException:
                    self.is_up = False
                    raise

    async def _close_all(self) -> None:
        with suppress(OSError):  # systems other than Linux shut down connections only
            self._socket.shutdown(socket.SHUT_RDWR)  # a forked process may hold it too
        for each in self._server.servers:
            each.close()
        for transport in list(self.connections):
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


def _protocol(server: Server) -> type[asyncio.Protocol]:
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
            server.connections.add(transport)
            super().connection_made(transport)
            if not server.is_up:  # it was accepted just before
                abort(transport)

        def connection_lost(self, exc: Exception | None) -> None:
            server.connections.discard(self.transport)
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


class Emulator:
    """A running emulator.

    ``url`` is ``http://127.0.0.1:PORT``, or ``https://…`` (the API is below ``/v1``), ``service`` its state, to assert
    on, and ``service.faults`` what goes wrong. All three stay the same objects whatever is done here. ``ca_file``
    is the PEM file of the CA that signed its certificate, as for ``REQUESTS_CA_BUNDLE``; None without TLS.
    """

    def __init__(
        self, service: Service, server: Server, host: str = HOST, ca_file: Path | None = None
    ) -> None:
        self.url = f"{'http' if ca_file is None else 'https'}://{host}:{server.port}"
        self.ca_file = ca_file
        self.service = service
        self._started_with = service.settings
        self._server = server

    @property
    def settings(self) -> Settings:
        """How it behaves now."""
        return self.service.settings

    @property
    def is_up(self) -> bool:
        """Whether it takes connections."""
        return self._server.is_up

    def reset(self, **settings: Any) -> None:
        """Begin a new world, in much less than a millisecond: nothing claimed, no faults, nothing counted.

        It is up afterwards. A request of before that still waits to be carried out never is.

        :param settings: fields of ``Settings`` that differ from those it was started with, until the next reset.
        :raises TypeError: for a setting that does not exist.
        :raises ValueError: for a value that a setting does not have.
        """
        self.service.reset(replace(self._started_with, **settings))
        self.up()

    def down(self) -> None:
        """Refuse connections until ``up``, and drop those that are open; the state and the port are kept."""
        self.service.faults.interrupt()
        self._server.down()

    def up(self) -> None:
        """Take connections again."""
        self._server.up()


@contextmanager
def running_emulator(
    *,
    host: str = HOST,
    port: int = 0,
    clock: Clock = utc_now,
    log_level: str = "warning",
    tls: bool = False,
    **settings: Any,
) -> Iterator[Emulator]:
    """Run an emulator while the ``with`` block runs; afterwards its thread and port are free.

    :param host: the IPv4 address where it listens; ``0.0.0.0`` only where nobody else can reach it, as in a container.
    :param port: its port there; 0 takes any free port.
    :param clock: tells it the time (aware, UTC), for example a ``clock.ManualClock``.
    :param log_level: of uvicorn's log: critical, error, warning, info, debug.
    :param tls: whether it speaks TLS, with a certificate of a CA that exists for this one emulator (``ca_file``).
    :param settings: fields of ``Settings``.
    :raises OSError: if the address or the port is unavailable.
    :raises ModuleNotFoundError: for ``tls`` without trustme, which the extra ``emulator`` brings.
    :raises TypeError: for a setting that does not exist.
    :raises ValueError: for a value that a setting does not have.
    """
    service = Service(Settings(**settings), clock)
    with ExitStack() as stack:
        own = stack.enter_context(temporary_tls(host)) if tls else None
        server = Server(create_app(service), port, log_level, host, own.context if own else None)
        try:
            server.start()
            yield Emulator(service, server, host, own.ca_file if own else None)
        finally:
            service.faults.interrupt()  # else a slow answer would keep the block from ending
            server.stop()
