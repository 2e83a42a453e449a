"""The counting of Airflow's race, and the PostgreSQL that it needs."""

from __future__ import annotations

import os
from dataclasses import replace

import pytest

from harness import postgres
from harness.postgres import NoPostgresError, running_postgres, what_is_missing
from reliability.race import RUNNERS, Raced, mismatches

CONTROL, CLAIM = RUNNERS
FINE = Raced(CLAIM, 400, 400, {"success": 400}, 0, 0, 0, 100.0)
MISMATCH = (
    "2026-11-23T22:27:05.200869Z [error    ] Executor LocalExecutor(parallelism=8) reported that the task instance "
    "<TaskInstance: {dag_id}.claim manual__2026-11-23T22:26:52+00:00 map_index=7 [queued] ti_id=01a20a84> finished with "
    "state success, but the task instance's state attribute is queued. Learn more"
)


def test_tasks_that_the_scheduler_failed_are_counted_by_their_dag() -> None:
    log = [MISMATCH.format(dag_id="race_control")] * 2 + [
        MISMATCH.format(dag_id="race_claim"),
        "TaskInstance Finished",
    ]
    assert mismatches(log) == {"race_control": 2, "race_claim": 1}


@pytest.mark.parametrize(
    "change",
    [
        {"states": {"success": 399, "failed": 1}},
        {"states": {"success": 399, "upstream_failed": 1}},
        {"by_scheduler": 1},
        {"lost": 1},
        {"twice": 1},
    ],
)
def test_anything_that_befalls_a_task_of_ours_is_wrong(change: dict) -> None:
    assert not FINE.is_wrong
    assert replace(FINE, **change).is_wrong
    assert not replace(FINE, runner=CONTROL, **change).is_wrong


def test_it_says_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgres, "program", lambda name: None)
    assert what_is_missing() == "PostgreSQL is not installed: there is no initdb and no postgres."
    with pytest.raises(NoPostgresError, match="not installed"), running_postgres():
        pass


@pytest.mark.skipif(bool(what_is_missing()), reason=what_is_missing() or "it is there")
def test_a_postgresql_is_there_for_a_while_and_only_with_its_password() -> None:
    import psycopg2

    with running_postgres() as url:
        plain = url.replace("+psycopg2", "")
        connection = psycopg2.connect(plain)
        with connection.cursor() as cursor:
            cursor.execute("show data_directory")
            folder = cursor.fetchone()[0]
        connection.close()
        password = plain.split(":")[2].split("@")[0]
        with pytest.raises(psycopg2.OperationalError, match="password"):
            psycopg2.connect(plain.replace(password, "wrong"))
        assert os.path.isdir(folder)  # noqa: PTH112 - as PostgreSQL says it
    assert not os.path.exists(folder)  # noqa: PTH110 - a text
    with pytest.raises(psycopg2.OperationalError):
        psycopg2.connect(plain)
