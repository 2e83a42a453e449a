"""The operator that fetches one claimed device with its tags."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from airflow_provider_nrfprov.arguments import Argument, Arguments, text
from airflow_provider_nrfprov.operators.base import ConnectedOperator

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context


class NrfProvFetchDeviceOperator(ConnectedOperator):
    """Fetches one claimed device (FetchClaimedDevice; the path is inferred), for a branch or a mapped task to look at.

    :param device_id: UUID of the device.
    :param nrfprov_conn_id: Airflow connection of type ``nrfprov``.
    :return: the device's attributes: ``id``, ``device_type``, ``firmware_id``, ``imei``, ``owner_id``,
        ``ownership_status``, ``tags`` (a list), ``status``, ``claimed_at`` as ISO 8601.
    :raises NotFoundError: if it is not one of our claimed devices.
    :raises ServiceError: with the service's status and words.
    """

    arguments: ClassVar[Arguments] = {"device_id": Argument(text)}

    def __init__(self, *, device_id: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.device_id = device_id
        self._check_constants()

    def execute(self, context: Context) -> dict[str, Any]:
        """Fetch the device."""
        device_id = self._value("device_id")
        with self._naming("device_id", "cannot be used: "):
            device = self.hook.fetch_claimed_device(device_id)
        self.log.info(
            "device %s is %s, tags: %s",
            device.id,
            device.status or "ours",
            "not told" if device.tags is None else ", ".join(device.tags) or "none",
        )
        return device.as_dict()
