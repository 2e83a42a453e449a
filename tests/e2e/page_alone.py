"""The page Device claims in Chromium without an Airflow behind it: its files as they are, and answers as a test has them."""

from __future__ import annotations

import json
import mimetypes
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from airflow_provider_nrfprov.plugins import device_claims

STATIC = Path(device_claims.__file__).with_name("static")
HOST = "http://airflow.test"
PAGE = f"{HOST}/nrfprov/claims/"
CLAIMS = "/nrfprov/api/claims"
SEARCH = "/nrfprov/api/search"
TASK = {"dag_id": "factory", "run_id": "night", "task_id": "claim", "map_index": -1}
REPORT, ROWS = "/nrfprov/api/dags/factory/report", "/nrfprov/api/dags/factory/rows"
COLUMNS = ["line", "device_id", "outcome", "status", "message", "bulk_ops_request_id"]
Answer = Callable[[dict[str, str]], Any] | Any


def claim(**values: Any) -> dict[str, Any]:
    """Return a claim as the list has it, of three rows of which one was refused."""
    summary = {
        **{"claim_file": "/claims/shift.csv", "service": ["https://api.provisioning.nrfcloud.com/v1"]},
        **{"rows": 3, "claimed": 2, "already_claimed": 0, "rejected": 0, "failed": 1, "unknown": 0},
        **{"report": "/claims/out/report.csv", "failed_rows": None, "reasons": []},
        **(values.pop("summary", None) or {}),
    }
    start = {"start_date": "2026-11-26T22:30:00Z", "end_date": "2026-11-26T22:31:00Z", "duration": 60.0}
    return {**TASK, "state": "success", "try_number": 1, **start, "summary": summary, **values}


def rows(*cells: list[Any], total: int | None = None, columns: list[str] = COLUMNS) -> dict[str, Any]:
    """Return an answer with rows."""
    count = len(cells) if total is None else total
    return {"columns": columns, "sortable": ["line"], "rows": list(cells), "total": count, "more": False}


def serve(page: Any, answers: Mapping[str, Answer]) -> list[tuple[str, dict[str, str]]]:
    """Let a page be answered; return what it asks for, as it does.

    :param answers: by path: JSON, a status, both, or what makes one of the query; 404 for all others.
    """
    asked: list[tuple[str, dict[str, str]]] = []

    def answer(route: Any) -> None:
        url = urlsplit(route.request.url)
        path = unquote(url.path)
        if path.startswith("/nrfprov/claims/"):
            file = STATIC / (path.removeprefix("/nrfprov/claims/") or "index.html")
            route.fulfill(body=file.read_bytes(), content_type=mimetypes.guess_type(file.name)[0])
            return
        query = {name: values[0] for name, values in parse_qs(url.query).items()}
        asked.append((path, query))
        found = answers.get(path, 404)
        found = found(query) if callable(found) else found
        if isinstance(found, int):
            found = (found, {})
        status, body = found if isinstance(found, tuple) else (200, found)
        route.fulfill(status=status, body=json.dumps(body), content_type="application/json")

    page.route(f"{HOST}/**", answer)
    return asked


def text_of(page: Any) -> str:
    """Return what the page shows, in one line."""
    return " ".join(page.locator("main").inner_text().split())
