"""The hook: the Provisioning Service through an Airflow connection."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import BaseHook

from airflow_provider_nrfprov.api.client import ProvisioningClient
from airflow_provider_nrfprov.api.errors import ConfigurationError
from airflow_provider_nrfprov.api.retry import NEVER, Retry
from airflow_provider_nrfprov.api.service import ProvisioningService
from airflow_provider_nrfprov.get_provider_info import get_provider_info
from airflow_provider_nrfprov.hooks.connection import access_of, client_from
from airflow_provider_nrfprov.hooks.connection_test import try_out

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Connection


class NrfProvHook(ProvisioningService, BaseHook):
    """Wraps the API of nRF Cloud's Provisioning Service; its calls are those of ``ProvisioningService``.

    Which API is spoken, that of a team or (experimental) that of a project, is the connection's extra ``api``; what a project has
    no way for is a ``NotInThisApiError``, and nothing is sent.

    :param nrfprov_conn_id: Airflow connection of type ``nrfprov``; its password is the API key, or a project's organization token.
    :param retry: how long a call that may be sent again is retried: by default six attempts within two minutes.
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
        self._connecting = threading.Lock()

    @classmethod
    def get_ui_field_behaviour(cls) -> dict[str, Any]:
        """Return how the connection form looks in Airflow before 3.2; later ones read the provider's metadata."""
        (connection_type,) = get_provider_info()["connection-types"]
        return {
            name.replace("-", "_"): value for name, value in connection_type["ui-field-behaviour"].items()
        }

    def get_conn(self) -> ProvisioningClient:
        """Return the client, one for the life of the hook.

        At a 401 or 403 it reads the connection once more: a key that was changed there is used from then on, in all
        threads.

        :raises AirflowNotFoundException: if there is no such connection.
        :raises ConfigurationError: if the connection cannot be used as it is.
        """
        with self._connecting:
            if self._client is None:
                self._client = client_from(self._read_connection(), self._retry, self._read_connection)
            return self._client

    def _read_connection(self) -> Connection:
        return self.get_connection(self.nrfprov_conn_id)

    def test_connection(self) -> tuple[bool, str]:
        """Return whether the connection works, and a sentence on what is wrong if not; see ``connection_test.try_out``."""
        connection = self.get_connection(self.nrfprov_conn_id)
        try:
            # Whoever pressed the button waits for the first answer, whatever it is.
            client = client_from(connection, NEVER)
        except ConfigurationError as error:
            # The button tests under a name that Airflow makes up.
            return False, str(error).removeprefix(f"Airflow connection {connection.conn_id!r}: ")
        return try_out(client, access_of(connection).urls)
