"""What the triggers share: asking, sleeping and asking again, without keeping the triggerer from its other work."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import TYPE_CHECKING, Any

from airflow.triggers.base import BaseTrigger, TriggerEvent

from airflow_provider_nrfprov.api.errors import NrfProvError, as_data
from airflow_provider_nrfprov.api.wait_policy import Watch

if TYPE_CHECKING:
    from airflow_provider_nrfprov.api.client import ProvisioningClient

_THREADS = 16


class WaitingTrigger(BaseTrigger):
    """Waits until everything that it watches has ended. It only ever reads.

    It may run twice, on two hosts. It yields exactly one event, and none before the first
    ``poll_interval`` has passed: whoever defers has just asked, and Airflow may fail a task whose
    trigger fires within moments of the deferral (apache/airflow#72716). Events hold ids and statuses
    only: ``{"status": "ended", "failed": […]}``, ``{"status": "timeout", "waiting": […]}`` or
    ``{"status": "error", "error": {…}}`` with ``api.errors.as_data`` of what went wrong.

    :param nrfprov_conn_id: Airflow connection of type ``nrfprov``.
    :param poll_interval: seconds between two rounds of asking.
    :param end_time: when to give up, as seconds since the epoch; absolute, so that a restarted
        triggerer does not start the wait anew.
    """

    def __init__(self, nrfprov_conn_id: str, poll_interval: float, end_time: float) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.nrfprov_conn_id = nrfprov_conn_id
        self.poll_interval = poll_interval
        self.end_time = end_time

    @abstractmethod
    def watch(self) -> Watch:
        """Give a new watch over what is waited for."""

    @abstractmethod
    async def wait(self, watch: Watch) -> dict[str, Any]:
        """Wait until all has ended or time is up; give the event."""

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Ask, sleep, and ask again; one event at the end."""
        try:
            event = await self.wait(self.watch())
        except NrfProvError as error:
            # The task fails with it as if it had asked itself: a retry policy goes by the kind.
            event = {"status": "error", "error": as_data(error)}
        except Exception as error:  # noqa: BLE001 - a trigger that dies without an event fails its task without a word
            event = {"status": "error", "message": f"{type(error).__name__}: {error}"}
        yield TriggerEvent(event)  # type: ignore[no-untyped-call]


async def connect(nrfprov_conn_id: str) -> ProvisioningClient:
    """Give a client of a connection that repeats nothing: the next round is the repetition.

    :raises ConfigurationError: if the connection cannot work.
    """
    from airflow.providers.common.compat.connection import get_async_connection

    from airflow_provider_nrfprov.api.retry import NEVER
    from airflow_provider_nrfprov.hooks.connection import client_from

    return client_from(await get_async_connection(nrfprov_conn_id), NEVER)


@cache
def threads() -> ThreadPoolExecutor:
    """Give the threads in which triggers ask: a few for the whole triggerer, as asyncio's own are everybody's."""
    return ThreadPoolExecutor(_THREADS, thread_name_prefix="nrfprov-trigger")
