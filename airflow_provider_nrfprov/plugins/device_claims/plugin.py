"""Puts the page "Device claims" into Airflow's web server and its navigation (Airflow 3.1.7 and later).

Before 3.1.7 Airflow does not ask who may see the DAG that a plugin's page is about, so there is no page.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

try:
    # Not the other one: a worker would load Airflow's database code with it.
    from airflow.sdk.plugins_manager import AirflowPlugin
except ImportError:  # before Airflow 3.2
    from airflow.plugins_manager import AirflowPlugin  # type: ignore[assignment]

from airflow_provider_nrfprov.plugins.device_claims import AIRFLOW_IN_SCOPE
from airflow_provider_nrfprov.version_compat import AIRFLOW_V_3_1_7_PLUS

if TYPE_CHECKING:
    from fastapi import FastAPI

URL_PREFIX = "/nrfprov"
_NAME = "Device claims"


def page_path() -> str:
    """Return the path of the page: it holds under every name of the server, and behind a prefix."""
    from airflow.configuration import conf

    below = urlsplit(conf.get("api", "base_url", fallback="") or "").path.rstrip("/")
    return f"{below}{URL_PREFIX}/claims/"


class _OnDemand:
    """An ASGI application that is built when it is first asked: every worker loads plugins, and none of them serves."""

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        # Here it is still Airflow's; the application below puts itself in its place.
        await _app()({**scope, AIRFLOW_IN_SCOPE: scope.get("app")}, receive, send)

    def __repr__(self) -> str:
        return "the page Device claims of airflow-provider-nrfprov"


def _views() -> list[dict[str, str]]:
    page = page_path()
    of_run = f"{page}?dag_id={{DAG_ID}}&run_id={{RUN_ID}}"
    of_task = f"{of_run}&task_id={{TASK_ID}}&map_index={{MAP_INDEX}}"
    icons = {"icon": f"{page}icon.svg", "icon_dark_mode": f"{page}icon-dark.svg"}
    return [
        {"name": _NAME, "href": page, "destination": "nav", "category": "browse", "url_route": "device-claims", **icons},
        {"name": _NAME, "href": of_run, "destination": "dag_run", "url_route": "device-claims-of-run", **icons},
        {"name": _NAME, "href": of_task, "destination": "task_instance", "url_route": "device-claims-of-task", **icons},
    ]  # fmt: skip


class NrfProvDeviceClaimsPlugin(AirflowPlugin):
    """Adds the page to Airflow's web server. Airflow 2 loads it and makes nothing of it."""

    name = "nrfprov_device_claims"
    fastapi_apps = (
        [{"app": _OnDemand(), "url_prefix": URL_PREFIX, "name": _NAME}] if AIRFLOW_V_3_1_7_PLUS else []
    )
    external_views = _views() if AIRFLOW_V_3_1_7_PLUS else []


@cache
def _app() -> FastAPI:
    from airflow_provider_nrfprov.plugins.device_claims.app import build_app

    return build_app()
