"""Where the service's operations live, as data: what is confirmed, what is inferred.

Nordic moved paths over the years. An operation therefore has one or more candidates; the client
asks them in order and remembers the first that exists. Everything about the service that may turn
out to be different stands here, and the ``endpoints`` extra of a connection overrides any of it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import Enum
from types import MappingProxyType
from urllib.parse import urlsplit, urlunsplit

from airflow_provider_nrfprov.api.errors import ConfigurationError

DEFAULT_BASE_URL = "https://api.provisioning.nrfcloud.com"
MAX_ROWS_PER_REQUEST = 1000
"""Rows in one bulk claim. Confirmed as Nordic's own chunk size and for sibling APIs; inferred here."""
MAX_TAG_CHARACTERS = 100
"""Confirmed by the guide "Claiming device ownership through the APIs"."""
MAX_PAGE_LIMIT = 100
"""Items in a page of a list. Inferred from the sibling API."""


class Host(Enum):
    """The two hosts of the service: claims live on one, the status of bulk operations on the other."""

    PROVISIONING = "provisioning"
    CLOUD = "cloud"


class BulkContract(str, Enum):
    """Which generation of the bulk claim a connection speaks."""

    AUTO = "auto"
    """Ask the asynchronous path, fall back to the synchronous one where it does not exist."""
    ASYNC = "async"
    """202 with a ``bulkOpsRequestId`` to wait for (2023 guide)."""
    SYNC = "sync"
    """200/201 with ``claimedIds`` and ``failed`` at once (Nordic's own tool since 2024-09)."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A method and a path (relative to ``/v1``), and how well they are known."""

    method: str
    path: str
    host: Host = Host.PROVISIONING
    confirmed: bool = True
    source: str = ""


_GUIDE_2023 = 'guide "Claiming device ownership through the APIs", 2023'
_GUIDE_TODAY = 'guide "Claiming device ownership through the API", today'
_NORDIC_TOOL = "nrfcloud-utils 3.3.1"
_SIBLINGS = "inferred from the service's other paths"

ENDPOINTS: Mapping[str, tuple[Endpoint, ...]] = MappingProxyType(
    {
        "ClaimDeviceOwnership": (Endpoint("POST", "/claimed-devices", source=_NORDIC_TOOL),),
        "BulkClaimDeviceOwnership": (
            Endpoint("POST", "/claimed-devices/bulk", source=_GUIDE_2023),
            Endpoint("POST", "/claimed-devices", source=f"{_GUIDE_TODAY}; {_NORDIC_TOOL}"),
        ),
        "ListClaimedDevices": (Endpoint("GET", "/claimed-devices", source=_GUIDE_2023),),
        "FetchClaimedDevice": (
            Endpoint("GET", "/claimed-devices/{device_id}", confirmed=False, source=_SIBLINGS),
        ),
        "UpdateClaimedDevice": (
            # The guide says that a device's tags can be set and leaves method and path to the API reference.
            Endpoint("PATCH", "/claimed-devices/{device_id}", confirmed=False, source=_SIBLINGS),
            Endpoint("PUT", "/claimed-devices/{device_id}", confirmed=False, source=_SIBLINGS),
        ),
        "UnclaimDevice": (Endpoint("DELETE", "/claimed-devices/{device_id}", source=_NORDIC_TOOL),),
        "ListTags": (
            Endpoint("GET", "/provisioning/tags", source=_NORDIC_TOOL),
            Endpoint("GET", "/claimed-devices/tags", source=_GUIDE_2023),
        ),
        "CreateTag": (
            Endpoint("POST", "/provisioning/tags", source=_NORDIC_TOOL),
            Endpoint("POST", "/claimed-devices/tags", source=_GUIDE_2023),
        ),
        "UpdateTag": (
            Endpoint("PUT", "/provisioning/tags/{tag_id}", confirmed=False, source=_SIBLINGS),
            Endpoint("PUT", "/claimed-devices/tags/{tag_id}", source=_GUIDE_2023),
        ),
        "DeleteTags": (
            Endpoint("DELETE", "/provisioning/tags/{tag_id}", confirmed=False, source=_SIBLINGS),
            Endpoint("DELETE", "/claimed-devices/tags/{tag_id}", source=_GUIDE_2023),
        ),
        "FetchBulkOpsRequest": (
            Endpoint(
                "GET",
                "/bulk-ops-requests/{bulk_ops_request_id}",
                host=Host.CLOUD,
                source="OpenAPI document of the REST API",
            ),
        ),
        "ListBulkOpsRequests": (
            Endpoint("GET", "/bulk-ops-requests", host=Host.CLOUD, source="OpenAPI document of the REST API"),
        ),
    }
)

_OVERRIDE = re.compile(r"^(GET|POST|PUT|PATCH|DELETE) (/\S*)$")


def endpoints(
    bulk_contract: BulkContract = BulkContract.AUTO, overrides: Mapping[str, str] | None = None
) -> dict[str, tuple[Endpoint, ...]]:
    """Give the candidates of every operation for one connection.

    :param overrides: operation name to ``"METHOD /path"``, the path with the same ``{…}`` parts as
        in :data:`ENDPOINTS`; an override is the only candidate of its operation.
    :raises ConfigurationError: for an operation or a form of override that is not known.
    """
    chosen = dict(ENDPOINTS)
    asynchronous, synchronous = chosen["BulkClaimDeviceOwnership"]
    if bulk_contract is BulkContract.ASYNC:
        chosen["BulkClaimDeviceOwnership"] = (asynchronous,)
    elif bulk_contract is BulkContract.SYNC:
        chosen["BulkClaimDeviceOwnership"] = (synchronous,)
    for name, override in (overrides or {}).items():
        chosen[name] = (_overridden(name, override),)
    return chosen


def _overridden(name: str, override: str) -> Endpoint:
    if name not in ENDPOINTS:
        raise ConfigurationError(
            f"extra 'endpoints' names the operation {name!r}; known are {', '.join(sorted(ENDPOINTS))}"
        )
    match = _OVERRIDE.match(override) if isinstance(override, str) else None
    if match is None:
        raise ConfigurationError(
            f"extra 'endpoints' gives {override!r} for {name}; write it as 'POST /claimed-devices'"
        )
    path = match[2]
    known = ENDPOINTS[name][0]
    wanted = sorted(re.findall(r"{(\w+)}", known.path))
    if sorted(re.findall(r"{(\w*)}", path)) != wanted:
        parts = ", ".join(f"{{{part}}}" for part in wanted) or "no {…} part"
        raise ConfigurationError(f"extra 'endpoints' gives {path!r} for {name}; the path has to hold {parts}")
    return replace(known, method=match[1], path=path, confirmed=False, source="connection extra 'endpoints'")


def base_urls(host: str | None, cloud_url: str | None = None) -> dict[Host, str]:
    """Give the two base URLs, each ending in ``/v1``, from what a connection says.

    ``host`` may lack the scheme (https is assumed) and ``/v1``. Where only ``host`` is given, the
    other follows from it: ``api.provisioning.X`` has its bulk operations on ``api.X``; any other host
    (an emulator, a proxy) is taken to serve both.

    :raises ConfigurationError: if a URL cannot be one.
    """
    provisioning = _base_url(host or DEFAULT_BASE_URL)
    if cloud_url:
        return {Host.PROVISIONING: provisioning, Host.CLOUD: _base_url(cloud_url)}
    scheme, netloc, path, _, _ = urlsplit(provisioning)
    if netloc.startswith("api.provisioning."):
        netloc = netloc.replace("api.provisioning.", "api.", 1)
    return {Host.PROVISIONING: provisioning, Host.CLOUD: urlunsplit((scheme, netloc, path, "", ""))}


def _base_url(text: str) -> str:
    url = text.strip()
    if "://" not in url:
        url = f"https://{url}"
    try:
        parts = urlsplit(url)
        usable = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable or re.search(r"\s", url) or "@" in parts.netloc or parts.query or parts.fragment:
        # Not quoted: somebody may have typed the key into the host field.
        raise ConfigurationError(
            f"the connection's base URL is not a URL of the form {DEFAULT_BASE_URL} (scheme and host only)"
        )
    url = url.rstrip("/")
    return url if re.search(r"/v\d+$", url) else f"{url}/v1"
