"""What can be done to a device: tag, block or unblock, unclaim. Each may be repeated to the same end.

What a device is like is asked of the device itself, right before anything is done to it. A list may lag behind what was
done a moment ago, leave a device out or say nothing of its tags; tags that are written back from it would be lost.

A block is skipped only where the service itself calls the device blocked: a quarantine must not rest on a
guess. Whether a blocked device may be blocked again is unknown; 200 and 409 are both understood.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum
from typing import TYPE_CHECKING

from airflow_provider_nrfprov.api.contract import BLOCKED_STATUS
from airflow_provider_nrfprov.api.errors import ConflictError, NotFoundError
from airflow_provider_nrfprov.api.models import ClaimedDevice
from airflow_provider_nrfprov.fleet.engine import Action, DeviceOutcome, DeviceResult, Step, failed

if TYPE_CHECKING:
    from airflow_provider_nrfprov.api.service import ProvisioningService


class TagMode(str, Enum):
    """What happens to the tags that a device has."""

    ADD = "add"
    REMOVE = "remove"
    REPLACE = "replace"


def tagging(
    service: ProvisioningService, tags: Sequence[str], mode: TagMode, *, only_with: str | None = None
) -> Action:
    """Return what brings the tags of devices to what they should be: a request to ask, and one to set the whole set.

    :param only_with: the tag that the devices were selected by; one that has lost it meanwhile stays as it is.
    """

    def look(device_id: str, _only_look: bool) -> DeviceResult | Step:
        device = _selected(service, device_id, only_with)
        if isinstance(device, DeviceResult):
            return device
        # Setting tags replaces all of them: what is not told would be lost.
        present = device.tags if mode is TagMode.REPLACE else device.known_tags()
        wanted = wanted_tags(present or (), tags, mode)
        if present is not None and set(wanted) == set(present):
            return DeviceResult(device_id, DeviceOutcome.UNCHANGED)

        def set_tags() -> DeviceResult:
            service.set_device_tags(device_id, wanted)
            return DeviceResult(device_id, DeviceOutcome.DONE)

        return set_tags

    return look


def wanted_tags(present: Sequence[str], tags: Sequence[str], mode: TagMode) -> tuple[str, ...]:
    """Return the tags a device should have, the present ones first and in their order."""
    if mode is TagMode.ADD:
        return tuple(dict.fromkeys((*present, *tags)))
    if mode is TagMode.REMOVE:
        return tuple(tag for tag in present if tag not in tags)
    return tuple(dict.fromkeys(tags))


def blocking(service: ProvisioningService, *, blocked: bool, only_with: str | None = None) -> Action:
    """Return what blocks devices, or unblocks them: a request to ask, and one to do it.

    :param blocked: what the devices shall be.
    :param only_with: the tag that the devices were selected by; one that has lost it meanwhile stays as it is.
    """
    send = service.block_device if blocked else service.unblock_device

    def look(device_id: str, only_look: bool) -> DeviceResult | Step:
        device = _selected(service, device_id, only_with)
        if isinstance(device, DeviceResult):
            return device
        unchanged = DeviceResult(device_id, DeviceOutcome.UNCHANGED)
        is_so = _is_blocked(device) is blocked
        if is_so and (blocked or only_look):
            return unchanged

        def bring_about() -> DeviceResult:
            try:
                # Also to unblock a device that does not look blocked: the word for it is inferred.
                send(device_id)
            except ConflictError as error:
                if _is_blocked(service.fetch_claimed_device(device_id)) is not blocked:
                    return failed(device_id, error)
                return unchanged._replace(status=str(error.status), message=error.problem.message)
            return unchanged if is_so else DeviceResult(device_id, DeviceOutcome.DONE)

        return bring_about

    return look


def unclaiming(service: ProvisioningService) -> Action:
    """Return what unclaims devices, one request each. What an earlier try unclaimed and is ours again is left alone."""

    def look(device_id: str, only_look: bool) -> DeviceResult | Step:
        if not only_look:
            return unclaim_of(device_id)
        if _fetched(service, device_id) is None:
            return _given_up(device_id)
        words = "an earlier try unclaimed it, and it is claimed again; if that is not meant, unclaim it in a new run"
        return DeviceResult(device_id, DeviceOutcome.FAILED, "claimed_again", words)

    def unclaim_of(device_id: str) -> Step:
        def unclaim() -> DeviceResult:
            try:
                service.unclaim_device(device_id)
            except NotFoundError as error:
                if _fetched(service, device_id) is not None:
                    # It is the path that is not there.
                    return failed(device_id, error)
                # Also if our first request did it, and its answer was lost.
                return _given_up(device_id)
            return DeviceResult(device_id, DeviceOutcome.DONE)

        return unclaim

    return look


def _fetched(service: ProvisioningService, device_id: str) -> ClaimedDevice | None:
    """Return a device of ours as it is now, ``None`` if it is not ours."""
    try:
        return service.fetch_claimed_device(device_id)
    except NotFoundError:
        return None


def _selected(
    service: ProvisioningService, device_id: str, only_with: str | None
) -> ClaimedDevice | DeviceResult:
    """Return a device as it is now; or its result, if it is not ours or has lost the tag that it was selected by."""
    device = _fetched(service, device_id)
    if device is None:
        return DeviceResult(device_id, DeviceOutcome.FAILED, "not_ours", "is not among our claimed devices")
    if only_with is not None and device.tags is not None and only_with not in device.tags:
        words = f"no longer has the tag {only_with!r} that it was selected by"
        return DeviceResult(device_id, DeviceOutcome.UNCHANGED, "", words)
    return device


def _given_up(device_id: str) -> DeviceResult:
    return DeviceResult(device_id, DeviceOutcome.UNCHANGED, "404", "was not ours, or no longer is")


def _is_blocked(device: ClaimedDevice) -> bool:
    return (device.status or "").upper() == BLOCKED_STATUS
