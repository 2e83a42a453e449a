"""Tags on many claimed devices: add, remove or replace, with no request where nothing changes."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from enum import Enum
from itertools import islice
from typing import Protocol

from airflow_provider_nrfprov.api.errors import ForbiddenError, NrfProvError, UnauthorizedError
from airflow_provider_nrfprov.api.models import ClaimedDevice
from airflow_provider_nrfprov.claiming.logger import Logger

_DEVICES_AT_ONCE = 1000


class TagMode(str, Enum):
    """What happens to the tags that a device has."""

    ADD = "add"
    REMOVE = "remove"
    REPLACE = "replace"


class Tagging(Protocol):
    """What tagging asks of the service; the provider's hook is one."""

    def find_claimed_devices(self, device_ids: Collection[str]) -> dict[str, ClaimedDevice]:
        """Find which of these devices are ours."""
        ...

    def set_device_tags(self, device_id: str, tags: Sequence[str]) -> None:
        """Replace the tags of a device."""
        ...


@dataclass
class TaggingResult:
    """How many devices ended how. A device that is not ours counts as failed."""

    changed: int = 0
    unchanged: int = 0
    failed: int = 0
    examples: list[str] = field(default_factory=list)
    """At most ten devices that failed, in words."""

    def fail(self, device_id: str, reason: str) -> None:
        """Count a device that could not be tagged."""
        self.failed += 1
        if len(self.examples) < 10:
            self.examples.append(f"{device_id}: {reason}")


def tag_devices(
    service: Tagging, device_ids: Iterable[str], tags: Sequence[str], mode: TagMode, log: Logger
) -> TaggingResult:
    """Bring the tags of devices to what they should be.

    Setting tags replaces a device's whole set, so its present tags are asked first; may be repeated.

    :raises UnauthorizedError, ForbiddenError: no device would fare better.
    :raises NrfProvError: if it cannot be asked which devices are ours.
    """
    result = TaggingResult()
    started = time.monotonic()
    remaining = iter(dict.fromkeys(device_id.lower() for device_id in device_ids))
    while some := list(islice(remaining, _DEVICES_AT_ONCE)):
        devices = service.find_claimed_devices(some)
        for device_id in some:
            device = devices.get(device_id)
            if device is None:
                result.fail(device_id, "is not among our claimed devices")
            else:
                _tag_device(service, device, tags, mode, result)
        done = result.changed + result.unchanged + result.failed
        rate = done / max(time.monotonic() - started, 1e-9)
        log.info(
            "%d devices: %d tagged, %d had the tags already, %d failed; %.0f devices/s",
            done, result.changed, result.unchanged, result.failed, rate,
        )  # fmt: skip
    return result


def wanted_tags(present: Sequence[str], tags: Sequence[str], mode: TagMode) -> tuple[str, ...]:
    """Give the tags a device should have, the present ones first and in their order."""
    if mode is TagMode.ADD:
        return tuple(dict.fromkeys((*present, *tags)))
    if mode is TagMode.REMOVE:
        return tuple(tag for tag in present if tag not in tags)
    return tuple(dict.fromkeys(tags))


def _tag_device(
    service: Tagging, device: ClaimedDevice, tags: Sequence[str], mode: TagMode, result: TaggingResult
) -> None:
    wanted = wanted_tags(device.tags, tags, mode)
    if set(wanted) == set(device.tags):
        result.unchanged += 1
        return
    try:
        service.set_device_tags(device.id, wanted)
    except (UnauthorizedError, ForbiddenError):
        raise
    except NrfProvError as error:
        result.fail(device.id, str(error))
    else:
        result.changed += 1
