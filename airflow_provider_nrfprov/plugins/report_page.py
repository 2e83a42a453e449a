"""A page of Airflow's web server that shows the report of a task (Airflow 3.1.7 and later).

What it serves: the ``report.csv`` that the task itself named in its XCom ``report``, and nothing else. The name has to
be that, the first line that of a report, and the ``summary.json`` beside it has to say that it is this task's report: so no other
file that the server can read comes out, no other DAG's report, whoever may write an XCom, and ``failed_rows.csv``, which holds
claim tokens, never does. Who may read the XComs of a DAG may read its reports: Airflow's own rule decides by the DAG in the path,
with the browser's session or a token. Before 3.1.7 that rule did not ask about the DAG, so there is no page.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

try:
    # Not the other one: a worker would load Airflow's database code with it.
    from airflow.sdk.plugins_manager import AirflowPlugin
except ImportError:  # before Airflow 3.2
    from airflow.plugins_manager import AirflowPlugin  # type: ignore[assignment]

from airflow_provider_nrfprov.version_compat import AIRFLOW_V_3_1_7_PLUS

if TYPE_CHECKING:
    from fastapi import FastAPI

URL_PREFIX = "/nrfprov"


class _OnDemand:
    """An ASGI application that is built when it is first asked: every worker loads plugins, and none of them serves."""

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await _app()(scope, receive, send)

    def __repr__(self) -> str:
        return "the report page of airflow-provider-nrfprov"


class NrfProvReportPagePlugin(AirflowPlugin):
    """Adds the page to Airflow's web server. Airflow 2 loads it and makes nothing of it."""

    name = "nrfprov_report_page"
    fastapi_apps = (
        [{"app": _OnDemand(), "url_prefix": URL_PREFIX, "name": "nRF Cloud Provisioning reports"}]
        if AIRFLOW_V_3_1_7_PLUS
        else []
    )


@cache
def _app() -> FastAPI:
    from airflow_provider_nrfprov.plugins.report_app import build_app

    return build_app()
