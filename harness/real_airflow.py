"""A real Airflow for runs that are measured: on PostgreSQL if there is one, and quick to notice a death."""

from __future__ import annotations

import platform
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import TypeVar

from harness.airflow_api import AirflowApiError
from harness.connections import nrfprov_connection
from harness.local_airflow import PARTS, LocalAirflow
from harness.ports import free_port
from harness.postgres import running_postgres, what_is_missing

ResultT = TypeVar("ResultT")

QUICK_TO_NOTICE = {
    # A task whose worker died silently is given up after 20 s instead of 5 minutes. How often a worker tells
    # that it lives, and asks whether it still may, stays as it is by default (5 s). Less, and a busy machine
    # takes the living for dead.
    "scheduler__task_instance_heartbeat_timeout": "20",
    "scheduler__task_instance_heartbeat_timeout_detection_interval": "2",
    "scheduler__job_heartbeat_sec": "1",
    "scheduler__orphaned_tasks_check_interval": "3",
    "triggerer__job_heartbeat_sec": "1",
    "triggerer__triggerer_health_check_threshold": "8",
}
"""Airflow's settings (``section__name``) that let it find the dead within seconds."""


@dataclass(frozen=True)
class RealAirflow:
    """A running Airflow, and in words on what it runs."""

    airflow: LocalAirflow
    database: str
    """``PostgreSQL`` or ``SQLite``."""
    executor: str = "LocalExecutor"
    database_url: str = field(default="", repr=False)
    """Of SQLAlchemy, for PostgreSQL; empty on SQLite."""

    @property
    def words(self) -> str:
        """Name it for a report."""
        return (
            f"apache-airflow {version('apache-airflow')}, {self.executor}, {self.database}, "
            f"Python {platform.python_version()}"
        )


@contextmanager
def real_airflow(
    folder: Path,
    dags: Path,
    *,
    emulators: Mapping[str, str],
    api: str = "team",
    parallelism: int = 8,
    settings: Mapping[str, str] | None = None,
    env: Mapping[str, str] | None = None,
    executor: str = "LocalExecutor",
    parts: Mapping[str, Sequence[str]] = PARTS,
) -> Iterator[RealAirflow]:
    """Run an Airflow while the ``with`` block runs; it is healthy when the block begins.

    :param folder: its home, which holds its logs afterwards.
    :param dags: the folder of its DAG files.
    :param emulators: URLs of emulators; each is the connection ``nrfprov_NAME``, with an emulator's usual key.
    :param api: which API the connections speak: ``team``, or ``project`` for that of an emulator's project.
    :param parallelism: as many tasks at a time; on SQLite at most 4.
    :param settings: more of Airflow's settings, as ``section__name``.
    :param env: more of its environment.
    :param executor: what runs its tasks.
    :param parts: what it consists of, in the form of ``harness.local_airflow.PARTS``.
    :raises AirflowDiedError: if it does not get healthy.
    """
    with ExitStack() as stack:
        database_url = "" if what_is_missing() else stack.enter_context(running_postgres())
        chosen = {
            "core__executor": executor,
            "core__parallelism": str(parallelism if database_url else min(parallelism, 4)),
            **({"database__sql_alchemy_conn": database_url} if database_url else {}),
            **(settings or {}),
        }
        env_of_airflow = {f"AIRFLOW__{name.upper()}": value for name, value in chosen.items()}
        env_of_airflow |= dict(env or {})
        for name, url in emulators.items():
            env_of_airflow |= nrfprov_connection(f"nrfprov_{name}", url, api)
        airflow = LocalAirflow(folder, dags, port=free_port(), env=env_of_airflow, parts=parts)
        stack.callback(airflow.stop)
        airflow.start()
        airflow.wait_until_healthy()
        yield RealAirflow(airflow, "PostgreSQL" if database_url else "SQLite", executor, database_url)


def patiently(ask: Callable[[], ResultT]) -> ResultT:
    """Ask Airflow's API again if it does not answer: a busy machine lets it time out once in a while.

    :raises AirflowApiError: if it does not answer ten times in a row.
    """
    for _ in range(9):
        try:
            return ask()
        except AirflowApiError:
            time.sleep(1)
    return ask()
