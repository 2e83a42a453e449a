"""The emulator as a running server, in a thread of this process."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from airflow_provider_nrfprov.emulator.app import create_app
from airflow_provider_nrfprov.emulator.ids import Clock, utc_now
from airflow_provider_nrfprov.emulator.listening import HOST, Server
from airflow_provider_nrfprov.emulator.service import Service
from airflow_provider_nrfprov.emulator.settings import Settings
from airflow_provider_nrfprov.emulator.tls import temporary_tls

__all__ = ["HOST", "Emulator", "running_emulator"]


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
        server = Server(create_app(service=service), port, log_level, host, own.context if own else None)
        try:
            server.start()
            yield Emulator(service, server, host, own.ca_file if own else None)
        finally:
            service.faults.interrupt()  # else a slow answer would keep the block from ending
            server.stop()
