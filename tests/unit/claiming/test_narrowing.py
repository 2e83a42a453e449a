from __future__ import annotations

import pytest

from airflow_provider_nrfprov.claiming.narrowing import narrowed

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
