"""The programs that measure, each once and small: what they count is what the emulator saw."""

from __future__ import annotations

import pytest

from airflow_provider_nrfprov.version_compat import AIRFLOW_V_3_0_PLUS
from benchmarks import checking, claim, ending, refusals, waiting
from benchmarks.process import measure

http_provider = pytest.importorskip(
    "airflow.providers.http.triggers.http", reason="the http provider is not there"
)


def test_a_program_that_fails_is_no_measurement():
    with pytest.raises(RuntimeError, match=r"(?s)benchmarks.our_claim ended with 2: .*url"):
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
    eight, bare, _, sixteen = claim.wall(tmp_path, rows=2500, repeats=1)
    # Three requests of half a second each, one after another.
    assert eight.theirs == sixteen.theirs
    assert eight.theirs[0] > 1.5
    assert min(eight.ours[0], sixteen.ours[0], bare.theirs[0]) > 0.5


def test_a_service_that_knows_its_answers_claims_every_row_for_all(tmp_path):
    eight, named, loop = claim.wall_of_prepared(tmp_path, rows=2500, repeats=1)
    # Three requests one after another; or the time, what the contract is, and three at once.
    assert eight.theirs == named.theirs == loop.theirs
    assert eight.theirs[0] > 1.5
    assert eight.ours[0] > 1.5
    assert named.ours[0] > 1.0
    assert loop.ours[0] > 0.5


@pytest.mark.skipif(
    not AIRFLOW_V_3_0_PLUS,
    reason="Airflow 2 lets no operator be executed in a thread, and make bench runs on Airflow 3",
)
def test_an_end_is_known_after_it_was_and_an_hours_is_reckoned_from_the_intervals(tmp_path):
    (found,) = ending.ending((0.1,), count=2)
    assert all(0 < seconds < 20 for seconds in (*found.ours, *found.theirs))
    (hour,) = ending.ending_after_an_hour(200)
    assert 0 <= min(hour.ours) < max(hour.ours) <= 10
    assert max(hour.theirs) < 0.4


def test_a_report_is_counted_in_requests_and_checked(tmp_path):
    one, ten = refusals.reports(tmp_path, [2_000], [1, 10])
    assert 10 <= one.ours[0] < ten.ours[0] < 1_000
    assert one.theirs == [20]


def test_checking_a_file_takes_time_and_memory(tmp_path):
    cpu, memory = checking.checking(tmp_path, rows=3_000, repeats=1)
    assert all(value > 0.01 for each in (cpu, memory) for value in (*each.ours, *each.theirs))
    assert memory.ours[0] > memory.theirs[0] > 5
