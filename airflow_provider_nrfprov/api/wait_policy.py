"""Waiting for what the service does in its own time: one policy for the worker and the triggerer."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Protocol

from airflow_provider_nrfprov.api.contract import SUCCEEDED
from airflow_provider_nrfprov.api.errors import (
    LONGEST_WAIT,
    NrfProvError,
    ServiceError,
    UnreachableError,
    UnreadableAnswerError,
)
from airflow_provider_nrfprov.api.retry import retry_after
from airflow_provider_nrfprov.counted import counted

FAILURES_IN_A_ROW = 20
"""A wait ends with the last error after this many failed polls of one operation in a row, or this many rounds in a row
in which nothing was answered."""
FAILURES_IN_A_ROUND = 5
"""After this many failed polls in a row a round ends: a service that is down is not asked about a thousand operations."""
LEAST_INTERVAL = 1.0
"""Seconds between two rounds, whatever a user says."""
LONGEST_INTERVAL = 300.0
"""Seconds between two rounds of a triggerer; unless a trigger itself wants to be told less often."""
SOONEST_EVENT = 10.0
"""Seconds; a trigger that fires earlier may cost its task (apache/airflow#72716): on a busy machine 1 of 53 did after seven
seconds, of 337 none after ten."""
_TRANSIENT = {408, 425, 429}
_SHARE_OF_AGE = 0.08
"""With what a round may be late by (a quarter of its interval), a wait ends a tenth late at most."""
_STEP = 1.25
_SECONDS_AN_OPERATION = 0.01
"""A page of the list tells of a hundred: haste costs a connection a request a second, however much waits."""
_SHORTEST_PAUSE, _LONGEST_PAUSE = 0.1, 1.3
_BRIEF_OPERATIONS = 10
"""More operations than these are not polled in quick succession."""


def at_least(seconds: float) -> float:
    """Return an interval as it is, or the least one."""
    return max(LEAST_INTERVAL, seconds)


def round_interval(age: float, poll_interval: float, operations: int) -> float:
    """Return for how many seconds a triggerer does not ask again about a wait of some age.

    A tenth of the age, with what a round is late by: a second at least, and at most :data:`LONGEST_INTERVAL`, or ``poll_interval``
    if that is longer. The more operations wait, the less haste: a thousand are asked about every ``poll_interval`` from
    the beginning.

    :param age: seconds since the wait began.
    :param poll_interval: seconds, 1 at least.
    :param operations: how many are waited for by all triggers of the connection.
    """
    soonest = min(poll_interval, max(LEAST_INTERVAL, operations * _SECONDS_AN_OPERATION))
    # In steps, so that waits of about the same age keep step with each other.
    wanted: float = _STEP ** math.floor(math.log(max(_SHARE_OF_AGE * age, LEAST_INTERVAL), _STEP))
    return min(max(soonest, wanted), max(poll_interval, LONGEST_INTERVAL))


def is_transient(error: NrfProvError) -> bool:
    """Whether asking again later may help: no answer, an unreadable one, 408, 425, 429 or a 5xx."""
    if isinstance(error, ServiceError):
        return error.status in _TRANSIENT or error.status >= 500
    return isinstance(error, (UnreachableError, UnreadableAnswerError))


def seconds_asked_for(error: NrfProvError) -> float:
    """Return for how many seconds the service asks not to be asked: 0 unless it says so, an hour at most."""
    seconds = (retry_after(error) or 0.0) if isinstance(error, ServiceError) else 0.0
    return seconds if seconds < LONGEST_WAIT else LONGEST_WAIT


class RoundCut:
    """Says when a round has to end early.

    After :data:`FAILURES_IN_A_ROUND` transient errors in a row, and at once after a 429 or a ``Retry-After``.
    """

    def __init__(self) -> None:
        self._failures = 0

    def is_due(self, error: NrfProvError | None) -> bool:
        """Take the next poll's error, ``None`` for an answer; return whether to end the round with it."""
        if error is None or not is_transient(error):
            self._failures = 0
            return False
        self._failures += 1
        asks_to_wait = getattr(error, "status", None) == 429 or seconds_asked_for(error) > 0
        return asks_to_wait or self._failures >= FAILURES_IN_A_ROUND


class Awaited(Protocol):
    """What is waited for, as the service last described it."""

    @property
    def status(self) -> str:
        """Its status, as the service says it."""
        ...

    @property
    def is_finished(self) -> bool:
        """Whether the status is a final one."""
        ...


class Watch:
    """Which of some things of the service are still to be waited for.

    Each change of a status is said once in ``notes``. A failed poll is counted by operation: one that is answered begins
    to count from zero.

    :param ids: their ids.
    :param what: what they are, in the singular, for the notes.
    :param now: returns seconds that only grow.
    """

    # Thousands of these wait in a triggerer.
    __slots__ = (
        "_failures", "_not_before", "_now", "_rounds_without_answer", "_statuses", "_what", "failed", "notes", "waiting",
    )  # fmt: skip

    def __init__(self, ids: Iterable[str], what: str, now: Callable[[], float] = time.monotonic) -> None:
        self.waiting = list(dict.fromkeys(ids))
        self.failed: list[str] = []
        """What ended with another status than SUCCEEDED."""
        self.notes: list[str] = []
        """What changed in the newest round, one sentence each."""
        self._what = what
        self._now = now
        self._not_before = 0.0
        self._statuses: dict[str, str] = {}
        self._failures: dict[str, int] = {}
        self._rounds_without_answer = 0

    @property
    def is_done(self) -> bool:
        """Whether everything has ended."""
        return not self.waiting

    @property
    def counts_failures(self) -> bool:
        """Whether the newest poll of anything that is waited for failed; the count is lost with the process."""
        return self._rounds_without_answer > 0 or bool(self._failures)

    def poll(self, fetch: Callable[[str], Awaited]) -> None:
        """Ask once about each that is waited for; about none while the service asked to wait.

        A transient error of one does not keep the others from being asked about.

        :raises NrfProvError: a permanent error, or the transient one that was one too many.
        """
        self.notes.clear()
        if self._now() < self._not_before:
            return
        found: dict[str, Awaited | NrfProvError] = {}
        cut, ending = RoundCut(), None
        for id_ in self.waiting:
            error = None
            try:
                found[id_] = fetch(id_)
            except NrfProvError as raised:
                found[id_] = error = raised
            if cut.is_due(error) or (error is not None and not is_transient(error)):
                ending = error
                break
        self.update(found, ending)

    def update(self, found: Mapping[str, Awaited | NrfProvError], error: NrfProvError | None = None) -> None:
        """Take what a round found out.

        :param found: what is known of some of those that are waited for, or why it is not.
        :param error: what ended the round before all were asked about.
        :raises NrfProvError: a permanent error, or the transient one that was one too many.
        """
        self.notes.clear()
        errors = {id_: each for id_, each in found.items() if isinstance(each, NrfProvError)}
        for id_, awaited in found.items():
            if not isinstance(awaited, NrfProvError):
                self._take(id_, awaited)
        if len(errors) < len(found):
            self._rounds_without_answer = 0
        elif error is not None or errors:
            self._rounds_without_answer += 1
        for id_, each in errors.items():
            self._failures[id_] = self._failures.get(id_, 0) + 1
            self._tolerate(each, self._failures[id_])
        if error is not None and self.waiting:
            self._tolerate(error, self._rounds_without_answer)
        self._note_failures(errors, error)

    def _tolerate(self, error: NrfProvError, failures: int) -> None:
        if not is_transient(error) or failures >= FAILURES_IN_A_ROW:
            raise error
        self._not_before = max(self._not_before, self._now() + seconds_asked_for(error))

    def _note_failures(self, errors: Mapping[str, NrfProvError], ending: NrfProvError | None) -> None:
        """Return in one sentence what failed, however much did."""
        if not self.waiting or not (errors or ending):
            return
        newest = ending or list(errors.values())[-1]
        in_a_row = max(self._rounds_without_answer, *self._failures.values(), 0)
        polls = counted(max(1, len(errors)), "poll")
        self.notes.append(f"{polls} failed, {in_a_row} of {FAILURES_IN_A_ROW} in a row: {newest}")

    def _take(self, id_: str, awaited: Awaited) -> None:
        self._failures.pop(id_, None)
        if self._statuses.get(id_) != awaited.status:
            self._statuses[id_] = awaited.status
            self.notes.append(f"{self._what} {id_} is {awaited.status}")
        if awaited.is_finished:
            self.waiting.remove(id_)
            if awaited.status != SUCCEEDED:
                self.failed.append(id_)


class BulkOpsWatch(Watch):
    """Waits for bulk operations. One that is FAILED may have carried out some of its rows.

    A status that is not known is waited for.
    """

    __slots__ = ()

    def __init__(self, bulk_ops_request_ids: Iterable[str]) -> None:
        super().__init__(bulk_ops_request_ids, "bulk operation")


class CommandWatch(Watch):
    """Waits for provisioning commands of one device. A status that is not known is an end, and no success."""

    __slots__ = ()

    def __init__(self, command_ids: Iterable[str]) -> None:
        super().__init__(command_ids, "provisioning command")


def pause_on_worker(watch: Watch, age: float, poll_interval: float) -> float:
    """Return after how many seconds a worker polls again: soon while the wait is young, after ``poll_interval`` at most.

    While polls fail it is ``poll_interval``, so that the failures which are tolerated last as long as ever; and so it is where more
    than ten operations are polled one by one.

    :param age: seconds since the wait began.
    """
    longest = at_least(poll_interval)
    if _forbids_haste(watch):
        return longest
    return min(longest, max(_brief_pause(age), _SHARE_OF_AGE * age))


def poll_briefly(
    watch: Watch,
    fetch: Callable[[str], Awaited],
    seconds: float,
    sleep: Callable[[float], None] = time.sleep,
) -> None:
    """Poll for some seconds, at first 0.1 s, later 1.3 s apart: what ends so soon need not be deferred for.

    Not at all if there are more than ten operations, and no more once a poll fails.

    :param seconds: how long at most.
    :raises NrfProvError: as :meth:`Watch.poll` does.
    """
    age = 0.0
    while not watch.is_done and not _forbids_haste(watch):
        pause = _brief_pause(age)
        age += pause
        if age > seconds:
            return
        sleep(pause)
        watch.poll(fetch)


def _brief_pause(age: float) -> float:
    return min(max(2 * age, _SHORTEST_PAUSE), _LONGEST_PAUSE)


def _forbids_haste(watch: Watch) -> bool:
    return watch.counts_failures or len(watch.waiting) > _BRIEF_OPERATIONS
