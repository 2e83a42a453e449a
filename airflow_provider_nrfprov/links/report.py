"""The link from a task to its report."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

from airflow.providers.common.compat.sdk import BaseOperatorLink

from airflow_provider_nrfprov.version_compat import AIRFLOW_V_3_1_7_PLUS, AIRFLOW_V_3_1_PLUS

OWNER = ("dag_id", "run_id", "task_id", "map_index")
"""What names the task whose report it is: in a report's summary.json, and in a task instance's key."""
PAGE = "/nrfprov/claims/"
"""Where Airflow's own web server shows a report, see :mod:`airflow_provider_nrfprov.plugins.device_claims`."""


class NrfProvReportLink(BaseOperatorLink):
    """Leads to the report that the task wrote, failed or not.

    From Airflow 3.1.7 on to a page of Airflow itself. Before, to the page of a file in the console of its object store
    (``s3://``, ``gs://``), and nowhere for other files.

    An operator that has it says in ``written_report`` which report it has written, and pushes the path as ``report``; or, in
    ``report_owner``, which task did.
    """

    name = "Report"

    def get_link(self, operator: Any, *, ti_key: Any) -> str:
        """Return the address, an empty text if the task wrote no report."""
        if AIRFLOW_V_3_1_PLUS:
            # Asked in the worker, where it has just run; looking for an XCom that is not there would log an error.
            if (
                not AIRFLOW_V_3_1_7_PLUS
                or not operator.do_xcom_push
                or not getattr(operator, "written_report", None)
            ):
                return ""
            owner = getattr(operator, "report_owner", None) or {name: getattr(ti_key, name) for name in OWNER}
            return page_url(owner)

        from airflow.providers.common.compat.sdk import XCom

        report = XCom.get_value(ti_key=ti_key, key="report")
        return console_url(report) if isinstance(report, str) else ""


def page_url(owner: Mapping[str, Any]) -> str:
    """Return the address of the page Device claims for a task: a path, so that it holds under every name of the server.

    :param owner: ``dag_id``, ``run_id``, ``task_id`` and ``map_index`` of the task that wrote the report.
    """
    from airflow.configuration import conf

    query = {
        **{name: owner[name] for name in OWNER},
        "map_index": -1 if owner["map_index"] is None else owner["map_index"],
    }
    below = urlsplit(conf.get("api", "base_url", fallback="") or "").path.rstrip("/")
    return f"{below}{PAGE}?{urlencode(query, quote_via=quote)}"


def console_url(path: str) -> str:
    """Return the page of a file in the console of its object store, an empty text if none is known."""
    parts = urlsplit(path)
    bucket, key = parts.netloc.rpartition("@")[2], parts.path.lstrip("/")
    if not bucket or not key:
        return ""
    if parts.scheme in {"s3", "s3a"}:
        return f"https://s3.console.aws.amazon.com/s3/object/{bucket}?prefix={quote(key)}"
    if parts.scheme in {"gs", "gcs"}:
        return f"https://console.cloud.google.com/storage/browser/_details/{bucket}/{quote(key)}"
    return ""
