"""Sends the chunks of a claim file: each row until it is certain that it was claimed or refused, and never twice in one try.

A chunk that the service refuses as a whole is halved until the row is found for which it does so.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, cast

import pendulum

from airflow_provider_nrfprov.api.claim_form import ClaimForm
from airflow_provider_nrfprov.api.contract import CONFLICT, TOO_LARGE
from airflow_provider_nrfprov.api.errors import (
    ForeignStatusUrlError,
    NotFoundError,
    NrfProvError,
    UnknownJobError,
)
from airflow_provider_nrfprov.api.retry import nothing_was_done, refused_as_a_whole
from airflow_provider_nrfprov.api.wait_policy import is_transient
from airflow_provider_nrfprov.claiming.claim_file import Chunk
from airflow_provider_nrfprov.claiming.ledger import Ledger, Sending, SupersededError
from airflow_provider_nrfprov.claiming.listed_claims import not_claimed
from airflow_provider_nrfprov.claiming.narrowing import Parts, Search
from airflow_provider_nrfprov.claiming.recovery import ENDED_LONG_AGO, Inquiry, Recovery
from airflow_provider_nrfprov.claiming.settlement import Settlement, row_states

if TYPE_CHECKING:
    from airflow_provider_nrfprov.api.errors import ServiceError
    from airflow_provider_nrfprov.api.service import ProvisioningService

_log = logging.getLogger(__name__)

_REQUESTS_FOR_A_REFUSED_CHUNK = 400
"""The most requests spent on finding the rows for which a chunk is refused as a whole."""
_REFUSED_BEFORE_PROBING = 31
"""After this number of refused parts (of 60 rows by then) and none accepted, some rows are sent one by one; at once in a chunk behind
one of which all rows were refused."""
_PROBES = 8
"""How many are sent one by one; if all of them are refused, so is the chunk."""
_LOST_ANSWERS = 3
"""How many answers of one chunk may be lost in one try."""


@dataclass
class Sender:
    """Sends chunks, several at a time if its caller likes.

    :param tags: added to the tags of each row.
    :param stop: once it is set, nothing more is sent.
    """

    service: ProvisioningService
    ledger: Ledger
    settlement: Settlement
    inquiry: Inquiry
    stop: threading.Event
    tags: Sequence[str] = ()
    asynchronous: bool = False
    """Whether the service has answered with an operation."""
    all_are_refused: bool = False
    """Whether the newest chunk that was refused as a whole was so for all of its rows."""

    def send(self, chunk: Chunk) -> list[Sending]:
        """Send what is not ours of a chunk; return its requests that are to be waited for or were sent now.

        :raises SupersededError: if a newer try has begun, or ``stop`` is set.
        :raises NrfProvError: if the service could not be asked, or would refuse every other chunk too.
        """
        if self.stop.is_set():
            raise SupersededError("asked to stop; nothing more is sent")
        work = _ChunkSending(self, chunk, list(self.ledger.sendings(chunk.number)))
        return work.go_on() if work.was_sent else work.send(range(len(chunk.device_ids)))


class _ChunkSending:
    """The work of one try on one chunk."""

    def __init__(self, sender: Sender, chunk: Chunk, sendings: list[Sending]) -> None:
        self._sender = sender
        self._ledger = sender.ledger
        self._service = sender.service
        self._chunk = chunk
        self._device_ids = chunk.device_ids
        self._sendings = sendings
        self._lost = 0
        self._looked = False
        """Whether it was looked for what is ours, after a conflict."""

    @property
    def was_sent(self) -> bool:
        """Return whether anything of it was about to be sent before."""
        return bool(self._sendings)

    def go_on(self) -> list[Sending]:
        """Look at what earlier tries did, and send what is not ours."""
        told_now: set[str | None] = set()
        # The newest first: they are parts of older ones, and known to be theirs, an operation is not taken for that of the whole.
        for place, sending in reversed(list(enumerate(self._sendings))):
            if not sending.is_answered:
                # However old its entry is: the client may have been told to wait before it sent it, or the entry be damaged.
                self._sendings[place] = recovered = self._recover(sending, newest=self._service.now())
                told_now.add(recovered.bulk_ops_request_id)
        states = row_states(len(self._device_ids), self._sendings)
        running, newest = self._running()
        # What is told of only now is not sent again in this try.
        running |= told_now - {None}
        looked_at = [
            place
            for place, state in enumerate(states)
            if (last := state.last) and not last.nothing_done and last.bulk_ops_request_id not in running
        ]
        if not self._service.api.list_is_proof:
            # What the service said is more than what its list does not show.
            told = self._sender.settlement.claimed_by_word(self._device_ids, self._sendings)
            looked_at = [place for place in looked_at if place not in told]
        ids = [self._device_ids[place] for place in looked_at]
        ours = self._sender.inquiry.find_ours(ids, self._sendings[0].sent_at, newest) if ids else {}
        missing = {place for place in looked_at if self._device_ids[place] not in ours}
        missing -= self._found_once_more(missing, running)
        unsent = {place for place, state in enumerate(states) if not state.last or state.last.nothing_done}
        _log.info(
            "chunk %d: of the devices that were sent before, %d of %d are ours; rows to send: %d",
            self._chunk.number, len(ours), len(looked_at), len(missing | unsent),
        )  # fmt: skip
        kept = [each for each in self._sendings if each.bulk_ops_request_id in running]
        return kept + self.send(sorted(missing | unsent))

    def _found_once_more(self, missing: set[int], running: set[str | None]) -> set[int]:
        """Return the rows of another operation, where one that was found by what it holds has not claimed all of them.

        A download may hold the rows of another operation than it says, and then that one may be under way. It is added to ``running``.
        """
        found: set[int] = set()
        for place, sending in enumerate(self._sendings):
            is_found = sending.looked and sending.bulk_ops_request_id not in {None, *running}
            if is_found and missing.intersection(sending.rows_of(len(self._device_ids))):
                self._sendings[place] = other = self._recover(sending, newest=sending.sent_at)
                if other.bulk_ops_request_id:
                    running.add(other.bulk_ops_request_id)
                    found.update(other.rows_of(len(self._device_ids)))
        return found

    def _running(self) -> tuple[set[str | None], pendulum.DateTime]:
        """Return the operations that have not ended, and when the newest request or end of an operation was."""
        running: set[str | None] = set()
        newest = max(each.sent_at for each in self._sendings)
        for sending in self._sendings:
            if not sending.bulk_ops_request_id:
                continue
            try:
                operation = self._sender.settlement.operation(sending.bulk_ops_request_id)
            except NotFoundError:
                # Another team's, or forgotten: what it did shows in the list of our devices. A new one may not show yet.
                if self._service.now() - sending.sent_at < ENDED_LONG_AGO:
                    running.add(sending.bulk_ops_request_id)
                continue
            except NrfProvError as error:
                if not is_transient(error):
                    raise
                # Whoever waits for it asks again.
                running.add(sending.bulk_ops_request_id)
                continue
            if not operation.is_finished:
                running.add(operation.id)
            elif operation.completed_at:
                newest = max(newest, operation.completed_at)
        return running, newest

    def send(self, positions: Sequence[int]) -> list[Sending]:
        """Send the rows at these positions; those that make the service refuse the others are found by halving."""
        sent: list[Sending] = []
        kind = Search if self._service.api.asks_job_by_job else Parts
        parts = kind(positions, self._device_ids)
        accepted = probing = 0
        patience = 1 if self._sender.all_are_refused else _REFUSED_BEFORE_PROBING
        while parts and len(sent) < _REQUESTS_FOR_A_REFUSED_CHUNK:
            part = parts.take()
            sending, again = self._post(part)
            sent.append(sending)
            accepted += sending.refused is None
            if again:
                parts.add(again)
            elif sending.refused is None:
                parts.was_taken()
            else:
                self._narrow(part, sending, parts)
            if not accepted and len(sent) == patience + probing and probing:
                # Not even one of the single rows was taken: it is not for some of them that all are refused.
                self._sender.all_are_refused = True
                break
            if not accepted and len(sent) == patience and parts:
                probing = parts.put_some_rows_first(_PROBES)
        if accepted:
            self._sender.all_are_refused = False
        return sent

    def _narrow(self, part: tuple[int, ...], refused: Sending, parts: Parts) -> None:
        """Add the parts to send of one that was refused."""
        if refused.status == CONFLICT and self._service.api.conflicts_as_a_whole and not self._looked:
            # Once: what is ours already needs not be sent, and may be all that is wrong.
            self._looked = True
            ours, _ = self._service.find_on_lists([self._device_ids[place] for place in part])
            if ours:
                parts.add(tuple(place for place in part if self._device_ids[place] not in ours))
                return
        parts.was_refused(part, str(refused.refused), for_its_size=refused.status == TOO_LARGE)

    def _post(self, positions: tuple[int, ...]) -> tuple[Sending, tuple[int, ...]]:
        """Send rows once; return what came of it, and which of them have to be sent again after a lost answer."""
        sender, number = self._sender, self._chunk.number
        if sender.stop.is_set():
            raise SupersededError("asked to stop; nothing more is sent")
        # None means all of the chunk.
        some = None if len(positions) == len(self._device_ids) else positions
        has_tags = self._service.api.claim_form is ClaimForm.TOKENS
        csv = self._chunk.to_csv(some, sender.tags) if has_tags else self._chunk.to_device_csv(some)
        sending = self._ledger.about_to_send(
            number,
            1 + max((each.number for each in self._sendings), default=0),
            service_time(self._service),
            some,
        )
        self._sendings.append(sending)
        try:
            answer = self._service.bulk_claim(csv)
        except NrfProvError as error:
            return self._after_error(sending, error)
        sender.asynchronous = sender.asynchronous or bool(answer.bulk_ops_request_id)
        refused = {} if answer.bulk_ops_request_id else not_claimed(self._device_ids, positions, answer)
        answered = replace(
            sending,
            status=answer.status,
            bulk_ops_request_id=answer.bulk_ops_request_id,
            not_claimed=refused,
        )
        return self._ledger.write(number, answered), ()

    def _after_error(self, sending: Sending, error: NrfProvError) -> tuple[Sending, tuple[int, ...]]:
        number = self._chunk.number
        if refused_as_a_whole(error):
            refusal = cast("ServiceError", error)
            refused = replace(sending, status=refusal.status, refused=refusal.problem.message or refusal.text)
            return self._ledger.write(number, refused), ()
        if nothing_was_done(error):
            self._ledger.write(number, replace(sending, nothing_done=True))
            raise error
        is_accepted = isinstance(error, UnknownJobError)
        self._lost += not is_accepted
        if self._lost > _LOST_ANSWERS or isinstance(error, ForeignStatusUrlError):
            raise error
        _log.warning("chunk %d: no usable response (%s)", number, error)
        # What is lost now may still be going on, however long ago it was sent.
        recovered = self._recover(sending, newest=self._service.now())
        self._sendings[-1] = recovered
        # What was accepted is not sent again: it may be under way, and nobody can ask.
        return recovered, tuple(recovered.not_claimed) if recovered.looked and not is_accepted else ()

    def _recover(self, sending: Sending, newest: pendulum.DateTime) -> Sending:
        """Find out what a request did whose answer was lost, and write that down."""
        number = self._chunk.number
        since = min(each.sent_at for each in self._sendings)
        # Whatever a download says: the operation of a request that has an answer is not that of one that has none.
        others = {each.bulk_ops_request_id for each in self._sendings if each.bulk_ops_request_id}
        others |= self._ledger.operations()
        found: Recovery = self._sender.inquiry.recover(
            self._device_ids,
            sending,
            since,
            others,
            newest=newest,
            asynchronous=self._sender.asynchronous or bool(others),
        )
        if found.operation is not None:
            _log.info("chunk %d: its response named bulk operation %s", number, found.operation.id)
            return self._ledger.write(
                number,
                replace(
                    sending,
                    status=202,
                    positions=found.positions,
                    bulk_ops_request_id=found.operation.id,
                    looked=True,
                ),
            )
        missing = [place for place in sending.rows_of(len(self._device_ids)) if place not in found.ours]
        _log.info("chunk %d: ours: %d, not ours: %d", number, len(found.ours), len(missing))
        seen = replace(
            sending,
            status=200,
            bulk_ops_request_id=None,
            looked=True,
            not_claimed=dict.fromkeys(missing, ""),
        )
        return self._ledger.write(number, seen)


def service_time(service: ProvisioningService) -> pendulum.DateTime:
    """Return the service's time, not later than it is: it is known to the second where our clock is off."""
    now = service.now()
    is_off = abs((now - pendulum.now("UTC")).total_seconds()) > 1
    return now.subtract(seconds=1) if is_off else now


def in_words(sent: Sequence[Sending]) -> str:
    """Return in words what :meth:`Sender.send` came to."""
    if not sent:
        return "all of them were ours before"
    if len(sent) > 1:
        refused = sum(each.refused is not None for each in sent)
        return f"{len(sent)} requests, {refused} of them refused"
    (only,) = sent
    if only.bulk_ops_request_id:
        return f"bulk operation {only.bulk_ops_request_id}"
    return f"answered {only.status}, {len(only.not_claimed):,} of them not claimed"
