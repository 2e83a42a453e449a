"""The operator that unclaims devices."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from airflow_provider_nrfprov.arguments import Argument, Arguments, count
from airflow_provider_nrfprov.exceptions import UnclaimRefusedError
from airflow_provider_nrfprov.operators.device_selection import Selection
from airflow_provider_nrfprov.operators.many_devices import ManyDevicesOperator

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context


class NrfProvUnclaimDevicesOperator(ManyDevicesOperator):
    """Unclaims devices (UnclaimDevice). Anybody may claim them then, and their data in nRF Cloud is deleted.

    Guarded: the devices are named one by one and never by a tag, an empty selection is refused, and so is
    one of more than ``max_devices``. A device that is not ours (any more) is done, so the task may be repeated.

    :param device_ids: UUIDs of the devices: a list, or text with commas between them.
    :param report: instead: path of a bulk claim's ``report.csv``, whose claimed and already claimed devices are
        meant; ``report.output["report"]`` fits. So does the report of such an operator: done and unchanged.
    :param device_file: instead: path of a text file with one UUID a line, as ``failed_devices.txt`` is.
    :param max_devices: the most devices that this task may unclaim; if there are more, none is unclaimed.
    :param report_dir: folder for ``report.csv`` (a line a device), ``failed_devices.txt`` and ``summary.json``, and for the
        record that a retry goes on from; local or on an object store. Different for each run, task and map index; the
        same for each try. ``None`` for no report.
    :param max_in_flight: how many requests are in flight at most; a 429 slows all of them down together.
    :param max_failed_devices: how many devices may fail before the task fails, after all were tried; ``None`` for any
        number.
    :param max_failed_ratio: the share of the devices that may fail, from 0 to 1; the larger limit counts. ``None`` for no share.
    :param nrfprov_conn_id: Airflow connection of type ``nrfprov``.
    :return: ``{"unclaimed", "were_not_ours", "failed"}``, numbers of devices, and with a ``report_dir`` the paths
        ``report`` and ``failed_devices``, which are also pushed by key: the latter only if some failed, else it is ``None`` here.
    :raises UnclaimRefusedError: by a guard, before anything is unclaimed.
    :raises DevicesFailedError: if more devices failed than allowed, after all of them were tried; names ten.
        ``DevicesRefusedError`` if a retry would be refused again.
    :raises NrfProvError: for an error that every device would get (401, 403, no answer); the others are not tried.
    """

    arguments: ClassVar[Arguments] = {
        **ManyDevicesOperator.arguments,
        "max_devices": Argument(count(1)),
    }
    ui_color = "#f7dcd7"
    _verb = "unclaim"
    _participle = "unclaimed"
    _needs = "UnclaimDevice"

    def __init__(self, *, max_devices: int | str = 10, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.max_devices = max_devices
        self._check_constants()

    def execute(self, context: Context) -> dict[str, Any]:
        """Unclaim the devices."""
        from airflow_provider_nrfprov.fleet.actions import unclaiming

        selection = self._guarded_selection()
        counts = self._run(unclaiming(self._connected_hook()), selection, context)
        return {"unclaimed": counts.pop("done"), "were_not_ours": counts.pop("unchanged"), **counts}

    def _guarded_selection(self) -> Selection:
        most = self._value("max_devices")
        try:
            selection = self._select()
        except ValueError as error:
            raise UnclaimRefusedError(f"nothing was unclaimed: {error}") from None
        if not selection:
            raise UnclaimRefusedError("nothing was unclaimed: the selection of devices is empty")
        if len(selection) > most:
            raise UnclaimRefusedError(
                f"nothing was unclaimed: {len(selection):,} devices are more than max_devices={most:,} allows"
            )
        return selection
