"""Every operation of the service, once: what is sent and how its answer is read. Pure, no I/O.

A function here builds an :class:`Operation`; :class:`~airflow_provider_nrfprov.api.client.ProvisioningClient`
sends it. Method and path come from :mod:`~airflow_provider_nrfprov.api.contract`.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

import pendulum

from airflow_provider_nrfprov.api import contract
from airflow_provider_nrfprov.api.error_summary import parse_error_summary
from airflow_provider_nrfprov.api.errors import UnreadableAnswerError
from airflow_provider_nrfprov.api.ids import checked_device_id, checked_id, checked_tag_id
from airflow_provider_nrfprov.api.models import (
    BulkClaim,
    BulkOpsRequest,
    ClaimedDevice,
    DryRun,
    FailedClaim,
    Page,
    ProvisioningCommand,
    ProvisioningRule,
    Tag,
)
from airflow_provider_nrfprov.api.redaction import redact
from airflow_provider_nrfprov.api.response import Response

_log = logging.getLogger(__name__)

ResultT = TypeVar("ResultT")
ItemT = TypeVar("ItemT")


def _is_success(answer: Response) -> bool:
    return 200 <= answer.status < 300


@dataclass(frozen=True, slots=True)
class Operation(Generic[ResultT]):
    """One call of the service, not yet sent."""

    name: str
    """The service's name of it; the key into :data:`~airflow_provider_nrfprov.api.contract.ENDPOINTS`."""
    read: Callable[[Response], ResultT]
    path_parts: Mapping[str, str] = field(default_factory=dict)
    query: Mapping[str, str | int] = field(default_factory=dict)
    json: Mapping[str, Any] | None = field(default=None, repr=False)
    csv: str | None = field(default=None, repr=False)
    is_result: Callable[[Response], bool] = _is_success
    """Whether an answer is one to be read rather than an error."""
    repeatable: bool = True
    """Whether sending it twice does no harm."""
    url: str | None = None
    """Where it is sent instead of to a path of the contract: a URL that an answer named, on a host of the connection's own."""


def claim_device(claim_token: str, tags: Iterable[str] = ()) -> Operation[ClaimedDevice]:
    """ClaimDeviceOwnership of one device; a device that is claimed already is a conflict (409, inferred)."""
    body: dict[str, Any] = {"claimToken": claim_token}
    if tags := [checked_tag(tag) for tag in tags]:
        body["tags"] = tags
    return Operation(
        "ClaimDeviceOwnership", read_object(ClaimedDevice.from_json), json=body, repeatable=False
    )


def dry_run_claim(claim_token: str) -> Operation[DryRun]:
    """Ask whether a device could be claimed, without claiming it (202 means yes)."""
    return Operation(
        "ClaimDeviceOwnership",
        _read_dry_run,
        query={"dryrun": "true"},
        json={"claimToken": claim_token},
        is_result=_is_dry_run_result,
    )


def bulk_claim(csv: str) -> Operation[BulkClaim]:
    """Claim many devices: rows of a claim token and, in quotes, comma-separated tags.

    Which of the two contracts answers is read from the answer. A synchronous answer with an error
    status that still holds ``claimedIds`` or ``failed`` is a result: some of the rows are claimed.
    """
    return Operation(
        "BulkClaimDeviceOwnership",
        _read_bulk_claim,
        csv=csv,
        is_result=_is_bulk_claim_result,
        repeatable=False,
    )


def fetch_bulk_ops_request(bulk_ops_request_id: str) -> Operation[BulkOpsRequest]:
    """FetchBulkOpsRequest."""
    return Operation(
        "FetchBulkOpsRequest",
        read_object(BulkOpsRequest.from_json),
        path_parts={"bulk_ops_request_id": checked_id(bulk_ops_request_id)},
    )


def list_bulk_ops_requests(
    page_token: str | None = None,
    *,
    status: str | None = None,
    requested_from: pendulum.DateTime | None = None,
    requested_until: pendulum.DateTime | None = None,
    page_limit: int | None = None,
) -> Operation[Page[BulkOpsRequest]]:
    """List bulk operations, by status and time of request."""
    filters = {
        "status": status,
        "requested_from": requested_from.in_timezone("UTC").isoformat() if requested_from else None,
        "requested_until": requested_until.in_timezone("UTC").isoformat() if requested_until else None,
    }
    return Operation(
        "ListBulkOpsRequests",
        _read_page(BulkOpsRequest.from_json),
        query=_page_query(
            page_token,
            page_limit,
            {contract.BULK_OPS_FILTERS[name]: value for name, value in filters.items()},
        ),
    )


def list_claimed_devices(
    page_token: str | None = None,
    *,
    page_limit: int | None = None,
    filters: Mapping[str, str] | None = None,
) -> Operation[Page[ClaimedDevice]]:
    """ListClaimedDevices. The names of page parameters and ``filters`` are inferred."""
    return Operation(
        "ListClaimedDevices",
        _read_page(ClaimedDevice.from_json),
        query=_page_query(page_token, page_limit, filters),
    )


def fetch_claimed_device(device_id: str) -> Operation[ClaimedDevice]:
    """FetchClaimedDevice; a device that is not ours is not found."""
    return Operation(
        "FetchClaimedDevice",
        read_object(ClaimedDevice.from_json),
        path_parts={"device_id": checked_device_id(device_id)},
    )


def set_device_tags(device_id: str, tags: Iterable[str]) -> Operation[None]:
    """Replace the tags of a claimed device (UpdateClaimedDevice; method and path inferred)."""
    return Operation(
        "UpdateClaimedDevice",
        _read_nothing,
        path_parts={"device_id": checked_device_id(device_id)},
        json={"tags": [checked_tag(tag) for tag in tags]},
    )


def block_device(device_id: str) -> Operation[None]:
    """BlockClaimedDevice; what is answered besides success, and of a blocked device, is unknown."""
    return Operation(
        "BlockClaimedDevice", _read_nothing, path_parts={"device_id": checked_device_id(device_id)}
    )


def unblock_device(device_id: str) -> Operation[None]:
    """UnblockClaimedDevice; what is answered besides success, and of a device that is not blocked, is unknown."""
    return Operation(
        "UnblockClaimedDevice", _read_nothing, path_parts={"device_id": checked_device_id(device_id)}
    )


def unclaim_device(device_id: str) -> Operation[None]:
    """UnclaimDevice: anybody may claim it then, and its data in Device Management is deleted."""
    return Operation("UnclaimDevice", _read_nothing, path_parts={"device_id": checked_device_id(device_id)})


def list_tags(page_token: str | None = None) -> Operation[Page[Tag]]:
    """List the team's tags."""
    return Operation("ListTags", _read_page(Tag.from_json), query=_page_query(page_token))


def list_device_tags(device_id: str, page_token: str | None = None) -> Operation[Page[Tag]]:
    """List the tags of one device (that the path takes a device's id is the guide's word; see contract)."""
    return Operation(
        "ListDeviceTags",
        _read_page(Tag.from_json),
        path_parts={"device_id": checked_device_id(device_id)},
        query=_page_query(page_token),
    )


def create_tag(tag: str, description: str = "") -> Operation[None]:
    """Create a tag; one that exists is a conflict (409, inferred)."""
    return Operation(
        "CreateTag",
        _read_nothing,
        json={"tag": checked_tag(tag), "description": description},
        repeatable=False,
    )


def update_tag(tag_id: str, tag: str, description: str = "") -> Operation[None]:
    """UpdateTag: rename it on every device that has it."""
    return Operation(
        "UpdateTag",
        _read_nothing,
        path_parts={"tag_id": checked_tag_id(tag_id)},
        json={"tag": checked_tag(tag), "description": description},
    )


def delete_tag(tag_id: str) -> Operation[None]:
    """DeleteTags: the tag leaves every device that has it."""
    return Operation("DeleteTags", _read_nothing, path_parts={"tag_id": checked_tag_id(tag_id)})


def checked_tag(tag: str) -> str:
    """Return the tag if it is valid. A comma may be in it: Nordic's own tool makes such tags; a CSV file cannot say it.

    :raises ValueError: if it is empty or has more than 100 characters; nothing is sent then.
    """
    if not tag:
        raise ValueError("a tag is empty")
    if len(tag) > contract.MAX_TAG_CHARACTERS:
        raise ValueError(
            f"a tag has {len(tag)} characters, at most {contract.MAX_TAG_CHARACTERS} are allowed: {tag!r}"
        )
    return tag


def create_command(
    device_id: str, request: Mapping[str, Any], description: str = ""
) -> Operation[ProvisioningCommand]:
    """CreateDeviceProvisioningCommand: one key, the kind of command, to its fields.

    A device has at most 20 commands. Sent twice, it is two commands.
    """
    body: dict[str, Any] = {"request": dict(request)}
    if description:
        body["description"] = description
    return Operation(
        "CreateDeviceProvisioningCommand",
        read_object(ProvisioningCommand.from_json),
        path_parts={"device_id": checked_device_id(device_id)},
        json=body,
        repeatable=False,
    )


def list_commands(device_id: str, page_token: str | None = None) -> Operation[Page[ProvisioningCommand]]:
    """List the provisioning commands of a device. Those of a rule are there once the device was online."""
    return Operation(
        "ListDeviceProvisioningCommands",
        _read_page(ProvisioningCommand.from_json),
        path_parts={"device_id": checked_device_id(device_id)},
        query=_page_query(page_token),
    )


def fetch_command(device_id: str, command_id: str) -> Operation[ProvisioningCommand]:
    """Fetch one provisioning command of a device."""
    return Operation(
        "FetchDeviceProvisioningCommand",
        read_object(ProvisioningCommand.from_json),
        path_parts={"device_id": checked_device_id(device_id), "command_id": checked_id(command_id)},
    )


def list_rules(page_token: str | None = None) -> Operation[Page[ProvisioningRule]]:
    """ListProvisioningRules."""
    return Operation(
        "ListProvisioningRules",
        _read_page(ProvisioningRule.from_json),
        query=_page_query(page_token),
    )


def create_rule(
    name: str,
    commands: Iterable[Mapping[str, Any]],
    tags: Iterable[str],
    description: str = "",
    *,
    active: bool = True,
) -> Operation[None]:
    """CreateProvisioningRule; one of this name is a conflict (names are unique; 409 is inferred).

    :param commands: each ``{"request": {kind: fields}}``.
    :param tags: the rule is for devices that have one of them.
    :param active: else it is a draft, which can be edited until it is activated.
    """
    return Operation(
        "CreateProvisioningRule",
        _read_nothing,
        json={
            "name": name,
            "description": description,
            "active": active,
            "commands": [dict(command) for command in commands],
            "tags": [checked_tag(tag) for tag in tags],
        },
        repeatable=False,
    )


def _page_query(
    page_token: str | None,
    page_limit: int | None = None,
    filters: Mapping[str, str | None] | None = None,
) -> dict[str, str | int]:
    query: dict[str, str | int] = {contract.PAGE_LIMIT_PARAMETER: page_limit or contract.MAX_PAGE_LIMIT}
    if page_token:
        query[contract.PAGE_TOKEN_PARAMETER] = page_token
    return query | {name: value for name, value in (filters or {}).items() if value}


def _read_nothing(answer: Response) -> None:
    """Read the answer to a change, of which nothing is known but what it is not: a login page, an error under a good status.

    :raises UnreadableAnswerError: if it is one of these; whether anything was done is open then.
    """
    if answer.is_web_page:
        raise answer.unreadable("is a web page, which nRF Cloud does not send")
    body = answer.json_object()
    if body.get("error") or any(
        _is_error_number(body.get(name)) for name in ("code", "status", "statusCode")
    ):
        raise answer.unreadable("says that it failed")


def _is_error_number(value: object) -> bool:
    """Whether it is an HTTP status of an error, or one of the service's own codes, which begin with one: 40101."""
    return isinstance(value, int) and value >= 400


def read_object(build: Callable[[Any], ItemT]) -> Callable[[Response], ItemT]:
    """Return the reader of an answer that is one JSON value; ``build`` raises KeyError, TypeError or ValueError if it is none."""

    def read(answer: Response) -> ItemT:
        return _build(build, answer.json(), answer)

    return read


def _read_page(build: Callable[[Any], ItemT]) -> Callable[[Response], Page[ItemT]]:
    def read(answer: Response) -> Page[ItemT]:
        body = answer.json()
        items, token = (
            (body.get(contract.PAGE_ITEMS), body.get(contract.NEXT_PAGE_TOKEN))
            if isinstance(body, dict)
            else (body, None)
        )
        if not isinstance(items, list):
            raise answer.unreadable(f"has no list {contract.PAGE_ITEMS!r}")
        if token is not None and not isinstance(token, str):
            raise answer.unreadable(f"holds a {contract.NEXT_PAGE_TOKEN!r} that is not a string")
        built = [item for each in items if (item := _item(build, each, answer)) is not None]
        if items and not built:
            raise answer.unreadable("does not have the expected fields")
        return Page(tuple(built), token or None, len(items) - len(built))

    return read


def _item(build: Callable[[Any], ItemT], body: Any, answer: Response) -> ItemT | None:
    """Build one item of a list; one that cannot be read costs itself only."""
    try:
        return _build(build, body, answer)
    except UnreadableAnswerError:
        _log.warning("skipping an item of a list that cannot be read (%s)", answer.url)
        return None


def _build(build: Callable[[Any], ItemT], body: Any, answer: Response) -> ItemT:
    try:
        return build(body)
    except (KeyError, IndexError, TypeError, AttributeError, ValueError):
        raise answer.unreadable("does not have the expected fields") from None


def _is_dry_run_result(answer: Response) -> bool:
    # Which status a refusal has is unknown. The others say something of the caller, not of the device.
    if answer.status == contract.DRY_RUN_CLAIMABLE:
        return True
    says_something = 400 <= answer.status < 500 and answer.status not in contract.DRY_RUN_SAYS_NOTHING
    return says_something and not answer.is_web_page


def _read_dry_run(answer: Response) -> DryRun:
    if answer.status == contract.DRY_RUN_CLAIMABLE:
        return DryRun(claimable=True)
    return DryRun(claimable=False, reason=answer.problem().message or f"answered {answer.status}")


def _is_bulk_claim_result(answer: Response) -> bool:
    if _is_success(answer):
        return True
    # A 429 or a 5xx that happens to hold such a key says nothing of rows.
    return answer.status in contract.REFUSED_AS_A_WHOLE and bool(
        {contract.CLAIMED_IDS, contract.FAILED_CLAIMS} & answer.json_object().keys()
    )


def _read_bulk_claim(answer: Response) -> BulkClaim:
    return _build(lambda body: _bulk_claim(body, answer), answer.json(), answer)


def _bulk_claim(body: Any, answer: Response) -> BulkClaim:
    if not isinstance(body, dict):
        raise answer.unreadable("is not an object")
    if bulk_ops_request_id := body.get(contract.BULK_OPS_REQUEST_ID):
        return BulkClaim(answer.status, bulk_ops_request_id=checked_id(bulk_ops_request_id))
    if not {contract.CLAIMED_IDS, contract.FAILED_CLAIMS} & set(body):
        raise answer.unreadable("holds neither 'bulkOpsRequestId' nor 'claimedIds' or 'failed'")
    claimed, failed = body.get(contract.CLAIMED_IDS) or [], body.get(contract.FAILED_CLAIMS) or []
    if not isinstance(claimed, list) or not isinstance(failed, list):
        raise answer.unreadable("holds 'claimedIds' or 'failed' that are not lists")
    return BulkClaim(
        answer.status,
        claimed_ids=tuple(map(str.lower, map(str, claimed))),
        failed=tuple(_read_failed(element) for element in failed),
    )


def _read_failed(element: Any) -> FailedClaim:
    if not isinstance(element, dict):
        text = str(element)
        if numbered := parse_error_summary(json.dumps([text])).rows:
            row, message = numbered.popitem()
            return FailedClaim(message=message, row=row)
        return FailedClaim(message=redact(text), device_id=text.lower(), claim_token=text)
    shown = redact(json.dumps(element, ensure_ascii=False))
    message, row = _first(element, "message"), _first(element, "row")
    device_id, token = _first(element, "device_id"), _first(element, "claim_token")
    return FailedClaim(
        message=redact(str(message)) if message else shown,
        row=row if isinstance(row, int) else None,
        device_id=str(device_id).lower() if device_id else None,
        claim_token=str(token) if token else None,
    )


def _first(element: Mapping[str, Any], what: str) -> Any:
    names = contract.FAILED_CLAIM_FIELDS[what]
    return next((element[name] for name in names if element.get(name) is not None), None)
