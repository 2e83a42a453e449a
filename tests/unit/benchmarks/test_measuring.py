"""The programs that measure, each once and small: what they count is what the emulator saw."""

from __future__ import annotations

import pytest

from benchmarks import claim, waiting
from benchmarks.process import measure

http_provider = pytest.importorskip(
    "airflow.providers.http.triggers.http", reason="the http provider is not there"
)


def test_a_program_that_fails_is_no_measurement():
    with pytest.raises(RuntimeError, match=r"benchmarks.our_claim ended with 2: .*url"):
        measure(["benchmarks.our_claim"])


def test_the_claim_of_a_file_is_measured_for_both(tmp_path):
    (default, quiet) = claim.cpu(tmp_path, rows=1500, repeats=1)
    assert default.ours == quiet.ours
    assert all(seconds > 0.05 for each in (default, quiet) for seconds in (*each.ours, *each.theirs))


def test_triggers_that_wait_ask_as_often_as_they_should(tmp_path):
    with waiting.ground(tmp_path, 30) as ground:
        ours = ground.wait("ours", 30, interval=1.0, seconds=3.5)
        http = ground.wait("http", 30, interval=1.0, seconds=3.5)
    # The first trigger of each warms up for a second, at 0.2 s: four or five requests more.
    assert 30 * 3 <= http.requests <= 30 * 4 + 6
    assert 2 <= ours.requests <= 20
    assert 0 <= ours.lag < 2


def test_a_slow_service_is_slow_for_both_and_stays_so(tmp_path):
    eight, bare, sixteen = claim.wall(tmp_path, rows=2500, repeats=1)
    # Three requests of half a second each, one after another.
    assert eight.theirs == sixteen.theirs
    assert eight.theirs[0] > 1.5
    assert min(eight.ours[0], sixteen.ours[0], bare.theirs[0]) > 0.5
