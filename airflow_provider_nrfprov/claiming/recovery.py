"""Which devices are ours, and what became of a request whose answer was lost: asked of the service until it is certain.

Neither one look at a list that may lag, nor a download that is not our rows for certain, proves that something was not
done. So what seems missing is looked at again for :data:`VISIBLE_AFTER` seconds, and then one by one where the list
proves not to be enough.
"""

from __future__ import annotations

import csv
import io
import logging
import threading
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pendulum

from airflow_provider_nrfprov.api.contract import NO_SUCH_PATH
from airflow_provider_nrfprov.api.errors import NotFoundError, NotInThisApiError, NrfProvError, ServiceError
from airflow_provider_nrfprov.claiming.ledger import Sending, SupersededError
from airflow_provider_nrfprov.claiming.token import TokenError, decode
from airflow_provider_nrfprov.counted import counted

if TYPE_CHECKING:
    from airflow_provider_nrfprov.api.models import BulkOpsRequest, ClaimedDevice
    from airflow_provider_nrfprov.api.service import ProvisioningService

_log = logging.getLogger(__name__)

VISIBLE_AFTER = 15.0
"""Seconds after a request was sent within which its effects may not show in the service's lists yet, or may still be to
come: a try that Airflow took for dead goes on for no longer (it notices at a heartbeat, each 5 s, and is asked to stop
by SIGINT and SIGTERM, 5 s apart). Ours, not Nordic's: how long its lists lag is unknown."""
CLOCK_SKEW = pendulum.duration(seconds=10)
"""How far a time of ours may be from the service's: it is measured by the ``Date`` of answers, to the second."""
_LONGEST_REQUEST = pendulum.duration(minutes=15)
"""From the ledger's entry to the service: the client may have been told to wait in between."""
_STUCK = pendulum.duration(days=1)
"""An operation that has not ended after this time is waited for no longer: the list of our devices decides."""
_FIRST_PAUSE = 1.0
_FETCHED_EACH = 50
"""The most devices of a chunk of which the service said nothing that are fetched one by one."""
_SAMPLE = 10
"""How many of the devices that a list does not show are fetched one by one, to see whether the list is enough."""
ENDED_LONG_AGO = pendulum.duration(minutes=15)
"""What ended this long ago shows in every list."""
_CLAIM = "CLAIM_DEVICE_OWNERSHIP"
_GONE = {404, 410}
_NO_LIST = {404, 405, 410}
_FORBIDDEN = 403


class UnsettledError(NrfProvError):
    """An operation may hold the rows whose answer was lost; asking later will tell."""


@dataclass(frozen=True, slots=True)
class Recovery:
    """What became of a request whose answer was lost."""

    operation: BulkOpsRequest | None = None
    """The operation that it started."""
    positions: tuple[int, ...] = ()
    """The rows of that operation, in its order."""
    ours: frozenset[int] = frozenset()
    """Without an operation: the positions of the sent rows whose devices are ours. The others were not claimed."""


class Inquiry:
    """Asks the service what it does not say by itself.

    :param stop: ends waiting at once.
    :param visible_after: see :data:`VISIBLE_AFTER`.
    """

    def __init__(
        self, service: ProvisioningService, stop: threading.Event, visible_after: float = VISIBLE_AFTER
    ) -> None:
        self._service = service
        self._stop = stop
        self._visible_after = visible_after

    def find_ours(
        self,
        device_ids: Collection[str],
        since: pendulum.DateTime,
        newest: pendulum.DateTime | None = None,
        singly: Collection[str] = (),
    ) -> dict[str, ClaimedDevice]:
        """Return which of the devices are ours; with ``newest``, the others are certainly not.

        :param since: when the first of them may have been claimed by this job.
        :param newest: when the newest request that may have claimed one was sent, or its operation ended; ``None`` not to
            wait for it to show.
        :param singly: those of which the silence of a list is not enough; they are fetched if it does not show them.
        :raises NrfProvError: if the service cannot be asked.
        """
        found: dict[str, ClaimedDevice] = {}
        wanted, absent = set(device_ids), set[str]()

        def look() -> bool:
            nonlocal absent
            absent = self._look(wanted - found.keys(), since, found)
            return found.keys() >= wanted

        if newest is None:
            look()
        else:
            self._until(look, newest)
        absent |= self._look_one_by_one(sorted(wanted - found.keys() - absent), found)
        self.fetch_each(sorted(set(singly) - found.keys() - absent), found)
        return found

    def fetch_each(self, device_ids: Sequence[str], found: dict[str, ClaimedDevice]) -> None:
        """Add those of the devices that are ours to ``found``, fetched one by one; where they are many, if some are."""
        if len(device_ids) > _FETCHED_EACH:
            self._look_one_by_one(device_ids, found)
            return
        for device_id in device_ids:
            self._fetch(device_id, found)

    def recover(
        self,
        device_ids: Sequence[str],
        sending: Sending,
        since: pendulum.DateTime,
        known: Collection[str],
        *,
        newest: pendulum.DateTime,
        asynchronous: bool,
    ) -> Recovery:
        """Find out what a request did whose answer was lost.

        :param device_ids: of the chunk's rows that can be sent.
        :param known: operations that belong to other requests of the chunk.
        :param newest: until when it may have been sent, so that its effects may still be to come.
        :param asynchronous: whether the service is known to answer with operations.
        :raises UnsettledError: while an operation runs, or cannot be told from others, that may be the one.
        :raises NrfProvError: if the service cannot be asked.
        """
        sent = sending.rows_of(len(device_ids))
        wanted = {device_ids[position] for position in sent}
        found: dict[str, ClaimedDevice] = {}
        absent: set[str] = set()
        adopted: list[Recovery] = []

        def look() -> bool:
            nonlocal absent
            if not sending.turn:
                # Its entry is damaged: nobody knows which rows it held.
                self._require_no_running(set(wanted), sending, known, asynchronous)
            elif recovery := self._find_operation(device_ids, sending, known, asynchronous):
                adopted.append(recovery)
                return True
            absent = self._look(wanted - found.keys(), since, found)
            return found.keys() >= wanted

        self._until(look, newest)
        if adopted:
            return adopted[0]
        self._look_one_by_one(sorted(wanted - found.keys() - absent), found)
        return Recovery(ours=frozenset(place for place in sent if device_ids[place] in found))

    def _until(self, look: Callable[[], bool], newest: pendulum.DateTime) -> None:
        """Look until nothing is missing, or all that was done must show by now; with growing pauses."""
        pause, waited = _FIRST_PAUSE, 0.0
        while not look():
            # Whatever the clocks say, it is not waited for longer than this in all.
            age = (self._service.now() - newest).total_seconds()
            left = min(self._visible_after - max(0.0, age), self._visible_after - waited)
            if left <= 0:
                return
            pause = min(pause, left)
            if self._stop.wait(pause):
                raise SupersededError("asked to stop while waiting to learn what a request did")
            waited, pause = waited + pause, 2 * pause

    def _look(
        self, device_ids: Collection[str], since: pendulum.DateTime, found: dict[str, ClaimedDevice]
    ) -> set[str]:
        """Add those of the devices that show as ours to ``found``; return those that were asked for, and do not."""
        if not device_ids:
            return set()
        listed, untold = self._service.find_on_lists(device_ids, claimed_after=since - CLOCK_SKEW)
        found |= listed
        return {device_id for device_id in sorted(untold) if not self._fetch(device_id, found)}

    def _look_one_by_one(self, missing: Sequence[str], found: dict[str, ClaimedDevice]) -> set[str]:
        """Fetch some of the missing devices, and if one of them is ours all the same, all; return those that are not."""
        sample = missing[:: max(1, len(missing) // _SAMPLE)][:_SAMPLE]
        absent = {device_id for device_id in sample if not self._fetch(device_id, found)}
        if len(absent) < len(sample):
            _log.info(
                "the list of claimed devices lags; %s one by one",
                counted(len(missing), "device is fetched", "devices are fetched"),
            )
            rest = (device_id for device_id in missing if device_id not in sample)
            absent |= {device_id for device_id in rest if not self._fetch(device_id, found)}
        return absent

    def _fetch(self, device_id: str, found: dict[str, ClaimedDevice]) -> bool:
        if self._stop.is_set():
            raise SupersededError("asked to stop while looking up which devices are ours")
        try:
            found[device_id] = self._service.fetch_claimed_device(device_id)
        except NotFoundError:
            return False
        return True

    def _find_operation(
        self, device_ids: Sequence[str], sending: Sending, known: Collection[str], asynchronous: bool
    ) -> Recovery | None:
        """Return the operation that the request started; ``None`` if it certainly is not among those listed.

        Or if several hold its rows and all have ended: a proxy may deliver a request twice, and a download hold the rows
        of another operation. What they have claimed shows in the list of our devices.

        :raises UnsettledError: if it cannot be told yet.
        """
        expected = {device_ids[position]: position for position in sending.rows_of(len(device_ids))}
        unsettled: UnsettledError | None = None
        holding: list[Recovery] = []
        until = min(self._service.now(), sending.sent_at + _LONGEST_REQUEST) + CLOCK_SKEW
        for operation in self._operations(sending, until, asynchronous):
            if operation.endpoint not in {None, _CLAIM} or operation.id in known:
                continue
            try:
                positions = self._positions(operation, expected)
            except UnsettledError as error:
                unsettled = error
                continue
            if positions is not None:
                holding.append(Recovery(operation, positions))
        if len(holding) == 1:
            return holding[0]
        for each in holding:
            if each.operation and not each.operation.is_finished:
                raise UnsettledError(
                    f"{len(holding)} bulk operations hold the rows whose answer was lost, and {each.operation.id} is "
                    f"{each.operation.status}; nothing is sent again before all of them have ended"
                )
        if unsettled is not None and not holding:
            raise unsettled
        return None

    def _require_no_running(
        self, wanted: set[str], sending: Sending, known: Collection[str], asynchronous: bool
    ) -> None:
        """Check that no operation is under way that may hold one of these devices; what ended shows in their list."""
        for operation in self._operations(sending, self._service.now() + CLOCK_SKEW, asynchronous):
            if operation.endpoint not in {None, _CLAIM} or operation.id in known or operation.is_finished:
                continue
            try:
                devices = set(_devices_of(self._service.fetch_uploaded_data(operation)))
            except (NrfProvError, TokenError, IndexError, csv.Error):
                devices = wanted
            if devices & wanted or not devices:
                self._unsettled(operation, "it may hold rows whose entry in the ledger is damaged")

    def _operations(
        self, sending: Sending, until: pendulum.DateTime, asynchronous: bool
    ) -> list[BulkOpsRequest]:
        try:
            listed = self._service.list_bulk_ops_requests(
                requested_from=sending.sent_at - CLOCK_SKEW, requested_until=until
            )
            return list(listed)
        except NotInThisApiError:
            # No list is known: what a request did shows in the devices alone.
            return []
        except ServiceError as error:
            is_no_path = error.status in _NO_LIST or (
                error.status == _FORBIDDEN and error.problem.message == NO_SUCH_PATH
            )
            if is_no_path and not asynchronous:
                # No such list, then no operations either: the synchronous contract alone is spoken.
                return []
            raise

    def _positions(self, operation: BulkOpsRequest, expected: Mapping[str, int]) -> tuple[int, ...] | None:
        """Return the expected rows in an operation's order if it holds just these; ``None`` if it certainly does not.

        :raises UnsettledError: if that cannot be told.
        """
        try:
            uploaded = self._service.fetch_uploaded_data(operation)
        except NrfProvError as error:
            if isinstance(error, ServiceError) and error.status in _GONE and operation.is_finished:
                # For good. What it did shows in the list of our devices, but not what it was refused.
                return None
            return self._unsettled(operation, f"its rows are unavailable now ({error})")
        positions: list[int] = []
        try:
            for device_id in _devices_of(uploaded):
                if device_id not in expected:
                    # Another request's for certain, whatever comes behind.
                    return None
                positions.append(expected[device_id])
        except (TokenError, IndexError, csv.Error):
            return self._unsettled(operation, "the file of its rows cannot be read as rows")
        if set(positions) == set(expected.values()):
            return tuple(positions)
        return self._unsettled(operation, f"it returns {len(positions)} of {len(expected)} rows")

    def _unsettled(self, operation: BulkOpsRequest, why: str) -> tuple[int, ...] | None:
        ended = operation.completed_at or operation.requested_at
        longest = ENDED_LONG_AGO if operation.is_finished else _STUCK
        if ended and self._service.now() - ended > longest:
            # Nobody will ever know more: the list of our devices decides.
            return None
        raise UnsettledError(
            f"bulk operation {operation.id} is {operation.status} and {why}; it may be the one whose answer was lost, "
            "so nothing is sent again until that is known"
        )


def _devices_of(uploaded: str) -> Iterator[str]:
    for cells in csv.reader(io.StringIO(uploaded)):
        yield decode(cells[0]).device_id
