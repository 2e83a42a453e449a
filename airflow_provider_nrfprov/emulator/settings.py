"""Every choice of the emulator where the truth about Nordic's service is unknown, as a setting."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from functools import cache
from typing import Literal, get_args, get_origin, get_type_hints

OPERATION_NAMES = frozenset(
    {
        "BlockClaimedDevice",
        "BulkClaimDeviceOwnership",
        "ClaimDeviceOwnership",
        "ClaimDeviceOwnershipCsv",
        "ClaimDeviceOwnershipDryRun",
        "CreateDeviceProvisioningCommand",
        "CreateDevicesInBulk",
        "CreateProvisioningRule",
        "CreateTag",
        "DeleteTags",
        "DownloadBulkOpsData",
        "FetchBulkCreation",
        "FetchBulkOpsRequest",
        "FetchClaimedDevice",
        "FetchDevice",
        "FetchDeviceProvisioningCommand",
        "FetchTag",
        "ListBulkOpsRequests",
        "ListClaimedDevices",
        "ListDeviceProvisioningCommands",
        "ListDevices",
        "ListProvisioningRules",
        "ListTags",
        "UnblockClaimedDevice",
        "UnclaimDevice",
        "UpdateClaimedDevice",
        "UpdateTag",
    }
)
"""Of everything but the side doors; ``team_handlers`` and ``project_handlers`` have where each is served."""


_A_YEAR = 365 * 24 * 3600


@dataclass(frozen=True)
class Settings:
    """How the emulator behaves. None of the defaults is a fact about Nordic's service.

    :raises ValueError: if a value is not one of those listed.
    """

    api_key: str = "emulator-key"
    """The API key of team A's owner. Four more keys always exist, see ``accounts``."""

    contract: Literal["both", "async", "sync"] = "both"
    """Which generation of the service is served. ``async`` is that of 2023 (bulk claims by
    ``/claimed-devices/bulk``, tags at ``/claimed-devices/tags``), ``sync`` that of 2024 and later (CSV to
    ``/claimed-devices``, tags at ``/provisioning/tags``)."""

    bulk_seconds: float = 2.0
    """How long an asynchronous bulk operation takes: PENDING for the first third, then
    IN_PROGRESS, then FAILED or SUCCEEDED. Its devices are claimed when it ends."""

    command_seconds: float = 1.0
    """How long the (never present) device needs to carry out a provisioning command."""

    command_end: Literal["SUCCEEDED", "FAILED"] = "SUCCEEDED"
    """How the device's provisioning commands end. Neither name is documented."""

    token_check: Literal["structure", "signature"] = "structure"  # noqa: S105 - how tokens are checked
    """Whether a claim token must only be well-formed, or signed by the key of its device too."""

    max_rows: int = 1000
    """Most rows of one CSV body. The figure is the chunk size of Nordic's own tool."""

    partial_failure_status: Literal[200, 201, 207, 400, 422] = 422
    """Status of a synchronous CSV claim in which some rows, or all, failed."""

    failed_shape: Literal["object", "string"] = "object"
    """An element of ``failed``: ``{"row": 0, "claimToken": …, "message": …}`` or ``"[0]: message"``."""

    error_summary: Literal["list", "legacy"] = "list"
    """The file behind ``errorSummaryUrl``: today's ``{"errors": ["[0]: message"]}`` with rows from 0,
    or the single string with rows from 1 that the service wrote until 2025."""

    unknown_tags: Literal["created", "refused"] = "created"
    """What becomes of a tag that does not exist yet, in a claim or an update: created or 422."""

    device_filters: Literal["applied", "overlooked", "refused"] = "applied"
    """What becomes of ``tag``, ``status`` and ``claimedAfter`` in a request for the list of devices, whose real names
    are unknown: applied, overlooked as a parameter that nobody knows, or refused with 422."""

    conflict_names_owner: bool = False
    """Whether a refused claim says if the device is this team's or another's."""

    blocked_status: str = "BLOCKED"
    """The ``status`` of a blocked device. Only ``READY`` is documented."""

    unknown_path: Literal["gateway", "not_found", "gone"] = "gateway"
    """What a path that is not served answers: 403 ``Missing Authentication Token`` as an AWS API
    gateway does, 404 (405 for a method), or 410."""

    gone: Collection[str] = ()
    """Operations that were switched off, by name: each answers 410."""

    list_lag_seconds: float = 0.0
    """The lists of devices and of bulk operations show what was true that many seconds ago; one by its id is current."""

    poison_tags: Collection[str] = ()
    """A CSV body with a row that has one of these tags is refused as a whole; nothing of it is done."""

    poison_ids: Collection[str] = ()
    """The same for rows whose token is of one of these devices."""

    poison_status: Literal[400, 409, 413, 415, 422] = 400
    """Status of that refusal, whose message does not say which row is meant."""

    max_body_bytes: int | None = None
    """Most bytes of a body; a larger one answers 413. None for no limit."""

    refusal_words: str | None = None
    """What every refusal and every failed row says, in place of the emulator's own words."""

    clock_offset_seconds: float = 0.0
    """How far the service's clock is ahead of the one it is given (below 0: behind): all that it says of time."""

    organization: str = "acme-inc"
    project: str = "smart-sink"
    """The one organization and project of the new API."""

    organization_token: str = "oat_emulator-token"  # noqa: S105 - of the emulator
    """The organization token that is valid there; a team's key is not, nor this one on a team's paths."""

    project_is_teams: bool = False
    """Whether the project's devices are those of team A, so that a claim by one API is one by the other, too."""

    project_readding: Literal["error", "accepted", "conflict"] = "error"
    """What becomes of a device that is the project's already: an error of its row, accepted without a word, or 409 for
    the whole body."""

    project_foreign: Literal["error", "conflict"] = "error"
    """What becomes of a device of another project or team: an error of its row, or 409 for the whole body."""

    project_mismatch: Literal["error", "accepted", "refused"] = "error"
    """What becomes of a ``deviceId`` that is not the token's device: an error of its row, created as the token says, or 400
    for the whole body with the row among the causes."""

    project_errors_by: Literal["device", "row"] = "device"
    """How a job names a refused row."""

    project_unnamed: Literal["created", "dropped"] = "created"
    """What became of the rows that a job does not name when it names others. ``created`` is how Nordic's own client takes it."""

    project_running: str = "IN_PROGRESS"
    project_partial_end: str = "FAILED"
    project_failed_end: str = "FAILED"
    """The status of a job that goes on, of one that refused some of its rows, and of one that refused all of them."""

    project_status_url: Literal["relative", "absolute", "body", "nowhere", "elsewhere"] = "relative"
    """Where a bulk creation names its job: a path or a URL in ``Location``, a path as ``url`` in the body, nowhere, or on a
    host that is not this one."""

    project_job_seconds: float | None = None
    """For how long after its end the status of a job can be asked; None for ever."""

    project_devices_shown: bool = True
    """Whether a device that was created and never connected is listed and found."""

    project_plan_limit: int | None = None
    """How many devices the plan has room for; more are answered 403. None for no limit."""

    def __post_init__(self) -> None:
        self._freeze_collections()
        for name, allowed in _choices().items():
            value = getattr(self, name)
            if value not in allowed:
                choices = ", ".join(str(choice) for choice in allowed)
                raise ValueError(f"{name} is one of {choices}, not {value!r}")
        if not all(0 <= seconds <= _A_YEAR for seconds in (self.bulk_seconds, self.command_seconds)):
            raise ValueError("bulk_seconds and command_seconds are from 0 to a year")
        if self.max_rows < 1:
            raise ValueError("max_rows is at least 1")
        if not (0 <= self.list_lag_seconds <= _A_YEAR and abs(self.clock_offset_seconds) <= _A_YEAR):
            raise ValueError("list_lag_seconds is from 0 to a year, clock_offset_seconds within a year")
        if self.max_body_bytes is not None and self.max_body_bytes < 0:
            raise ValueError("max_body_bytes is at least 0, or None")

    def _freeze_collections(self) -> None:
        for name in ("gone", "poison_tags", "poison_ids"):
            value = getattr(self, name)
            if isinstance(value, str) or not all(isinstance(each, str) for each in value):
                raise ValueError(f"{name} is a collection of strings")
            object.__setattr__(self, name, frozenset(value))
        if unknown := set(self.gone) - OPERATION_NAMES:
            raise ValueError(f"gone names operations; there is no {', '.join(sorted(unknown))}")


@cache
def _choices() -> dict[str, tuple[object, ...]]:
    # Reading type hints takes a millisecond, and a test may want thousands of settings.
    hints = get_type_hints(Settings)
    return {name: get_args(hint) for name, hint in hints.items() if get_origin(hint) is Literal}
