"""How many rows may fail, as users and templates write it."""

from __future__ import annotations

import pytest

from airflow_provider_nrfprov.tolerance import Tolerance


@pytest.mark.parametrize(
    ("max_rows", "max_ratio", "of_1000"),
    [(0, None, 0), (7, None, 7), ("7", "", 7), (None, None, 1000), ("None", 0.5, 1000), (0, 0.01, 10), (20, "0.01", 20),
     (0, 1, 1000), (0, 0.0119, 11)],
)  # fmt: skip
def test_the_larger_of_both_is_allowed(max_rows, max_ratio, of_1000):
    assert Tolerance.of(max_rows, max_ratio).allowed(1000) == of_1000


@pytest.mark.parametrize(
    ("max_rows", "max_ratio"), [("many", None), (-1, None), (0, 1.5), (0, "half"), (0, -0.1), (0, "nan")]
)
def test_what_is_no_such_number_is_named(max_rows, max_ratio):
    with pytest.raises(ValueError, match=r"max_failed_rows|max_failed_ratio"):
        Tolerance.of(max_rows, max_ratio)
