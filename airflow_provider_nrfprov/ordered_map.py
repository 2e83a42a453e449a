"""Runs work in several threads and yields the results in order."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from itertools import islice
from typing import TypeVar

ItemT = TypeVar("ItemT")
ResultT = TypeVar("ResultT")

_LOOK_SECONDS = 0.25
_GRACE_SECONDS = 3.0


class StoppedError(Exception):
    """The work was asked to stop; what was begun of it may still be going on in its thread."""


def ordered_map(
    work: Callable[[ItemT], ResultT],
    items: Iterable[ItemT],
    limit: int,
    *,
    ahead: int = 0,
    stop: threading.Event | None = None,
) -> Generator[tuple[ItemT, ResultT], None, None]:
    """Yield each item with what ``work`` makes of it, in the order of the items.

    At most ``limit`` items are worked on at any time, and at most ``limit + ahead`` are that, wait for it or are
    done and not yet taken: what is behind ``items`` is read no further. With ``ahead``, one slow item
    does not hold the others up. With a limit of 1 and without ``stop`` there is no thread at all.

    :param stop: once it is set, what was begun has three seconds to come to an end.
    :raises StoppedError: if it did not.
    :raises BaseException: what ``work`` raised for the first of the items. Nothing new is begun then, and what
        was begun is brought to its end before.
    """
    if limit == 1 and stop is None:
        for item in items:
            yield item, work(item)
        return
    remaining = iter(items)
    begun: deque[tuple[ItemT, Future[ResultT]]] = deque()
    pool = ThreadPoolExecutor(limit, thread_name_prefix="nrfprov")
    # What ends the work from outside, as Airflow's time-out does, ends it at once if it can be asked to stop.
    is_abandoned = stop is not None
    try:
        begun.extend((item, pool.submit(work, item)) for item in islice(remaining, limit + ahead))
        while begun:
            item, future = begun.popleft()
            if not has_ended(future, stop):
                raise StoppedError
            try:
                result = future.result()
            except BaseException:
                is_abandoned = False
                raise
            begun.extend((item, pool.submit(work, item)) for item in islice(remaining, 1))
            yield item, result
        is_abandoned = False
    finally:
        if is_abandoned and stop is not None:
            stop.set()
        pool.shutdown(wait=not is_abandoned, cancel_futures=True)


def has_ended(future: Future[ResultT], stop: threading.Event | None) -> bool:
    """Wait for some work, until three seconds after ``stop`` is set; return whether it has come to an end."""
    while stop is not None and not stop.is_set():
        if wait([future], _LOOK_SECONDS).done:
            return True
    return bool(wait([future], None if stop is None else _GRACE_SECONDS).done)
