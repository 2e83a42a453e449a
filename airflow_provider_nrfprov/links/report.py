"""The link from a task to its report."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote, urlencode, urlsplit

from airflow.providers.common.compat.sdk import BaseOperatorLink

from airflow_provider_nrfprov.version_compat import AIRFLOW_V_3_1_PLUS

PAGE = "/nrfprov/report"
"""Where Airflow's own web server shows a report, see :mod:`airflow_provider_nrfprov.plugins.report_page`."""


class NrfProvReportLink(BaseOperatorLink):
    """Leads to the report that the task wrote, failed or not.

    From Airflow 3.1 on to a page of Airflow itself. Before, to the page of a file in the console of its object store
    (``s3://``, ``gs://``), and nowhere for other files.

    An operator that has it says in ``written_report`` which report it has written, and pushes the path as ``report``.
    """

    name = "Report"

    def get_link(self, operator: Any, *, ti_key: Any) -> str:
        """Give the address, an empty text if the task wrote no report."""
        if AIRFLOW_V_3_1_PLUS:
            # Asked in the worker, where it has just run; looking for an XCom that is not there would log an error.
            return page_url(ti_key) if getattr(operator, "written_report", None) else ""

        from airflow.providers.common.compat.sdk import XCom

        report = XCom.get_value(ti_key=ti_key, key="report")
        return console_url(report) if isinstance(report, str) else ""


def page_url(ti_key: Any) -> str:
    """Give the address of the report page for a task: a path, so that it holds under every name of the server."""
    from airflow.providers.common.compat.sdk import conf

    map_index = -1 if ti_key.map_index is None else ti_key.map_index
    query = {
        "dag_id": ti_key.dag_id,
        "run_id": ti_key.run_id,
        "task_id": ti_key.task_id,
        "map_index": map_index,
    }
    below = urlsplit(conf.get("api", "base_url", fallback="") or "").path.rstrip("/")
    return f"{below}{PAGE}?{urlencode(query)}"


def console_url(path: str) -> str:
    """Give the page of a file in the console of its object store, an empty text if none is known."""
    parts = urlsplit(path)
    bucket, key = parts.netloc.rpartition("@")[2], parts.path.lstrip("/")
    if not bucket or not key:
        return ""
    if parts.scheme in {"s3", "s3a"}:
        return f"https://s3.console.aws.amazon.com/s3/object/{bucket}?prefix={quote(key)}"
    if parts.scheme in {"gs", "gcs"}:
        return f"https://console.cloud.google.com/storage/browser/_details/{bucket}/{quote(key)}"
    return ""
