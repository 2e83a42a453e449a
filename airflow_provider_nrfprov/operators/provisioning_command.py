"""The operator that creates a provisioning command for a device."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from airflow_provider_nrfprov.api.errors import (
    ForbiddenError,
    NotFoundError,
    UnavailableError,
    UnreachableError,
    UnreadableAnswerError,
)
from airflow_provider_nrfprov.arguments import Argument, Arguments, fields, text
from airflow_provider_nrfprov.operators.base import ConnectedOperator, push, task_of

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context

    from airflow_provider_nrfprov.api.models import ProvisioningCommand


class NrfProvCreateCommandOperator(ConnectedOperator):
    """Creates a provisioning command for a device (CreateDeviceProvisioningCommand), which carries it out when it connects.

    A command that is sent twice would be two commands. The description therefore ends in a mark of this run and task, like
    ``[airflow 0123456789ab]``: a retry, or a cleared task, looks for it among the device's commands first and makes
    no second one, unless the first has FAILED. :class:`~airflow_provider_nrfprov.sensors.provisioning_command.NrfProvCommandSensor` waits
    for its end.

    :param device_id: UUID of the claimed device.
    :param request: one key, the kind of command, to its fields: ``{"finished": {}}``,
        ``{"certificateSigningRequest": {"secTag": 16842753, "attributes": "O=Factory", "keyUsage": "101010000"}}``. May hold
        templates and the output of other tasks, which are rendered by the operator itself: it is not a template field, so that no
        rendered-template view shows a private key. What renders to nothing in it is an error. In a mapped task a private key
        that is written in the DAG is refused. The command to finish comes last: after it a device asks for no more.
    :param description: shown in the portal before the mark.
    :param nrfprov_conn_id: Airflow connection of type ``nrfprov``.
    :return: ``{"device_id", "command_id", "status"}``; ``command_id`` is also pushed by key.
    :raises ArgumentError: for an argument, or a part of the request, that renders to nothing; nothing is sent then.
    :raises NotFoundError: if the device is not one of ours.
    :raises ServiceError: with the service's status and words; a device has at most 20 commands.
    :raises NrfProvError: if an answer was lost and the command is not among the device's; a retry looks again.
    """

    arguments: ClassVar[Arguments] = {
        "device_id": Argument(text),
        "description": Argument(text, blank=True),
    }
    secret_arguments: ClassVar[Arguments] = {"request": Argument(fields)}
    xcoms: ClassVar[Mapping[str, str]] = {"command_id": "id of the command"}

    def __init__(
        self,
        *,
        device_id: str,
        request: Mapping[str, Any],
        description: str = "",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.device_id = device_id
        self.request = request
        self.description = description
        self._check_constants()

    def execute(self, context: Context) -> dict[str, Any]:
        """Look whether the command was made before, and make it."""
        device_id, description = self._value("device_id"), self._value("description")
        request = self._secret_value("request", context)
        mark = self._mark(context)
        command = self._made_before(device_id, mark)
        if command is None:
            command = self._create(device_id, request, description, mark)
            self.log.info("device %s has a new command %s (%s)", device_id, command.id, command.status)
        else:
            self.log.info("device %s has the command already: %s (%s)", device_id, command.id, command.status)
        # By its own key, so that create.output["command_id"] works.
        push(self, context, command_id=command.id)
        return {"device_id": device_id, "command_id": command.id, "status": command.status}

    def _create(
        self, device_id: str, request: Mapping[str, Any], description: str, mark: str
    ) -> ProvisioningCommand:
        try:
            return self.hook.create_command(device_id, request, f"{description} {mark}".strip())
        except (UnreachableError, UnreadableAnswerError, UnavailableError):
            # It may be made all the same.
            made = self._made_before(device_id, mark)
            if made is None:
                raise
            return made

    def _made_before(self, device_id: str, mark: str) -> ProvisioningCommand | None:
        from airflow_provider_nrfprov.api.contract import COMMAND_FAILED

        try:
            commands = list(self.hook.list_commands(device_id))
        except (ForbiddenError, NotFoundError) as error:
            # The path is inferred. If it is the device that is not there, the command says so.
            self.log.info("the commands of device %s cannot be listed: %s", device_id, error)
            return None
        ours = [
            each
            for each in commands
            if (each.description or "").endswith(mark) and each.status != COMMAND_FAILED
        ]
        return ours[-1] if ours else None

    def _mark(self, context: Context) -> str:
        task = task_of(context, self)
        work = [str(task[key]) for key in ("dag_id", "task_id", "map_index", "run_id")]
        return f"[airflow {hashlib.sha256(chr(10).join(work).encode()).hexdigest()[:12]}]"
