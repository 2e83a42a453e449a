"""The emulator as a running server, in a thread of this process."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import uvicorn

from airflow_provider_nrfprov.emulator.app import create_app
from airflow_provider_nrfprov.emulator.ids import Clock, utc_now
from airflow_provider_nrfprov.emulator.service import Service
from airflow_provider_nrfprov.emulator.settings import Settings

HOST = "127.0.0.1"
"""The only address served: API keys and tokens go over plain HTTP."""


@dataclass(frozen=True, slots=True)
class Emulator:
    """A running emulator.

    ``url`` is ``http://127.0.0.1:PORT`` (the API lies below ``/v1``), ``service`` its state, to assert on.
    """

    url: str
    service: Service

    @property
    def settings(self) -> Settings:
        """How it behaves."""
        return self.service.settings


@contextmanager
def running_emulator(
    *, port: int = 0, clock: Clock = utc_now, log_level: str = "warning", **settings: Any
) -> Iterator[Emulator]:
    """Run an emulator while the ``with`` block runs; afterwards its thread and port are free.

    :param port: where it listens; 0 takes any free port.
    :param clock: tells it the time (aware, UTC).
    :param log_level: of uvicorn's log: critical, error, warning, info, debug.
    :param settings: fields of ``Settings``.
    :raises OSError: if the port cannot be had.
    :raises TypeError: for a setting that does not exist.
    :raises ValueError: for a value that a setting does not have.
    """
    service = Service(Settings(**settings), clock)
    listener = _listen(port)
    try:
        server = uvicorn.Server(
            uvicorn.Config(
                create_app(service=service),
                log_config=None,  # logging belongs to the program around us
                log_level=log_level,
                access_log=False,
                loop="asyncio",  # uvloop would become the event loop of the whole process
                ws="none",
                lifespan="off",
                timeout_graceful_shutdown=1,  # a client that never reads must not keep a test from ending
            )
        )
        thread = threading.Thread(
            target=server.run, kwargs={"sockets": [listener]}, name="nrfprov-emulator", daemon=True
        )
        thread.start()
        try:
            _await_start(server, thread)
            yield Emulator(f"http://{HOST}:{listener.getsockname()[1]}", service)
        finally:
            server.should_exit = True
            thread.join()
    finally:
        listener.close()


def _listen(port: int) -> socket.socket:
    # With the protocol named, else asyncio sets no TCP_NODELAY and every answer waits 40 ms.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        # Else a port that was just given up cannot be had again for a minute.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((HOST, port))
        listener.listen(128)  # so that nobody is refused, however soon they come
    except BaseException:
        listener.close()
        raise
    return listener


def _await_start(server: uvicorn.Server, thread: threading.Thread) -> None:
    while not server.started:
        if not thread.is_alive():
            raise RuntimeError("the emulator's server ended before it had started")
        time.sleep(0.002)
