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
from airflow_provider_nrfprov.fleet.engine import Act, Action, DeviceOutcome, DeviceResult, failed

if TYPE_CHECKING:
    from airflow_provider_nrfprov.api.service import ProvisioningService

_FEW = 5
"""So many devices are fetched one by one: no page of a list is worth it."""


class TagMode(str, Enum):
    """What happens to the tags that a device has."""

    ADD = "add"
    REMOVE = "remove"
    REPLACE = "replace"


def tagging(
    service: ProvisioningService,
    tags: Sequence[str],
    mode: TagMode,
    known: Mapping[str, ClaimedDevice] | None = None,
) -> Action:
    """Return what brings the tags of devices to what they should be.

    Setting tags replaces a device's whole set, so its present tags are asked first: mostly 0.01 to 0.1
    requests a device, one where the team's list is much longer than what is to be tagged.

    :param known: devices of which the tags are known, by id.
    """
    known = known or {}

    def prepare(device_ids: Sequence[str]) -> Act:
        found, is_all = service.find_on_pages([each for each in device_ids if each not in known])
        present = {device.id: device.tags for device in (*known.values(), *found.values())}

        def act(device_id: str) -> DeviceResult:
            before = present.get(device_id)
            if before is None and not is_all:
                before = _tags_of(service, device_id)
            if before is None:
                return DeviceResult(
                    device_id, DeviceOutcome.FAILED, "not_ours", "is not among our claimed devices"
                )
            wanted = wanted_tags(before, tags, mode)
            if set(wanted) == set(before):
                return DeviceResult(device_id, DeviceOutcome.UNCHANGED)
            service.set_device_tags(device_id, wanted)
            return DeviceResult(device_id, DeviceOutcome.DONE)

        return act

    return prepare


def _tags_of(service: ProvisioningService, device_id: str) -> tuple[str, ...] | None:
    try:
        return service.fetch_claimed_device(device_id).tags
    except NotFoundError:
        return None


def wanted_tags(present: Sequence[str], tags: Sequence[str], mode: TagMode) -> tuple[str, ...]:
    """Return the tags a device should have, the present ones first and in their order."""
    if mode is TagMode.ADD:
        return tuple(dict.fromkeys((*present, *tags)))
    if mode is TagMode.REMOVE:
        return tuple(tag for tag in present if tag not in tags)
    return tuple(dict.fromkeys(tags))


def blocking(
    service: ProvisioningService, *, blocked: bool, known: Mapping[str, ClaimedDevice] | None = None
) -> Action:
    """Return what blocks devices, or unblocks them.

    Sending costs one request a device whatever its status is, so no more than 0.1 are spent to learn
    the status before; where it is not learnt, the device counts as done and not as unchanged.

    :param blocked: what the devices shall be.
    :param known: devices of which the status is known, by id.
    """
    known = known or {}
    send = service.block_device if blocked else service.unblock_device

    def prepare(device_ids: Sequence[str]) -> Act:
        unknown = [each for each in device_ids if each not in known]
        if len(unknown) <= _FEW:
            found = service.find_claimed_devices(unknown)
        else:
            found, _ = service.find_on_pages(unknown)
        devices = (*known.values(), *found.values())
        so_already = {device.id for device in devices if _is_blocked(device) is blocked}

        def act(device_id: str) -> DeviceResult:
            unchanged = DeviceResult(device_id, DeviceOutcome.UNCHANGED)
            if blocked and device_id in so_already:
                return unchanged
            try:
                # Also to unblock a device that does not look blocked: the word for it is inferred.
                send(device_id)
            except ConflictError as error:
                if _is_blocked(service.fetch_claimed_device(device_id)) is not blocked:
                    return failed(device_id, error)
                return unchanged._replace(status=str(error.status), message=error.problem.message)
            return unchanged if device_id in so_already else DeviceResult(device_id, DeviceOutcome.DONE)

        return act

    return prepare


def _is_blocked(device: ClaimedDevice) -> bool:
    return (device.status or "").upper() == BLOCKED_STATUS


def unclaiming(service: ProvisioningService) -> Action:
    """Return what unclaims devices, one request each; nothing has to be known before."""

    def act(device_id: str) -> DeviceResult:
        try:
            service.unclaim_device(device_id)
        except NotFoundError:
            # Also if our first request did it, and its answer was lost.
            return DeviceResult(device_id, DeviceOutcome.UNCHANGED, "404", "was not ours, or no longer is")
        return DeviceResult(device_id, DeviceOutcome.DONE)

    return lambda _: act
