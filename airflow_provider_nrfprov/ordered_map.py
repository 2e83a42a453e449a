"""Several pieces of work at a time, on threads, their results in order."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import TypeVar

ItemT = TypeVar("ItemT")
ResultT = TypeVar("ResultT")


def ordered_map(
    work: Callable[[ItemT], ResultT], items: Iterable[ItemT], limit: int, *, ahead: int = 0
) -> Generator[tuple[ItemT, ResultT], None, None]:
    """Yield each item with what ``work`` makes of it, in the order of the items.

    At most ``limit`` items are worked on at any time, and at most ``limit + ahead`` are that, wait for it or are
    done and not yet taken: what is behind ``items`` is read no further. With ``ahead``, one slow item
    does not hold the others up. With a limit of 1 there is no thread at all.

    :raises BaseException: what ``work`` raised for the first of the items. Nothing new is begun then, and what
        was begun is brought to its end before.
    """
    if limit == 1:
        for item in items:
            yield item, work(item)
        return
    remaining = iter(items)
    begun: deque[tuple[ItemT, Future[ResultT]]] = deque()
    with ThreadPoolExecutor(limit, thread_name_prefix="nrfprov") as pool:
        try:
            begun.extend((item, pool.submit(work, item)) for item in islice(remaining, limit + ahead))
            while begun:
                item, future = begun.popleft()
                result = future.result()
                begun.extend((item, pool.submit(work, item)) for item in islice(remaining, 1))
                yield item, result
        finally:
            pool.shutdown(wait=True, cancel_futures=True)
