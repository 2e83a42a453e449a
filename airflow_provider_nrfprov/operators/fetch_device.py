"""The operator that fetches one claimed device with its tags."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import BaseOperator

from airflow_provider_nrfprov.retries import set_default_retry_policy

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context


class NrfProvFetchDeviceOperator(BaseOperator):
    """Fetches one claimed device (FetchClaimedDevice; the path is inferred), for a branch or a mapped task to look at.

    :param device_id: UUID of the device.
    :param nrfprov_conn_id: Airflow connection of type ``nrfprov``.
    :return: the device's attributes: ``id``, ``device_type``, ``firmware_id``, ``imei``, ``owner_id``,
        ``ownership_status``, ``tags`` (a list), ``status``, ``claimed_at`` as ISO 8601.
    :raises NotFoundError: if it is not one of our claimed devices.
    :raises ServiceError: with the service's status and words.
    """

    template_fields: Sequence[str] = ("device_id", "nrfprov_conn_id")

    def __init__(self, *, device_id: str, nrfprov_conn_id: str = "nrfprov_default", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        set_default_retry_policy(self)
        self.device_id = device_id
        self.nrfprov_conn_id = nrfprov_conn_id

    def execute(self, context: Context) -> dict[str, Any]:
        """Fetch the device."""
        from airflow_provider_nrfprov.hooks.nrfprov import NrfProvHook

        device = NrfProvHook(self.nrfprov_conn_id).fetch_claimed_device(self.device_id)
        self.log.info("device %s is %s, tags: %s", device.id, device.status, ", ".join(device.tags) or "none")
        return device.as_dict()
