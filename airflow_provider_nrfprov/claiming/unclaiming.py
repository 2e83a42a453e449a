"""Giving devices up: a device that is not ours (any more) is as wanted."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from airflow_provider_nrfprov.api.errors import NotFoundError
from airflow_provider_nrfprov.claiming.many_devices import Act, DeviceOutcome, DeviceResult


class Unclaiming(Protocol):
    """What unclaiming asks of the service; the provider's hook is one."""

    def unclaim_device(self, device_id: str) -> None:
        """Unclaim a device."""
        ...


class UnclaimAction:
    """Unclaims devices, one request each."""

    def __init__(self, service: Unclaiming) -> None:
        self._service = service

    def prepare(self, device_ids: Sequence[str]) -> Act:
        """Nothing has to be known before."""
        return self._act

    def _act(self, device_id: str) -> DeviceResult:
        try:
            self._service.unclaim_device(device_id)
        except NotFoundError:
            # Also if our first request did it, and its answer was lost.
            return DeviceResult(device_id, DeviceOutcome.UNCHANGED, "404", "was not ours, or is not any more")
        return DeviceResult(device_id, DeviceOutcome.DONE)
