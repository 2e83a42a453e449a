"""The plugin that makes the page Device claims a part of Airflow's web application."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from airflow_provider_nrfprov.plugins.device_claims import plugin
from tests.integration.device_claims.pages import needs_the_page

pytestmark = pytest.mark.filterwarnings("ignore")


def test_the_plugin_is_an_entry_point_that_airflow_takes():
    from airflow.plugins_manager import ensure_plugins_loaded, is_valid_plugin

    pyproject = (Path(__file__).parents[3] / "pyproject.toml").read_text()
    _, section = pyproject.split('[project.entry-points."airflow.plugins"]\n')
    path = f"{plugin.__name__}:{plugin.NrfProvDeviceClaimsPlugin.__name__}"
    assert f'nrfprov_device_claims = "{path}"\n' in section.split("\n[")[0]
    ensure_plugins_loaded()  # Airflow 2 compares with what it has
    assert is_valid_plugin(plugin.NrfProvDeviceClaimsPlugin)


@needs_the_page
def test_every_route_asks_airflow_as_the_person_who_asks_and_only_one_writes():
    from fastapi.routing import APIRoute

    from airflow_provider_nrfprov.plugins.device_claims import app, inbox
    from airflow_provider_nrfprov.plugins.device_claims.airflow_api import as_the_caller

    routes = [*app.build_app().routes, *inbox.router.routes]
    writing = set()
    asked = {}
    for route in (each for each in routes if isinstance(each, APIRoute)):
        calls = [each.call for each in route.dependant.dependencies]
        asked[route.path] = calls
        assert as_the_caller in calls or inbox.may_start.dependency in calls, route.path
        if route.methods != {"GET"}:
            writing.add(route.path)
            assert inbox.own_pages_only in calls
    assert writing == {"/api/dags/{dag_id}/inbox"}
    assert len(asked) == 7


@needs_the_page
def test_a_worker_that_loads_the_plugin_does_not_load_the_web_application():
    import subprocess
    import sys

    code = (
        "import sys, json; import airflow_provider_nrfprov.plugins.device_claims.plugin;"
        "print(json.dumps([m for m in sys.modules if m.split('.')[-1] in ('fastapi', 'sqlite3') or 'claims.app' in m]))"
    )
    result = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, check=True
    )
    loaded = json.loads(result.stdout.strip().splitlines()[-1])
    assert [name for name in loaded if "fastapi" in name or "claims.app" in name] == []


@needs_the_page
def test_the_views_are_those_that_this_airflow_shows():
    from airflow.api_fastapi.core_api.datamodels.plugins import ExternalViewResponse

    views = plugin.NrfProvDeviceClaimsPlugin.external_views
    assert [ExternalViewResponse.model_validate(each).destination for each in views] == [
        "nav",
        "dag_run",
        "task_instance",
    ]
    routes = [each["url_route"] for each in views]
    assert len(set(routes)) == 3
    assert not any(route.startswith("/") for route in routes)
