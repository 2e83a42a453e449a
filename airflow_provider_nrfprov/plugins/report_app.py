"""The web application behind the report page; loaded when somebody first asks for a report."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from urllib.parse import quote, urlencode

from airflow.api_fastapi.auth.managers.models.resource_details import DagAccessEntity
from airflow.api_fastapi.core_api.security import requires_access_dag
from fastapi import Depends, FastAPI, Request
from fastapi.responses import HTMLResponse, Response, StreamingResponse

from airflow_provider_nrfprov.plugins.report_file import NoReportError, blocks, read, report_of
from airflow_provider_nrfprov.plugins.report_html import page, paragraph, report_page

_HEADERS = {
    # No script, whatever a report holds; and nothing is kept by a proxy or shown inside another page.
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'self'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}


def build_app() -> FastAPI:
    """Return the application: ``/report/DAG`` is the page, ``/report/DAG/report.csv`` the file.

    Both take ``run_id``, ``task_id`` and ``map_index`` (-1 for a task that is not mapped) as their query.
    """
    app = FastAPI(title="nRF Cloud Provisioning reports", docs_url=None, redoc_url=None, openapi_url=None)
    app.add_exception_handler(NoReportError, _no_report)
    allowed = [Depends(requires_access_dag("GET", DagAccessEntity.XCOM))]
    app.get("/report/{dag_id}", dependencies=allowed, response_class=HTMLResponse)(_show)
    app.get("/report/{dag_id}/report.csv", dependencies=allowed)(_download)
    return app


# Not async: both read files and the database, and FastAPI gives such a function a thread of its own.
def _show(dag_id: str, run_id: str, task_id: str, map_index: int = -1) -> Response:
    view = read(report_of(dag_id, run_id, task_id, map_index))
    query = {"run_id": run_id, "task_id": task_id, "map_index": map_index}
    mapped = f" [{map_index}]" if map_index >= 0 else ""
    title = f"Report of {task_id}{mapped} in {dag_id}, {run_id}"
    html = report_page(view, title=title, download=f"{quote(dag_id, safe='')}/report.csv?{urlencode(query)}")
    return HTMLResponse(html, headers=_HEADERS)


def _download(dag_id: str, run_id: str, task_id: str, map_index: int = -1) -> Response:
    pieces: Iterator[str] = blocks(report_of(dag_id, run_id, task_id, map_index))
    # The first piece now: once an answer has begun, it cannot become a 404 any more.
    whole = chain([next(pieces)], pieces)
    headers = {**_HEADERS, "Content-Disposition": 'attachment; filename="report.csv"'}
    return StreamingResponse(whole, media_type="text/csv; charset=utf-8", headers=headers)


async def _no_report(_: Request, error: Exception) -> Response:
    return HTMLResponse(page("No report", paragraph(str(error))), status_code=404, headers=_HEADERS)
