"""One poller for all the triggers of a connection in a triggerer: a thousand waits cost ten requests a round.

A trigger joins with what it waits for and is told of it. One that joins, leaves or is cancelled disturbs no
other; two triggerers have a poller each.

What a wait keeps is few objects, and what a round finds out is fewer: the more there are, the longer Python stops
the event loop to look through all of them for garbage.
"""

from __future__ import annotations

import asyncio
import logging
import math
import random
import time
from collections.abc import Callable, Collection, Iterable
from contextlib import suppress
from functools import cache
from typing import TYPE_CHECKING, NamedTuple

from airflow_provider_nrfprov.api import wait_policy
from airflow_provider_nrfprov.api.errors import ForbiddenError, NrfProvError, UnauthorizedError
from airflow_provider_nrfprov.api.wait_policy import (
    LONGEST_INTERVAL,
    Watch,
    round_interval,
    seconds_asked_for,
)
from airflow_provider_nrfprov.triggers.polling import Connected, threads

if TYPE_CHECKING:
    from types import TracebackType

    from airflow_provider_nrfprov.api.bulk_ops_status import BulkOpsStatus

_GRID = 0.25
"""Part of an interval; triggers that joined within it are asked about together."""
_PHASE = random.random()  # noqa: S311 - nobody has to be unable to guess it
"""Part of a grid; another in every triggerer, so that they do not all ask at the same moment."""
_GRACE = 60.0
"""Seconds that the last round may take."""
_AT_ONCE = 100
"""How many triggers are told before other coroutines have their turn."""

_log = logging.getLogger(__name__)
_pollers: dict[tuple[str, asyncio.AbstractEventLoop], BulkOpsPoller] = {}


class Standing(NamedTuple):
    """The state of an operation: all that a wait needs to know."""

    status: str
    is_finished: bool


Found = dict[str, Standing | NrfProvError]

# As many as there are statuses.
_standing = cache(Standing)


class Follower:
    """One trigger's part in the poller, which it leaves at the end of its ``with`` block."""

    __slots__ = (
        "_end_time", "_news", "_notes", "_poll_interval", "asked_at", "error", "is_over", "joined_at", "next_at",
        "poller", "watch",
    )  # fmt: skip

    def __init__(self, watch: Watch, poll_interval: float, end_time: float) -> None:
        self.watch = watch
        self.poller: BulkOpsPoller | None = None
        self.error: BaseException | None = None
        """What ends the wait."""
        self.is_over = False
        """Whether the time to wait is up."""
        self.asked_at = 0.0
        self.next_at = time.time() + min(wait_policy.SOONEST_EVENT, max(0.0, end_time - time.time()))
        self._news: asyncio.Future[None] | None = None
        self._notes: tuple[str, ...] = ()
        self.joined_at = time.time()
        self._poll_interval = poll_interval
        self._end_time = end_time

    def __enter__(self) -> Follower:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.poller is not None:
            self.poller.leave(self)

    @property
    def has_news(self) -> bool:
        """Whether there is something to say, or the wait has come to its end."""
        return bool(self._notes) or self.is_over or self.error is not None or self.watch.is_done

    def news(self) -> asyncio.Future[None]:
        """Return what is to be awaited for news."""
        self._news = asyncio.get_running_loop().create_future()
        self._tell()
        return self._news

    def _tell(self) -> None:
        # Only then: thousands that woke up for nothing would leave much behind.
        if self.has_news and self._news is not None and not self._news.done():
            self._news.set_result(None)

    @property
    def gives_up_at(self) -> float:
        """When to end the wait although its last round has not; seconds since the epoch."""
        return self._end_time + _GRACE

    @property
    def may_hear(self) -> bool:
        """Whether its first pause is over: a trigger that fires earlier may cost its task (apache/airflow#72716)."""
        return self.asked_at > 0 or time.time() >= self.next_at

    def asked(self, operations: int) -> None:
        """Note that it was asked about, and when that is to happen next.

        :param operations: how many all triggers of the connection wait for.
        """
        self.asked_at = now = time.time()
        self._notes += tuple(self.watch.notes)
        self.is_over = now >= self._end_time
        if self.is_over:
            self.next_at = math.inf
        else:
            interval = round_interval(now - self.joined_at, self._poll_interval, operations)
            if self.watch.counts_failures:
                # So that the failures which are tolerated last as long as ever.
                interval = max(interval, self._poll_interval)
            self.next_at = min(next_round(now, interval), self._end_time)
        self._tell()

    def take_notes(self) -> tuple[str, ...]:
        """Return what is new, one sentence each."""
        notes, self._notes = self._notes, ()
        return notes

    def give_up(self) -> None:
        """End the wait although its last round has not."""
        self.is_over = True
        self._tell()

    def fail(self, error: BaseException) -> None:
        """End the wait with an error."""
        self.error = error
        # Else it would be asked about once more before it can leave.
        self.next_at = math.inf
        self._tell()


def following(nrfprov_conn_id: str, watch: Watch, poll_interval: float, end_time: float) -> Follower:
    """Join the poller of a connection, which is made if there is none."""
    follower = Follower(watch, poll_interval, end_time)
    _join(nrfprov_conn_id, follower)
    return follower


def _join(nrfprov_conn_id: str, follower: Follower) -> None:
    key = (nrfprov_conn_id, asyncio.get_running_loop())
    poller = _pollers.get(key)
    if poller is None:
        poller = _pollers[key] = BulkOpsPoller(nrfprov_conn_id, on_end=lambda ended: _drop(key, ended))
    poller.join(follower)


def _drop(key: tuple[str, asyncio.AbstractEventLoop], poller: BulkOpsPoller) -> None:
    # Another may have taken its place.
    if _pollers.get(key) is poller:
        del _pollers[key]


def next_round(now: float, interval: float) -> float:
    """Return the first round after an interval; rounds of the same interval are the same for all."""
    grid = _GRID * interval or 1.0
    round_ = (math.ceil((now + interval) / grid - _PHASE) + _PHASE) * grid
    # What is lost in rounding must not make it too early.
    return round_ if round_ - now >= interval else round_ + grid


class BulkOpsPoller:
    """Asks about everything that its followers wait for, a round at a time, in a thread.

    The connection is read again when the service refuses who asks. It is also read again for those who join later: if it
    leads elsewhere by then, they go to a poller of their own, and the others wait on where they began.

    :param on_end: called with the poller when it takes no more followers.
    """

    def __init__(self, nrfprov_conn_id: str, on_end: Callable[[BulkOpsPoller], None]) -> None:
        self._conn_id = nrfprov_conn_id
        self._on_end = on_end
        # In the order in which they joined; a set would make rounds differ from run to run.
        self._followers: dict[Follower, None] = {}
        self._joined = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._round: asyncio.Future[None] | None = None
        self._connected: Connected | None = None
        self._not_before = 0.0
        self._alarm: asyncio.TimerHandle | None = None
        self._alarm_at = math.inf

    def join(self, follower: Follower) -> None:
        """Take a follower in."""
        follower.poller = self
        self._followers[follower] = None
        self._joined.set()
        if follower.gives_up_at < self._alarm_at:
            self._set_alarm(follower.gives_up_at)
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._run())

    def leave(self, follower: Follower) -> None:
        """Let a follower go; with the last one the poller ends."""
        self._followers.pop(follower, None)
        if not self._followers:
            self._on_end(self)
            self._set_alarm(math.inf)
            if self._task is not None:
                self._task.cancel()

    def _set_alarm(self, at: float) -> None:
        """Let those end that have to at this time: one timer, where each of thousands would have its own."""
        if self._alarm is not None:
            self._alarm.cancel()
        self._alarm_at, self._alarm = at, None
        if at < math.inf:
            loop = asyncio.get_running_loop()
            self._alarm = loop.call_later(max(0.0, at - time.time()), self._let_give_up)

    def _let_give_up(self) -> None:
        now = time.time()
        for follower in self._followers:
            if follower.gives_up_at <= now:
                follower.give_up()
        waiting = (each.gives_up_at for each in self._followers if not each.is_over)
        self._set_alarm(min(waiting, default=math.inf))

    async def _run(self) -> None:
        try:
            self._connected = await Connected.open(self._conn_id)
            await self._ask_for_ever(self._connected)
        except Exception as error:  # noqa: BLE001 - every trigger has to hear of it, whatever it is
            self._on_end(self)
            for follower in self._followers:
                follower.fail(error)
        finally:
            self._close()

    def _close(self) -> None:
        if (connected := self._connected) is not None:
            # A thread may still be at it; it closes the connections when it is done.
            if self._round is None or self._round.done():
                connected.close()
            else:
                self._round.add_done_callback(lambda _: connected.close())

    async def _ask_for_ever(self, connected: Connected) -> None:
        from airflow_provider_nrfprov.api.bulk_ops_status import BulkOpsStatus

        status = BulkOpsStatus(connected.client)
        while True:
            self._joined.clear()
            now = time.time()
            next_at = max(self._not_before, min(follower.next_at for follower in self._followers))
            if next_at > now:
                # Woken by whoever joins: it may want to be asked about sooner.
                await _wait_for(self._joined, min(next_at - now, LONGEST_INTERVAL))
                continue
            await self._part_if_changed(connected)
            if status.client is not connected.client:
                status = BulkOpsStatus(connected.client)
            due = [each for each in self._followers if each.next_at <= now]
            if not due:
                continue
            found, error = await self._poll(status, due)
            is_refused = any(
                isinstance(each, (UnauthorizedError, ForbiddenError)) for each in (error, *found.values())
            )
            if is_refused and await connected.renew():
                status = BulkOpsStatus(connected.client)
                found, error = await self._poll(status, due)
            await self._tell(found, error, due)
            status.forget(
                [id_ for id_, each in found.items() if isinstance(each, NrfProvError) or each.is_finished]
            )

    async def _part_if_changed(self, connected: Connected) -> None:
        """Let those who joined since the connection was read go elsewhere, if it leads elsewhere now."""
        read_at = connected.read_at
        if all(each.joined_at <= read_at for each in self._followers) or not await connected.has_changed():
            return
        newcomers = [each for each in self._followers if each.joined_at > read_at]
        if len(newcomers) == len(self._followers):
            await connected.renew()
            return
        self._on_end(self)
        for each in newcomers:
            del self._followers[each]
            _join(self._conn_id, each)

    async def _poll(self, status: BulkOpsStatus, due: list[Follower]) -> tuple[Found, NrfProvError | None]:
        ids = list(dict.fromkeys(id_ for each in due for id_ in each.watch.waiting))
        others = [id_ for each in self._followers if each.may_hear for id_ in each.watch.waiting]
        found: Found = {}
        self._round = asyncio.get_running_loop().run_in_executor(
            threads(), _collect, status, ids, others, found
        )
        try:
            # A thread cannot be stopped; it is let go.
            await asyncio.shield(self._round)
        except NrfProvError as raised:
            self._wait_as_told(raised)
            return found, raised
        return found, None

    async def _tell(
        self,
        found: Found,
        error: NrfProvError | None,
        due: Iterable[Follower],
    ) -> None:
        asked = set(due)
        operations = sum(len(each.watch.waiting) for each in self._followers)
        for number, follower in enumerate(list(self._followers), start=1):
            if number % _AT_ONCE == 0:
                await asyncio.sleep(0)
            heard = [id_ for id_ in follower.watch.waiting if id_ in found] if follower.may_hear else []
            if not heard and follower not in asked:
                continue
            try:
                follower.watch.update(
                    {id_: found[id_] for id_ in heard}, error if follower in asked else None
                )
            except NrfProvError as final:
                follower.fail(final)
            else:
                follower.asked(operations)

    def _wait_as_told(self, error: NrfProvError) -> None:
        if seconds := seconds_asked_for(error):
            _log.info("polling pauses for %.0f s, as the service asked: %s", seconds, error)
            self._not_before = time.time() + seconds


def _collect(
    status: BulkOpsStatus,
    ids: Collection[str],
    others: Collection[str],
    found: Found,
) -> None:
    # Into a mapping that is kept: what was found before an error is known.
    for id_, each in status.poll(ids, others):
        found[id_] = each if isinstance(each, NrfProvError) else _standing(each.status, each.is_finished)


async def _wait_for(event: asyncio.Event, seconds: float) -> None:
    with suppress(asyncio.TimeoutError):
        await asyncio.wait_for(event.wait(), seconds)
