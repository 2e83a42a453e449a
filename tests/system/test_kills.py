"""A real Airflow whose processes are killed while it claims: a small `python -m reliability.kills`."""

from __future__ import annotations

from pathlib import Path

import pytest

from airflow_provider_nrfprov.version_compat import AIRFLOW_V_3_3_PLUS

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not AIRFLOW_V_3_3_PLUS, reason="the local Airflow is started as Airflow 3.3 is"),
]


def test_nothing_is_lost_or_done_twice_when_processes_of_airflow_are_killed(tmp_path: Path) -> None:
    # Here, since the module is of no use to Airflow 2.
    from reliability.killed_runs import Case
    from reliability.kills import kill_and_judge, tally
    from reliability.victims import Victim

    cases = [
        Case(Victim.TASK, "async", deferrable=False),
        Case(Victim.TASK, "sync", deferrable=False),
        Case(Victim.TASK, "async", deferrable=True),
        Case(Victim.WORKER, "sync", deferrable=False),
        Case(Victim.TRIGGERER, "async", deferrable=True),
    ]
    runs, _ = kill_and_judge(cases, len(cases), seed=7, at_a_time=len(cases), folder=tmp_path)
    told = "\n".join(run.line for run in runs)
    assert {run.case for run in runs if run.hits} == set(cases), told
    assert tally(runs).total == 0, told
    assert all(run.rows for run in runs), told
