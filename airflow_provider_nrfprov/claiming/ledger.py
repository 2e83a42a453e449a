"""What was sent and what was answered, chunk by chunk, kept where a crash cannot take it.

Before a chunk is sent the ledger says so; after the answer it says what. Each entry is a file of its
own beside the report, written whole: an object store cannot append. Where Airflow has a store of the
task's own state (3.3 and later), each entry is in there, too: a folder may be local to a worker that is
gone. Entries hold times, ids, positions of rows and words of the service, never a claim token.
"""

from __future__ import annotations

import json
import secrets
import threading
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from typing import Protocol

import pendulum

from airflow_provider_nrfprov.api.contract import MAX_ROWS_PER_REQUEST
from airflow_provider_nrfprov.storage import Folder

_PLAN = "plan.json"
_TURN = "turn.txt"
_SECOND_PLACE_BYTES = 60_000
"""An entry of more is shortened for the second place: Airflow's store is made for 64 KB."""
_SECOND_PLAN = "nrfprov.plan"
_SHORT_WORDS = 40


class NotOurTurnError(Exception):
    """Another try of the job has begun, or this one was told to end: it must not send anything more.

    No error of the service: nothing is to be reported by a try whose turn is over.
    """


class SecondPlace(Protocol):
    """Where entries are kept besides the folder: Airflow's store of the task's state is one."""

    def get(self, key: str) -> str | None:
        """Give the text of a key, ``None`` if there is none."""
        ...

    def set(self, key: str, text: str) -> None:
        """Keep a text."""
        ...


@dataclass(frozen=True, slots=True)
class Plan:
    """What a job is about; with another ``digest`` it is another job."""

    claim_file: str
    digest: str
    """SHA-256 over the file's bytes and over all that decides what is sent of it."""
    tags: tuple[str, ...] = ()
    rows_per_request: int = MAX_ROWS_PER_REQUEST


@dataclass(frozen=True, slots=True)
class Entry:
    """What is known of one chunk. A row's position is its place among the chunk's sendable rows, from 0."""

    first_sent_at: pendulum.DateTime
    """When it was first about to be sent."""
    sent: tuple[int, ...] | None = None
    """Positions of the rows in the newest request; ``None`` for all, as at the first."""
    status: int | None = None
    """HTTP status of the answer; ``None`` while there is none, and nobody can say what was done."""
    bulk_ops_request_id: str | None = None
    """The operation that carries it out, if the service answered with one (asynchronous contract)."""
    not_claimed: Mapping[int, str] = field(default_factory=dict)
    """Without an operation: the sent rows that the answer did not list as claimed, with the service's
    words (empty where it had none)."""
    nothing_done: bool = False
    """The service provably did nothing: the chunk may be sent as if for the first time."""
    sent_at: pendulum.DateTime | None = None
    """When it was last about to be sent; unknown in entries of older versions."""

    @property
    def is_settled(self) -> bool:
        """Whether nothing is left to be sent for this chunk."""
        return self.status is not None and not self.nothing_done

    @property
    def was_repeated(self) -> bool:
        """Whether an answer was lost: a refusal of a later request says nothing of who claimed a device."""
        return self.sent is not None


class Ledger:
    """The entries of one job, in a folder beside its report. Safe to be written to by several threads.

    :param second_place: where they are kept, too; what only one of both knows is known.
    """

    def __init__(self, folder: Folder, plan: Plan, second_place: SecondPlace | None = None) -> None:
        self.plan = plan
        self._root = folder
        self._folder = folder.folder(plan.digest[:16])
        self._second_place = second_place
        self._lock = threading.Lock()
        self._turn: str | None = None
        # One listing instead of a look for every chunk of a new job.
        self._in_folder = self._folder.names()
        self._in_second_place = second_place is not None and second_place.get(self._key()) is not None

    @classmethod
    def reopen(cls, folder: Folder, second_place: SecondPlace | None = None) -> Ledger:
        """Open the ledger of the newest job in a folder.

        :raises FileNotFoundError: if no job was sent from here.
        """
        text = folder.read(_PLAN)
        if text is None and second_place is not None:
            text = second_place.get(_SECOND_PLAN)
        if text is None:
            raise FileNotFoundError(
                f"{folder} holds no ledger: no bulk claim was sent with this report folder"
            )
        body = json.loads(text)
        plan = Plan(body["claim_file"], body["digest"], tuple(body["tags"]), body["rows_per_request"])
        return cls(folder, plan, second_place)

    @property
    def is_new(self) -> bool:
        """Whether nothing was sent yet, as far as it is known."""
        return not (self._in_folder or self._in_second_place)

    def begin(self) -> str:
        """Write the plan, and say in words whether this is a new job, a resumed one or a changed file."""
        is_new = self.is_new
        had_another = _PLAN in self._root.names()
        text = json.dumps(asdict(self.plan))
        # First: whoever still works on an earlier try sends nothing more from here on.
        self._turn = secrets.token_hex(8)
        self._root.write(_TURN, self._turn)
        self._root.write(_PLAN, text)
        if self._second_place is not None:
            self._second_place.set(_SECOND_PLAN, text)
            self._second_place.set(self._key(), "begun")
        if not is_new:
            return "resuming: an earlier try of this job sent some of its rows"
        if had_another:
            return "a new job: the claim file or its tags changed since the last job that reported here"
        return "a new job"

    def require_turn(self) -> None:
        """Make sure that no later try of the job has begun.

        Airflow may start the next try while the last one still runs: after its scheduler died, for some seconds.

        :raises NotOurTurnError: if one has.
        """
        if self._turn is not None and self._root.read(_TURN) not in {None, self._turn}:
            raise NotOurTurnError("another try of this job has begun; this one sends nothing more")

    def entry(self, chunk: int) -> Entry | None:
        """Read what is known of a chunk; ``None`` if it was never about to be sent."""
        name = _name(chunk)
        texts = [self._folder.read(name) if name in self._in_folder else None]
        if self._second_place is not None and self._in_second_place:
            with self._lock:
                texts.append(self._second_place.get(self._key(name)))
        return max((_from_json(text) for text in texts if text), key=_how_far, default=None)

    def about_to_send(self, chunk: int, *, positions: tuple[int, ...] | None = None) -> Entry:
        """Write that a chunk, or only its rows at ``positions``, is about to be sent."""
        known = self.entry(chunk)
        if known is None or (known.nothing_done and positions is None):
            entry = Entry(first_sent_at=(now := pendulum.now("UTC")), sent_at=now)
        else:
            entry = Entry(first_sent_at=known.first_sent_at, sent=positions, sent_at=pendulum.now("UTC"))
        return self.write(chunk, entry)

    def write(self, chunk: int, entry: Entry) -> Entry:
        """Write what is known of a chunk now: the folder first, so that it is never behind."""
        name, text = _name(chunk), _to_json(entry)
        self._folder.write(name, text)
        self._in_folder.add(name)
        if self._second_place is not None:
            if len(text) > _SECOND_PLACE_BYTES:
                text = _to_json(_shortened(entry))
            with self._lock:
                self._second_place.set(self._key(name), text)
        return entry

    def _key(self, name: str = "job") -> str:
        return f"nrfprov.{self.plan.digest[:16]}.{name.removesuffix('.json')}"


def _how_far(entry: Entry) -> tuple[bool, bool, bool, int]:
    """Order what two places know of a chunk by how far it got; in doubt the more cautious one wins."""
    return entry.is_settled, not entry.nothing_done, entry.was_repeated, -len(entry.sent or ())


def _shortened(entry: Entry) -> Entry:
    return replace(
        entry, not_claimed={place: words[:_SHORT_WORDS] for place, words in entry.not_claimed.items()}
    )


def _name(chunk: int) -> str:
    return f"chunk-{chunk:06d}.json"


def _to_json(entry: Entry) -> str:
    return json.dumps(
        asdict(replace(entry, not_claimed=dict(entry.not_claimed))), default=lambda time: time.isoformat()
    )


def _time(text: str) -> pendulum.DateTime:
    return pendulum.instance(datetime.fromisoformat(text))


def _from_json(text: str) -> Entry:
    body = json.loads(text)
    return Entry(
        first_sent_at=_time(body["first_sent_at"]),
        sent_at=_time(body["sent_at"]) if body.get("sent_at") else None,
        sent=None if body["sent"] is None else tuple(body["sent"]),
        status=body["status"],
        bulk_ops_request_id=body["bulk_ops_request_id"],
        not_claimed={int(position): words for position, words in body["not_claimed"].items()},
        nothing_done=body["nothing_done"],
    )
