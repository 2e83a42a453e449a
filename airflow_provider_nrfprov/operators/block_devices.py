"""The operators that block claimed devices, and unblock them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from airflow_provider_nrfprov.arguments import Argument, ArgumentError, Arguments, count, text
from airflow_provider_nrfprov.exceptions import TooManyDevicesError
from airflow_provider_nrfprov.operators.many_devices import ManyDevicesOperator

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context


class _BlockingOperator(ManyDevicesOperator):
    """What blocking and unblocking share.

    :raises ArgumentError: if devices are not named, or named in several ways, or no claimed device has the tag.
    """

    arguments: ClassVar[Arguments] = {
        **ManyDevicesOperator.arguments,
        "tag": Argument(text, optional=True),
        "max_devices": Argument(count(1), optional=True),
    }
    _blocked = True

    def __init__(
        self, *, tag: str | None = None, max_devices: int | str | None = None, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.tag = tag
        self.max_devices = max_devices
        self._check_constants()

    def execute(self, context: Context) -> dict[str, Any]:
        """Bring all the devices to what they shall be."""
        from airflow_provider_nrfprov.fleet.actions import blocking

        most = self._value("max_devices")
        selection = self._select()
        if self.tag is not None and not selection:
            # A typing error is more likely than a lot without a device.
            raise ArgumentError(f"nothing was {self._participle}: no claimed device has the tag {self.tag!r}")
        if most is not None and len(selection) > most:
            raise TooManyDevicesError(
                f"nothing was {self._participle}: {len(selection):,} devices are more than max_devices={most:,} allows"
            )
        action = blocking(self._connected_hook(), blocked=self._blocked, only_with=self._value("tag"))
        counts = self._run(action, selection, context)
        return {self._participle: counts.pop("done"), **counts}


class NrfProvBlockDevicesOperator(_BlockingOperator):
    """Blocks claimed devices (BlockClaimedDevice), many in one task.

    A blocked device cannot connect to the Provisioning Service, and its pending commands wait. It stays ours,
    and onboarded if it was. One that is blocked already is unchanged, so the task may be repeated.

    :param device_ids: UUIDs of the devices: a list, or text with commas between them.
    :param report: instead: path of a bulk claim's ``report.csv``, whose claimed and already claimed devices are
        meant; ``report.output["report"]`` fits. So does the report of such an operator: done and unchanged.
    :param device_file: instead: path of a text file with one UUID a line, as ``failed_devices.txt`` is.
    :param tag: instead of naming devices: all claimed devices that have this tag when the task begins.
    :param max_devices: the most devices that this task may block; if there are more, none is blocked. ``None`` for any number.
    :param report_dir: folder for ``report.csv`` (a line a device), ``failed_devices.txt`` and ``summary.json``, and for the
        record that a retry goes on from; local or on an object store. Different for each run, task and map index; the
        same for each try. ``None`` for no report.
    :param max_in_flight: how many requests are in flight at most; a 429 slows all of them down together.
    :param max_failed_devices: how many devices may fail before the task fails, after all were tried; ``None`` for any
        number.
    :param max_failed_ratio: the share of the devices that may fail, from 0 to 1; the larger limit counts. ``None`` for no share.
    :param nrfprov_conn_id: Airflow connection of type ``nrfprov``.
    :return: ``{"blocked", "unchanged", "failed"}``, numbers of devices, and with a ``report_dir`` the paths
        ``report`` and ``failed_devices``, which are also pushed by key: the latter only if some failed, else it is ``None`` here.
    :raises TooManyDevicesError: if there are more than ``max_devices``; nothing is blocked then.
    :raises DevicesFailedError: if more devices failed than allowed, after all of them were tried; names ten.
        ``DevicesRefusedError`` if a retry would be refused again.
    :raises NrfProvError: for an error that every device would get (401, 403, no answer); the others are not tried.
    """

    _verb = "block"
    _participle = "blocked"
    _needs = "BlockClaimedDevice"


class NrfProvUnblockDevicesOperator(_BlockingOperator):
    """Unblocks claimed devices (UnblockClaimedDevice), many in one task; their pending commands run then.

    A device that is not blocked is unchanged, so the task may be repeated.

    :param device_ids: UUIDs of the devices: a list, or text with commas between them.
    :param report: instead: path of a bulk claim's ``report.csv``, whose claimed and already claimed devices are
        meant; ``report.output["report"]`` fits. So does the report of such an operator: done and unchanged.
    :param device_file: instead: path of a text file with one UUID a line, as ``failed_devices.txt`` is.
    :param tag: instead of naming devices: all claimed devices that have this tag when the task begins.
    :param max_devices: the most devices that this task may unblock; if there are more, none is unblocked. ``None`` for any number.
    :param report_dir: folder for ``report.csv`` (a line a device), ``failed_devices.txt`` and ``summary.json``, and for the
        record that a retry goes on from; local or on an object store. Different for each run, task and map index; the
        same for each try. ``None`` for no report.
    :param max_in_flight: how many requests are in flight at most; a 429 slows all of them down together.
    :param max_failed_devices: how many devices may fail before the task fails, after all were tried; ``None`` for any
        number.
    :param max_failed_ratio: the share of the devices that may fail, from 0 to 1; the larger limit counts. ``None`` for no share.
    :param nrfprov_conn_id: Airflow connection of type ``nrfprov``.
    :return: ``{"unblocked", "unchanged", "failed"}``, numbers of devices, and with a ``report_dir`` the paths
        ``report`` and ``failed_devices``, which are also pushed by key: the latter only if some failed, else it is ``None`` here.
    :raises TooManyDevicesError: if there are more than ``max_devices``; nothing is unblocked then.
    :raises DevicesFailedError: if more devices failed than allowed, after all of them were tried; names ten.
        ``DevicesRefusedError`` if a retry would be refused again.
    :raises NrfProvError: for an error that every device would get (401, 403, no answer); the others are not tried.
    """

    _blocked = False
    _verb = "unblock"
    _participle = "unblocked"
    _needs = "UnblockClaimedDevice"
