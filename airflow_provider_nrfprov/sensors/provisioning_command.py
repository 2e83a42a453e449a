"""The sensor that waits until a device has carried out a provisioning command."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from airflow.configuration import conf

from airflow_provider_nrfprov.api.wait_policy import CommandWatch
from airflow_provider_nrfprov.arguments import Argument, Arguments, text
from airflow_provider_nrfprov.exceptions import CommandFailedError
from airflow_provider_nrfprov.sensors.deferring import DeferringSensor

if TYPE_CHECKING:
    from datetime import timedelta

    from airflow_provider_nrfprov.api.models import ProvisioningCommand
    from airflow_provider_nrfprov.triggers.provisioning_command import NrfProvCommandTrigger

_SHOWN_CHARACTERS = 2000


class NrfProvCommandSensor(DeferringSensor):
    """Waits until a provisioning command has ended, and returns what the device answered.

    A device carries its commands out when it connects, which may be days later: set a ``timeout``
    that fits (Airflow's default is seven days). A blocked device carries out nothing.

    A failed poll is tolerated, 20 in a row are not; a permanent error (401, 403, 404, 410) fails the
    task at once. With ``mode="reschedule"`` the task keeps its worker slot as long as polls fail. PENDING and IN_PROGRESS are waited for; any other status ends the wait, as for Nordic's own
    tool. Only SUCCEEDED counts as success.

    :param device_id: UUID of the claimed device.
    :param command_id: id of the command; ``create.output["command_id"]`` of
        :class:`~airflow_provider_nrfprov.operators.provisioning_command.NrfProvCreateCommandOperator` fits.
    :param nrfprov_conn_id: Airflow connection of type ``nrfprov``.
    :param deferrable: wait in the triggerer and give the worker slot up.
    :param poke_interval: seconds between two polls, 30 by default, 1 at least.
    :return: ``{"device_id", "command_id", "status", "response"}``; ``response`` is what the device answered, under
        the kind of command: ``{"certificateSigningRequest": {"message": …}}``.
    :raises CommandFailedError: if the command did not end SUCCEEDED (skips with ``soft_fail`` or ``never_fail``).
    :raises AirflowSensorTimeout: after ``timeout`` seconds (skips with ``soft_fail``).
    """

    arguments: ClassVar[Arguments] = {
        "device_id": Argument(text),
        "command_id": Argument(text),
    }

    def __init__(
        self,
        *,
        device_id: str,
        command_id: str,
        deferrable: bool | str = conf.getboolean("operators", "default_deferrable", fallback=False),
        poke_interval: float | timedelta = 30,
        **kwargs: Any,
    ) -> None:
        super().__init__(deferrable=deferrable, poke_interval=poke_interval, **kwargs)
        self.device_id = device_id
        self.command_id = command_id
        self._seen: ProvisioningCommand | None = None
        self._check_constants()

    def _new_watch(self) -> CommandWatch:
        self.hook.require("FetchDeviceProvisioningCommand")
        return CommandWatch([self._value("command_id")])

    def _fetch(self, id_: str) -> ProvisioningCommand:
        self._seen = self.hook.fetch_command(self._value("device_id"), id_)
        return self._seen

    def _trigger(self, waiting: Sequence[str], end_time: float) -> NrfProvCommandTrigger:
        from airflow_provider_nrfprov.triggers.provisioning_command import NrfProvCommandTrigger

        return NrfProvCommandTrigger(
            self._value("nrfprov_conn_id"),
            self._value("device_id"),
            self._value("command_id"),
            self.poke_interval,
            end_time,
            silent_fail=self.silent_fail,
        )

    def _end(self, failed: Sequence[str]) -> dict[str, Any]:
        from airflow_provider_nrfprov.hooks.nrfprov import NrfProvHook

        device_id, command_id = self._value("device_id"), self._value("command_id")
        # After a deferral it is fetched once more: a trigger's event holds no answers of devices.
        command = self._seen
        if command is None or not command.is_finished:
            command = NrfProvHook(self._value("nrfprov_conn_id")).fetch_command(device_id, command_id)
        if failed:
            raise CommandFailedError(
                f"provisioning command {command_id} of device {device_id} ended {command.status}: "
                f"{str(command.response)[:_SHOWN_CHARACTERS]}"
            )
        self.log.info("device %s has carried out command %s", device_id, command_id)
        return {
            "device_id": device_id,
            "command_id": command.id,
            "status": command.status,
            "response": command.response,
        }

    def _late(self, waiting: Sequence[str]) -> str:
        return f"device {self.device_id} has not carried out command {self.command_id} in time"
