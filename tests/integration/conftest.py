"""A migrated database for ``dag.test()``, once a session."""

from __future__ import annotations

import logging
import sqlite3
import warnings
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_nrfprov.version_compat import AIRFLOW_V_3_0_PLUS
from tests.integration.dag_runs import IS_AIRFLOW_3_0, dag_bag_class, database, handlers_kept, sync


@pytest.fixture(autouse=True)
def handlers_kept_always() -> Iterator[None]:
    """Undo what other tests than those of ``run`` leave behind, too."""
    with handlers_kept():
        yield


@pytest.fixture(autouse=True)
def in_haste(hasty: None) -> None:
    """Let all tests here wait in short intervals."""


@pytest.fixture(autouse=True)
def a_console_like_the_log_of_a_task() -> Iterator[None]:
    """Do without what ``dag.test()`` prints in Airflow 3.0 alone, which leaves structlog as it is by default.

    That is the local variables of a traceback's functions, and each message between task and supervisor, the password that
    is to be masked among them. The log of a task in a running Airflow 3.0 has neither: tests/system/test_smoke.py.
    """
    if not IS_AIRFLOW_3_0:
        yield
        return
    import structlog

    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        processors=[
            structlog.processors.add_log_level,
            structlog.dev.ConsoleRenderer(colors=False, exception_formatter=structlog.dev.plain_traceback),
        ],
    )
    yield
    structlog.reset_defaults()


@pytest.fixture(scope="session")
def load_dag() -> Callable[[str], Any]:
    """Load an example DAG from its folder into a database of this session."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from airflow.utils.db import initdb

        initdb()
        _make_assets_active()
        bag = dag_bag_class()()
        if AIRFLOW_V_3_0_PLUS:
            sync(bag.dags, "dags-folder", Path(bag.dag_folder))
    assert not bag.import_errors
    return bag.dags.__getitem__


def _make_assets_active() -> None:
    """Do what the scheduler does in Airflow 3.0: a task whose outlets are not active is refused, and a test has no scheduler."""
    if IS_AIRFLOW_3_0:
        with closing(sqlite3.connect(database())) as connection:
            connection.execute(
                "create trigger if not exists active_at_once after insert on asset "
                "begin insert or ignore into asset_active (name, uri) values (new.name, new.uri); end"
            )
