"""The team's claimed devices: listed by a filter, and many of them found with few requests."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain

import pendulum

from airflow_provider_nrfprov.api import operations
from airflow_provider_nrfprov.api.client import ProvisioningClient
from airflow_provider_nrfprov.api.contract import CLAIMED_DEVICES_FILTERS
from airflow_provider_nrfprov.api.errors import NotFoundError, ServiceError
from airflow_provider_nrfprov.api.models import ClaimedDevice

_log = logging.getLogger(__name__)

_REFUSES_PARAMETERS = {400, 422}
_FETCHED_SINGLY = 5
_DEVICES_PER_PAGE_ASKED = 10


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


def list_claimed_devices(client: ProvisioningClient, wanted: DeviceFilter) -> Iterator[ClaimedDevice]:
    """Yield the claimed devices that are meant, page after page.

    The filter goes along with the request, under inferred names, and every device that comes back is
    checked here: a service that overlooks a name sends more pages, and nothing else is different. One that
    refuses a name (400, 422) is asked for the whole list. One that takes a name for something else could
    leave devices out; that is the risk that remains.

    :raises NrfProvError: if the service cannot be asked.
    """
    query = wanted.query()
    devices = _pages(client, query)
    try:
        first = next(devices, None)
    except ServiceError as error:
        if not query or error.status not in _REFUSES_PARAMETERS:
            raise
        _log.info("the service takes no filter of these: %s; the whole list is read", ", ".join(query))
        devices = _pages(client, {})
        first = next(devices, None)
    found = devices if first is None else chain([first], devices)
    yield from filter(wanted.matches, found)


def _pages(client: ProvisioningClient, query: Mapping[str, str]) -> Iterator[ClaimedDevice]:
    return client.iterate(lambda token: operations.list_claimed_devices(token, filters=query))


def find_claimed_devices(client: ProvisioningClient, device_ids: Collection[str]) -> dict[str, ClaimedDevice]:
    """Find those of ``device_ids`` that are claimed devices of ours, by id.

    No filter for ids is known, so the list is paged through, and given up for single fetches when it
    proves much longer than what is looked for: at most 1.1 requests a device, 0.01 at best.

    :raises NrfProvError: if the service cannot be asked.
    """
    wanted = {device_id.lower() for device_id in device_ids}
    found, is_all = find_on_pages(client, wanted)
    if is_all:
        return found
    for device_id in wanted - found.keys():
        try:
            found[device_id] = client.send(operations.fetch_claimed_device(device_id))
        except NotFoundError:
            continue
    return found


def find_on_pages(
    client: ProvisioningClient, device_ids: Collection[str]
) -> tuple[dict[str, ClaimedDevice], bool]:
    """Find devices of ours by paging through their list, unless it is much longer than what is looked for.

    :return: the devices by id, and whether those not found are known not to be ours. At most 0.1 requests
        a device are spent; none for five devices or fewer.
    :raises NrfProvError: if the service cannot be asked.
    """
    wanted = {device_id.lower() for device_id in device_ids}
    found: dict[str, ClaimedDevice] = {}
    if len(wanted) <= _FETCHED_SINGLY:
        return found, not wanted
    token: str | None = None
    for _ in range(1 + len(wanted) // _DEVICES_PER_PAGE_ASKED):
        page = client.send(operations.list_claimed_devices(token))
        found |= {device.id: device for device in page.items if device.id in wanted}
        token = page.next_page_token
        if token is None or len(found) == len(wanted):
            return found, True
    return found, False
