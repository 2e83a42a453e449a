"""The trigger that waits for a provisioning command. It only ever reads."""

from __future__ import annotations

import asyncio
import time
from typing import Any

from airflow_provider_nrfprov.api import wait_policy
from airflow_provider_nrfprov.api.errors import ForbiddenError, UnauthorizedError
from airflow_provider_nrfprov.api.wait_policy import CommandWatch, Watch
from airflow_provider_nrfprov.triggers.polling import Connected, WaitingTrigger, threads


class NrfProvCommandTrigger(WaitingTrigger):
    """Waits until a device has carried out a provisioning command, or could not.

    Its one event is ``{"status": "ended", "failed": […]}``, ``{"status": "timeout", "waiting": […]}`` or
    ``{"status": "error", "error": {…}}``. What the device answered is not in it: the task fetches that.

    :param nrfprov_conn_id: Airflow connection of type ``nrfprov``.
    :param device_id: UUID of the device.
    :param command_id: id of the command.
    :param poll_interval: seconds between two rounds of asking, 1 at least.
    :param end_time: when to give up, as seconds since the epoch; absolute, so that a restarted
        triggerer does not start the wait over.
    :param silent_fail: keep asking until ``end_time`` whatever goes wrong.
    """

    def __init__(
        self,
        nrfprov_conn_id: str,
        device_id: str,
        command_id: str,
        poll_interval: float,
        end_time: float,
        *,
        silent_fail: bool = False,
    ) -> None:
        super().__init__(nrfprov_conn_id, poll_interval, end_time, silent_fail=silent_fail)
        self.device_id = device_id
        self.command_id = command_id

    def watch(self) -> CommandWatch:
        """Watch the command."""
        return CommandWatch([self.command_id])

    async def wait(self, watch: Watch) -> dict[str, Any]:
        """Sleep, ask in a thread, and again, until the command has ended or time is up."""
        connected = await Connected.open(self.nrfprov_conn_id)
        try:
            pause = max(self.interval, wait_policy.SOONEST_EVENT)
            while True:
                left = self.end_time - time.time()
                await asyncio.sleep(max(0.0, min(pause, left)))
                pause = self.interval
                await self._poll(watch, connected)
                for note in watch.notes:
                    self.log.info("%s", note)
                if watch.is_done:
                    return {"status": "ended", "failed": watch.failed}
                if time.time() >= self.end_time:
                    return {"status": "timeout", "waiting": watch.waiting}
        finally:
            connected.close()

    async def _poll(self, watch: Watch, connected: Connected) -> None:
        from airflow_provider_nrfprov.api.operations import fetch_command

        def poll() -> None:
            watch.poll(lambda id_: connected.client.send(fetch_command(self.device_id, id_)))

        loop = asyncio.get_running_loop()
        try:
            await loop.run_in_executor(threads(), poll)
        except (UnauthorizedError, ForbiddenError):
            if not await connected.renew():
                raise
            await loop.run_in_executor(threads(), poll)
