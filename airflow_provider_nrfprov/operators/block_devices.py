"""The operators that block claimed devices, and unblock them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from airflow_provider_nrfprov.operators.many_devices import ManyDevicesOperator

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context


class _BlockingOperator(ManyDevicesOperator):
    """What blocking and unblocking share."""

    template_fields: Sequence[str] = (*ManyDevicesOperator.template_fields, "tag")
    _blocked = True

    def __init__(self, *, tag: str | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.tag = tag

    def execute(self, context: Context) -> dict[str, Any]:
        """Bring all the devices to what they shall be."""
        from airflow_provider_nrfprov.fleet.actions import BlockAction

        selection = self._select()
        if self.tag is not None and not selection:
            # More likely a slip of the pen than a lot without a device.
            raise ValueError(f"nothing is {self._participle}: no claimed device has the tag {self.tag!r}")
        action = BlockAction(self._hook(), blocked=self._blocked, known=selection.known)
        counts = self._run(action, selection, context)
        return {self._participle: counts.pop("done"), **counts}


class NrfProvBlockDevicesOperator(_BlockingOperator):
    """Blocks claimed devices (BlockClaimedDevice), many in one task.

    A blocked device cannot connect to the Provisioning Service, and its pending commands wait. It stays ours,
    and onboarded if it was. One that is blocked already is unchanged, so the task may be repeated.

    Takes ``device_ids``, ``report``, ``device_file``, ``report_dir``, ``max_in_flight``, ``max_failed`` and ``nrfprov_conn_id``
    as :class:`~airflow_provider_nrfprov.operators.many_devices.ManyDevicesOperator` says, and:

    :param tag: instead of naming devices: all claimed devices that have this tag when the task begins.
    :return: ``{"blocked", "unchanged", "failed"}``, numbers of devices, and with a ``report_dir`` the paths
        ``report`` and ``failed_devices``, which are also pushed by key.
    :raises ValueError: for a selection that is none, or a tag that no claimed device has.
    :raises DevicesFailedError: if more devices failed than may, after all of them were tried; names ten.
        ``DevicesRefusedError`` if a retry would be refused again.
    :raises NrfProvError: what every device would meet (401, 403, no answer); the others are not tried.
    """

    _verb = "block"
    _participle = "blocked"


class NrfProvUnblockDevicesOperator(_BlockingOperator):
    """Unblocks claimed devices (UnblockClaimedDevice), many in one task; their pending commands run then.

    Arguments and errors are those of :class:`NrfProvBlockDevicesOperator`. A device that is not blocked is
    unchanged, so the task may be repeated.

    :return: ``{"unblocked", "unchanged", "failed"}``, numbers of devices, and with a ``report_dir`` the paths
        ``report`` and ``failed_devices``, which are also pushed by key.
    """

    _blocked = False
    _verb = "unblock"
    _participle = "unblocked"
