"""The bulk claim as a job: plan, send, settle, report.

The order in which things are written makes it resumable: the ledger knows of a chunk before the
service does. A chunk whose answer was lost is never blindly repeated. The service is asked which of
its devices are ours, and only the others are sent again.
"""

from __future__ import annotations

import hashlib
import logging
import time
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, BinaryIO, cast

import pendulum

from airflow_provider_nrfprov.api.contract import MAX_ROWS_PER_REQUEST
from airflow_provider_nrfprov.api.errors import NrfProvError, ServiceError
from airflow_provider_nrfprov.api.retry import nothing_was_done
from airflow_provider_nrfprov.claiming.claim_file import (
    Chunk,
    ClaimFileError,
    Row,
    check_tags,
    chunks,
    read_rows,
    to_csv,
)
from airflow_provider_nrfprov.claiming.ledger import Entry, Ledger, NotOurTurnError, Plan, SecondPlace
from airflow_provider_nrfprov.claiming.preflight import Inspection, inspect
from airflow_provider_nrfprov.claiming.recovery import find_lost_operation
from airflow_provider_nrfprov.claiming.report import Outcome, RowOutcome
from airflow_provider_nrfprov.claiming.settlement import not_claimed, settle_chunk
from airflow_provider_nrfprov.ordered_map import ordered_map
from airflow_provider_nrfprov.storage import Folder, PathLike

if TYPE_CHECKING:
    from airflow_provider_nrfprov.api.service import ProvisioningService

_log = logging.getLogger(__name__)

_LOOK_AGAIN_SECONDS = 0.5
_REFUSED_AS_A_WHOLE = {400, 409, 413, 422}
"""A request refused with one of these would be refused again; the next chunk may do better."""


class ClaimJob:
    """A claim file on its way through the service.

    :param claim_file: where the file lies; it is read as a stream, more than once.
    :param ledger: of this file with these tags, see :meth:`plan`.
    :param patience: see :meth:`plan`.
    """

    def __init__(
        self, claim_file: PathLike, ledger: Ledger, service: ProvisioningService, *, patience: float = 0.0
    ) -> None:
        self._claim_file = claim_file
        self._ledger = ledger
        self._service = service
        self._patience = patience
        self._stopped = False
        self.operations: list[str] = []
        """Ids of the bulk operations that :meth:`settle` has come across."""

    @classmethod
    def plan(
        cls,
        claim_file: PathLike,
        folder: Folder,
        service: ProvisioningService,
        *,
        tags: Iterable[str] = (),
        rows_per_request: int = MAX_ROWS_PER_REQUEST,
        second_place: SecondPlace | None = None,
        patience: float = 0.0,
    ) -> ClaimJob:
        """Plan a job for the file as it is now.

        :param folder: where ledger and report go.
        :param tags: added to the tags of each row.
        :param rows_per_request: so many rows are claimed by one request, from 1 to 1,000.
        :param second_place: where the ledger is kept besides the folder.
        :param patience: seconds that are left to a request of an earlier try, from its sending, until its
            answer counts as lost: that try may still be running.
        :raises ClaimFileError: if the file is not there.
        :raises ValueError: if a tag cannot be one, or the number of rows is out of its bounds.
        """
        if not 1 <= rows_per_request <= MAX_ROWS_PER_REQUEST:
            raise ValueError(f"rows_per_request is {rows_per_request}; it can be 1 to {MAX_ROWS_PER_REQUEST}")
        checked = check_tags(tags)
        digest = digest_of(claim_file, checked, rows_per_request)
        plan = Plan(str(claim_file), digest, checked, rows_per_request)
        ledger = Ledger(folder, plan, second_place)
        job = cls(claim_file, ledger, service, patience=patience)
        _log.info("%s: %s", claim_file, ledger.begin())
        return job

    @property
    def is_new(self) -> bool:
        """Whether nothing of it was sent yet, as far as the ledger knows."""
        return self._ledger.is_new

    def inspect(self, *, sample_size: int = 0) -> Inspection:
        """Read the whole file and send nothing: which rows are bad, and a sample of the good ones."""
        rows = (row for chunk in self._chunks() for row in chunk.rows)
        return inspect(rows, sample_size, seed=self._ledger.plan.digest)

    def send(self, *, max_in_flight: int = 1) -> list[str]:
        """Send every chunk that is not settled yet.

        :param max_in_flight: so many chunks are under way at the same time.
        :return: the ids of the bulk operations to wait for, in the order of the file; none under the
            synchronous contract.
        :raises NrfProvError: if the service could not be asked or would refuse every other chunk too.
            What was sent until then is in the ledger, and a later call goes on from there.
        :raises NotOurTurnError: if another try of the job has begun meanwhile, or ``stop`` was called.
        """
        operations: list[str] = []
        started, sent = time.monotonic(), 0
        sendable = (chunk for chunk in self._chunks() if chunk.sendable)
        for chunk, entry in ordered_map(self._send, sendable, max_in_flight):
            sent += len(chunk.sendable)
            if entry.bulk_ops_request_id:
                operations.append(entry.bulk_ops_request_id)
            _log.info(
                "chunk %d: %s rows, %s; %s rows sent so far, %s rows/s",
                chunk.number,
                f"{len(chunk.sendable):,}",
                _in_words(entry),
                f"{sent:,}",
                f"{sent / max(time.monotonic() - started, 1e-9):,.0f}",
            )
        return operations

    def stop(self) -> None:
        """Send nothing more: what is under way is brought to its end, then ``send`` raises ``NotOurTurnError``."""
        self._stopped = True

    def settle(self) -> Iterator[RowOutcome]:
        """Yield what became of each row, in the order of the file, as far as the service knows by now.

        Never raises for the service's sake: where it cannot be asked, rows are unknown.

        :raises ClaimFileError: if the file is not the one any more that was sent.
        """
        plan = self._ledger.plan
        self.operations.clear()
        if digest_of(self._claim_file, plan.tags, plan.rows_per_request) != plan.digest:
            raise ClaimFileError(
                f"{self._claim_file} has changed since its rows were sent; put the sent file back to get its "
                "report, or run the claim again to send the changed one"
            )
        for chunk in self._chunks():
            entry = self._ledger.entry(chunk.number)
            if entry is not None and entry.bulk_ops_request_id:
                self.operations.append(entry.bulk_ops_request_id)
            outcomes = settle_chunk(chunk.sendable, entry, self._service)
            yield from outcomes if len(outcomes) == len(chunk.rows) else _with_rejected(chunk, outcomes)

    def _chunks(self) -> Iterator[Chunk]:
        with self._claim_file.open("rb") as stream:
            rows = read_rows(cast("BinaryIO", stream), str(self._claim_file))
            yield from chunks(rows, self._ledger.plan.rows_per_request)

    def _send(self, chunk: Chunk) -> Entry:
        entry = self._ledger.entry(chunk.number)
        if entry is not None and entry.is_settled:
            return entry
        if entry is not None and not entry.nothing_done:
            _log.info("chunk %d was sent before and its answer is not known", chunk.number)
            entry = self._wait_for_answer(chunk, entry)
            return entry if entry.is_settled else self._send_missing(chunk, entry)
        self._require_turn()
        entry = self._ledger.about_to_send(chunk.number)
        try:
            return self._post(chunk, tuple(range(len(chunk.sendable))), entry)
        except NrfProvError as error:
            if nothing_was_done(error):
                raise
            _log.warning("chunk %d: no usable answer (%s)", chunk.number, error)
            return self._send_missing(chunk, entry)

    def _require_turn(self) -> None:
        if self._stopped:
            raise NotOurTurnError("told to end; nothing more is sent")
        self._ledger.require_turn()

    def _wait_for_answer(self, chunk: Chunk, entry: Entry) -> Entry:
        """Leave an earlier try, which may still be running, the time to write down what it was answered."""
        end = (entry.sent_at or entry.first_sent_at).add(seconds=self._patience)
        while not entry.is_settled and pendulum.now("UTC") < end:
            time.sleep(_LOOK_AGAIN_SECONDS)
            self._require_turn()
            entry = self._ledger.entry(chunk.number) or entry
        return entry

    def _send_missing(self, chunk: Chunk, entry: Entry) -> Entry:
        """After a lost answer: find the operation that it told of, or send again what is not ours."""
        adopted = find_lost_operation(chunk.sendable, entry, self._service)
        if adopted is not None:
            _log.info(
                "chunk %d: its answer told of bulk operation %s", chunk.number, adopted.bulk_ops_request_id
            )
            return self._ledger.write(chunk.number, adopted)
        rows = chunk.sendable
        ours = self._service.find_claimed_devices([_device_id(row) for row in rows])
        missing = tuple(position for position, row in enumerate(rows) if row.device_id not in ours)
        _log.info("chunk %d: %d of %d devices are ours", chunk.number, len(ours), len(rows))
        self._require_turn()
        entry = self._ledger.about_to_send(chunk.number, positions=missing)
        if not missing:
            return self._ledger.write(chunk.number, replace(entry, status=200))
        return self._post(chunk, missing, entry)

    def _post(self, chunk: Chunk, positions: tuple[int, ...], entry: Entry) -> Entry:
        rows = chunk.sendable
        try:
            answer = self._service.bulk_claim(to_csv((rows[p] for p in positions), self._ledger.plan.tags))
        except NrfProvError as error:
            if isinstance(error, ServiceError) and error.status in _REFUSED_AS_A_WHOLE:
                words = dict.fromkeys(positions, error.problem.message)
                return self._ledger.write(
                    chunk.number, replace(entry, status=error.status, not_claimed=words)
                )
            if nothing_was_done(error) and entry.sent is None:
                self._ledger.write(chunk.number, replace(entry, nothing_done=True))
            raise
        return self._ledger.write(
            chunk.number,
            replace(
                entry,
                status=answer.status,
                bulk_ops_request_id=answer.bulk_ops_request_id,
                not_claimed={} if answer.bulk_ops_request_id else not_claimed(rows, positions, answer),
            ),
        )


def _with_rejected(chunk: Chunk, outcomes: Iterable[RowOutcome]) -> Iterator[RowOutcome]:
    settled = iter(outcomes)
    for row in chunk.rows:
        if row.is_ok:
            yield next(settled)
        else:
            yield RowOutcome(row, Outcome.REJECTED, row.verdict.value, row.message)


def digest_of(claim_file: PathLike, tags: Iterable[str], rows_per_request: int) -> str:
    """Give the SHA-256 of a claim file and of what else decides which requests are sent, as hex.

    :raises ClaimFileError: if the file is not there or cannot be read.
    """
    digest = hashlib.sha256("\n".join([str(rows_per_request), *tags, ""]).encode())
    try:
        with claim_file.open("rb") as stream:
            while block := stream.read(1 << 20):
                digest.update(block)
    except FileNotFoundError:
        raise ClaimFileError(
            f"there is no claim file {claim_file}; check the path, as the worker sees it"
        ) from None
    except OSError as error:
        raise ClaimFileError(
            f"the claim file {claim_file} cannot be read: {error.strerror or error}"
        ) from error
    return digest.hexdigest()


def _device_id(row: Row) -> str:
    return cast("str", row.device_id)


def _in_words(entry: Entry) -> str:
    if entry.bulk_ops_request_id:
        return f"bulk operation {entry.bulk_ops_request_id}"
    return f"answered {entry.status}, {len(entry.not_claimed):,} of them not claimed"
