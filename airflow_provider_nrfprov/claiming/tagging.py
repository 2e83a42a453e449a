"""Tags on claimed devices: add, remove or replace, with no request where nothing changes."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from enum import Enum
from typing import Protocol

from airflow_provider_nrfprov.api.errors import NotFoundError
from airflow_provider_nrfprov.api.models import ClaimedDevice
from airflow_provider_nrfprov.claiming.many_devices import Act, DeviceOutcome, DeviceResult


class TagMode(str, Enum):
    """What happens to the tags that a device has."""

    ADD = "add"
    REMOVE = "remove"
    REPLACE = "replace"


class Tagging(Protocol):
    """What tagging asks of the service; the provider's hook is one."""

    def find_on_pages(self, device_ids: Collection[str]) -> tuple[dict[str, ClaimedDevice], bool]:
        """Find which of these devices are ours, as far as the list shows it cheaply."""
        ...

    def fetch_claimed_device(self, device_id: str) -> ClaimedDevice:
        """Fetch one of our claimed devices."""
        ...

    def set_device_tags(self, device_id: str, tags: Sequence[str]) -> None:
        """Replace the tags of a device."""
        ...


class TagAction:
    """Brings the tags of devices to what they should be.

    Setting tags replaces a device's whole set, so its present tags are asked first: mostly 0.01 to 0.1
    requests a device, one where the team's list is much longer than what is to be tagged.

    :param known: devices of which the tags are known, by id.
    """

    def __init__(
        self,
        service: Tagging,
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
    """Give the tags a device should have, the present ones first and in their order."""
    if mode is TagMode.ADD:
        return tuple(dict.fromkeys((*present, *tags)))
    if mode is TagMode.REMOVE:
        return tuple(tag for tag in present if tag not in tags)
    return tuple(dict.fromkeys(tags))
