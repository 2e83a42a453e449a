"""What the service's answers hold, as dataclasses.

Times are aware ``pendulum`` datetimes (UTC), ``None`` where the service gave none or one that cannot
be read. Statuses are kept as the service wrote them, since not all of them are known. Fields that
have no attribute here are kept in ``extra``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

import pendulum

ItemT = TypeVar("ItemT")
Json = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class ClaimedDevice:
    """A device that the team has claimed. ``id`` is the device UUID, the one in its claim token."""

    id: str
    device_type: str | None = None
    firmware_id: str | None = None
    imei: str | None = None
    owner_id: str | None = None
    ownership_status: str | None = None
    tags: tuple[str, ...] = ()
    status: str | None = None
    claimed_at: pendulum.DateTime | None = None
    extra: Json = field(default_factory=dict)

    @classmethod
    def from_json(cls, body: Json) -> ClaimedDevice:
        """Read the JSON object of one device. Raises KeyError or TypeError if it is none."""
        names = {
            "id", "deviceType", "firmwareId", "imei", "ownerId", "ownershipStatus", "tags", "status", "claimedAt",
        }  # fmt: skip
        return cls(
            id=str(body["id"]).lower(),
            device_type=body.get("deviceType"),
            firmware_id=body.get("firmwareId"),
            imei=body.get("imei"),
            owner_id=body.get("ownerId"),
            ownership_status=body.get("ownershipStatus"),
            tags=tuple(body.get("tags") or ()),
            status=body.get("status"),
            claimed_at=_time(body.get("claimedAt")),
            extra=_others(body, names),
        )


@dataclass(frozen=True, slots=True)
class DryRun:
    """Whether a device could be claimed, and the service's reason if not."""

    claimable: bool
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class FailedClaim:
    """One element of the ``failed`` list of a synchronous bulk claim.

    The element's shape is unknown: every field is what could be made out. ``claim_token`` stays out
    of ``repr``; ``message`` and ``text`` are redacted.
    """

    message: str
    row: int | None = None
    """A row number; whether counted from 0 or 1 is unknown."""
    device_id: str | None = None
    claim_token: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class BulkClaim:
    """The answer to a bulk claim, of either contract.

    Asynchronous: ``bulk_ops_request_id`` is set and nothing else is known yet. Synchronous:
    ``claimed_ids`` and ``failed`` are the result, whatever ``status`` (HTTP) came with them.
    """

    status: int
    bulk_ops_request_id: str | None = None
    claimed_ids: tuple[str, ...] = ()
    failed: tuple[FailedClaim, ...] = ()


PENDING = "PENDING"
IN_PROGRESS = "IN_PROGRESS"
SUCCEEDED = "SUCCEEDED"
FAILED = "FAILED"


@dataclass(frozen=True, slots=True)
class BulkOpsRequest:
    """A bulk operation (``bulkOpsRequestId`` is a ULID)."""

    id: str
    status: str
    """``PENDING``, ``IN_PROGRESS``, ``SUCCEEDED`` or ``FAILED``; others may come and are kept."""
    endpoint: str | None = None
    """What the operation does, ``CLAIM_DEVICE_OWNERSHIP`` for a claim; absent in older answers."""
    requested_at: pendulum.DateTime | None = None
    completed_at: pendulum.DateTime | None = None
    uploaded_data_url: str | None = None
    result_data_url: str | None = None
    error_summary_url: str | None = None
    extra: Json = field(default_factory=dict)

    @property
    def is_finished(self) -> bool:
        """Whether the status is a final one. A status that is not known is taken for not final."""
        return self.status in {SUCCEEDED, FAILED}

    @classmethod
    def from_json(cls, body: Json) -> BulkOpsRequest:
        """Read the JSON object of one operation. Raises KeyError or TypeError if it is none."""
        names = {
            "bulkOpsRequestId", "status", "endpoint", "requestedAt", "completedAt",
            "uploadedDataUrl", "resultDataUrl", "errorSummaryUrl",
        }  # fmt: skip
        return cls(
            id=str(body["bulkOpsRequestId"]),
            status=str(body["status"]),
            endpoint=body.get("endpoint"),
            requested_at=_time(body.get("requestedAt")),
            completed_at=_time(body.get("completedAt")),
            uploaded_data_url=body.get("uploadedDataUrl") or None,
            result_data_url=body.get("resultDataUrl") or None,
            error_summary_url=body.get("errorSummaryUrl") or None,
            extra=_others(body, names),
        )


@dataclass(frozen=True, slots=True)
class Tag:
    """A provisioning tag (shown as a provisioning group in the portal)."""

    tag: str
    id: str | None = None
    """What the paths of a tag take; a UUID (inferred)."""
    description: str | None = None
    extra: Json = field(default_factory=dict)

    @classmethod
    def from_json(cls, body: Json | str) -> Tag:
        """Read one tag, an object or (tolerated) its bare name."""
        if isinstance(body, str):
            return cls(tag=body)
        return cls(
            tag=str(body["tag"]),
            id=body.get("id"),
            description=body.get("description"),
            extra=_others(body, {"tag", "id", "description"}),
        )


@dataclass(frozen=True, slots=True)
class Page(Generic[ItemT]):
    """One page of a list. ``next_page_token`` is ``None`` on the last one."""

    items: tuple[ItemT, ...]
    next_page_token: str | None = None


def _others(body: Json, known: set[str]) -> Json:
    return {name: value for name, value in body.items() if name not in known}


def _time(value: object) -> pendulum.DateTime | None:
    if not isinstance(value, str):
        return None
    try:
        parsed = pendulum.parse(value)
    except ValueError:
        return None
    return parsed.in_timezone("UTC") if isinstance(parsed, pendulum.DateTime) else None
