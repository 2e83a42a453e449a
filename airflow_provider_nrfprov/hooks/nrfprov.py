"""The hook: the Provisioning Service through an Airflow connection."""

from __future__ import annotations

from typing import Any

from airflow.providers.common.compat.sdk import BaseHook

from airflow_provider_nrfprov.api import operations
from airflow_provider_nrfprov.api.calls import ProvisioningCalls
from airflow_provider_nrfprov.api.client import ProvisioningClient
from airflow_provider_nrfprov.api.errors import NrfProvError
from airflow_provider_nrfprov.api.retry import NEVER, Retry
from airflow_provider_nrfprov.hooks.connection import client_from


class NrfProvHook(ProvisioningCalls, BaseHook):
    """Wraps the API of nRF Cloud's Provisioning Service; its calls are those of ``ProvisioningCalls``.

    :param nrfprov_conn_id: Airflow connection of type ``nrfprov``; its password is the API key.
    :param retry: how long a call is tried that may be sent again: by default six times within two minutes.
    """

    conn_name_attr = "nrfprov_conn_id"
    default_conn_name = "nrfprov_default"
    conn_type = "nrfprov"
    hook_name = "nRF Cloud Provisioning"

    def __init__(self, nrfprov_conn_id: str = default_conn_name, retry: Retry | None = None) -> None:
        super().__init__()
        self._retry = retry
        self.nrfprov_conn_id = nrfprov_conn_id
        self._client: ProvisioningClient | None = None

    @classmethod
    def get_ui_field_behaviour(cls) -> dict[str, Any]:
        """Say how the connection form looks in Airflow before 3.2; later ones read the provider's metadata."""
        return {
            "hidden_fields": ["schema", "port", "login"],
            "relabeling": {"host": "Base URL", "password": "API key"},
            "placeholders": {"host": "https://api.provisioning.nrfcloud.com"},
        }

    def get_conn(self) -> ProvisioningClient:
        """Give the client, one for the life of the hook.

        :raises AirflowNotFoundException: if there is no such connection.
        :raises ConfigurationError: if the connection cannot be used as it is.
        """
        if self._client is None:
            self._client = client_from(self.get_connection(self.nrfprov_conn_id), self._retry)
        return self._client

    def test_connection(self) -> tuple[bool, str]:
        """Ask for one claimed device and one bulk operation; say in words what is wrong, if anything."""
        try:
            # Whoever pressed the button waits for the first answer, whatever it is.
            client = client_from(self.get_connection(self.nrfprov_conn_id), NEVER)
            client.send(operations.list_claimed_devices(page_limit=1))
        except NrfProvError as error:
            return False, str(error)
        try:
            client.send(operations.list_bulk_ops_requests(page_limit=1))
        except NrfProvError as error:
            return False, f"claimed devices can be listed, but bulk operations cannot: {error}"
        return True, "the Provisioning Service answered: claimed devices and bulk operations can be listed"
