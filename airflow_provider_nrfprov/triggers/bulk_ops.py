"""The trigger that waits for bulk operations. It only ever reads."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Any, TypeVar

from airflow.triggers.base import BaseTrigger, TriggerEvent

from airflow_provider_nrfprov.api.errors import NrfProvError
from airflow_provider_nrfprov.api.waiting import BulkOpsWatch

ResultT = TypeVar("ResultT")

_THREADS = 16


class NrfProvBulkOpsTrigger(BaseTrigger):
    """Waits until every one of some bulk operations has ended.

    It may run twice, on two hosts. It yields exactly one event, and none before the first
    ``poll_interval`` has passed: whoever defers has just asked, and Airflow may fail a task whose
    trigger fires within moments of the deferral (apache/airflow#72716). Events hold ids and statuses
    only: ``{"status": "ended", "failed": […]}``, ``{"status": "timeout", "waiting": […]}`` or
    ``{"status": "error", "message": "…"}``.

    :param nrfprov_conn_id: Airflow connection of type ``nrfprov``.
    :param bulk_ops_request_ids: the operations to wait for.
    :param poll_interval: seconds between two rounds of asking.
    :param end_time: when to give up, as seconds since the epoch; absolute, so that a restarted
        triggerer does not start the wait anew.
    """

    def __init__(
        self,
        nrfprov_conn_id: str,
        bulk_ops_request_ids: Sequence[str],
        poll_interval: float,
        end_time: float,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.nrfprov_conn_id = nrfprov_conn_id
        self.bulk_ops_request_ids = list(bulk_ops_request_ids)
        self.poll_interval = poll_interval
        self.end_time = end_time

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Give class path and arguments; no secret is among them."""
        return (
            "airflow_provider_nrfprov.triggers.bulk_ops.NrfProvBulkOpsTrigger",
            {
                "nrfprov_conn_id": self.nrfprov_conn_id,
                "bulk_ops_request_ids": self.bulk_ops_request_ids,
                "poll_interval": self.poll_interval,
                "end_time": self.end_time,
            },
        )

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Ask, sleep, and ask again; one event at the end."""
        watch = BulkOpsWatch(self.bulk_ops_request_ids)
        try:
            event = await self._wait(watch)
        except NrfProvError as error:
            event = {"status": "error", "message": f"{type(error).__name__}: {error}"}
        except Exception as error:  # noqa: BLE001 - a trigger that dies without an event fails its task without a word
            event = {"status": "error", "message": f"{type(error).__name__}: {error}"}
        yield TriggerEvent(event)  # type: ignore[no-untyped-call]

    async def _wait(self, watch: BulkOpsWatch) -> dict[str, Any]:
        from airflow.providers.common.compat.connection import get_async_connection

        from airflow_provider_nrfprov.api.operations import fetch_bulk_ops_request
        from airflow_provider_nrfprov.api.retry import NEVER
        from airflow_provider_nrfprov.hooks.connection import client_from

        client = client_from(await get_async_connection(self.nrfprov_conn_id), NEVER)
        with client:
            while True:
                left = self.end_time - time.time()
                await asyncio.sleep(max(0.0, min(self.poll_interval, left)))
                await _in_thread(lambda: watch.ask(lambda id_: client.send(fetch_bulk_ops_request(id_))))
                for note in watch.notes:
                    self.log.info("%s", note)
                if watch.is_done:
                    return {"status": "ended", "failed": watch.failed}
                if time.time() >= self.end_time:
                    return {"status": "timeout", "waiting": watch.waiting}


async def _in_thread(function: Callable[[], ResultT]) -> ResultT:
    return await asyncio.get_running_loop().run_in_executor(_pool(), function)


@cache
def _pool() -> ThreadPoolExecutor:
    # One for the whole triggerer: asyncio's default pool is shared with everybody else's triggers.
    return ThreadPoolExecutor(_THREADS, thread_name_prefix="nrfprov-trigger")
