from __future__ import annotations

from collections.abc import Collection
from itertools import combinations

import pytest

from airflow_provider_nrfprov.claiming.narrowing import Parts, Search, narrowed

IDS = [f"00000000-0000-4000-8000-{number:012d}" for number in range(100)]


def test_without_a_name_it_is_halves():
    assert narrowed((1, 2, 3), IDS, "no") == [(1,), (2, 3)]
    assert narrowed((1, 2), IDS, f"device {IDS[50]} of another request") == [(1,), (2,)]


def test_a_device_that_is_named_is_sent_apart_and_last():
    assert narrowed((4, 5, 6), IDS, f"bad: {IDS[5].upper()}; row 1") == [(4, 6), (5,)]


@pytest.mark.parametrize("number", [3, 4, 5])
def test_a_row_that_is_named_is_among_those_apart_whatever_it_counts_from(number):
    rest, *apart = narrowed(tuple(range(10, 20)), IDS, f"cannot be read (row {number}: 2 columns are wanted)")
    assert (13,) in apart
    assert len(rest) + len(apart) == 10


def test_names_of_all_or_of_very_many_are_no_help():
    assert narrowed((0, 1), IDS, f"{IDS[0]} {IDS[1]}") == [(0,), (1,)]
    words = " ".join(IDS[:40])
    assert narrowed(tuple(range(50)), IDS, words) == [tuple(range(25)), tuple(range(25, 50))]


def test_every_row_is_in_one_part():
    for words in ("", "row 0", "row 99 row 7", f"{IDS[3]} {IDS[4]}", "row 1000"):
        parts = narrowed(tuple(range(100)), IDS, words)
        assert sorted(place for part in parts for place in part) == list(range(100))


# --- parts, and a search among them -------------------------------------------------------------------------------


def sent(parts: Parts, bad: Collection[int]) -> list[tuple[tuple[int, ...], bool]]:
    """Send all parts to a service that refuses each with a bad row; return them with whether they were taken."""
    done = []
    while parts:
        part = parts.take()
        done.append((part, not set(part) & set(bad)))
        if done[-1][1]:
            parts.was_taken()
        else:
            parts.was_refused(part, "no")
    return done


def rows_taken(done: list[tuple[tuple[int, ...], bool]]) -> list[int]:
    return sorted(place for part, taken in done if taken for place in part)


@pytest.mark.parametrize("kind", [Parts, Search])
@pytest.mark.parametrize("size", range(9))
def test_whatever_rows_are_at_fault_each_is_refused_alone_and_each_other_is_taken_once(kind, size):
    for number in range(size + 1):
        for bad in combinations(range(size), number):
            done = sent(kind(range(size), IDS), bad)
            assert rows_taken(done) == [place for place in range(size) if place not in bad]
            assert {part for part, taken in done if not taken} >= {(place,) for place in bad}


def cost(kind: type[Parts], bad: Collection[int]) -> int:
    """Return the requests for 1,000 rows where what is taken costs a second one."""
    done = sent(kind(range(1000), IDS), bad)
    return len(done) + sum(taken for _, taken in done)


def test_a_search_finds_one_row_of_a_thousand_for_two_thirds_of_what_halves_cost():
    costs = [cost(Search, [place]) for place in range(1000)]
    assert max(costs) <= 20
    assert sum(costs) / 1000 < 18.1
    assert min(cost(Parts, [place]) for place in range(0, 1000, 10)) >= 28


@pytest.mark.parametrize("count", [10, 30, 100])
def test_neighbours_at_fault_cost_a_search_little_more_than_halves(count):
    bad = range(400, 400 + count)
    assert cost(Search, bad) <= cost(Parts, bad) + 25


def test_a_search_sends_both_halves_of_what_is_too_large():
    parts = Search(range(4), IDS)
    parts.was_refused(parts.take(), "too large", for_its_size=True)
    assert parts.take() == (0, 1)
    parts.was_taken()
    assert parts.take() == (2, 3)


def test_a_search_draws_no_conclusion_from_a_part_of_which_some_has_to_be_sent_again():
    parts = Search(range(10), IDS)
    parts.was_refused(parts.take(), "no")
    assert parts.take() == (0, 1, 2, 3, 4, 5)
    parts.add((3, 4))
    assert [parts.take(), parts.take()] == [(6, 7, 8, 9), (3, 4)]


def test_a_search_sends_what_a_refusal_names_apart_and_then_what_waited():
    parts = Search(range(10), IDS)
    parts.was_refused(parts.take(), "no")
    parts.was_refused(parts.take(), f"bad: {IDS[2]}")
    assert parts.take() == (0, 1, 3, 4, 5)
    parts.was_taken()
    assert parts.take() == (2,)
    parts.was_refused((2,), f"bad: {IDS[2]}")
    assert parts.take() == (6, 7, 8, 9)
    assert not parts


@pytest.mark.parametrize("kind", [Parts, Search])
def test_some_rows_can_be_put_before_all_parts(kind):
    parts = kind(range(100), IDS)
    for _ in range(3):
        parts.was_refused(parts.take(), "no")
    count = parts.put_some_rows_first(8)
    all_parts = [parts.take() for _ in range(20) if parts]
    assert [len(part) for part in all_parts[:count]] == [1] * 8
    rows = [place for part in all_parts for place in part]
    assert sorted(rows) == list(range(100))
