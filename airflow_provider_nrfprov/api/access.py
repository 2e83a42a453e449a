"""How a service is reached: key, base URLs, paths."""

from __future__ import annotations

import re
from collections.abc import Mapping

import requests
from requests.auth import AuthBase

from airflow_provider_nrfprov.api.contract import WHERE_THE_KEY_IS, Endpoint, Host, base_urls, endpoints
from airflow_provider_nrfprov.api.errors import ConfigurationError


class _BearerAuth(AuthBase):
    """Sets the API key on the request itself, so that a ``.netrc`` entry cannot replace it."""

    def __init__(self, api_key: str) -> None:
        self._api_key = api_key

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["Authorization"] = f"Bearer {self._api_key}"
        return request


class Access:
    """How a team's service is reached: all of a client that may change while it is used.

    :param api_key: the team's API key of the legacy nRF Cloud app; opaque, never shown.
    :param urls: base URL of each host, see :func:`~airflow_provider_nrfprov.api.contract.base_urls`.
    :param endpoint_candidates: see :func:`~airflow_provider_nrfprov.api.contract.endpoints`.
    :param verify: path of a bundle of CA certificates (PEM) instead of the usual ones.
    :raises ConfigurationError: if the API key is missing or cannot be one.
    """

    def __init__(
        self,
        api_key: str | None,
        *,
        urls: Mapping[Host, str] | None = None,
        endpoint_candidates: Mapping[str, tuple[Endpoint, ...]] | None = None,
        verify: str | None = None,
    ) -> None:
        self.api_key = (api_key or "").strip()
        if not self.api_key:
            raise ConfigurationError(
                "no API key: set the password of the Airflow connection to the team's API key of the "
                f"{WHERE_THE_KEY_IS}"
            )
        if not re.fullmatch(r"[\x21-\x7e]+", self.api_key):
            raise ConfigurationError("the API key holds white space or characters that no API key has")
        self.auth = _BearerAuth(self.api_key)
        self.urls = dict(urls or base_urls(None))
        self.candidates = dict(endpoint_candidates or endpoints())
        self.verify = verify
        # What the client learns about the candidates does not count.
        self._identity = (self.api_key, tuple(self.urls.items()), tuple(self.candidates.items()), verify)

    def is_same(self, other: Access) -> bool:
        """Return whether another one means the same access."""
        return self._identity == other._identity
