"""What became of each row of a chunk: from the answer, from the operation, and by asking what is ours.

The service's words decide what they can: rows that it lists as claimed are claimed, an operation that
SUCCEEDED has claimed all of its rows. Every other row is doubtful, and the list of our claimed devices
decides. FAILED does not mean that nothing was done.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pendulum

from airflow_provider_nrfprov.api.contract import FAILED, SUCCEEDED
from airflow_provider_nrfprov.api.error_summary import ErrorSummary
from airflow_provider_nrfprov.api.errors import NrfProvError
from airflow_provider_nrfprov.api.models import (
    BulkClaim,
    BulkOpsRequest,
    ClaimedDevice,
    FailedClaim,
)
from airflow_provider_nrfprov.claiming.claim_file import Row
from airflow_provider_nrfprov.claiming.ledger import Entry
from airflow_provider_nrfprov.claiming.recovery import CLOCK_SKEW
from airflow_provider_nrfprov.claiming.report import Outcome, RowOutcome
from airflow_provider_nrfprov.claiming.token import TokenError, decode

if TYPE_CHECKING:
    from airflow_provider_nrfprov.api.service import ProvisioningService

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Doubt:
    """A row that the service did not say it claimed."""

    words: str = ""
    named: bool = False
    """The service refused this very row."""
    final: bool = True
    """Nothing more is to come: if the device is not ours, it won't be."""


@dataclass(frozen=True, slots=True)
class _Findings:
    """What is known of a chunk before asking which of its devices are ours."""

    status: str
    doubts: Mapping[int, _Doubt]
    """By position; a row that is not in here is claimed."""


def settle_chunk(rows: Sequence[Row], entry: Entry | None, service: ProvisioningService) -> list[RowOutcome]:
    """Give the outcome of each of a chunk's sendable rows, in their order.

    :param entry: what the ledger knows of the chunk; ``None`` if it was never about to be sent.
    """
    if entry is None or entry.nothing_done:
        return [RowOutcome(row, Outcome.FAILED, "not_sent", "never sent") for row in rows]
    findings = _find(rows, entry, service)
    if not findings.doubts:
        status, operation_id = findings.status, entry.bulk_ops_request_id
        return [RowOutcome(row, Outcome.CLAIMED, status, "", operation_id) for row in rows]
    devices, why_not = _ours(rows, findings.doubts, service)
    outcomes = []
    for position, row in enumerate(rows):
        doubt = findings.doubts.get(position)
        if doubt is None:
            outcome, words = Outcome.CLAIMED, ""
        elif device := devices.get(str(row.device_id)):
            # Words of the whole operation would only alarm where the row itself came to a good end.
            outcome, words = _whose_claim(device, doubt, entry), doubt.words if doubt.named else ""
        else:
            outcome, words = _without_device(doubt, why_not)
        outcomes.append(RowOutcome(row, outcome, findings.status, words, entry.bulk_ops_request_id))
    return outcomes


def not_claimed(rows: Sequence[Row], positions: Sequence[int], answer: BulkClaim) -> dict[int, str]:
    """Give the sent rows that a synchronous answer does not list as claimed, with the service's words.

    Devices that it lists and that were not sent count for nothing.

    :param positions: which of ``rows`` were sent, in the order of sending.
    """
    claimed = set(answer.claimed_ids)
    missing = {
        place: position for place, position in enumerate(positions) if rows[position].device_id not in claimed
    }
    by_device = {device: failed.message for failed in answer.failed if (device := _device_of(failed))}
    by_place = _by_place([failed for failed in answer.failed if not _device_of(failed)], set(missing))
    return {
        position: by_device.get(str(rows[position].device_id)) or by_place.get(place, "")
        for place, position in missing.items()
    }


def _device_of(failed: FailedClaim) -> str | None:
    if failed.claim_token:
        try:
            return decode(failed.claim_token).device_id
        except TokenError:
            pass
    return failed.device_id


def _by_place(numbered: Iterable[FailedClaim], missing: set[int]) -> dict[int, str]:
    """Read row numbers whose base (0 or 1) is unknown: only the one that hits just missing rows can be meant."""
    words = {failed.row: failed.message for failed in numbered if failed.row is not None}
    fitting = [base for base in (0, 1) if {row - base for row in words} <= missing]
    if len(fitting) != 1:
        return {}
    return {row - fitting[0]: message for row, message in words.items()}


def _find(rows: Sequence[Row], entry: Entry, service: ProvisioningService) -> _Findings:
    if entry.status is None:
        return _Findings("", dict.fromkeys(range(len(rows)), _Doubt("its answer was lost", final=False)))
    sent = range(len(rows)) if entry.sent is None else entry.sent
    if entry.bulk_ops_request_id:
        findings = _of_operation(entry.bulk_ops_request_id, sent, service)
    else:
        findings = _Findings(
            str(entry.status),
            {position: _Doubt(words, named=bool(words)) for position, words in entry.not_claimed.items()},
        )
    # What was left out of a repeated request was found to be ours then: only since when is in doubt.
    found = set(range(len(rows))) - set(sent)
    return _Findings(findings.status, {**dict.fromkeys(found, _Doubt()), **findings.doubts})


def _of_operation(operation_id: str, sent: Sequence[int], service: ProvisioningService) -> _Findings:
    try:
        operation = service.fetch_bulk_ops_request(operation_id)
    except NrfProvError as error:
        words = f"bulk operation {operation_id} could not be asked about: {error}"
        return _Findings("", dict.fromkeys(sent, _Doubt(words, final=False)))
    if operation.status == SUCCEEDED:
        return _Findings(SUCCEEDED, {})
    if operation.status != FAILED:
        words = f"bulk operation {operation_id} is {operation.status}"
        return _Findings(operation.status, dict.fromkeys(sent, _Doubt(words, final=False)))
    summary = _error_summary(operation, service)
    general = (
        "; ".join(summary.others) or f"bulk operation {operation_id} is FAILED and does not name this row"
    )
    doubts = {
        position: _Doubt(summary.rows.get(place, general), named=place in summary.rows)
        for place, position in enumerate(sent)
    }
    return _Findings(FAILED, doubts)


def _error_summary(operation: BulkOpsRequest, service: ProvisioningService) -> ErrorSummary:
    try:
        return service.fetch_error_summary(operation)
    except NrfProvError as error:
        _log.warning("the error summary of bulk operation %s cannot be had: %s", operation.id, error)
        return ErrorSummary(
            others=(f"bulk operation {operation.id} is FAILED; its error summary cannot be had",)
        )


def _ours(
    rows: Sequence[Row], doubts: Mapping[int, _Doubt], service: ProvisioningService
) -> tuple[Mapping[str, ClaimedDevice], str]:
    """Ask which of the doubtful devices are ours; if that can't be asked, say why."""
    try:
        return service.find_claimed_devices([str(rows[position].device_id) for position in doubts]), ""
    except NrfProvError as error:
        return {}, f"whether it is ours could not be asked: {error}"


def _without_device(doubt: _Doubt, why_not: str) -> tuple[Outcome, str]:
    """Judge a doubtful row whose device is not ours, or could not be asked about (``why_not``)."""
    if why_not:
        # Even one that was refused: if it is ours already, nothing failed.
        return Outcome.UNKNOWN, "; ".join(filter(None, (doubt.words, why_not)))
    words = doubt.words or "the service did not list it as claimed, and it is not among our devices"
    return (Outcome.FAILED if doubt.final else Outcome.UNKNOWN), words


def _whose_claim(device: ClaimedDevice, doubt: _Doubt, entry: Entry) -> Outcome:
    """Tell a device that this job claimed from one that was ours before."""
    # A row refused at its first sending was ours before, unless the service's own time says otherwise.
    refused_at_first = doubt.named and not entry.was_repeated
    if device.claimed_at is None:
        return Outcome.ALREADY_CLAIMED if refused_at_first else Outcome.CLAIMED
    if device.claimed_at >= entry.first_sent_at - (pendulum.duration() if refused_at_first else CLOCK_SKEW):
        return Outcome.CLAIMED
    return Outcome.ALREADY_CLAIMED
