"""The facts about the service as data: paths, limits and statuses, each confirmed or inferred.

Nordic moved paths over the years. An operation therefore has one or more candidates; the client
asks them in order and remembers the first that exists. Everything about the service that may turn
out to be different is here, and the ``endpoints`` extra of a connection overrides any of it.
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
"""Items that are asked for in a page of a list. Inferred from the sibling API."""
PAGE_LIMIT_PARAMETER = "pageLimit"
PAGE_TOKEN_PARAMETER = "pageNextToken"  # noqa: S105 - a name
PAGE_ITEMS = "items"
NEXT_PAGE_TOKEN = "pageNextToken"  # noqa: S105 - a name
"""Names of paging, in a request and in its answer. Confirmed for the REST API; inferred for the Provisioning API, of
which ``items`` alone is confirmed (ListProvisioningRules)."""
CLAIMED_DEVICES_FILTERS: Mapping[str, str] = MappingProxyType(
    {"tag": "tag", "status": "status", "claimed_after": "claimedAfter"}
)
"""Our name of a filter of ListClaimedDevices to the service's. The guide says that there are filters and
names none: these are inferred. What a list holds is therefore checked against them once more."""
REFUSES_PARAMETERS = frozenset({400, 422})
"""Statuses by which a list refuses a filter that it does not know. Inferred."""
BULK_OPS_FILTERS: Mapping[str, str] = MappingProxyType(
    {"status": "status", "requested_from": "startRequestedAt", "requested_until": "endRequestedAt"}
)
"""Our name of a filter of ListBulkOpsRequests to the service's. Confirmed by the OpenAPI document of the REST API."""
SUCCEEDED = "SUCCEEDED"
FAILED = "FAILED"
"""The two statuses of a bulk operation that has ended. Confirmed by the OpenAPI document of the REST API. The first is also that of a
provisioning command that was carried out. Confirmed: Nordic's own test of April 2025 met it."""
COMMAND_NOT_ENDED = frozenset({"PENDING", "IN_PROGRESS"})
"""Statuses of a provisioning command that has not ended; every other one is an end. Confirmed: so
Nordic's own tool reads them."""
COMMAND_FAILED = "FAILED"
"""The status of a provisioning command that could not be carried out. Inferred from bulk operations."""
DRY_RUN_CLAIMABLE = 202
"""What a dry run is answered if the device can be claimed. Confirmed: so Nordic's own tool reads it."""
DRY_RUN_SAYS_NOTHING = frozenset({401, 403, 405, 408, 410, 415, 429})
"""Statuses that say something of the caller or the path, not of the device of a dry run. Inferred: which status a
refused dry run has is unknown; 5xx and redirects say nothing of the device either."""
MAYBE_EXISTING_TAG = frozenset({400, 422})
"""Statuses, beside 409, by which CreateTag may say that there is such a tag. Inferred."""
CONFLICT, TOO_LARGE = 409, 413
"""The status of what is so already, a device that is claimed, a tag that exists; and of too large a body. Inferred."""
DRY_RUN, CLAIM_TAGS, DEVICE_FILTERS = "DryRun", "ClaimTags", "DeviceFilters"
"""Our names of what some operations do and not every API has: asked whether it can, like the operations below."""
NO_SUCH_PATH = "Missing Authentication Token"
"""What an AWS API gateway says, with 403, of a path that it does not serve. Inferred for this service."""
CLAIMED_IDS, FAILED_CLAIMS, BULK_OPS_REQUEST_ID = "claimedIds", "failed", "bulkOpsRequestId"
"""Keys in the answer to a bulk claim; whichever contract it is, one of them is there. Confirmed by the guide of 2023
(the last) and by Nordic's own tool (the others)."""
FAILED_CLAIM_FIELDS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "message": ("message", "error", "reason", "detail"),
        "row": ("row", "index", "rowNumber"),
        "device_id": ("id", "deviceId", "uuid"),
        "claim_token": ("claimToken", "token", "attestationToken"),
    }
)
"""What an element of ``failed`` may hold, by the names that it may have. All inferred: its shape is unknown."""
REASON_KEYS = ("message", "detail", "title")
"""Where the body of an error has its reason: the first is confirmed (a refused dry run), the others are those of RFC 9457,
for which Nordic has a library (that this service uses it is unknown)."""
NESTED_ERROR, CAUSES = "error", "cause"
"""Where the API of projects has that body in another, and its causes. Confirmed by Memfault's documentation and client."""


class Host(Enum):
    """The hosts of the service: claims live on one, the status of bulk operations on another, devices of a project on a third."""

    PROVISIONING = "provisioning"
    CLOUD = "cloud"
    DEVICES = "devices"


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


@dataclass(frozen=True, slots=True)
class Evidence:
    """Something that proves that a request was not carried out."""

    what: str
    confirmed: bool
    source: str
    statuses: frozenset[int] = frozenset()
    """The answers that prove it; none where there was no answer."""
    resend: bool = False
    """Whether the same request may succeed if it is sent again."""
    unless_claimed: bool = False
    """No proof if the body names something that was claimed."""
    no_such_path: bool = False
    """Whether another candidate of the operation may be there."""


_BY_DEFINITION = "follows from TCP and TLS: no byte of the request was written"
_HTTP = "RFC 9110"

NOTHING_WAS_DONE: tuple[Evidence, ...] = (
    Evidence("no connection was made, to the service or to a proxy", True, _BY_DEFINITION, resend=True),
    Evidence("the TLS handshake failed before the request was written", True, _BY_DEFINITION, resend=True),
    Evidence(
        "429: too many requests", False, "RFC 6585; never seen of this service", frozenset({429}), resend=True
    ),
    Evidence("401: who asks is unknown", True, f"{_HTTP}; {_NORDIC_TOOL}", frozenset({401})),
    Evidence(
        "403: who asks may not, or (an AWS API gateway) there is no such path",
        False,
        f"{_HTTP}; what the service answers to a role that is too low is unknown",
        frozenset({403}),
    ),
    Evidence(
        "404, 405, 410: there is no such path, no such method, not any more",
        False,
        f"{_HTTP}; 410 was seen on another path of the REST API in September 2026",
        frozenset({404, 405, 410}),
        no_such_path=True,
    ),
    Evidence(
        "400, 409, 413, 415, 422: the request is refused as a whole",
        False,
        "422 is confirmed for CSV files of the REST API; that nothing of such a request is done is inferred",
        frozenset({400, 409, 413, 415, 422}),
        unless_claimed=True,
    ),
)
"""All that proves that nothing was done. Whatever else happens after a request was written (no whole answer, one that
cannot be read, 3xx, 408, 5xx with 503 and 504) leaves open whether it was: a gateway says it, too, of a service that
goes on. Such a request is settled by asking the service, never by sending it again."""

NO_SUCH_PATH_STATUSES = frozenset().union(*(line.statuses for line in NOTHING_WAS_DONE if line.no_such_path))
"""After these, the next candidate of an operation is asked."""
REFUSED_AS_A_WHOLE = frozenset().union(*(line.statuses for line in NOTHING_WAS_DONE if line.unless_claimed))
"""Statuses by which a request is refused for what is in it."""

CHANGING_ROLES = ("Editor", "Admin", "Owner")
"""Roles that may change something. Confirmed by the guides for the service as a whole."""
READING_ROLES = ("Viewer", *CHANGING_ROLES)
"""Roles that may read. Inferred: today's guide says that some operations are open to viewers, not which."""


def wanted_roles(operation: str) -> tuple[str, ...]:
    """Return the roles of which an operation requires one; none for a download, which is not an operation.

    Where the line is between reading and changing is inferred.
    """
    methods = {endpoint.method for endpoint in ENDPOINTS.get(operation, ())}
    if not methods:
        return ()
    return READING_ROLES if methods == {"GET"} else CHANGING_ROLES


_KINDS_OF_KEYS = (
    (
        re.compile(r"oat_"),
        "The key begins with oat_: an organization token, which belongs to the new API and is refused here; for that API, set extra "
        "api to project.",
    ),
    (
        re.compile(r"[\w-]+\.[\w-]+\.[\w-]+$"),
        "The key is a JSON Web Token, as devices and location services use; it is refused here.",
    ),
    (
        re.compile(r"[0-9a-f]{32,64}$"),
        "The key has the form of a team's API key: it may be revoked, or belong to another stage of the service.",
    ),
)
"""How the key looks that was refused, and what is to be said of it. That an organization token is refused was observed
on another path; the form of a team's key is inferred."""
WHERE_THE_KEY_IS = (
    "legacy nRF Cloud app: User Account > Current Team Details; from the new app: "
    "https://app.memfault.com/organizations/<organization>/nrfcloud-api-key, or Legacy App at the foot of its menu"
)
"""Confirmed by Nordic's Asset Tracker Template and nrfcloud-utils."""


def key_advice(api_key: str) -> str:
    """Return what kind of key was refused, as far as its form tells, and where the right one is; never the key."""
    kind = next((words for form, words in _KINDS_OF_KEYS if form.match(api_key)), "")
    advice = (
        f"The Provisioning API takes the team's API key of the {WHERE_THE_KEY_IS}. A User API key of the new app gets a "
        "401. Set the key as the password of the Airflow connection."
    )
    return f"{kind} {advice}".strip()


_OVERRIDE = re.compile(r"^(GET|POST|PUT|PATCH|DELETE) (/\S*)$")


def endpoints(
    bulk_contract: BulkContract = BulkContract.AUTO, overrides: Mapping[str, str] | None = None
) -> dict[str, tuple[Endpoint, ...]]:
    """Return the candidates of every operation for one connection of a team.

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
    return overridden(chosen, overrides)


def overridden(
    known: Mapping[str, tuple[Endpoint, ...]], overrides: Mapping[str, str] | None
) -> dict[str, tuple[Endpoint, ...]]:
    """Return the candidates of every operation, those that are overridden replaced.

    :raises ConfigurationError: for an operation or a form of override that is not known.
    """
    return {**known, **{name: (_overridden(known, name, each),) for name, each in (overrides or {}).items()}}


def _overridden(endpoints_: Mapping[str, tuple[Endpoint, ...]], name: str, override: str) -> Endpoint:
    if name not in endpoints_:
        raise ConfigurationError(
            f"extra 'endpoints' names the operation {name!r}; the known ones are {', '.join(sorted(endpoints_))}"
        )
    match = _OVERRIDE.match(override) if isinstance(override, str) else None
    if match is None:
        raise ConfigurationError(
            f"extra 'endpoints' gives {override!r} for {name}; write it as 'POST /claimed-devices'"
        )
    path = match[2]
    known = endpoints_[name][0]
    wanted = sorted(re.findall(r"{(\w+)}", known.path))
    if sorted(re.findall(r"{(\w*)}", path)) != wanted:
        parts = ", ".join(f"{{{part}}}" for part in wanted) or "no {…} part"
        raise ConfigurationError(f"extra 'endpoints' gives {path!r} for {name}; the path has to hold {parts}")
    return replace(known, method=match[1], path=path, confirmed=False, source="connection extra 'endpoints'")


def claimed_devices_page(host: str | None) -> str | None:
    """Return the portal's page of claimed devices; ``None`` if the service of a connection is not Nordic's own.

    :raises ConfigurationError: if the base URL cannot be one.
    """
    name = urlsplit(base_url(host or DEFAULT_BASE_URL)).hostname or ""
    return CLAIMED_DEVICES_PAGE if f".{name}".endswith(".nrfcloud.com") else None


def base_urls(host: str | None, cloud_url: str | None = None) -> dict[Host, str]:
    """Return the two base URLs, each ending in ``/v1``, from what a connection says.

    ``host`` may lack the scheme (https is assumed) and ``/v1``. Where only ``host`` is given, the
    other follows from it: ``api.provisioning.X`` has its bulk operations on ``api.X``; any other host
    (an emulator, a proxy) is taken to serve both.

    :raises ConfigurationError: if a URL cannot be one.
    """
    provisioning = base_url(host or DEFAULT_BASE_URL)
    if cloud_url:
        return {Host.PROVISIONING: provisioning, Host.CLOUD: base_url(cloud_url, what="extra 'cloud_url'")}
    scheme, netloc, path, _, _ = urlsplit(provisioning)
    if netloc.startswith("api.provisioning."):
        netloc = netloc.replace("api.provisioning.", "api.", 1)
    return {Host.PROVISIONING: provisioning, Host.CLOUD: urlunsplit((scheme, netloc, path, "", ""))}


def base_url(text: str, like: str = DEFAULT_BASE_URL, version: str = "/v1", what: str = "base URL") -> str:
    """Return a base URL with scheme and version.

    :param like: shown where it cannot be one, as is ``what``, its name.
    :param version: added where the URL does not end in one.
    :raises ConfigurationError: if it cannot be one.
    """
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
            f"the connection's {what} is not a URL of the form {like} (scheme and host only)"
        )
    url = url.rstrip("/")
    return url if re.search(r"/v\d+$", url) else f"{url}{version}"
