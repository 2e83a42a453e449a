"""How a service is reached: key, base URLs, paths, and which API is spoken there."""

from __future__ import annotations

from collections.abc import Mapping

import requests

from airflow_provider_nrfprov.api.apis import TEAM, Api
from airflow_provider_nrfprov.api.contract import Endpoint, Host, base_urls, endpoints


class Access:
    """How a team's service is reached: all of a client that may change while it is used.

    :param api_key: the team's API key of the legacy nRF Cloud app; opaque, never shown.
    :param urls: base URL of each host, see :func:`~airflow_provider_nrfprov.api.contract.base_urls`.
    :param endpoint_candidates: see :func:`~airflow_provider_nrfprov.api.contract.endpoints`.
    :param verify: path of a bundle of CA certificates (PEM) instead of the usual ones.
    :param api: which API is spoken: a team's, or a project's (experimental).
    :raises ConfigurationError: if the API key is missing or cannot be one.
    """

    def __init__(
        self,
        api_key: str | None,
        *,
        urls: Mapping[Host, str] | None = None,
        endpoint_candidates: Mapping[str, tuple[Endpoint, ...]] | None = None,
        verify: str | None = None,
        api: Api = TEAM,
    ) -> None:
        self.api = api
        self.api_key = (api_key or "").strip()
        api.check_key(self.api_key)
        self.urls = dict(urls or base_urls(None))
        self.candidates = dict(endpoint_candidates or endpoints())
        self.verify = verify
        # What the client learns about the candidates does not count.
        self._identity = (self.api_key, tuple(self.urls.items()), tuple(self.candidates.items()), verify)

    def auth(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        """Set the API key on the request itself, so that a ``.netrc`` entry cannot replace it."""
        request.headers["Authorization"] = f"Bearer {self.api_key}"
        return request

    def is_same(self, other: Access) -> bool:
        """Return whether another one means the same access."""
        return self._identity == other._identity
