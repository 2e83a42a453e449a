"""The facts about the API of organizations and projects as data: confirmed, inferred, unknown, and what it has no way for.

Experimental: nothing here was tried against Nordic's servers. Sources are Nordic's own client of this API, memfault-cli 1.12.0
(read, and run against a server of ours), and pages of Nordic's and Memfault's documentation. What may turn out to be different
is here, and a connection can override most of it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from types import MappingProxyType

from airflow_provider_nrfprov.api.contract import (
    CLAIM_TAGS,
    DEVICE_FILTERS,
    DRY_RUN,
    FAILED,
    SUCCEEDED,
    Endpoint,
    Host,
)

_CLI = "memfault-cli 1.12.0"
_TEMPLATE = "Nordic's Asset Tracker Template, connecting.md"
_MEMFAULT = "Memfault's REST API, docs.memfault.com"
_MODEM_TESTS = "tests of Nordic's ncs-serial-modem-host-applications"

PROJECT_URL = "https://api.nrfcloud.com"
DEVICES_URL = "https://api.memfault.com"
"""Where devices are created, and where they are listed. Confirmed by the client and by Memfault's documentation."""
PROJECT_PATH = "/organizations/{organization}/projects/{project}"
"""Begins every path of a project, below ``/v1`` on the first host and ``/api/v0`` on the second. Confirmed by the client."""
APP_URL = "https://app.memfault.com"
"""The web app. Confirmed; the address of a project's list of devices in it is unknown, that of the project is given instead."""
SLUG = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*", re.ASCII)
"""The form of an organization and a project in a path. Confirmed by the examples of the app's settings page."""
ORGANIZATION_TOKEN = re.compile(r"oat_[\x21-\x7e]+", re.ASCII)
HOLDS_A_KEY = re.compile(r"(?<![A-Za-z0-9])oat_", re.ASCII)
"""The form of a key of this API, and how one is found in a text. Confirmed by Memfault's documentation."""
WHERE_A_PROJECTS_KEY_IS = (
    "new nRF Cloud app: Admin > Organization Auth Tokens > Create "
    "(https://app.memfault.com/organizations/-/settings/auth-tokens), by an Organization Admin, shown once"
)
CSV_HEADER = "deviceId,attestationToken"
"""The first line of a bulk creation. Confirmed by the client."""
ACCEPTED = 202
"""The one status of a bulk creation that the client takes for a yes. Confirmed by it."""
STATUS_HEADER, STATUS_FIELD = "Location", "url"
"""Where an accepted bulk creation names its status URL; the header wins. Confirmed by the client."""
ERROR_SUMMARY, ERRORS, ERROR, DEVICE_ID, ROW = "errorSummary", "errors", "error", "deviceId", "row"
"""What a job says of rows that it refused. Confirmed by the client: a device wins over a row, and rows count from 0."""
PAGE_PARAMETER, PAGE_SIZE_PARAMETER, PAGE_SIZE = "page", "per_page", 1000
PAGE_DATA, PAGING, PAGE_NUMBER, PAGE_COUNT = "data", "paging", "page", "page_count"
"""Paging of Memfault's lists. Confirmed by its documentation; that 1,000 devices fit in a page is inferred from 5,000 that
Nordic's own tests ask for."""
SERIAL, CREATED = "device_serial", "created_date"
SERIAL_FORM = re.compile(r"[-A-Za-z0-9_]{1,200}", re.ASCII)
"""Fields of a device, and the form of its serial, which is a UUID if it was created from a token and need be none otherwise. Confirmed by Memfault's documentation; that a device which was created here shows there under its
deviceId is confirmed for Nordic's own tests alone, and that it does at once is inferred."""

PROJECT_ENDPOINTS: Mapping[str, tuple[Endpoint, ...]] = MappingProxyType(
    {
        "CreateDevicesInBulk": (Endpoint("POST", "/long-range/devices/bulk", host=Host.CLOUD, source=_CLI),),
        "FetchBulkCreation": (
            # The client follows the URL that it is given and makes none; so do we, and a short id means one below this path.
            Endpoint(
                "GET",
                "/long-range/devices/bulk/{job_id}",
                host=Host.CLOUD,
                confirmed=False,
                source="inferred: the status URL is the service's own choice",
            ),
        ),
        "ListDevices": (
            Endpoint("GET", "/devices", host=Host.DEVICES, source=f"{_MEMFAULT}; {_MODEM_TESTS}"),
        ),
        "FetchDevice": (
            Endpoint("GET", "/devices/{device_id}", host=Host.DEVICES, source=f"{_MEMFAULT}; {_MODEM_TESTS}"),
        ),
    }
)


@dataclass(frozen=True, slots=True)
class JobWords:
    """Names of the statuses of a bulk creation. One that is in none of these is waited for until the time-out."""

    succeeded: frozenset[str] = frozenset({SUCCEEDED})
    """Good ends. Confirmed by the client."""
    failed: frozenset[str] = frozenset({FAILED})
    """Other ends. Inferred: the client takes every word but two for one, and names none."""
    running: frozenset[str] = frozenset({"IN_PROGRESS"})
    """Confirmed by the client, which knows no other."""


class Known(str, Enum):
    """How well something is known."""

    CONFIRMED = "confirmed"
    INFERRED = "inferred"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Fact:
    """What is taken to be so, or not known, of this API."""

    what: str
    known: Known
    source: str


FACTS: tuple[Fact, ...] = (
    Fact(
        "a bulk creation has at most 1,000 rows",
        Known.CONFIRMED,
        f"{_CLI}; the server's own limit is inferred",
    ),
    Fact("a bulk creation has no columns for tags", Known.CONFIRMED, _CLI),
    Fact(
        "the device of a row is the one in its token",
        Known.INFERRED,
        f"{_TEMPLATE}; whether it is enforced is unknown",
    ),
    Fact("SUCCEEDED is a good end, IN_PROGRESS is none", Known.CONFIRMED, _CLI),
    Fact("FAILED is the bad end", Known.INFERRED, f"the name of the sibling API; {_CLI} names none"),
    Fact("rows that an ended job does not name were created", Known.INFERRED, f"{_CLI} tells them as OK"),
    Fact(
        "a refusal as a whole does nothing",
        Known.INFERRED,
        "its statuses are those of Memfault's public page",
    ),
    Fact("the path of a status URL, and for how long it can be asked", Known.UNKNOWN, f"{_CLI} makes none"),
    Fact("what becomes of a device that is ours before", Known.UNKNOWN, f"{_CLI} never sends a file twice"),
    Fact("what is said of a device of another project or organization", Known.UNKNOWN, _TEMPLATE),
    Fact("a list of jobs", Known.UNKNOWN, "no public trace of one"),
    Fact("whether deleting a device ends its claim", Known.UNKNOWN, _MODEM_TESTS),
    Fact("the permission that a bulk creation wants", Known.UNKNOWN, "device:write is inferred"),
)
"""What decides how this API is spoken; the paths and words above are the rest."""


@dataclass(frozen=True, slots=True)
class Missing:
    """Something that the team's API does and this one has no public way for."""

    what: str
    why: str
    nearest: str

    def __str__(self) -> str:
        return f"{self.what}: {self.why}. Nearest: {self.nearest}"


_NO_TAGS = "devices of a project have no tags"
_COHORT = "a cohort of the project, of which a device has exactly one, and which decides its firmware updates: set it in the app"
_IN_THE_APP = "the device's page in the app"
_NO_COMMANDS = "there is no public way to create commands for a device; its credentials are written automatically at its next check-in"
_NO_RULES = "onboarding needs no rule here, and there is no public way to make other rules"
_NO_BLOCK = "there is no public way to refuse a device provisioning"
_LIKE_BLOCK = "Deactivate in the app, which keeps the claim and deletes the device's data"
_LEGACY = "a connection of the team's API (extra api 'team'), while it lasts"

NOT_IN_PROJECT: Mapping[str, Missing] = MappingProxyType(
    {
        "ClaimDeviceOwnership": Missing(
            "a claim that is answered at once", "a device is created by a job", "claim_once, or a bulk claim of one row"
        ),
        DRY_RUN: Missing("a dry run of a claim", "there is no public way to ask without creating a device", "a check of the file, which asks nobody"),
        CLAIM_TAGS: Missing("tags of a claim", _NO_TAGS, _COHORT),
        DEVICE_FILTERS: Missing(
            "a list of devices by tag or status", "devices of a project have neither", "claimed_after, or the whole list"
        ),
        "BulkClaimDeviceOwnership": Missing("the team's bulk claim", "this is a project", "CreateDevicesInBulk"),
        "FetchBulkOpsRequest": Missing("the team's bulk operations", "this is a project", "FetchBulkCreation"),
        "ListClaimedDevices": Missing("the team's list of claimed devices", "this is a project", "ListDevices"),
        "FetchClaimedDevice": Missing("the team's claimed devices", "this is a project", "FetchDevice"),
        "ListBulkOpsRequests": Missing(
            "a list of bulk operations", "no list of jobs is known", "the ids in the report of the claim, one by one"
        ),
        "UpdateClaimedDevice": Missing("tags of a device", _NO_TAGS, _COHORT),
        "ListDeviceTags": Missing("tags of a device", _NO_TAGS, _COHORT),
        "ListTags": Missing("tags", _NO_TAGS, _COHORT),
        "CreateTag": Missing("tags", _NO_TAGS, _COHORT),
        "UpdateTag": Missing("tags", _NO_TAGS, _COHORT),
        "DeleteTags": Missing("tags", _NO_TAGS, _COHORT),
        "BlockClaimedDevice": Missing("blocking a device", _NO_BLOCK, _LIKE_BLOCK),
        "UnblockClaimedDevice": Missing("unblocking a device", _NO_BLOCK, "Reactivate in the app"),
        "UnclaimDevice": Missing(
            "unclaiming a device", "whether deleting a device here ends its claim is unknown; its data is gone", _IN_THE_APP
        ),
        "CreateDeviceProvisioningCommand": Missing("provisioning commands", _NO_COMMANDS, f"Reset on {_IN_THE_APP}"),
        "ListDeviceProvisioningCommands": Missing("provisioning commands", _NO_COMMANDS, _IN_THE_APP),
        "FetchDeviceProvisioningCommand": Missing("provisioning commands", _NO_COMMANDS, _IN_THE_APP),
        "CreateProvisioningRule": Missing("provisioning rules", _NO_RULES, _LEGACY),
        "ListProvisioningRules": Missing("provisioning rules", _NO_RULES, _LEGACY),
    }
)  # fmt: skip
"""Every operation of the team's API, and three things that some of them do, with why a project has no way for it."""

PROJECT_HINTS: Mapping[int, str] = MappingProxyType(
    {
        401: (
            "A project takes an organization token (oat_…) that has not been deleted: "
            f"{WHERE_A_PROJECTS_KEY_IS}. Set it as the password of the Airflow connection."
        ),
        403: (
            "The organization token lacks a permission (device:write to create, device:read to look; inferred), or the plan of "
            "the organization has no more room for devices: the new app shows both."
        ),
        404: "Check the connection's organization and project: they are slugs, as in the addresses of the new app.",
        410: (
            "Nordic has switched this path off; if the operation has another path now, name it in the connection's extra "
            "'endpoints'."
        ),
    }
)
"""What to do about a refusal. That 403 may mean the plan is confirmed by Memfault's public page of statuses."""
MAY_MEAN_THE_DEVICE = frozenset({"FetchDevice", "FetchBulkCreation"})
"""Operations whose 404 says something of one device or job."""
