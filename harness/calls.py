"""The provider's calls without Airflow."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from airflow_provider_nrfprov.api.client import ProvisioningClient
from airflow_provider_nrfprov.api.contract import BulkContract, base_urls, endpoints
from airflow_provider_nrfprov.api.service import ProvisioningService

API_KEY = "emulator-key"


class Calls(ProvisioningService):
    """What the hook has, over a client."""

    def __init__(self, client: ProvisioningClient) -> None:
        self._client = client

    def get_conn(self) -> ProvisioningClient:
        return self._client


@contextmanager
def calls_of(url: str, bulk_contract: BulkContract = BulkContract.AUTO) -> Iterator[ProvisioningService]:
    """Yield the calls over a client of their own, as the emulator's usual team."""
    with ProvisioningClient(
        API_KEY, urls=base_urls(url), endpoint_candidates=endpoints(bulk_contract)
    ) as client:
        yield Calls(client)
