"""The counting of real kills: what is planted is found, and only what was hit counts."""

from __future__ import annotations

import csv
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from itertools import islice
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
import pytest

from airflow_provider_nrfprov.api import operations
from harness.published import table, write_section
from reliability.judge import Remembered, Tally, faults_of_run, read_report
from reliability.killed_runs import Case, KilledRun, Strike, judge
from reliability.kills import cases, lines_of, tally
from reliability.ours import World, run, world
from reliability.scenario import Scenario, project_scenario, scenario
from reliability.victims import Victim, child_process, kill, task_process, worker_process

SEED = 6
QUIET = {"fault_rate": 0.0, "kill_rate": 0.0, "revoke_rate": 0.0, "down_rate": 0.0}
CASE = Case(Victim.TASK, "async", deferrable=True)
HIT, LATE = Strike(True, "all sent", "task killed"), Strike(False, "all sent", "task killed")

Done = tuple[World, Scenario, Path]


@pytest.fixture(params=["async", "sync"])
def done(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Done]:
    """A file that was claimed without any trouble, with devices of all three owners."""
    here = replace(
        scenario(SEED, devices=40), settings={"contract": request.param, "bulk_seconds": 0.0}, **QUIET
    )
    assert {device.owner for device in here.devices} == {"nobody", "ours", "theirs"}
    with world(tmp_path) as running:
        assert not run(here, running).wrong
        yield running, here, tmp_path / str(SEED) / "report"


def judged(done: Done) -> KilledRun:
    running, here, report_dir = done
    wrong = judge(here, report_dir, running.service)
    assert faults_of_run(here, report_dir, Remembered(running.service)) == wrong
    return KilledRun(SEED, CASE, wrong=wrong)


def rewrite(report_dir: Path, change: Any) -> None:
    rows = change(read_report(report_dir))
    with (report_dir / "report.csv").open("w", newline="") as stream:
        writer = csv.DictWriter(stream, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def outcome(before: str, after: str) -> Any:
    def change(rows: list[dict[str, str]]) -> list[dict[str, str]]:
        row = next(row for row in rows if row["outcome"] == before)
        row["outcome"] = after
        return rows

    return change


def test_the_judge_finds_nothing_where_nothing_is_wrong(done: Done) -> None:
    assert judged(done).wrong == []


def test_claims_into_a_project_are_held_against_what_the_project_has(tmp_path: Path) -> None:
    here = replace(project_scenario(SEED, devices=40), settings={"bulk_seconds": 0.0}, **QUIET)
    with world(tmp_path) as running:
        assert not run(here, running).wrong
        report_dir = tmp_path / str(SEED) / "report"
        assert judge(here, report_dir, running.service) == []
        rewrite(report_dir, outcome("failed", "claimed"))
        assert len(judge(here, report_dir, running.service)) == 1
        of_a_team = replace(here, api="team")
        assert len(judge(of_a_team, report_dir, running.service)) > 1


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("claimed", "failed"),
        ("claimed", "already_claimed"),
        ("already_claimed", "claimed"),
        ("failed", "claimed"),
        ("claimed", "unknown"),
        ("claimed", "rejected"),
    ],
)
def test_one_wrong_outcome_is_one_wrong_outcome(done: Done, before: str, after: str) -> None:
    rewrite(done[2], outcome(before, after))
    assert tally([judged(done)]) == Tally(0, 0, 0, 1)


def test_a_row_that_is_missing_in_the_report_is_lost(done: Done) -> None:
    rewrite(done[2], lambda rows: rows[:-1])
    assert tally([judged(done)]).lost == 1


def test_a_run_without_a_report_is_lost(done: Done) -> None:
    (done[2] / "report.csv").unlink()
    assert tally([judged(done)]).lost == 1


def test_a_device_that_is_not_ours_in_the_end_is_lost(done: Done) -> None:
    running, here, _ = done
    lost = next(device for device in here.devices if device.owner == "nobody")
    with running.client() as client:
        client.send(operations.unclaim_device(lost.device_id))
    # Its row says that it is claimed, which is the first thing that is wrong.
    assert tally([judged(done)]).total == 1


def test_a_device_that_was_sent_again_is_sent_twice(done: Done) -> None:
    running, here, _ = done
    some = [device for device in here.devices if device.owner == "nobody"][:3]
    with running.client() as client:
        client.send(operations.bulk_claim("".join(f"{device.token}\n" for device in some)))
    assert tally([judged(done)]) == Tally(0, 0, 3, 0)


def test_a_device_that_was_given_up_and_claimed_again_is_claimed_twice(done: Done) -> None:
    running, here, _ = done
    again = next(device for device in here.devices if device.owner == "nobody")
    with running.client() as client:
        client.send(operations.unclaim_device(again.device_id))
        client.send(operations.claim_device(again.token))
    assert tally([judged(done)]) == Tally(0, 1, 0, 0)


def test_what_the_judge_says_in_other_words_is_never_left_out() -> None:
    runs = [KilledRun(1, CASE, wrong=["gave up waiting for the end of the run"]), KilledRun(2, CASE)]
    assert tally(runs) == Tally(0, 0, 0, 1)


def test_a_kill_that_came_too_late_does_not_count() -> None:
    runs = [KilledRun(1, CASE, 10, [HIT, LATE], 2), KilledRun(2, CASE, 20, [LATE], 1)]
    text = "\n".join(lines_of(runs))
    assert [run.hits for run in runs] == [1, 0]
    assert "| task | async | in the triggerer | 1 | 2 | 30 | 0 | 0 | 0 | 0 | 3 | 0 |" in text
    assert "| all sent | 1 |" in text
    assert "1 kills in 2 runs, 30 rows: 0 lost" in text
    assert "2 kills came too late" in text
    assert "TOO LATE" in runs[1].line


def test_each_kind_of_kill_has_its_turn_and_a_seed_repeats_it() -> None:
    some = list(islice(cases(5), 39))
    assert some == list(islice(cases(5), 39)) != list(islice(cases(6), 39))
    assert Counter(case.victim for case in some) == {
        Victim.TASK: 12,
        Victim.WORKER: 12,
        Victim.TRIGGERER: 12,
        Victim.SCHEDULER: 3,
    }
    assert all(
        case.deferrable and case.contract == "async" for case in some if case.victim is Victim.TRIGGERER
    )


def test_a_project_has_kills_of_its_own_contract() -> None:
    some = list(islice(cases(5, api="project"), 18))
    assert {case.contract for case in some} == {"project"}
    assert Counter(case.victim for case in some) == {
        Victim.TASK: 4,
        Victim.WORKER: 4,
        Victim.TRIGGERER: 8,
        Victim.SCHEDULER: 2,
    }
    assert {case.waits for case in some} == {"on the worker", "in the triggerer"}


@pytest.fixture
def family() -> Iterator[tuple[Any, int, int]]:
    """A worker with a task of its own, by their titles; both sleep."""
    script = (
        "import os, time, setproctitle\n"
        "child = os.fork()\n"
        "setproctitle.setproctitle('airflow worker -- LocalExecutor: x' if child else 'airflow worker -- 17')\n"
        "print(child, flush=True) if child else None\n"
        "time.sleep(60)\n"
    )
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True) as worker:
        assert worker.stdout
        task = int(worker.stdout.readline())
        while psutil.Process(task).cmdline()[0] != "airflow worker -- 17":
            pass
        try:
            yield SimpleNamespace(all_pids=lambda: [worker.pid, task]), worker.pid, task
        finally:
            worker.kill()
            with suppress(ProcessLookupError):
                os.kill(task, 9)


def test_a_task_is_found_by_its_id_and_its_worker_above_it(family: tuple[Any, int, int]) -> None:
    airflow, worker, task = family
    assert task_process(airflow, "17") == task
    assert task_process(airflow, "1") is None
    assert worker_process(airflow, task) == worker
    assert child_process(worker) == task


def test_only_that_process_is_killed(family: tuple[Any, int, int]) -> None:
    _, worker, task = family
    assert kill(worker)
    assert psutil.Process(task).status() != psutil.STATUS_ZOMBIE
    assert not kill(worker)


def test_a_table_has_its_numbers_to_the_right_and_in_thousands() -> None:
    assert table(["a", ">b"], [["x", 1234]]) == ["| a | b |", "| --- | ---: |", "| x | 1,234 |"]


def test_only_what_stands_between_the_markers_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "text.md"
    path.write_text("a\n<!-- x: begin -->\nold\n<!-- x: end -->\nb\n")
    write_section(path, "x", "new")
    assert path.read_text() == "a\n<!-- x: begin -->\nnew\n<!-- x: end -->\nb\n"
    with pytest.raises(ValueError, match=r"text\.md does not have the lines .*y: begin"):
        write_section(path, "y", "new")


def test_a_text_without_both_markers_is_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "text.md"
    path.write_text("<!-- x: begin -->\nno end\n")
    with pytest.raises(ValueError, match=r"text\.md does not have the lines"):
        write_section(path, "x", "new")
    assert path.read_text() == "<!-- x: begin -->\nno end\n"
