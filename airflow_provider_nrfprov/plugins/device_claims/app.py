"""The web application of the page; loaded when somebody first asks for it.

Who may see what is Airflow's decision: each route asks Airflow's own API, as the person who asks. They only read, but for the one that
takes a file.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Annotated, Any

from fastapi import Depends, FastAPI, HTTPException, Query, Request
from fastapi.responses import JSONResponse, Response, StreamingResponse
from fastapi.staticfiles import StaticFiles
from pydantic import AwareDatetime, StringConstraints

from airflow_provider_nrfprov.plugins.device_claims import inbox, reports, rows, search
from airflow_provider_nrfprov.plugins.device_claims.airflow_api import Airflow, as_the_caller
from airflow_provider_nrfprov.plugins.device_claims.claims import Claims
from airflow_provider_nrfprov.plugins.device_claims.indexes import Build, Indexes
from airflow_provider_nrfprov.plugins.device_claims.reports import NoReportError, Report
from airflow_provider_nrfprov.plugins.device_claims.summaries import tidy
from airflow_provider_nrfprov.plugins.device_claims.threads import Threads, TookTooLongError

STATIC = Path(__file__).with_name("static")
_HEADERS = {
    # Scripts and styles from files of this package alone, whatever a report holds; shown inside Airflow's own pages only.
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'self'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}
_BLOCK = 1 << 18
_FOR_AN_INDEX = 1.0
"""Seconds that a request waits for an index, if it may be built by then."""
_SOON_BUILT = 8 << 20
"""Bytes of a report of some 50,000 rows."""
_SEARCH_SECONDS = 4.0
_MOST_OF_A_NUMBER = (1 << 31) - 1
"""A database takes no more."""

Airflows = Annotated[Airflow, Depends(as_the_caller)]


def _owner(
    dag_id: str, run_id: str, task_id: str, map_index: Annotated[int, Query(ge=-1, le=_MOST_OF_A_NUMBER)] = -1
) -> dict[str, Any]:
    """Return which task a request is about: the DAG from the path, the rest from the query."""
    return {"dag_id": dag_id, "run_id": run_id, "task_id": task_id, "map_index": map_index}


Owner = Annotated[dict[str, Any], Depends(_owner)]


def build_app() -> FastAPI:
    """Return the application.

    ``/claims/`` is the page, without any data. ``/claims`` of ``/api`` lists claims, ``/api/search`` searches their reports, and
    below ``/api/dags/{dag_id}/`` are ``report``, ``rows`` and ``report.csv`` of one: ``run_id``, ``task_id`` and ``map_index``
    (-1 for a task that is not mapped) are their query. ``/api/inbox`` and ``/api/dags/{dag_id}/inbox`` are for files that are sent.
    """
    app = FastAPI(title="Device claims", docs_url=None, redoc_url=None, openapi_url=None)
    app.add_exception_handler(NoReportError, partial(_refused, 404))
    app.add_exception_handler(TookTooLongError, partial(_refused, 504))
    page = _Page()
    app.middleware("http")(_with_headers)
    app.get("/api/claims")(page.claims)
    app.get("/api/search")(page.search)
    app.get("/api/dags/{dag_id}/report")(page.report)
    app.get("/api/dags/{dag_id}/rows")(page.rows)
    app.get("/api/dags/{dag_id}/report.csv")(page.download)
    app.include_router(inbox.router)
    app.mount("/claims", StaticFiles(directory=STATIC, html=True))
    return app


class _Page:
    """What the page asks for."""

    def __init__(self) -> None:
        self._storage = Threads(8, 2)
        self._indexes = Indexes()
        self._queries = Threads(4, 2)
        self._claims = Claims(self._storage)

    async def claims(
        self,
        airflow: Airflows,
        since: AwareDatetime | None = None,
        dag_id: str = "~",
        run_id: str = "~",
    ) -> Any:
        return await self._claims.newest(airflow, since.isoformat() if since else None, dag_id, run_id)

    async def report(self, airflow: Airflows, owner: Owner) -> Any:
        report = await self._find(airflow, owner)
        try:
            pushed = await self._claims.pushed(airflow, owner, "summary")
        except HTTPException:
            pushed = None
        # What the report's own summary does not say.
        more = (
            {name: pushed[name] for name in ("connection", "device_url") if pushed.get(name)}
            if isinstance(pushed, dict)
            else {}
        )
        return {"summary": tidy({**more, **report.summary}), "path": report.path, "bytes": report.size}

    async def rows(
        self,
        airflow: Airflows,
        owner: Owner,
        *,
        offset: Annotated[int, Query(ge=0, le=_MOST_OF_A_NUMBER)] = 0,
        limit: Annotated[int, Query(ge=1, le=200)] = rows.PAGE,
        outcome: Annotated[str, Query(max_length=50)] = "",
        reason: Annotated[str, Query(max_length=500)] = "",
        words: Annotated[str, Query(max_length=200)] = "",
        sort: Annotated[str, Query(max_length=2_000)] = "",
        descending: bool = False,
    ) -> Any:
        report = await self._find(airflow, owner)
        wanted = rows.Wanted(offset, limit, outcome, reason, words.strip(), sort, descending)
        index = self._indexes.of(report)
        if isinstance(index, Build) and report.size <= _SOON_BUILT:
            await asyncio.wait([asyncio.wrap_future(index.done)], timeout=_FOR_AN_INDEX)
            index = self._indexes.of(report)
        if isinstance(index, Path):
            return await self._queries.run(str(index), partial(rows.page, index, wanted))
        if wanted.is_plain and offset < rows.FIRST:
            first = await self._storage.run(report.path, partial(rows.first_rows, report, wanted))
            return {**first, "building": index.share}
        return JSONResponse({"building": index.share}, status_code=202)

    async def download(self, airflow: Airflows, owner: Owner) -> Response:
        report = await self._find(airflow, owner)
        blocks = self._blocks(report)
        # The first block now: once an answer has begun, it cannot become a 404 any more.
        first = await anext(blocks, b"")
        headers = {"Content-Disposition": 'attachment; filename="report.csv"'}
        return StreamingResponse(
            _chained(first, blocks), media_type="text/csv; charset=utf-8", headers=headers
        )

    async def _blocks(self, report: Report) -> AsyncIterator[bytes]:
        file = ExitStack()
        try:
            stream, _, _ = await self._storage.run(
                report.path, partial(file.enter_context, reports.opened(report.path))
            )
            while block := await self._storage.run(report.path, partial(stream.read, _BLOCK)):
                yield block
        finally:
            # Not here: to close what hangs may take as long as to read it.
            threading.Thread(target=file.close, name="nrfprov-close", daemon=True).start()

    async def search(
        self,
        airflow: Airflows,
        words: Annotated[
            str, StringConstraints(strip_whitespace=True, min_length=search.SHORTEST, max_length=100)
        ],
        skip: Annotated[int, Query(ge=0, le=_MOST_OF_A_NUMBER)] = 0,
    ) -> Any:
        listed = await self._claims.newest(airflow)
        claims = [each for each in listed["claims"] if each["summary"]]
        end = time.monotonic() + _SEARCH_SECONDS
        gate = asyncio.Semaphore(4)

        async def look(claim: dict[str, Any]) -> dict[str, Any] | None:
            async with gate:
                if time.monotonic() > end:
                    return None
                return await self._look_into(claim, words)

        looked = await asyncio.gather(*(look(claim) for claim in claims[skip:]))
        done = next((number for number, each in enumerate(looked) if each is None), len(looked))
        found = [each for each in looked[:done] if each and (each["rows"] or each["problem"])]
        return {"found": found, "searched": skip + done, "of": len(claims), "more": listed["more"]}

    async def _look_into(self, claim: dict[str, Any], words: str) -> dict[str, Any]:
        owner = {name: claim[name] for name in ("dag_id", "run_id", "task_id", "map_index")}
        path = claim["summary"].get("report")

        def look() -> tuple[list[dict[str, str]], bool]:
            return search.find_device(reports.find(path, owner), words)

        found: list[dict[str, str]] = []
        more, problem = False, None
        try:
            found, more = await self._storage.run(str(path), look)
        except (NoReportError, TookTooLongError) as error:
            problem = str(error)
        except Exception as error:  # noqa: BLE001 - one report must not keep the others from being found
            problem = f"{path} cannot be read ({type(error).__name__})."
        return {"claim": claim, "rows": found, "more": more, "problem": problem}

    async def _find(self, airflow: Airflow, owner: dict[str, Any]) -> Report:
        try:
            path = await self._claims.pushed(airflow, owner, "report")
        except HTTPException as error:
            if error.status_code != 404:
                raise
            path = None
        return await self._storage.run(str(path), partial(reports.find, path, owner))


async def _chained(first: bytes, others: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    yield first
    async for block in others:
        yield block


async def _with_headers(request: Request, answer: Any) -> Response:
    response: Response = await answer(request)
    response.headers.update(_HEADERS)
    return response


async def _refused(status: int, _: Request, error: Exception) -> Response:
    return JSONResponse({"detail": str(error)}, status_code=status)
