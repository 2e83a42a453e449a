"""What can be done to a device: tag, block or unblock, unclaim. Each may be repeated to the same end.

A block is skipped only where the service itself calls the device blocked: a quarantine must not rest on a
guess. Whether a blocked device may be blocked again is unknown; 200 and 409 are both understood.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import Enum
from typing import TYPE_CHECKING

from airflow_provider_nrfprov.api.contract import BLOCKED_STATUS
from airflow_provider_nrfprov.api.errors import ConflictError, NotFoundError
from airflow_provider_nrfprov.api.models import ClaimedDevice
from airflow_provider_nrfprov.fleet.engine import Act, DeviceOutcome, DeviceResult, failed

if TYPE_CHECKING:
    from airflow_provider_nrfprov.api.service import ProvisioningService

_FEW = 5
"""So many devices are fetched one by one: no page of a list is worth it."""


class TagMode(str, Enum):
    """What happens to the tags that a device has."""

    ADD = "add"
    REMOVE = "remove"
    REPLACE = "replace"


class TagAction:
    """Brings the tags of devices to what they should be.

    Setting tags replaces a device's whole set, so its present tags are asked first: mostly 0.01 to 0.1
    requests a device, one where the team's list is much longer than what is to be tagged.

    :param known: devices of which the tags are known, by id.
    """

    def __init__(
        self,
        service: ProvisioningService,
        tags: Sequence[str],
        mode: TagMode,
        known: Mapping[str, ClaimedDevice] | None = None,
    ) -> None:
        self._service = service
        self._tags = tags
        self._mode = mode
        self._known = known or {}

    def prepare(self, device_ids: Sequence[str]) -> Act:
        """Ask which tags the devices have."""
        unknown = [device_id for device_id in device_ids if device_id not in self._known]
        found, is_all = self._service.find_on_pages(unknown)
        present = {device.id: device.tags for device in (*self._known.values(), *found.values())}

        def act(device_id: str) -> DeviceResult:
            tags = present.get(device_id)
            if tags is None and not is_all:
                tags = self._fetch(device_id)
            if tags is None:
                return DeviceResult(
                    device_id, DeviceOutcome.FAILED, "not_ours", "is not among our claimed devices"
                )
            return self._set(device_id, tags)

        return act

    def _fetch(self, device_id: str) -> tuple[str, ...] | None:
        try:
            return self._service.fetch_claimed_device(device_id).tags
        except NotFoundError:
            return None

    def _set(self, device_id: str, present: Sequence[str]) -> DeviceResult:
        wanted = wanted_tags(present, self._tags, self._mode)
        if set(wanted) == set(present):
            return DeviceResult(device_id, DeviceOutcome.UNCHANGED)
        self._service.set_device_tags(device_id, wanted)
        return DeviceResult(device_id, DeviceOutcome.DONE)


def wanted_tags(present: Sequence[str], tags: Sequence[str], mode: TagMode) -> tuple[str, ...]:
    """Return the tags a device should have, the present ones first and in their order."""
    if mode is TagMode.ADD:
        return tuple(dict.fromkeys((*present, *tags)))
    if mode is TagMode.REMOVE:
        return tuple(tag for tag in present if tag not in tags)
    return tuple(dict.fromkeys(tags))


class BlockAction:
    """Blocks devices, or unblocks them.

    Sending costs one request a device whatever its status is, so no more than 0.1 are spent to learn
    the status before; where it is not learnt, the device counts as done and not as unchanged.

    :param blocked: what the devices shall be.
    :param known: devices of which the status is known, by id.
    """

    def __init__(
        self, service: ProvisioningService, *, blocked: bool, known: Mapping[str, ClaimedDevice] | None = None
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


class UnclaimAction:
    """Unclaims devices, one request each."""

    def __init__(self, service: ProvisioningService) -> None:
        self._service = service

    def prepare(self, device_ids: Sequence[str]) -> Act:
        """Nothing has to be known before."""
        return self._act

    def _act(self, device_id: str) -> DeviceResult:
        try:
            self._service.unclaim_device(device_id)
        except NotFoundError:
            # Also if our first request did it, and its answer was lost.
            return DeviceResult(device_id, DeviceOutcome.UNCHANGED, "404", "was not ours, or no longer is")
        return DeviceResult(device_id, DeviceOutcome.DONE)
