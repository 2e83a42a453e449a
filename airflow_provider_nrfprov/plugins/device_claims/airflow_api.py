"""Airflow's REST API, asked in this process as the person whose request is being answered.

So that Airflow alone decides who may see what, by its own rules, and nothing here reads its database.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote
from weakref import WeakKeyDictionary

import httpx
from fastapi import HTTPException, Request

from airflow_provider_nrfprov.plugins.device_claims import AIRFLOW_IN_SCOPE

_SECONDS = 10.0
_PAGE = 100
"""Airflow returns no more at a time (``[api] maximum_page_limit``)."""
_AT_A_TIME = 3
"""Calls in this process, of all requests together: Airflow's database connections are fewer than its threads, and whoever asks Airflow
itself waits behind them for the interpreter."""
_gates: WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Semaphore] = WeakKeyDictionary()
_CREDENTIALS = ("cookie", "authorization", "host")


class Airflow:
    """Airflow as the person sees it who made a request.

    :param request: whose session or token is used.
    """

    def __init__(self, request: Request) -> None:
        self._application = request.scope[AIRFLOW_IN_SCOPE]
        # For Airflow's log of requests.
        self._client = (request.client.host, request.client.port) if request.client else ("", 0)
        self._headers = {name: request.headers[name] for name in _CREDENTIALS if name in request.headers}

    async def get(self, *path: str, **query: Any) -> Any:
        """Return an answer as JSON has it.

        :param path: what is between the slashes after ``/api/v2``.
        :raises HTTPException: with Airflow's own status, if it refuses; 404 for ids that cannot be part of a path.
        """
        if any(not each or "/" in each or each in {".", ".."} for each in path):
            raise HTTPException(404, "There is no such task.")
        url = "/api/v2/" + "/".join(quote(each, safe="~") for each in path)
        transport = httpx.ASGITransport(self._application, raise_app_exceptions=False, client=self._client)
        try:
            async with httpx.AsyncClient(transport=transport, base_url="http://airflow") as client:
                answer = await asyncio.wait_for(self._ask(client, url, query), _SECONDS)
        except (TimeoutError, asyncio.TimeoutError):
            raise HTTPException(504, "Airflow's own API did not answer in time.") from None
        if answer.status_code != 200:
            raise HTTPException(answer.status_code, _detail(answer))
        return answer.json()

    async def _ask(self, client: httpx.AsyncClient, url: str, query: Mapping[str, Any]) -> httpx.Response:
        gate = _gates.setdefault(asyncio.get_running_loop(), asyncio.Semaphore(_AT_A_TIME))
        async with gate:
            return await client.get(url, params=query, headers=self._headers)

    async def all_of(self, field: str, most: int, *path: str, **query: Any) -> list[dict[str, Any]]:
        """Return the items of a list, page by page, as many as ``most``.

        :param field: where an answer has them.
        """
        items: list[dict[str, Any]] = []
        while len(items) < most:
            body = await self.get(*path, limit=_PAGE, offset=len(items), **query)
            found = body[field]
            items += found
            if not found or len(items) >= body["total_entries"]:
                break
        return items[:most]

    async def xcom(self, task: Mapping[str, Any], key: str) -> Any:
        """Return what a task pushed under a key, as Airflow's database has it.

        :raises HTTPException: as :meth:`get`; 404 if it pushed nothing.
        """
        body = await self.get(
            "dags", str(task["dag_id"]), "dagRuns", str(task["run_id"]), "taskInstances", str(task["task_id"]),
            "xcomEntries", key, map_index=task["map_index"],
        )  # fmt: skip
        return body["value"]


def as_the_caller(request: Request) -> Airflow:
    """Return Airflow as the person sees it who makes a request. A function: FastAPI of Airflow 3.1 does not read a class's annotations."""
    return Airflow(request)


def _detail(answer: httpx.Response) -> str:
    try:
        return str(answer.json()["detail"])
    except (ValueError, KeyError, TypeError):
        return "Airflow refused this."
