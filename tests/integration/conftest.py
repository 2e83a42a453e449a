"""A migrated database for ``dag.test()``, once a session."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import pytest


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
