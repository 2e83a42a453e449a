"""What the table of the benchmarks says of what was measured."""

from __future__ import annotations

import pytest

pytest.importorskip("matplotlib", reason="charts are drawn where the dependency group dev is installed")

from benchmarks.figures import COLUMNS, Figure
from benchmarks.growth import Series, draw
from benchmarks.main import FULL, QUICK, page, parts


def figure(ours, theirs, **goal) -> Figure:
    return Figure("CPU time", "`claim_devices`", "s", ours, theirs, **goal)


def test_a_ratio_is_the_median_of_the_pairs_with_the_least_and_the_most():
    found = figure([1.0, 4.0, 3.0], [2.0, 4.0, 2.0], at_most=1.0)
    assert found.cells() == (
        "CPU time", "3 s (1 to 4)", "`claim_devices`", "2 s (2 to 4)", "1 x (0.5 to 1.5)", "≤ 1x", "yes", "3",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("ours", "theirs", "goal", "met", "words"),
    [
        ([1.1], [1.0], {"at_most": 1.0}, "**no**", "≤ 1x"),
        ([2.0], [16.0], {"at_least": 8.0}, "yes", "≥ 8x"),
        ([2.0], [15.9], {"at_least": 8.0}, "**no**", "≥ 8x"),
        ([30.0], [5.0], {"at_most": 25, "difference": True}, "yes", "≤ +25 s"),
        ([31.0], [5.0], {"at_most": 25, "difference": True}, "**no**", "≤ +25 s"),
        # A bound on the worst: one run beyond it is enough to miss it.
        ([0.01, 0.02, 0.11], [9.0, 9.0, 9.0], {"up_to": 0.1}, "**no**", "≤ 0.1 s"),
        ([0.01, 0.02, 0.09], [9.0, 9.0, 9.0], {"up_to": 0.1}, "yes", "≤ 0.1 s"),
        ([1.0], [2.0], {}, "", ""),
    ],
)
def test_a_goal_that_is_missed_says_so(ours, theirs, goal, met, words):
    cells = dict(zip(COLUMNS, figure(ours, theirs, **goal).cells(), strict=True))
    assert (cells["met"], cells["goal"]) == (met, words)


def test_pairs_that_are_not_complete_are_an_error():
    with pytest.raises(ValueError, match="zip"):
        figure([1.0, 2.0], [1.0], at_most=1.0).cells()


def test_growth_is_drawn_and_tabled_and_the_same_figures_give_the_same_drawing(tmp_path):
    series = Series("rows", (10, 100), {"CPU time, s": [0.5, 0.7], "peak memory, MB": [60.0, 61.0]})
    text = page([figure([1.0], [2.0], at_most=1.0), series], tmp_path / "images", "One run of each.")
    assert "| 100 | 0.7 | 61 |" in text
    assert "![Growth with rows](images/growth-with-rows.svg)" in text
    assert text.endswith("\n\nOne run of each.")
    drawn = (tmp_path / "images" / "growth-with-rows.svg").read_bytes()
    draw(series, tmp_path / "again.svg")
    assert b"peak memory, MB" in drawn
    assert (tmp_path / "again.svg").read_bytes() == drawn


def test_the_small_version_measures_what_the_whole_one_does(tmp_path):
    assert parts(tmp_path, QUICK).keys() == parts(tmp_path, FULL).keys()
