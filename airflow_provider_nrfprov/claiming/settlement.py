"""What became of each row of a chunk: from the answers, from the operations, and by asking what is ours.

The service's word decides what it can: rows that it lists as claimed are claimed, an operation that
SUCCEEDED has claimed all of its rows. Every other row is doubtful, and the list of our claimed devices
decides. FAILED does not mean that nothing was done.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import pendulum

from airflow_provider_nrfprov.api.contract import SUCCEEDED
from airflow_provider_nrfprov.api.error_summary import ErrorSummary
from airflow_provider_nrfprov.api.errors import NrfProvError
from airflow_provider_nrfprov.api.models import BulkOpsRequest, ClaimedDevice
from airflow_provider_nrfprov.api.wait_policy import is_transient
from airflow_provider_nrfprov.claiming.ledger import Sending
from airflow_provider_nrfprov.claiming.recovery import CLOCK_SKEW, Inquiry
from airflow_provider_nrfprov.claiming.report import CLAIMED_BEFORE, Ending, Outcome, RowOutcome, explained
from airflow_provider_nrfprov.claiming.rows import Row
from airflow_provider_nrfprov.counted import counted

if TYPE_CHECKING:
    from airflow_provider_nrfprov.api.service import ProvisioningService
    from airflow_provider_nrfprov.claiming.chunks import Chunk

_log = logging.getLogger(__name__)

_OF_ANOTHER_ROW = "the operation names a row that it was not sent, so it is unclear which one it means"


@dataclass(frozen=True, slots=True)
class RowState:
    """What the ledger knows of one row."""

    last: Sending | None = None
    """The newest request that holds it."""
    suspect_since: pendulum.DateTime | None = None
    """When the first request before that was sent that may have claimed it: that did not refuse the row by name."""


def row_states(size: int, sendings: Iterable[Sending]) -> list[RowState]:
    """Return what the ledger knows of each of a chunk's ``size`` sendable rows."""
    states = [RowState()] * size
    for number, sending in enumerate(sendings):
        if not number and sending.positions is None:
            # As nearly always: one state for all.
            states = [RowState(sending)] * size
            continue
        for position in sending.rows_of(size):
            before = states[position]
            if sending.nothing_done and before.last is not None:
                # It says nothing of what an earlier request, or one of another try at the same time, has done.
                continue
            since = before.suspect_since
            if since is None and before.last is not None and not _refused(before.last, position):
                since = before.last.sent_at
            states[position] = RowState(sending, since)
    return states


def _refused(sending: Sending, position: int) -> bool:
    by_name = sending.refused is not None or bool(sending.not_claimed.get(position))
    return by_name or sending.nothing_done


@dataclass(frozen=True, slots=True)
class _Doubt:
    """A row that the service did not say it claimed."""

    message: str = ""
    named: bool = False
    """The service refused this very row."""
    final: bool = True
    """Nothing more is to come: if the device is not ours, it won't be."""


@dataclass(frozen=True, slots=True)
class _Finding:
    """What is known of a row before asking whether its device is ours."""

    status: str = ""
    operation_id: str | None = None
    doubt: _Doubt | None = None
    """``None`` if it is claimed by the service's word."""


class Settlement:
    """Settles the chunks of one job."""

    def __init__(self, service: ProvisioningService, inquiry: Inquiry) -> None:
        self._service = service
        self._inquiry = inquiry
        self._operations: dict[str, BulkOpsRequest] = {}
        self._list_shows = service.api.list_is_proof
        """Whether a device that this job created shows as ours: then one that does not show is not."""
        self._told: tuple[str, pendulum.DateTime] | None = None
        """A device that the service said it claimed, and when that was sent."""
        self._unavailable: NrfProvError | None = None
        """Why nothing more is asked: one request was in vain for as long as the client tries it."""

    def settle(self, device_ids: Sequence[str], sendings: Sequence[Sending]) -> list[Ending]:
        """Return what became of each of a chunk's rows that can be sent, in their order.

        Never raises for the service's sake: where it cannot be asked, rows are unknown.

        :param device_ids: their devices.
        """
        size = len(device_ids)
        states = row_states(size, sendings)
        findings = self._findings(device_ids, states, sendings)
        doubtful = any(finding.doubt for finding in findings.values())
        if not doubtful and len(sendings) == 1 and len(findings) == size:
            # As nearly always: all of them are claimed by the service's word.
            each = findings[0]
            self._told = device_ids[0], sendings[0].sent_at
            return [Ending(Outcome.CLAIMED, each.status, "", each.operation_id)] * size
        devices, why_not = self._ours(device_ids, findings, states)
        if not self._list_shows:
            findings = self._open_where_nothing_shows(device_ids, sendings, states, findings, devices)
        return [
            _ending(states[place], findings.get(place), devices.get(device_id), why_not)
            for place, device_id in enumerate(device_ids)
        ]

    def claimed_by_word(self, device_ids: Sequence[str], sendings: Sequence[Sending]) -> set[int]:
        """Return the positions of the rows that are claimed by the service's own word, as far as it can be asked now."""
        findings = self._findings(device_ids, row_states(len(device_ids), sendings), sendings)
        return {place for place, finding in findings.items() if finding.doubt is None}

    def _findings(
        self, device_ids: Sequence[str], states: Sequence[RowState], sendings: Iterable[Sending]
    ) -> dict[int, _Finding]:
        """Return what is known of each row that was sent."""
        findings: dict[int, _Finding] = {}
        for sending in sendings:
            if sending.nothing_done:
                continue
            sent = sending.rows_of(len(device_ids))
            current = [place for place in sent if states[place].last is sending]
            if current:
                by_place = self._of_sending(sending, sent, device_ids)
                findings |= {place: by_place[place] for place in current}
        return findings

    def _of_sending(
        self, sending: Sending, sent: Sequence[int], device_ids: Sequence[str]
    ) -> dict[int, _Finding]:
        if sending.refused is not None:
            others = len(sent) - 1
            together = f"refused together with {counted(others, 'other row')}: " if others else ""
            doubt = _Doubt(f"{together}{sending.refused}", named=True)
            return dict.fromkeys(sent, _Finding(str(sending.status), doubt=doubt))
        if sending.bulk_ops_request_id:
            findings = self._of_operation(sending.bulk_ops_request_id, sent, device_ids)
            return _seen_only(findings) if sending.looked else findings
        if sending.status is None:
            return dict.fromkeys(sent, _Finding(doubt=_Doubt("its response was lost", final=False)))
        findings = dict.fromkeys(sent, _Finding(str(sending.status)))
        for place, message in sending.not_claimed.items():
            doubt = _Doubt(message, named=bool(message))
            findings[place] = _Finding(str(sending.status), doubt=doubt)
        if sending.looked:
            # That they are ours was seen; since when is in doubt.
            findings = {
                place: replace(each, doubt=each.doubt or _Doubt()) for place, each in findings.items()
            }
        return findings

    def _of_operation(
        self, operation_id: str, sent: Sequence[int], device_ids: Sequence[str]
    ) -> dict[int, _Finding]:
        def all_of_them(status: str, doubt: _Doubt | None) -> dict[int, _Finding]:
            return dict.fromkeys(sent, _Finding(status, operation_id, doubt))

        try:
            self._require_available()
            operation = self.operation(operation_id)
        except NrfProvError as error:
            self._note(error)
            message = f"bulk operation {operation_id} could not be looked up: {error}"
            return all_of_them("", _Doubt(message, final=False))
        status = operation.status
        if not operation.is_finished:
            message = f"bulk operation {operation_id} is {status}"
            return all_of_them(status, _Doubt(message, final=False))
        if status == SUCCEEDED and not operation.names_errors:
            return all_of_them(SUCCEEDED, None)
        summary = self._error_summary(operation)
        named = _named(summary, device_ids, sent)
        others = (
            _Finding(status, operation_id, _Doubt(_OF_ANOTHER_ROW))
            if _names_another(summary, device_ids, sent)
            else self._unnamed(
                operation, summary, [device_ids[place] for place in sent if place not in named]
            )
        )
        return {
            place: _Finding(status, operation_id, _Doubt(named[place], named=True))
            if place in named
            else others
            for place in sent
        }

    def _unnamed(
        self, operation: BulkOpsRequest, summary: ErrorSummary, device_ids: Sequence[str]
    ) -> _Finding:
        """Return what is known of the rows that an operation does not name, which has ended."""
        id_, status = operation.id, operation.status
        words = "; ".join(summary.others) or f"bulk operation {id_} is {status} and does not name this row"
        if summary.unnamed_are_done is None:
            return _Finding(status, id_, None if status == SUCCEEDED else _Doubt(words))
        sample = {device_ids[0], device_ids[-1]} if device_ids else set()
        if summary.unnamed_are_done and self._fetched(sample).keys() == sample:
            return _Finding(f"{status}, not named (inferred)", id_)
        return _Finding(status, id_, _Doubt(words))

    def _open_where_nothing_shows(
        self,
        device_ids: Sequence[str],
        sendings: Sequence[Sending],
        states: Sequence[RowState],
        findings: dict[int, _Finding],
        found: Mapping[str, ClaimedDevice],
    ) -> dict[int, _Finding]:
        """Let it be open what became of devices that do not show, unless something shows that this job created.

        What was refused by name each time is refused, wherever it shows; all else may have been created.
        """
        open_ = {
            place: replace(each, doubt=replace(each.doubt, final=False))
            for place, each in findings.items()
            if each.doubt and device_ids[place] not in found
            if not (each.doubt.named and self._refused_each_time(place, device_ids, sendings, states[place]))
        }
        if not open_:
            return findings
        claimed = (place for place, each in findings.items() if each.doubt is None)
        told = next(
            ((device_ids[place], last.sent_at) for place in claimed if (last := states[place].last)),
            self._told,
        )
        asked = [
            (device, last.sent_at)
            for place, id_ in enumerate(device_ids)
            if (device := found.get(id_)) and (last := states[place].last)
        ]
        if told:
            asked += [(device, told[1]) for device in self._fetched([told[0]]).values()]
        self._list_shows = any(
            device.claimed_at and _is_since(device.claimed_at, sent_at) for device, sent_at in asked
        )
        return findings if self._list_shows else findings | open_

    def _refused_each_time(
        self, place: int, device_ids: Sequence[str], sendings: Iterable[Sending], state: RowState
    ) -> bool:
        """Return whether every request that held a row refused it by name."""
        if state.suspect_since is None:
            return True
        for sending in sendings:
            sent = sending.rows_of(len(device_ids))
            if place not in sent or _refused(sending, place):
                continue
            operation = self._operations.get(sending.bulk_ops_request_id or "")
            errors = operation.errors if operation else None
            if errors is None or place not in _named(errors, device_ids, sent):
                return False
        return True

    def _fetched(self, device_ids: Iterable[str]) -> dict[str, ClaimedDevice]:
        """Return which of a few devices show as ours; none, if they cannot be asked about."""
        found: dict[str, ClaimedDevice] = {}
        try:
            self._inquiry.fetch_each(sorted(device_ids), found)
        except NrfProvError as error:
            self._note(error)
        return found

    def operation(self, operation_id: str) -> BulkOpsRequest:
        """Return a bulk operation as it is now; one that has ended is asked about once.

        :raises NrfProvError: if the service cannot be asked.
        """
        known = self._operations.get(operation_id)
        if known is None:
            known = self._service.fetch_bulk_ops_request(operation_id)
            if known.is_finished:
                self._operations[operation_id] = known
        return known

    def _error_summary(self, operation: BulkOpsRequest) -> ErrorSummary:
        try:
            return self._service.fetch_error_summary(operation)
        except NrfProvError as error:
            _log.warning("the error summary of bulk operation %s is unavailable: %s", operation.id, error)
            return ErrorSummary(
                others=(
                    f"bulk operation {operation.id} is {operation.status}; its error summary is unavailable",
                )
            )

    def _require_available(self) -> None:
        if self._unavailable is not None:
            raise self._unavailable

    def _note(self, error: NrfProvError) -> None:
        if is_transient(error):
            self._unavailable = error

    def _ours(
        self, device_ids: Sequence[str], findings: Mapping[int, _Finding], states: Sequence[RowState]
    ) -> tuple[Mapping[str, ClaimedDevice], str]:
        """Ask which of the doubtful devices are ours; if that can't be asked, say why."""
        doubts = {place: finding.doubt for place, finding in findings.items() if finding.doubt}
        if not doubts:
            return {}, ""
        unnamed = [device_ids[place] for place, doubt in doubts.items() if doubt.final and not doubt.named]
        since = min(last.sent_at for place in doubts if (last := states[place].last))
        try:
            ids = [device_ids[place] for place in doubts]
            self._require_available()
            # Without waiting for a list that lags: a job that settles has waited for its operations, or has its answers.
            # Where the service said nothing of a row, its silence and that of a list are not enough.
            return self._inquiry.find_ours(ids, since, singly=unnamed), ""
        except NrfProvError as error:
            self._note(error)
            return {}, f"could not look up whether it is ours: {error}"


def outcomes_of(chunk: Chunk, endings: Sequence[Ending]) -> Iterator[RowOutcome]:
    """Yield what became of all rows of a chunk, given what became of those that can be sent."""
    place = 0
    for part in chunk.parts:
        if isinstance(part, Row):
            if part.is_ok:
                yield RowOutcome(part, endings[place])
                place += 1
            else:
                yield RowOutcome(part, Ending(Outcome.REJECTED, part.verdict.value, part.message))
            continue
        here = endings[place : place + len(part)]
        place += len(part)
        if here.count(here[0]) == len(part):
            yield RowOutcome(part, here[0])
        else:
            yield from map(RowOutcome, part, here)


def _seen_only(findings: Mapping[int, _Finding]) -> dict[int, _Finding]:
    """Return findings of an operation that was found by what it holds: it claimed what shows as ours, whatever it says."""
    words = "the operation that was found to hold this row has SUCCEEDED, but the device is not among ours"
    doubt = _Doubt(words, final=False)
    return {place: replace(each, doubt=each.doubt or doubt) for place, each in findings.items()}


def _named(summary: ErrorSummary, device_ids: Sequence[str], sent: Sequence[int]) -> dict[int, str]:
    """Return the positions of the sent rows that a summary names, with its messages; a device counts more than a row."""
    by_device = {device_ids[place]: place for place in sent} if summary.devices else {}
    by_row = {sent[place]: words for place, words in summary.rows.items() if place < len(sent)}
    return by_row | {by_device[id_]: words for id_, words in summary.devices.items() if id_ in by_device}


def _names_another(summary: ErrorSummary, device_ids: Sequence[str], sent: Sequence[int]) -> bool:
    """Return whether a summary names a device or a row that was not sent: it is unclear which one it means."""
    is_no_row = any(place >= len(sent) for place in summary.rows)
    return is_no_row or not summary.devices.keys() <= {device_ids[place] for place in sent}


def _ending(state: RowState, finding: _Finding | None, device: ClaimedDevice | None, why_not: str) -> Ending:
    if finding is None:
        return Ending(Outcome.FAILED, "not_sent", "never sent")
    doubt = finding.doubt
    if doubt is None:
        outcome, message = Outcome.CLAIMED, ""
    elif device is not None:
        # What was said of the whole operation would only alarm where the row itself came to a good end.
        outcome, message = _whose_claim(device, doubt, state), doubt.message if doubt.named else ""
        if outcome is Outcome.ALREADY_CLAIMED:
            message = "; ".join(filter(None, (message, CLAIMED_BEFORE)))
    else:
        outcome, message = _without_device(doubt, why_not)
    return Ending(outcome, finding.status, message, finding.operation_id)


def _without_device(doubt: _Doubt, why_not: str) -> tuple[Outcome, str]:
    """Judge a doubtful row whose device is not ours, or could not be asked about (``why_not``)."""
    if why_not:
        # Even one that was refused: if it is ours already, nothing failed.
        return Outcome.UNKNOWN, "; ".join(filter(None, (doubt.message, why_not)))
    message = (
        explained(doubt.message) or "the service did not list it as claimed, and it is not among our devices"
    )
    return (Outcome.FAILED if doubt.final else Outcome.UNKNOWN), message


def _whose_claim(device: ClaimedDevice, doubt: _Doubt, state: RowState) -> Outcome:
    """Return whether this job claimed a device, or it was ours before."""
    assert state.last is not None  # noqa: S101 - it was sent
    # A row that was always refused was ours before, unless the service's own time says otherwise: a request may be
    # delivered twice, and the answer be that of the second one.
    refused = doubt.named and state.suspect_since is None
    if device.claimed_at is None:
        return Outcome.ALREADY_CLAIMED if refused else Outcome.CLAIMED
    since = state.last.sent_at if refused else (state.suspect_since or state.last.sent_at) - CLOCK_SKEW
    return Outcome.CLAIMED if _is_since(device.claimed_at, since) else Outcome.ALREADY_CLAIMED


def _is_since(told: pendulum.DateTime, ours: pendulum.DateTime) -> bool:
    """Return whether a time that the service told, which it cuts to milliseconds, is not before one of ours."""
    return told >= ours.replace(microsecond=ours.microsecond // 1000 * 1000)
