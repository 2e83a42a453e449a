"""What was sent and what was answered, request by request, kept where a crash cannot take it.

Before a request is sent the ledger says so; after the answer it says what. Each request is a file of its own,
written whole: an object store cannot append, and two tries of one job never write the same file. Where Airflow has a
store of the task's own state (3.3 and later), each is in there, too: a folder may be local to a worker that is gone.
Files hold times, ids, positions of rows and the service's messages, never a claim token.

Which of two tries may send is settled by the order of writing and reading: a try takes the turn before it reads
anything, and whoever sends writes that first and looks then whose turn it is. So either the older try sees that it is
superseded, or the newer one sees what the older one is about to send.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import logging
import re
import secrets
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Protocol

import pendulum

from airflow_provider_nrfprov.files.storage import Folder

_log = logging.getLogger(__name__)

LEDGER = "ledger"
"""The folder in a job's folder."""
_TURN = "turn.txt"
_BEGUN = "begun.txt"
_ENTRY = re.compile(r"(\d{6,})-\d+-[0-9a-f]*\.json")
_SECOND_PLACE_BYTES = 60_000
"""An entry of more is shortened for the second place: Airflow's store is made for 64 KB."""
_SHORT_MESSAGE = 40
_LONG_MESSAGE = 2_100
"""Longer than what a report shows of one."""


class SupersededError(Exception):
    """A newer try of the job has begun, or this one was asked to stop: it must not send anything more.

    No error of the service: nothing is to be reported by a try that is superseded.
    """


class SecondPlace(Protocol):
    """Where entries are kept besides the folder: Airflow's store of the task's state is one."""

    def get(self, key: str) -> str | None:
        """Return the text of a key, ``None`` if there is none."""
        ...

    def set(self, key: str, text: str) -> None:
        """Keep a text."""
        ...


@dataclass(frozen=True, slots=True)
class Sending:
    """One request of a chunk. A row's position is its place among the chunk's sendable rows, from 0."""

    number: int
    """From 1, in the order in which the chunk's requests were sent."""
    turn: str
    """Which try sent it."""
    sent_at: pendulum.DateTime
    """When it was about to be sent, by the service's clock as far as that is known."""
    positions: tuple[int, ...] | None = None
    """Which rows it holds, in the order of sending; ``None`` for all of the chunk."""
    status: int | None = None
    """HTTP status of the answer; ``None`` while there is none, and nobody can say what was done."""
    bulk_ops_request_id: str | None = None
    """The operation that carries it out, if the service answered with one (asynchronous contract)."""
    not_claimed: Mapping[int, str] = field(default_factory=dict)
    """Without an operation: the sent rows that the answer did not list as claimed, with the service's message (empty
    where it had none)."""
    refused: str | None = None
    """The message of an answer that refused the request as a whole: nothing of it was done."""
    nothing_done: bool = False
    """The service provably did nothing, for a reason that has nothing to do with the rows."""
    looked: bool = False
    """The answer was lost; which rows are claimed was found out by looking at our devices, or its operation by what it holds."""

    @property
    def is_answered(self) -> bool:
        """Whether it is known what was answered, or that nothing was done."""
        return self.status is not None or self.nothing_done

    def rows_of(self, size: int) -> Sequence[int]:
        """Return the positions that it holds, of a chunk of ``size`` sendable rows."""
        return range(size) if self.positions is None else self.positions


class Ledger:
    """The requests of one job, in its folder. Safe to be used by several threads.

    :param folder: the job's own.
    :param job_id: names the job in the second place.
    :param second_place: where requests are kept, too; what only one of both knows is known.
    """

    def __init__(self, folder: Folder, job_id: str, second_place: SecondPlace | None = None) -> None:
        self._folder = folder.folder(LEDGER)
        self._job_id = job_id
        self._second_place = second_place
        self._lock = threading.Lock()
        self.turn: str | None = None
        """Names this try; ``None`` as long as it only reads."""
        self._names: dict[int, list[str]] = {}
        self._in_second_place = False
        self._filled: set[int] = set()
        self._operations: set[str] = set()
        self._unread: set[int] = set()
        """Chunks of which an earlier try may have written operations."""
        self._reading_operations = threading.Lock()
        self._look()

    def begin(self) -> bool:
        """Take the turn: whoever still works on an earlier try sends nothing more from here on.

        :return: whether an earlier try was about to send something.
        """
        self.turn = secrets.token_hex(8)
        self._folder.write(_TURN, self.turn)
        if self._second_place is not None:
            self._second_place.set(self._key("turn"), self.turn)
        # Only now: what is written before a try looks for its turn is seen.
        self._look()
        return bool(self._names) or self._in_second_place

    def note_beginning(self, now: pendulum.DateTime) -> None:
        """Write when the job began to send, by the service's clock, unless an earlier try wrote it."""
        if self._beginning() == _LONG_AGO:
            self._folder.write(_BEGUN, now.isoformat())
            if self._second_place is not None:
                self._second_place.set(self._key("begun"), now.isoformat())

    def _beginning(self) -> pendulum.DateTime:
        texts = [self._folder.read(_BEGUN)]
        if self._second_place is not None:
            with self._lock:
                texts.append(self._second_place.get(self._key("begun")))
        times = []
        for text in texts:
            with contextlib.suppress(ValueError):
                times.append(_time(text or ""))
        return min(times, default=_LONG_AGO)

    def require_turn(self) -> None:
        """Check that no later try of the job has begun.

        Airflow may start the next try while the last one still runs: after its scheduler died, for some seconds.

        :raises SupersededError: if one has.
        """
        turns = {self._folder.read(_TURN)}
        if self._second_place is not None:
            with self._lock:
                turns.add(self._second_place.get(self._key("turn")))
        if turns - {None, self.turn}:
            raise SupersededError("another try of this job has begun; this one sends nothing more")

    def sendings(self, chunk: int) -> tuple[Sending, ...]:
        """Return the requests that were about to be sent for a chunk, in their order."""
        # Two tries at once may have given one number to a request each.
        found: dict[tuple[int, str], Sending] = {}
        for sending in (*self._of_folder(chunk), *self._of_second_place(chunk)):
            key = sending.number, sending.turn
            found[key] = max(found.get(key, sending), sending, key=_how_far)
        unreadable = [key for key in found if not key[1]]
        for key in unreadable:
            # The other place may know what could not be read in this one.
            if any(number == key[0] and turn for number, turn in found):
                del found[key]
        return tuple(sorted(found.values(), key=lambda each: (each.number, each.sent_at)))

    def about_to_send(
        self, chunk: int, number: int, sent_at: pendulum.DateTime, positions: tuple[int, ...] | None
    ) -> Sending:
        """Write that a chunk, or only its rows at ``positions``, is about to be sent, unless the turn is lost.

        :raises SupersededError: if a later try has begun; nothing may be sent then.
        """
        sending = Sending(number, self.turn or "", sent_at, positions)
        self._write_to_folder(chunk, sending)
        try:
            # Before the second place is written, too: a newer try may have its own entry of this number there.
            self.require_turn()
            self._fill_second_place(chunk, sending)
            self._write_to_second_place(chunk, sending)
            self.require_turn()
        except SupersededError:
            # In the folder only, where it is a file of this try: in the second place the newer one may be by now.
            self._folder.write(_name(chunk, sending), _to_json(replace(sending, nothing_done=True), 0))
            raise
        return sending

    def write(self, chunk: int, sending: Sending) -> Sending:
        """Write what is known of a request now: the folder first, so that it is never behind."""
        self._write_to_folder(chunk, sending)
        self._write_to_second_place(chunk, sending)
        self._operations |= _told(sending)
        return sending

    def operations(self) -> Set[str]:
        """Return the ids of all operations that an answer named: what belongs to one request is not another's."""
        with self._reading_operations:
            # Once; what this try is told is added as it is written.
            for chunk in self._unread:
                self._operations.update(*map(_told, self._of_folder(chunk)))
            self._unread = set()
            return self._operations.copy()

    def _write_to_folder(self, chunk: int, sending: Sending) -> None:
        name = _name(chunk, sending)
        self._folder.write(name, _to_json(sending, _LONG_MESSAGE))
        with self._lock:
            names = self._names.setdefault(chunk, [])
            if name not in names:
                names.append(name)

    def _write_to_second_place(self, chunk: int, sending: Sending) -> None:
        if self._second_place is not None:
            text = _to_json(sending, _LONG_MESSAGE)
            if len(text) > _SECOND_PLACE_BYTES:
                text = _to_json(sending, _SHORT_MESSAGE)
            with self._lock:
                self._second_place.set(self._key(f"{chunk:06d}-{sending.number}"), text)
                if not self._in_second_place:
                    self._second_place.set(self._key("job"), "begun")
                    self._in_second_place = True

    def _fill_second_place(self, chunk: int, sending: Sending) -> None:
        """Let the second place have what comes before an entry: it is read up to the first number that it lacks.

        A try may die after it has written to the folder, and the folder may be lost later.
        """
        place = self._second_place
        if place is None or chunk in self._filled:
            return
        known: dict[int, Sending] | None = None
        for number in range(1, sending.number):
            with self._lock:
                is_there = place.get(self._key(f"{chunk:06d}-{number}")) is not None
            if not is_there:
                known = known or {each.number: each for each in self._of_folder(chunk)}
                self._write_to_second_place(chunk, known.get(number) or replace(sending, number=number))
        # What this try writes from here on has no gaps.
        self._filled.add(chunk)

    def _look(self) -> None:
        # One listing instead of a look for every chunk of a new job.
        names: dict[int, list[str]] = {}
        for name in self._folder.names():
            if found := _ENTRY.fullmatch(name):
                names.setdefault(int(found[1]), []).append(name)
        self._names, self._unread = names, set(names)
        place = self._second_place
        self._in_second_place = place is not None and place.get(self._key("job")) is not None

    def _of_folder(self, chunk: int) -> Iterator[Sending]:
        for name in self._names.get(chunk, ()):
            text = self._folder.read(name)
            if text is not None:
                yield self._parse(self._folder.path_of(name), int(name.split("-")[1]), text)

    def _of_second_place(self, chunk: int) -> Iterator[Sending]:
        place = self._second_place
        for number in itertools.count(1):
            if place is None or not self._in_second_place:
                return
            key = self._key(f"{chunk:06d}-{number}")
            with self._lock:
                text = place.get(key)
            if text is None:
                return
            yield self._parse(f"{key} of the task's state", number, text)

    def _parse(self, name: str, number: int, text: str) -> Sending:
        try:
            return _from_json(text)
        except (ValueError, KeyError, TypeError, AttributeError):
            # Written is written: the request was about to be sent, and what was answered is not known any more.
            _log.warning(
                "the ledger's entry %s cannot be read (%d characters); its request counts as sent, its answer as unknown",
                name,
                len(text),
            )
            return Sending(number, "", self._beginning())

    def _key(self, name: str) -> str:
        return f"nrfprov.{self._job_id}.{name}"


_LONG_AGO = pendulum.datetime(2020, 1, 1, tz="UTC")
"""When a job began of which nobody knows that any more."""


def _how_far(sending: Sending) -> tuple[bool, bool, bool]:
    """Order what two places know of a request by how far it got; in doubt the more cautious one wins."""
    is_readable = bool(sending.turn)
    return is_readable, sending.status is not None, not sending.nothing_done


def _told(sending: Sending) -> set[str]:
    """Return the operation that its answer named, if any; not one that was found by what it holds."""
    return {sending.bulk_ops_request_id} if sending.bulk_ops_request_id and not sending.looked else set()


def _name(chunk: int, sending: Sending) -> str:
    return f"{chunk:06d}-{sending.number}-{sending.turn}.json"


def _to_json(sending: Sending, longest: int) -> str:
    body: dict[str, Any] = {
        "number": sending.number,
        "turn": sending.turn,
        "sent_at": sending.sent_at.isoformat(),
        "positions": None if sending.positions is None else _ranges(sending.positions),
        "status": sending.status,
        "bulk_ops_request_id": sending.bulk_ops_request_id,
        "refused": None if sending.refused is None else sending.refused[:longest],
        "nothing_done": sending.nothing_done,
        "looked": sending.looked,
        "not_claimed": {place: message[:longest] for place, message in sending.not_claimed.items()},
    }
    if longest < _LONG_MESSAGE:
        # Escaped, each of them would be six characters.
        body["not_claimed"] = {
            place: message.encode("ascii", "replace").decode()
            for place, message in body["not_claimed"].items()
        }
    return json.dumps(body)


def _from_json(text: str) -> Sending:
    body = json.loads(text)
    return Sending(
        number=int(body["number"]),
        turn=str(body["turn"]),
        sent_at=_time(body["sent_at"]),
        positions=None if body["positions"] is None else tuple(_positions(body["positions"])),
        status=body["status"],
        bulk_ops_request_id=body["bulk_ops_request_id"],
        not_claimed={int(position): str(message) for position, message in body["not_claimed"].items()},
        refused=body["refused"],
        nothing_done=bool(body["nothing_done"]),
        looked=bool(body["looked"]),
    )


def _time(text: str) -> pendulum.DateTime:
    return pendulum.instance(datetime.fromisoformat(text), tz="UTC")


def _ranges(positions: Iterable[int]) -> list[list[int]]:
    """Write positions as first and last of each run of neighbours: a list of a thousand is 5 kB."""
    runs: list[list[int]] = []
    for position in positions:
        if runs and runs[-1][1] == position - 1:
            runs[-1][1] = position
        else:
            runs.append([position, position])
    return runs


def _positions(runs: Iterable[Sequence[int]]) -> Iterator[int]:
    for first, last in runs:
        yield from range(first, last + 1)
