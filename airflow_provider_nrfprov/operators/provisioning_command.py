"""The operator that gives a device a provisioning command."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import BaseOperator

from airflow_provider_nrfprov.retries import set_default_retry_policy

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context

    from airflow_provider_nrfprov.api.models import ProvisioningCommand
    from airflow_provider_nrfprov.hooks.nrfprov import NrfProvHook


class NrfProvCreateCommandOperator(BaseOperator):
    """Gives a device a provisioning command (CreateDeviceProvisioningCommand); it carries it out when it connects.

    Sent twice it would be two commands. The description therefore ends in a mark of this run and task, like
    ``[airflow 0123456789ab]``: a retry, or a cleared task, looks for it among the device's commands first and makes
    no second one, unless the first has FAILED. :class:`~airflow_provider_nrfprov.sensors.provisioning_command.NrfProvCommandSensor` waits
    for its end.

    :param device_id: UUID of the claimed device.
    :param request: one key, the kind of command, to its fields: ``{"finished": {}}``,
        ``{"certificateSigningRequest": {"secTag": 16842753, "attributes": "O=Factory", "keyUsage": "101010000"}}``. May hold Jinja
        templates, which are rendered by the operator itself: it is no template field, so that no rendered-template
        view shows a private key. The command to finish comes last: after it a device asks for no more.
    :param description: shown in the portal before the mark.
    :param nrfprov_conn_id: Airflow connection of type ``nrfprov``.
    :return: ``{"device_id", "command_id", "status"}``; ``command_id`` is also pushed by key.
    :raises NotFoundError: if the device is not one of ours.
    :raises ServiceError: with the service's status and words; a device has at most 20 commands.
    :raises NrfProvError: if an answer was lost and the command is not among the device's; a retry looks again.
    """

    template_fields: Sequence[str] = ("device_id", "description", "nrfprov_conn_id")

    def __init__(
        self,
        *,
        device_id: str,
        request: Mapping[str, Any],
        description: str = "",
        nrfprov_conn_id: str = "nrfprov_default",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        set_default_retry_policy(self)
        self.device_id = device_id
        self.request = request
        self.description = description
        self.nrfprov_conn_id = nrfprov_conn_id

    def execute(self, context: Context) -> dict[str, Any]:
        """Look whether the command was made before, and make it."""
        from airflow_provider_nrfprov.hooks.nrfprov import NrfProvHook

        hook = NrfProvHook(self.nrfprov_conn_id)
        mark = self._mark(context)
        command = self._made_before(hook, mark)
        if command is None:
            command = self._create(hook, self.render_template(self.request, context), mark)
            self.log.info("device %s has a new command %s (%s)", self.device_id, command.id, command.status)
        else:
            self.log.info(
                "device %s has the command already: %s (%s)", self.device_id, command.id, command.status
            )
        # By its own key, so that create.output["command_id"] works.
        context["ti"].xcom_push(key="command_id", value=command.id)
        return {"device_id": self.device_id, "command_id": command.id, "status": command.status}

    def _create(self, hook: NrfProvHook, request: Mapping[str, Any], mark: str) -> ProvisioningCommand:
        from airflow_provider_nrfprov.api.errors import (
            UnavailableError,
            UnreachableError,
            UnreadableAnswerError,
        )

        try:
            return hook.create_command(self.device_id, request, f"{self.description} {mark}".strip())
        except (UnreachableError, UnreadableAnswerError, UnavailableError):
            # It may be made all the same.
            made = self._made_before(hook, mark)
            if made is None:
                raise
            return made

    def _made_before(self, hook: NrfProvHook, mark: str) -> ProvisioningCommand | None:
        from airflow_provider_nrfprov.api.contract import COMMAND_FAILED
        from airflow_provider_nrfprov.api.errors import ForbiddenError, NotFoundError

        try:
            commands = list(hook.list_commands(self.device_id))
        except (ForbiddenError, NotFoundError) as error:
            # The path is inferred. If it is the device that is not there, the command says so.
            self.log.info("the commands of device %s cannot be listed: %s", self.device_id, error)
            return None
        ours = [
            each
            for each in commands
            if (each.description or "").endswith(mark) and each.status != COMMAND_FAILED
        ]
        return ours[-1] if ours else None

    def _mark(self, context: Context) -> str:
        map_index = getattr(context.get("ti"), "map_index", -1)
        work = (self.dag_id, self.task_id, str(map_index), str(context.get("run_id", "")))
        return f"[airflow {hashlib.sha256(chr(10).join(work).encode()).hexdigest()[:12]}]"
