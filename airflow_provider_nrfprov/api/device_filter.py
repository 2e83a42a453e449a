"""Which of the claimed devices are meant: by tag, status and time of the claim."""

from __future__ import annotations

from dataclasses import dataclass

import pendulum

from airflow_provider_nrfprov.api.contract import CLAIMED_DEVICES_FILTERS
from airflow_provider_nrfprov.api.models import ClaimedDevice


@dataclass(frozen=True, slots=True)
class DeviceFilter:
    """Conditions that all have to hold. What is ``None`` is no condition."""

    tag: str | None = None
    status: str | None = None
    """As the service writes it: ``READY`` (confirmed); that of a blocked device is inferred."""
    claimed_after: pendulum.DateTime | None = None
    """A device that was claimed at just this time is meant, too; one whose time is not known as well."""

    @property
    def is_empty(self) -> bool:
        """Whether every device is meant."""
        return self == DeviceFilter()

    def query(self) -> dict[str, str]:
        """Give the parameters of ListClaimedDevices. Their names are inferred."""
        after = self.claimed_after.in_timezone("UTC").isoformat() if self.claimed_after else None
        values = {"tag": self.tag, "status": self.status, "claimed_after": after}
        return {CLAIMED_DEVICES_FILTERS[name]: value for name, value in values.items() if value is not None}

    def matches(self, device: ClaimedDevice) -> bool:
        """Whether a device is meant."""
        return (
            (self.tag is None or self.tag in device.tags)
            and (self.status is None or self.status == device.status)
            and (
                self.claimed_after is None
                or device.claimed_at is None
                or device.claimed_at >= self.claimed_after
            )
        )
