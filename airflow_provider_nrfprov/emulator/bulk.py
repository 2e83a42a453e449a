"""Many claims from one CSV body: at once, or as an operation that takes its time; and which devices were sent in which."""

from __future__ import annotations

import csv
import heapq
import io
import itertools
import json
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import cached_property
from typing import NamedTuple

from airflow_provider_nrfprov.claiming.token import TokenError, decode
from airflow_provider_nrfprov.emulator.devices import Devices
from airflow_provider_nrfprov.emulator.errors import Invalid, NotFound, ServiceError, Unprocessable
from airflow_provider_nrfprov.emulator.paging import Shelf
from airflow_provider_nrfprov.emulator.settings import Settings

_CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"


def ulid(moment: datetime) -> str:
    """Return a new ULID (26 characters) whose time part is ``moment`` to the millisecond."""
    # In integers, since a float of this size can be a millisecond off.
    whole_seconds = int(moment.replace(microsecond=0).timestamp())
    number = (whole_seconds * 1000 + moment.microsecond // 1000) << 80 | secrets.randbits(80)
    return "".join(_CROCKFORD[number >> shift & 31] for shift in range(125, -1, -5))


TERMINAL = frozenset({"FAILED", "SUCCEEDED"})


class Row(NamedTuple):
    """One row: a claim token and perhaps tags. ``problem`` says what is wrong with the row itself."""

    token: str
    tags: tuple[str, ...] = ()
    problem: str = ""
    device_id: str = ""
    """As a body of the new API gives it."""


class Failure(NamedTuple):
    """A row that was refused; rows are counted from 0."""

    row: int
    token: str
    message: str


@dataclass(slots=True)
class Outcome:
    """What became of the rows."""

    claimed_ids: list[str] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)


CarryOut = Callable[[Devices, str, list[Row], datetime, str | None], Outcome]


@dataclass(slots=True, eq=False)
class BulkOperation:
    """An asynchronous bulk claim.

    ``outcome`` is None until it is terminal; while ``held`` it does not end. ``words`` are what its failed
    rows say, if not what the service says of such rows.
    """

    id: str
    team: str
    requested_at: datetime
    completes_at: datetime
    text: str = field(repr=False)
    rows: list[Row] = field(repr=False)
    outcome: Outcome | None = field(default=None, repr=False)
    held: bool = False
    words: str | None = field(default=None, repr=False)
    carry_out: CarryOut | None = field(default=None, repr=False)
    """How its rows are applied, if not as claims of a team."""

    def as_of(self, moment: datetime) -> BulkOperation | None:
        """Return the operation as it was, or None if it had not been requested yet."""
        if self.requested_at > moment:
            return None
        return self if self.completes_at <= moment else replace(self, outcome=None)

    @property
    def claimed(self) -> int:
        """How many devices it has claimed so far."""
        return len(self.outcome.claimed_ids) if self.outcome else 0

    def status(self, now: datetime) -> str:
        """PENDING for the first third of its time, IN_PROGRESS, at the end FAILED or SUCCEEDED."""
        if self.outcome is not None:
            return "FAILED" if self.outcome.failures else "SUCCEEDED"
        third = (self.completes_at - self.requested_at) / 3
        return "PENDING" if now < self.requested_at + third else "IN_PROGRESS"


def read_rows(text: str, settings: Settings) -> list[Row]:
    """Read a CSV body: a token in the first column, comma-separated tags in the second.

    :raises Invalid: for a body that is empty, has a blank line (other than the newline at the
        end) or too many rows. Nothing is applied then.
    :raises Unprocessable: for one with a row that the settings call poison.
    """
    try:
        records = list(csv.reader(io.StringIO(text, newline=""), strict=True))
    except csv.Error as error:
        raise Invalid(f"the body is not CSV: {error}") from None
    if not records:
        raise Invalid("the body has no rows")
    if len(records) > settings.max_rows:
        raise Invalid(f"the body has {len(records)} rows; {settings.max_rows} are the most")
    for number, record in enumerate(records):
        if not record:
            raise Invalid(f"row {number} is blank")
    rows = [_row(record) for record in records]
    if (settings.poison_tags or settings.poison_ids) and any(_is_poison(row, settings) for row in rows):
        raise Unprocessable(settings.poison_status)
    return rows


def claim_rows(
    devices: Devices, team: str, rows: list[Row], at: datetime, words: str | None = None
) -> Outcome:
    """Claim row by row. A refused row stops nothing; the second row of a device is a conflict.

    :param words: the message of every failed row, if not the reason.
    """
    outcome = Outcome()
    for number, row in enumerate(rows):
        try:
            if row.problem:
                raise Invalid(row.problem)
            outcome.claimed_ids.append(devices.claim(team, row.token, row.tags, at).id)
        except ServiceError as error:
            outcome.failures.append(Failure(number, row.token, error.message if words is None else words))
    return outcome


class BulkOperations:
    """The asynchronous bulk claims of all teams."""

    def __init__(self, settings: Settings, devices: Devices) -> None:
        self._settings = settings
        self._devices = devices
        self._shelf: Shelf[BulkOperation] = Shelf()
        # A heap: first the first to end, and of those that end together the first to come.
        self._open: list[tuple[datetime, int, BulkOperation]] = []
        self._turns = itertools.count()

    def start(
        self, team: str, text: str, rows: list[Row], now: datetime, carry_out: CarryOut | None = None
    ) -> BulkOperation:
        """Start an operation of rows that were read; they are looked at when it ends."""
        ends = now + timedelta(seconds=self._settings.bulk_seconds)
        operation = BulkOperation(
            ulid(now), team, now, ends, text, rows, words=self._settings.refusal_words, carry_out=carry_out
        )
        self._shelf.add(operation.id, operation)
        heapq.heappush(self._open, (ends, next(self._turns), operation))
        return operation

    def settle(self, now: datetime) -> None:
        """Carry out every operation whose time is over by now, in the order in which they end."""
        while self._open and self._open[0][0] <= now:
            ended_at, _, operation = heapq.heappop(self._open)
            if operation.held or operation.outcome is not None:
                continue  # one that was held comes here again when it is released, perhaps twice
            carry_out = operation.carry_out or claim_rows
            operation.outcome = carry_out(
                self._devices, operation.team, operation.rows, ended_at, operation.words
            )

    def hold(self, operation_id: str) -> None:
        """Keep an operation from ending, if there is one of that id and it has not ended."""
        operation = self._shelf.get(operation_id)
        if operation is not None and operation.outcome is None:
            operation.held = True

    def release(self, operation: BulkOperation, now: datetime) -> None:
        """Let a held operation end: at its usual time, or now if that is over."""
        if operation.held:
            operation.held = False
            operation.completes_at = max(operation.completes_at, now)
            heapq.heappush(self._open, (operation.completes_at, next(self._turns), operation))

    def get(self, team: str, operation_id: str) -> BulkOperation:
        """Return a team's operation; raise ``NotFound``."""
        operation = self._shelf.get(operation_id)
        if operation is None or operation.team != team:
            raise NotFound("there is no such bulk operation")
        return operation

    def all(self) -> Shelf[BulkOperation]:
        """Return the operations of all teams in order of arrival."""
        return self._shelf


def parts_of(file: str) -> tuple[str, str]:
    """Split the name of a file into the id of its operation and ``.csv``, ``-result.json`` or ``.json``."""
    operation_id = file.partition(".")[0].removesuffix("-result")
    return operation_id, file.removeprefix(operation_id)


def file_of(operation: BulkOperation, kind: str, summary_form: str) -> str | None:
    """Return the file of that kind of an operation, or None if it has none (yet)."""
    outcome = operation.outcome
    if kind == ".csv":
        return operation.text
    if kind == "-result.json" and outcome:
        return json.dumps({"claimedIds": outcome.claimed_ids})
    if kind == ".json" and outcome and outcome.failures:
        return error_summary(outcome, summary_form)
    return None


def error_summary(outcome: Outcome, form: str) -> str:
    """Return the text of the file behind ``errorSummaryUrl``, in the form of today or the old one."""
    if form == "list":
        return json.dumps({"errors": [f"[{failure.row}]: {failure.message}" for failure in outcome.failures]})
    rows_by_message: dict[str, list[int]] = {}
    for failure in outcome.failures:
        rows_by_message.setdefault(failure.message, []).append(failure.row + 1)
    # The wording up to "(1-based)]: " is invented; what follows is how the service wrote it.
    count = len(outcome.failures)
    told = f"{count} rows failed [message: row numbers (1-based)]: {json.dumps(rows_by_message)}."
    return json.dumps({"message": told}, separators=(",", ":"))


def _is_poison(row: Row, settings: Settings) -> bool:
    if any(tag in settings.poison_tags for tag in row.tags):
        return True
    return bool(settings.poison_ids) and device_of(row.token) in settings.poison_ids


def device_of(token: str) -> str | None:
    """Return the device that a claim token names, or None if it cannot be read."""
    try:
        return decode(token).device_id
    except TokenError:
        return None


def _row(record: list[str]) -> Row:
    if len(record) > 2:
        return Row(record[0], problem=f"the row has {len(record)} columns; two are the most")
    tags = record[1].split(",") if len(record) == 2 else []
    return Row(record[0], tuple(tag.strip() for tag in tags if tag.strip()))


@dataclass(frozen=True)
class BulkSubmission:
    """A CSV that was accepted. ``operation_id`` is None if it was claimed at once; ``repeated``: by a ``Twice``."""

    operation_id: str | None
    rows: list[Row] = field(repr=False)
    at: datetime
    repeated: bool = False

    @cached_property
    def device_ids(self) -> frozenset[str]:
        """The devices in it. A row whose token cannot be read names none."""
        # Reading a thousand tokens takes time, which no request should pay for.
        return frozenset(filter(None, (device_of(row.token) for row in self.rows)))
