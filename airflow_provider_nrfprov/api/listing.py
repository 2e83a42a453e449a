"""Listing claimed devices by a filter whose names are inferred, so that the list is right all the same."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from itertools import chain

from airflow_provider_nrfprov.api import operations
from airflow_provider_nrfprov.api.client import ProvisioningClient
from airflow_provider_nrfprov.api.device_filter import DeviceFilter
from airflow_provider_nrfprov.api.errors import ServiceError
from airflow_provider_nrfprov.api.models import ClaimedDevice

_log = logging.getLogger(__name__)

_REFUSES_PARAMETERS = {400, 422}


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
