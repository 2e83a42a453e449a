"""The trigger that waits for a provisioning command. It only ever reads."""

from __future__ import annotations

from typing import Any

from airflow_provider_nrfprov.api.models import ProvisioningCommand
from airflow_provider_nrfprov.api.waiting import CommandWatch
from airflow_provider_nrfprov.triggers.polling import PollingTrigger


class NrfProvCommandTrigger(PollingTrigger):
    """Waits until a device has carried out a provisioning command, or could not.

    Its one event is ``{"status": "ended", "failed": […]}``, ``{"status": "timeout", "waiting": […]}`` or
    ``{"status": "error", "error": {…}}``. What the device answered is not in it: the task fetches that.

    :param nrfprov_conn_id: Airflow connection of type ``nrfprov``.
    :param device_id: UUID of the device.
    :param command_id: id of the command.
    :param poll_interval: seconds between two rounds of asking.
    :param end_time: when to give up, as seconds since the epoch; absolute, so that a restarted
        triggerer does not start the wait anew.
    """

    def __init__(
        self, nrfprov_conn_id: str, device_id: str, command_id: str, poll_interval: float, end_time: float
    ) -> None:
        super().__init__(nrfprov_conn_id, poll_interval, end_time)
        self.device_id = device_id
        self.command_id = command_id

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Give class path and arguments; no secret is among them."""
        return (
            "airflow_provider_nrfprov.triggers.provisioning_command.NrfProvCommandTrigger",
            {
                "nrfprov_conn_id": self.nrfprov_conn_id,
                "device_id": self.device_id,
                "command_id": self.command_id,
                "poll_interval": self.poll_interval,
                "end_time": self.end_time,
            },
        )

    def watch(self) -> CommandWatch:
        """Watch the command."""
        return CommandWatch([self.command_id])

    def fetch(self, client: Any, id_: str) -> ProvisioningCommand:
        """Ask about the command."""
        from airflow_provider_nrfprov.api.operations import fetch_command

        command: ProvisioningCommand = client.send(fetch_command(self.device_id, id_))
        return command
