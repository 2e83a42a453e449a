"""What the service's answers hold, as dataclasses.

Times are aware ``pendulum`` datetimes (UTC), ``None`` where the service sent none or one that cannot
be read. Statuses are kept as the service wrote them, since not all of them are known. Fields that
have no attribute here are kept in ``extra``.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import pendulum

from airflow_provider_nrfprov.api.contract import BULK_OPS_REQUEST_ID, COMMAND_NOT_ENDED, FAILED, SUCCEEDED
from airflow_provider_nrfprov.api.errors import UnreadableAnswerError
from airflow_provider_nrfprov.api.ids import checked_id

if TYPE_CHECKING:
    from airflow_provider_nrfprov.api.error_summary import ErrorSummary

ItemT = TypeVar("ItemT")
Json = Mapping[str, Any]
_LOOKS_LIKE_A_TIME = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d", re.ASCII)
_YEARS = range(2000, 3000)


@dataclass(frozen=True, slots=True)
class ClaimedDevice:
    """A device that the team has claimed. ``id`` is the device UUID, the one in its claim token."""

    id: str
    device_type: str | None = None
    firmware_id: str | None = None
    imei: str | None = None
    owner_id: str | None = None
    ownership_status: str | None = None
    tags: tuple[str, ...] | None = None
    """``None`` where the service does not say: nothing may be written back from that."""
    status: str | None = None
    claimed_at: pendulum.DateTime | None = None
    extra: Json = field(default_factory=dict)

    @classmethod
    def from_json(cls, body: Json) -> ClaimedDevice:
        """Read the JSON object of one device. Raise KeyError, TypeError or ValueError if it is not one."""
        names = {
            "id", "deviceType", "firmwareId", "imei", "ownerId", "ownershipStatus", "tags", "status", "claimedAt",
        }  # fmt: skip
        return cls(
            id=_required(body["id"]).lower(),
            device_type=_text(body.get("deviceType")),
            firmware_id=_text(body.get("firmwareId")),
            imei=_text(body.get("imei")),
            owner_id=_text(body.get("ownerId")),
            ownership_status=_text(body.get("ownershipStatus")),
            tags=None if body.get("tags") is None else _tags(body["tags"]),
            status=_text(body.get("status")),
            claimed_at=_time(body.get("claimedAt")),
            extra=_others(body, names),
        )

    def known_tags(self) -> tuple[str, ...]:
        """Return the tags.

        :raises UnreadableAnswerError: if the service does not say which these are: that is not the same as none.
        """
        if self.tags is None:
            raise UnreadableAnswerError(
                f"the service does not say which tags device {self.id} has", status=200, text=""
            )
        return self.tags

    def as_dict(self) -> dict[str, Any]:
        """Return the attributes as JSON has them, ``claimed_at`` as ISO 8601; without ``extra``."""
        return {
            "id": self.id,
            "device_type": self.device_type,
            "firmware_id": self.firmware_id,
            "imei": self.imei,
            "owner_id": self.owner_id,
            "ownership_status": self.ownership_status,
            "tags": None if self.tags is None else list(self.tags),
            "status": self.status,
            "claimed_at": _iso(self.claimed_at),
        }


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
    errors: ErrorSummary | None = None
    """What it says went wrong, where it says so itself (the API of projects)."""
    is_end: bool | None = None
    """Whether the status is a final one, where other words may be."""

    @property
    def is_finished(self) -> bool:
        """Whether the status is a final one. A status that is not known is taken for not final."""
        return self.status in {SUCCEEDED, FAILED} if self.is_end is None else self.is_end

    @property
    def names_errors(self) -> bool:
        """Whether it has anything to say of what went wrong."""
        errors = self.errors
        return bool(self.error_summary_url or (errors and (errors.rows or errors.devices or errors.others)))

    @classmethod
    def from_json(cls, body: Json) -> BulkOpsRequest:
        """Read the JSON object of one operation. Raise KeyError, TypeError or ValueError if it is not one."""
        names = {
            "bulkOpsRequestId", "status", "endpoint", "requestedAt", "completedAt",
            "uploadedDataUrl", "resultDataUrl", "errorSummaryUrl",
        }  # fmt: skip
        return cls(
            id=checked_id(body[BULK_OPS_REQUEST_ID]),
            status=_required(body["status"]),
            endpoint=_text(body.get("endpoint")),
            requested_at=_time(body.get("requestedAt")),
            completed_at=_time(body.get("completedAt")),
            uploaded_data_url=_text(body.get("uploadedDataUrl")) or None,
            result_data_url=_text(body.get("resultDataUrl")) or None,
            error_summary_url=_text(body.get("errorSummaryUrl")) or None,
            extra=_others(body, names),
        )

    def as_dict(self) -> dict[str, Any]:
        """Return its state as JSON has it, times as ISO 8601; no URLs, no ``extra``."""
        return {
            "id": self.id,
            "status": self.status,
            "endpoint": self.endpoint,
            "requested_at": _iso(self.requested_at),
            "completed_at": _iso(self.completed_at),
        }


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
            return cls(tag=_required(body))
        return cls(
            tag=_required(body["tag"]),
            id=_text(body.get("id")),
            description=_text(body.get("description")),
            extra=_others(body, {"tag", "id", "description"}),
        )


@dataclass(frozen=True, slots=True)
class ProvisioningCommand:
    """A command that a device carries out when it connects to the Provisioning Service.

    What was requested stays out of ``repr``: it may hold a private key or a pre-shared one.
    """

    id: str
    status: str
    """``PENDING`` or ``IN_PROGRESS``; anything else is an end: ``SUCCEEDED`` (confirmed), ``FAILED`` (inferred)."""
    description: str | None = None
    request: Json = field(default_factory=dict, repr=False)
    """One key, the kind of command, to its fields; empty if the service does not return it."""
    response: Any = field(default=None, repr=False)
    """What the device answered, under the request's key (a CSR: ``{"certificateSigningRequest": {"message": …}}``)."""
    requested_at: pendulum.DateTime | None = None
    """When the device fetched it."""
    responded_at: pendulum.DateTime | None = None
    extra: Json = field(default_factory=dict, repr=False)

    @property
    def is_finished(self) -> bool:
        """Whether the command has ended, by the status as Nordic's own tool reads it."""
        return self.status not in COMMAND_NOT_ENDED

    @classmethod
    def from_json(cls, body: Json) -> ProvisioningCommand:
        """Read the JSON object of one command. Raise KeyError, TypeError or ValueError if it is not one.

        A new command may come without a status (inferred); it is pending then. The service writes two times beside
        the kind, ``requestedAt`` and ``respondedAt`` (confirmed by Nordic's own test); here they are separate.
        """
        request, requested_at = _without_time(body.get("request"), "requestedAt")
        response, responded_at = _without_time(body.get("response"), "respondedAt")
        return cls(
            id=checked_id(body["id"]),
            status=_text(body.get("status")) or "PENDING",
            description=_text(body.get("description")),
            request=request if isinstance(request, Mapping) else {},
            response=response,
            requested_at=requested_at,
            responded_at=responded_at,
            extra=_others(body, {"id", "status", "description", "request", "response"}),
        )


@dataclass(frozen=True, slots=True)
class ProvisioningRule:
    """A provisioning rule: commands for every device that has one of its tags."""

    name: str
    id: str | None = None
    description: str | None = None
    status: str | None = None
    """``DRAFT`` until it is activated (confirmed); the name of the other is unknown."""
    tags: tuple[str, ...] = ()
    commands: tuple[Json, ...] = field(default=(), repr=False)
    """Each ``{"request": {kind: fields}}``."""
    extra: Json = field(default_factory=dict)

    @classmethod
    def from_json(cls, body: Json) -> ProvisioningRule:
        """Read the JSON object of one rule. Raise KeyError, TypeError or ValueError if it is not one."""
        return cls(
            name=_required(body["name"]),
            id=_text(body.get("id")),
            description=_text(body.get("description")),
            status=_text(body.get("status")),
            tags=_tags(body.get("tags")),
            commands=_objects(body.get("commands")),
            extra=_others(body, {"name", "id", "description", "status", "tags", "commands"}),
        )


@dataclass(frozen=True, slots=True)
class Page(Generic[ItemT]):
    """One page of a list. ``next_page_token`` is ``None`` on the last one."""

    items: tuple[ItemT, ...]
    next_page_token: str | None = None
    unreadable: int = 0
    """How many more items it has, which cannot be read."""


def _others(body: Json, known: set[str]) -> Json:
    return {name: value for name, value in body.items() if name not in known}


def _iso(moment: pendulum.DateTime | None) -> str | None:
    return moment.isoformat() if moment else None


def _time(value: object) -> pendulum.DateTime | None:
    if not isinstance(value, str) or not _LOOKS_LIKE_A_TIME.match(value):
        return None
    try:
        parsed = pendulum.parse(value)
        moment = parsed.in_timezone("UTC") if isinstance(parsed, pendulum.DateTime) else None
    except (ValueError, OverflowError):
        return None
    # The first and the last years of the calendar are not to be counted with.
    return moment if moment is not None and moment.year in _YEARS else None


def _required(value: object) -> str:
    text = _text(value)
    if not text:
        raise ValueError("is empty")
    return text


def _text(value: object) -> str | None:
    """Return what should be a text as one, however the service wrote it."""
    if value is None or isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False)


def _tags(value: object) -> tuple[str, ...]:
    """Return the names of tags, which may be objects with a ``tag``, as those of ListTags are."""
    if value is None:
        return ()
    if not isinstance(value, list):
        raise TypeError("tags are not a list")
    return tuple(_required(each["tag"] if isinstance(each, dict) else each) for each in value)


def _objects(value: object) -> tuple[Json, ...]:
    if value is None:
        return ()
    if not isinstance(value, list) or not all(isinstance(each, dict) for each in value):
        raise TypeError("is not a list of objects")
    return tuple(value)


def _without_time(value: Any, name: str) -> tuple[Any, pendulum.DateTime | None]:
    if not isinstance(value, dict) or name not in value:
        return value, None
    # A response that holds nothing but its time is none yet.
    return {key: each for key, each in value.items() if key != name} or None, _time(value[name])
