"""The operator that gives devices up."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from airflow_provider_nrfprov.operators.many_devices import ManyDevicesOperator

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context

    from airflow_provider_nrfprov.operators.device_selection import Selection


class NrfProvUnclaimDevicesOperator(ManyDevicesOperator):
    """Unclaims devices (UnclaimDevice). Anybody may claim them then, and their data in nRF Cloud is deleted.

    Guarded: the devices are named one by one and never by a tag, an empty selection is refused, and so is
    one of more than ``max_devices``. A device that is not ours (any more) is done, so the task may be repeated.

    Takes ``device_ids``, ``report``, ``device_file``, ``report_dir``, ``max_in_flight``, ``max_failed`` and ``nrfprov_conn_id``
    as :class:`~airflow_provider_nrfprov.operators.many_devices.ManyDevicesOperator` says, and:

    :param max_devices: the most devices that this task may unclaim.
    :return: ``{"unclaimed", "were_not_ours", "failed"}``, numbers of devices, and with a ``report_dir`` the paths
        ``report`` and ``failed_devices``, which are also pushed by key.
    :raises UnclaimRefusedError: by a guard, before anything is unclaimed.
    :raises DevicesFailedError: if more devices failed than may, after all of them were tried; names ten.
        ``DevicesRefusedError`` if a retry would be refused again.
    :raises NrfProvError: what every device would meet (401, 403, no answer); the others are not tried.
    """

    template_fields: Sequence[str] = (*ManyDevicesOperator.template_fields, "max_devices")
    ui_color = "#f7dcd7"
    _verb = "unclaim"
    _participle = "unclaimed"

    def __init__(self, *, max_devices: int | str = 10, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.max_devices = max_devices

    def execute(self, context: Context) -> dict[str, Any]:
        """Unclaim the devices."""
        from airflow_provider_nrfprov.fleet.actions import UnclaimAction

        selection = self._guarded_selection()
        counts = self._run(UnclaimAction(self._hook()), selection, context)
        return {"unclaimed": counts.pop("done"), "were_not_ours": counts.pop("unchanged"), **counts}

    def _guarded_selection(self) -> Selection:
        from airflow_provider_nrfprov.exceptions import UnclaimRefusedError

        try:
            selection = self._select()
        except ValueError as error:
            raise UnclaimRefusedError(f"nothing is unclaimed: {error}") from None
        if not selection:
            raise UnclaimRefusedError("nothing is unclaimed: the selection of devices is empty")
        if len(selection) > int(self.max_devices):
            raise UnclaimRefusedError(
                f"nothing is unclaimed: {len(selection)} devices are more than max_devices={self.max_devices} allows"
            )
        return selection
