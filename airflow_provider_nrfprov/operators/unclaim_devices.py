"""The operator that gives devices up."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import BaseOperator

from airflow_provider_nrfprov.retries import set_default_retry_policy

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context


class NrfProvUnclaimDevicesOperator(BaseOperator):
    """Unclaims devices (UnclaimDevice). Anybody may claim them then, and their data in nRF Cloud is deleted.

    Guarded: the devices are named one by one, an empty selection is refused, and so is one of more
    than ``max_devices``. A device that is not ours (any more) is done, so the task may be repeated.

    :param device_ids: UUIDs of the devices, or a template that renders to a list of them.
    :param max_devices: the most devices that this task may unclaim.
    :param nrfprov_conn_id: Airflow connection of type ``nrfprov``.
    :return: ``{"unclaimed", "were_not_ours"}``, numbers of devices.
    :raises UnclaimRefusedError: by a guard, before anything is unclaimed.
    :raises NrfProvError: at the first device that cannot be unclaimed.
    """

    template_fields: Sequence[str] = ("device_ids", "max_devices", "nrfprov_conn_id")
    template_fields_renderers = {"device_ids": "json"}  # noqa: RUF012 - as Airflow declares it
    ui_color = "#f7dcd7"

    def __init__(
        self,
        *,
        device_ids: Sequence[str] | str,
        max_devices: int | str = 10,
        nrfprov_conn_id: str = "nrfprov_default",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        set_default_retry_policy(self)
        self.device_ids = device_ids
        self.max_devices = max_devices
        self.nrfprov_conn_id = nrfprov_conn_id

    def execute(self, context: Context) -> dict[str, int]:
        """Unclaim the devices, one after the other."""
        from airflow_provider_nrfprov.api.errors import NotFoundError
        from airflow_provider_nrfprov.exceptions import UnclaimRefusedError
        from airflow_provider_nrfprov.hooks.nrfprov import NrfProvHook
        from airflow_provider_nrfprov.operators.device_selection import select_devices

        try:
            devices = select_devices(self.device_ids, report=None)
        except ValueError as error:
            raise UnclaimRefusedError(f"nothing is unclaimed: {error}") from None
        if not devices:
            raise UnclaimRefusedError("nothing is unclaimed: the selection of devices is empty")
        if len(devices) > int(self.max_devices):
            raise UnclaimRefusedError(
                f"nothing is unclaimed: {len(devices)} devices are more than max_devices={self.max_devices} allows"
            )
        hook = NrfProvHook(self.nrfprov_conn_id)
        unclaimed = 0
        for device_id in devices:
            try:
                hook.unclaim_device(device_id)
            except NotFoundError:
                self.log.info("device %s was not ours", device_id)
            else:
                unclaimed += 1
                self.log.info("unclaimed device %s (%d of %d)", device_id, unclaimed, len(devices))
        return {"unclaimed": unclaimed, "were_not_ours": len(devices) - unclaimed}
