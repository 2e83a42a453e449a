"""Blocking and unblocking claimed devices: what is so already stays so.

A block is skipped only where the service itself calls the device blocked: a quarantine must not rest on a
guess. Whether a blocked device may be blocked again is unknown; 200 and 409 are both understood.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Protocol

from airflow_provider_nrfprov.api.contract import BLOCKED_STATUS
from airflow_provider_nrfprov.api.errors import ConflictError
from airflow_provider_nrfprov.api.models import ClaimedDevice
from airflow_provider_nrfprov.claiming.many_devices import Act, DeviceOutcome, DeviceResult, failed

_FEW = 5
"""So many devices are fetched one by one: no page of a list is worth it."""


class Blocking(Protocol):
    """What blocking asks of the service; the provider's hook is one."""

    def find_on_pages(self, device_ids: Collection[str]) -> tuple[dict[str, ClaimedDevice], bool]:
        """Find which of these devices are ours, as far as the list shows it cheaply."""
        ...

    def find_claimed_devices(self, device_ids: Collection[str]) -> dict[str, ClaimedDevice]:
        """Find which of these devices are ours."""
        ...

    def fetch_claimed_device(self, device_id: str) -> ClaimedDevice:
        """Fetch one of our claimed devices."""
        ...

    def block_device(self, device_id: str) -> None:
        """Block a device."""
        ...

    def unblock_device(self, device_id: str) -> None:
        """Unblock a device."""
        ...


class BlockAction:
    """Blocks devices, or unblocks them.

    Sending costs one request a device whatever its status is, so no more than 0.1 are spent to learn
    the status before; where it is not learnt, the device counts as done and not as unchanged.

    :param blocked: what the devices shall be.
    :param known: devices of which the status is known, by id.
    """

    def __init__(
        self, service: Blocking, *, blocked: bool, known: Mapping[str, ClaimedDevice] | None = None
    ) -> None:
        self._service = service
        self._blocked = blocked
        self._send = service.block_device if blocked else service.unblock_device
        self._known = known or {}

    def prepare(self, device_ids: Sequence[str]) -> Act:
        """Ask which status the devices have."""
        unknown = [device_id for device_id in device_ids if device_id not in self._known]
        if len(unknown) <= _FEW:
            found = self._service.find_claimed_devices(unknown)
        else:
            found, _ = self._service.find_on_pages(unknown)
        devices = (*self._known.values(), *found.values())
        so_already = {device.id for device in devices if _is_blocked(device) is self._blocked}

        def act(device_id: str) -> DeviceResult:
            return self._act(device_id, so_already=device_id in so_already)

        return act

    def _act(self, device_id: str, *, so_already: bool) -> DeviceResult:
        if so_already and self._blocked:
            return DeviceResult(device_id, DeviceOutcome.UNCHANGED)
        try:
            # Also to unblock a device that does not look blocked: the word for it is inferred.
            self._send(device_id)
        except ConflictError as error:
            return self._after_conflict(device_id, error)
        return DeviceResult(device_id, DeviceOutcome.UNCHANGED if so_already else DeviceOutcome.DONE)

    def _after_conflict(self, device_id: str, error: ConflictError) -> DeviceResult:
        if _is_blocked(self._service.fetch_claimed_device(device_id)) is not self._blocked:
            return failed(device_id, error)
        return DeviceResult(device_id, DeviceOutcome.UNCHANGED, str(error.status), error.problem.message)


def _is_blocked(device: ClaimedDevice) -> bool:
    return (device.status or "").upper() == BLOCKED_STATUS
