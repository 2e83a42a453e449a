"""Several pieces of work at a time: bounded, in order, brought to an end."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest

from airflow_provider_nrfprov.ordered_map import ordered_map


class Work:
    """Counts how many are under way."""

    def __init__(self, seconds: float = 0.01) -> None:
        self.now = self.most = 0
        self.done: list[int] = []
        self._seconds = seconds
        self._lock = threading.Lock()

    def __call__(self, item: int) -> int:
        with self._lock:
            self.now += 1
            self.most = max(self.most, self.now)
        time.sleep(self._seconds * (item % 3 + 1))
        with self._lock:
            self.now -= 1
            self.done.append(item)
        if item == 5:
            raise LookupError("five")
        return item * item


@pytest.mark.parametrize("limit", [1, 2, 8])
def test_gives_results_in_order_and_keeps_to_the_limit(limit):
    work = Work()
    items = [number for number in range(30) if number != 5]
    assert list(ordered_map(work, items, limit)) == [(number, number * number) for number in items]
    assert work.most == limit


def numbers(taken: list[int]) -> Iterator[int]:
    """Yield a hundred, and note each that is taken."""
    for number in range(100):
        taken.append(number)
        yield number


@pytest.mark.parametrize("limit", [1, 4])
def test_after_a_failure_nothing_new_is_begun_and_nothing_is_left_running(limit):
    work, taken = Work(), []
    results = ordered_map(work, numbers(taken), limit)
    found = [next(results) for _ in range(5)]
    with pytest.raises(LookupError, match="five"):
        next(results)
    assert found == [(number, number * number) for number in range(5)]
    assert work.now == 0
    assert len(taken) <= 5 + limit
    assert set(work.done) <= set(taken)


def test_what_is_behind_the_items_is_read_no_further_than_the_limit():
    taken = []
    results = ordered_map(lambda item: item, numbers(taken), 4)
    next(results)
    assert len(taken) == 5
    results.close()
