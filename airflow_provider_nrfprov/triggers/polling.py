"""What the triggers share: asking, sleeping and asking again, without keeping the triggerer from its other work."""

from __future__ import annotations

import asyncio
import inspect
import logging
import time
from abc import abstractmethod
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import TYPE_CHECKING, Any

from airflow.triggers.base import BaseTrigger, TriggerEvent

from airflow_provider_nrfprov.api.errors import NrfProvError, as_data
from airflow_provider_nrfprov.api.wait_policy import Watch, at_least

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Connection

    from airflow_provider_nrfprov.api.client import ProvisioningClient

_THREADS = 16

_log = logging.getLogger(__name__)


class WaitingTrigger(BaseTrigger):
    """Waits until everything that it watches has ended. It only ever reads.

    It may run twice, on two hosts. It yields exactly one event, and none before
    :data:`~airflow_provider_nrfprov.api.wait_policy.SOONEST_EVENT` seconds have passed: whoever defers has just asked, and
    Airflow may fail a task whose trigger fires within moments of the deferral (apache/airflow#72716). Events hold ids and statuses
    only: ``{"status": "ended", "failed": […]}``, ``{"status": "timeout", "waiting": […]}`` or
    ``{"status": "error", "error": {…}}`` with ``api.errors.as_data`` of what went wrong.
    """

    def __init__(
        self, nrfprov_conn_id: str, poll_interval: float, end_time: float, *, silent_fail: bool = False
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.nrfprov_conn_id = nrfprov_conn_id
        self.poll_interval = poll_interval
        self.end_time = end_time
        self.silent_fail = silent_fail

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return class path and arguments, which are attributes of the same names; no secret is among them."""
        kind = type(self)
        arguments = {name: getattr(self, name) for name in inspect.signature(kind).parameters}
        return f"{kind.__module__}.{kind.__qualname__}", arguments

    @property
    def interval(self) -> float:
        """Seconds between two rounds, whatever a user says."""
        return at_least(self.poll_interval)

    @abstractmethod
    def watch(self) -> Watch:
        """Return a new watch over what is waited for."""

    @abstractmethod
    async def wait(self, watch: Watch) -> dict[str, Any]:
        """Wait until all has ended or time is up; return the event."""

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Ask, sleep, and ask again; one event at the end."""
        watch = self.watch()
        while True:
            started = time.monotonic()
            failure: dict[str, Any] | None = None
            # No coroutine of its own: thousands of triggers wait here.
            try:
                event = await self.wait(watch)
            except NrfProvError as error:
                # The task fails with it as if it had asked itself: a retry policy goes by the kind.
                event = failure = {"status": "error", "error": as_data(error)}
            except Exception as error:  # noqa: BLE001 - a trigger that dies without an event fails its task without a word
                event = failure = {"status": "error", "message": f"{type(error).__name__}: {error}"}
            if failure is None or not self.silent_fail:
                break
            self.log.error(
                "still waiting, as silent_fail is set: %s", failure.get("error") or failure["message"]
            )
            left = self.end_time - time.time()
            if left <= 0:
                event = {"status": "timeout", "waiting": watch.waiting}
                break
            # A connection that cannot be read is an error at once.
            await asyncio.sleep(min(left, max(0.0, started + self.interval - time.monotonic())))
        yield TriggerEvent(event)  # type: ignore[no-untyped-call]


class Connected:
    """A client of an Airflow connection that repeats nothing: the next round is the repetition.

    The connection is read again when the service refuses who asks, so that a key which was changed meanwhile is used.
    """

    def __init__(self, nrfprov_conn_id: str, connection: Connection) -> None:
        self.client = _client_of(connection)
        self.read_at = time.time()
        self._conn_id = nrfprov_conn_id
        self._fields = _fields(connection)

    @classmethod
    async def open(cls, nrfprov_conn_id: str) -> Connected:
        """Read the connection, without blocking the event loop.

        :raises AirflowNotFoundException: if there is no such connection.
        :raises ConfigurationError: if the connection cannot work.
        """
        return cls(nrfprov_conn_id, await _read(nrfprov_conn_id))

    async def has_changed(self) -> bool:
        """Read the connection again; return whether it is another one now. One that cannot be read is not."""
        return await self._read_again() is not None

    async def renew(self) -> bool:
        """Read the connection again, and use what it says from now on; return whether it has changed.

        No request may be under way: the old client is closed.

        :raises ConfigurationError: if the connection cannot work any more.
        """
        connection = await self._read_again()
        if connection is None:
            return False
        client = _client_of(connection)
        self.close()
        self.client, self._fields = client, _fields(connection)
        _log.info("connection %r has changed, its new settings are used", self._conn_id)
        return True

    def close(self) -> None:
        """Close the client's connections."""
        self.client.close()

    async def _read_again(self) -> Connection | None:
        try:
            connection = await _read(self._conn_id)
        except Exception as error:  # noqa: BLE001 - secrets backends raise what they like
            _log.warning("connection %r cannot be read again: %s", self._conn_id, type(error).__name__)
            return None
        self.read_at = time.time()
        return None if _fields(connection) == self._fields else connection


async def _read(nrfprov_conn_id: str) -> Connection:
    from airflow.providers.common.compat.connection import get_async_connection

    # On Airflow 3.0 and 3.1 a look-up that is cancelled leaves its answer to whoever looks up the next.
    return await asyncio.shield(get_async_connection(nrfprov_conn_id))


def _client_of(connection: Connection) -> ProvisioningClient:
    from airflow_provider_nrfprov.api.retry import NEVER
    from airflow_provider_nrfprov.hooks.connection import client_from

    return client_from(connection, NEVER)


def _fields(connection: Connection) -> tuple[object, ...]:
    """Return all that a client is made of."""
    return connection.password, connection.host, connection.port, connection.schema, connection.extra


@cache
def threads() -> ThreadPoolExecutor:
    """Return the threads in which triggers ask: a few for the whole triggerer, as asyncio's own are everybody's."""
    return ThreadPoolExecutor(_THREADS, thread_name_prefix="nrfprov-trigger")
