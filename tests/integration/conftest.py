"""A migrated database for ``dag.test()``, once a session."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import pytest


@pytest.fixture(autouse=True)
def handlers_kept() -> Iterator[None]:
    """Undo that ``dag.test()`` of Airflow 2 gives the tasks' logger a handler for this very ``sys.stdout``, for good."""
    logger = logging.getLogger("airflow.task")
    before = list(logger.handlers)
    yield
    logger.handlers[:] = before


@pytest.fixture(autouse=True)
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let tests wait in short intervals, and defer at once; tests of just that ask for the real thing."""
    from airflow_provider_nrfprov.api import wait_policy
    from airflow_provider_nrfprov.operators.bulk_claim import NrfProvBulkClaimOperator
    from airflow_provider_nrfprov.sensors.bulk_ops import NrfProvBulkOpsSensor

    monkeypatch.setattr(wait_policy, "LEAST_INTERVAL", 0.01)
    for waiting in (NrfProvBulkOpsSensor, NrfProvBulkClaimOperator):
        monkeypatch.setattr(waiting, "_seconds_before_deferral", 0.0)


@pytest.fixture(scope="session")
def load_dag() -> Callable[[str], Any]:
    """Load an example DAG from its folder into a database of this session."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from airflow.utils.db import initdb

        initdb()
        try:
            from airflow.dag_processing.bundles.manager import DagBundlesManager
            from airflow.dag_processing.dagbag import DagBag
        except ImportError:  # Airflow 2
            from airflow.models.dagbag import DagBag
        else:
            DagBundlesManager().sync_bundles_to_db()
        bag = DagBag()
    assert not bag.import_errors
    return bag.dags.__getitem__
