"""What tests of the page Device claims share: its addresses, and which Airflow has it."""

from __future__ import annotations

import airflow
import pytest
from packaging.version import Version

from airflow_provider_nrfprov.emulator.mint import mint_devices
from airflow_provider_nrfprov.version_compat import AIRFLOW_V_3_1_7_PLUS

needs_the_page = pytest.mark.skipif(
    not AIRFLOW_V_3_1_7_PLUS,
    reason="before Airflow 3.1.7 it is not asked who may see the DAG of a plugin's page",
)
needs_teams = pytest.mark.skipif(
    Version(airflow.__version__) < Version("3.2"), reason="teams are kept in another way before Airflow 3.2"
)
COOKIE = "_token"
DEVICE = next(iter(mint_devices(1, seed=1))).device_id
"""Of the first of the tokens."""


def of(task, name):
    return f"/nrfprov/api/dags/{task['dag_id']}/{name}"


def ask(client, task, name, **more):
    query = {key: value for key, value in task.items() if key != "dag_id"}
    return client.get(of(task, name), params={**query, **more})


def every_route(task):
    """Return each route of data with a query that it answers."""
    query = {key: value for key, value in task.items() if key != "dag_id"}
    return [
        ("/nrfprov/api/claims", {}),
        ("/nrfprov/api/search", {"words": DEVICE}),
        *((of(task, name), query) for name in ("report", "rows", "report.csv")),
    ]
