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
CLAIMED_DEVICES_PAGE = "https://nrfcloud.com/#/claimed-devices"
"""The portal's page of claimed devices. Inferred: the guide names the menu entry, not the address. The address of a
bulk operation's page is unknown."""
MAX_ROWS_PER_REQUEST = 1000
"""Rows in one bulk claim. Confirmed as Nordic's own chunk size and for sibling APIs; inferred here."""
MAX_TAG_CHARACTERS = 100
"""Confirmed by the guide "Claiming device ownership through the APIs"."""
BLOCKED_STATUS = "BLOCKED"
"""Status of a blocked device. Inferred: only READY is documented. A device of another status is sent the block."""
MAX_PAGE_LIMIT = 100
"""Items in a page of a list. Inferred from the sibling API."""
CLAIMED_DEVICES_FILTERS: Mapping[str, str] = MappingProxyType(
    {"tag": "tag", "status": "status", "claimed_after": "claimedAfter"}
)
"""Our name of a filter of ListClaimedDevices to the service's. The guide says that there are filters and
names none: these are inferred. What a list holds is therefore checked against them here once more."""
SUCCEEDED = "SUCCEEDED"
FAILED = "FAILED"
"""The two statuses of a bulk operation that has ended. Confirmed by the OpenAPI document of the REST API."""
COMMAND_NOT_ENDED = frozenset({"PENDING", "IN_PROGRESS"})
"""Statuses of a provisioning command that has not ended; every other one is an end. Confirmed: so
Nordic's own tool reads them."""
COMMAND_SUCCEEDED = "SUCCEEDED"
"""The status of a provisioning command that was carried out. Inferred from bulk operations."""
COMMAND_FAILED = "FAILED"
"""The status of a provisioning command that could not be carried out. Inferred from bulk operations."""


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
        "BlockClaimedDevice": (Endpoint("POST", "/claimed-devices/{device_id}/block", source=_GUIDE_2023),),
        "UnblockClaimedDevice": (
            Endpoint("POST", "/claimed-devices/{device_id}/unblock", source=_GUIDE_2023),
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
        "ListDeviceTags": (
            # The guide's text says that the id is a device's here; its example is the id of a tag.
            Endpoint("GET", "/provisioning/tags/{device_id}", confirmed=False, source=_SIBLINGS),
            Endpoint("GET", "/claimed-devices/tags/{device_id}", source=_GUIDE_2023),
        ),
        "CreateDeviceProvisioningCommand": (
            Endpoint("POST", "/claimed-devices/{device_id}/provisioning", source=_NORDIC_TOOL),
        ),
        "ListDeviceProvisioningCommands": (
            Endpoint("GET", "/claimed-devices/{device_id}/provisioning", confirmed=False, source=_SIBLINGS),
        ),
        "FetchDeviceProvisioningCommand": (
            Endpoint("GET", "/claimed-devices/{device_id}/provisioning/{command_id}", source=_NORDIC_TOOL),
        ),
        "CreateProvisioningRule": (Endpoint("POST", "/provisioning-rules", source=_NORDIC_TOOL),),
        "ListProvisioningRules": (Endpoint("GET", "/provisioning-rules", source=_NORDIC_TOOL),),
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

CHANGING_ROLES = ("Editor", "Admin", "Owner")
"""Roles that may change something. Confirmed by the guides for the service as a whole."""
READING_ROLES = ("Viewer", *CHANGING_ROLES)
"""Roles that may read. Inferred: today's guide says that some operations are open to viewers, not which."""


def wanted_roles(operation: str) -> tuple[str, ...]:
    """Give the roles of which an operation wants one, none for what is no operation (a download).

    Where the line lies between reading and changing is inferred.
    """
    methods = {endpoint.method for endpoint in ENDPOINTS.get(operation, ())}
    if not methods:
        return ()
    return READING_ROLES if methods == {"GET"} else CHANGING_ROLES


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


def claimed_devices_page(host: str | None) -> str | None:
    """Give the portal's page of claimed devices; ``None`` if the service of a connection is not Nordic's own.

    :raises ConfigurationError: if the base URL cannot be one.
    """
    name = urlsplit(_base_url(host or DEFAULT_BASE_URL)).hostname or ""
    return CLAIMED_DEVICES_PAGE if f".{name}".endswith(".nrfcloud.com") else None


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
