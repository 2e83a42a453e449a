"""From an Airflow connection to a client of the service."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from airflow_provider_nrfprov.api.client import CONNECT_TIMEOUT, READ_TIMEOUT, ProvisioningClient
from airflow_provider_nrfprov.api.contract import (
    DEFAULT_BASE_URL,
    BulkContract,
    Host,
    base_urls,
    claimed_devices_page,
    endpoints,
)
from airflow_provider_nrfprov.api.errors import ConfigurationError
from airflow_provider_nrfprov.api.retry import Retry

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Connection


def client_from(connection: Connection, retry: Retry | None = None) -> ProvisioningClient:
    """Build the client that a connection describes.

    ``password`` is the API key, ``host`` the base URL (default: Nordic's). Extra, all optional:
    ``cloud_url``, ``bulk_contract`` (``auto``, ``async``, ``sync``), ``connect_timeout`` and
    ``read_timeout`` (seconds), ``retry_deadline`` (seconds, 0 for one attempt), ``endpoints`` (operation name to ``"METHOD /path"``).

    :param retry: how long an operation is tried that may be sent again, instead of what the connection says.
    :raises ConfigurationError: naming the connection and the field that is wrong.
    """
    try:
        extra = _extra(connection.extra)
        return ProvisioningClient(
            connection.password,
            urls=base_urls(_host(connection), extra.get("cloud_url")),
            endpoint_candidates=endpoints(_bulk_contract(extra), _object(extra, "endpoints")),
            connect_timeout=_seconds(extra, "connect_timeout", CONNECT_TIMEOUT),
            read_timeout=_seconds(extra, "read_timeout", READ_TIMEOUT),
            retry=retry or Retry(deadline=_seconds(extra, "retry_deadline", Retry().deadline, least=0.0)),
        )
    except ConfigurationError as error:
        raise ConfigurationError(f"Airflow connection {connection.conn_id!r}: {error}") from None


def urls_of(connection: Connection) -> dict[Host, str]:
    """Give the two base URLs that the client of a connection asks.

    :raises ConfigurationError: as :func:`client_from`, without the connection's name.
    """
    return base_urls(_host(connection), _extra(connection.extra).get("cloud_url"))


def portal_page_of(connection: Connection) -> str | None:
    """Give the page of claimed devices in the portal of the service that a connection leads to.

    Extra ``portal_url`` is that page's address; without it the address of Nordic's own (inferred) is given, and
    ``None`` for any other host: an emulator has no portal.

    :raises ConfigurationError: if the base URL or ``portal_url`` cannot be one.
    """
    url = _extra(connection.extra).get("portal_url")
    if not url:
        return claimed_devices_page(_host(connection))
    if not isinstance(url, str) or not re.match(r"https?://[^\s/@]+(/\S*)?$", url):
        # It becomes a link that people click on.
        raise ConfigurationError("extra 'portal_url' is no URL that begins with https:// or http://")
    return url


def _host(connection: Connection) -> str | None:
    host: str | None = connection.host
    if connection.port:
        host = _with_port(host or DEFAULT_BASE_URL, connection.port)
    if host and "://" not in host and connection.schema in {"http", "https"}:
        host = f"{connection.schema}://{host}"
    return host


def _with_port(url: str, port: int) -> str:
    """Put the port behind the host's name, unless it is there."""
    scheme, separator, rest = url.rpartition("://")
    name, slash, path = rest.partition("/")
    said = re.search(r":(\d+)$", name)
    if said and int(said[1]) != port:
        raise ConfigurationError(f"the base URL has the port {said[1]}, the field for the port has {port}")
    return url if said else f"{scheme}{separator}{name}:{port}{slash}{path}"


def _extra(text: str | None) -> Mapping[str, Any]:
    # Not extra_dejson: in a trigger it can dead-lock the whole triggerer (apache/airflow#65286).
    if not text:
        return {}
    try:
        extra = json.loads(text)
    except ValueError:
        raise ConfigurationError("extra is not JSON") from None
    if not isinstance(extra, dict):
        raise ConfigurationError("extra is not a JSON object")
    return extra


def _bulk_contract(extra: Mapping[str, Any]) -> BulkContract:
    text = extra.get("bulk_contract") or BulkContract.AUTO.value
    try:
        return BulkContract(text)
    except ValueError:
        known = ", ".join(contract.value for contract in BulkContract)
        raise ConfigurationError(f"extra 'bulk_contract' is {text!r}; it can be {known}") from None


def _object(extra: Mapping[str, Any], name: str) -> Mapping[str, str]:
    value = extra.get(name) or {}
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except ValueError:
            value = None
    if not isinstance(value, dict):
        raise ConfigurationError(f"extra {name!r} is not a JSON object")
    return value


def _seconds(extra: Mapping[str, Any], name: str, default: float, least: float = 0.001) -> float:
    value = extra.get(name)
    if value is None or value == "":
        return default
    try:
        seconds = float(value)
    except (TypeError, ValueError):
        seconds = -1.0
    if not least <= seconds < float("inf"):
        raise ConfigurationError(
            f"extra {name!r} is {value!r}; it has to be a number of seconds, {least} or more"
        )
    return seconds
