"""The calls of a service over a client of a test's own, without Airflow."""

from __future__ import annotations

from typing import Any

from airflow_provider_nrfprov.api.client import ProvisioningClient
from airflow_provider_nrfprov.api.contract import base_urls
from airflow_provider_nrfprov.api.retry import NEVER
from harness import calls


def client_of(url: str, key: str = "emulator-key", **settings: Any) -> ProvisioningClient:
    """Return a client of the service at a URL; nothing is asked twice unless a test says so."""
    return ProvisioningClient(key, urls=base_urls(url), **{"retry": NEVER, **settings})


class Calls(calls.Calls):
    """What the hook has, for a team of the service at a URL."""

    def __init__(self, url: str, key: str = "emulator-key", **settings: Any) -> None:
        super().__init__(client_of(url, key, **settings))
