"""How many rows may fail, or be rejected."""

from __future__ import annotations

import pytest

from airflow_provider_nrfprov.operators.tolerance import RejectedTolerance, Tolerance


@pytest.mark.parametrize(
    ("max_rows", "max_ratio", "of_1000"),
    [(0, None, 0), (7, None, 7), (None, None, 1000), (None, 0.5, 1000), (0, 0.01, 10), (20, 0.01, 20),
     (0, 1, 1000), (0, 0.0119, 11)],
)  # fmt: skip
def test_the_larger_of_both_is_allowed(max_rows, max_ratio, of_1000):
    assert Tolerance(max_rows, max_ratio).allowed(1000) == of_1000


@pytest.mark.parametrize(
    ("max_rows", "max_ratio", "rejected", "ours", "words"),
    [
        (None, None, 0, 0, ""),
        (None, None, 99, 1, ""),
        (None, None, 99, 0, "99 of 100 rows were rejected, and none is claimed"),
        (None, None, 100, 0, "100 of 100 rows were rejected; none was sent"),
        (1000, None, 100, 0, "none was sent"),
        (0, None, 1, 99, "1 of 100 rows was rejected, 0 allowed"),
        (3, None, 3, 97, ""),
        (3, None, 4, 96, "3 allowed"),
        (None, 0.05, 5, 95, ""),
        (None, 0.05, 6, 94, "5 allowed"),
        (3, 0.05, 5, 0, ""),
    ],
)
def test_rejected_rows_have_a_tolerance_of_their_own(max_rows, max_ratio, rejected, ours, words):
    tolerance = RejectedTolerance(max_rows, max_ratio)
    problem = tolerance.problem(rows=100, rejected=rejected, ours=ours)
    assert words in problem
    assert bool(words) == bool(problem)
