"""The claims that a person may see, as Airflow's own API lists them for that person, with what each pushed as its summary."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Mapping
from functools import partial
from typing import Any

from fastapi import HTTPException

from airflow_provider_nrfprov.plugins.device_claims.airflow_api import Airflow
from airflow_provider_nrfprov.plugins.device_claims.summaries import plain, tidy
from airflow_provider_nrfprov.plugins.device_claims.threads import Threads, TookTooLongError

MOST = 1_000
"""Claims of one answer: the newest."""
OPERATORS = ("NrfProvBulkClaimOperator", "NrfProvBulkClaimReportOperator")
_AT_A_TIME = 4
"""XComs that one request asks for."""
_REMEMBERED = 5_000
_DAGS = 20
_TASK = ("dag_id", "run_id", "task_id", "map_index")
_SHOWN = ("state", "start_date", "end_date", "duration", "try_number", "operator", "queued_when")
Key = tuple[Any, ...]


class Claims:
    """Lists claims, and remembers what they pushed: an XCom that was pushed anew has another time.

    :param threads: in which XComs are read that lie on an object store.
    """

    def __init__(self, threads: Threads) -> None:
        self._threads = threads
        self._summaries: OrderedDict[Key, dict[str, Any] | None] = OrderedDict()

    async def newest(
        self, airflow: Airflow, since: str | None = None, dag_id: str = "~", run_id: str = "~"
    ) -> dict[str, Any]:
        """Return the newest claims.

        :param since: only those whose run began then or later; as ISO 8601 has it.
        :param dag_id: only those of this DAG.
        :param run_id: only those of this run of it.
        :return: ``claims``, newest first, each with what names the task, its state and times, and ``summary``, ``None`` if there
            is none; ``more`` if there are more than :data:`MOST`.
        """
        period = {"run_after_gte": since} if since else {}
        tasks = await airflow.all_of(
            "task_instances", MOST + 1, "dags", dag_id, "dagRuns", run_id, "taskInstances",
            operator=OPERATORS, order_by="-run_after", **period,
        )  # fmt: skip
        dags = {str(each["dag_id"]) for each in tasks}
        # Other DAGs may push XComs of that name, too.
        asked = sorted(dags) if len(dags) <= _DAGS else [dag_id]
        pushed = await self._pushed(airflow, asked, run_id, period)
        # Of whom Airflow has just said that this person may read it.
        times = {tuple(each[name] for name in _TASK): each["timestamp"] for each in pushed}
        claims = [_claim(each) for each in tasks[:MOST]]
        gate = asyncio.Semaphore(_AT_A_TIME)
        summaries = await asyncio.gather(
            *(self._summary(airflow, gate, claim, times.get(_key(claim))) for claim in claims)
        )
        for claim, summary in zip(claims, summaries, strict=True):
            claim["summary"] = summary
        shown = [each for each in claims if each["summary"] or each["state"] != "success"]
        return {"claims": shown, "more": len(tasks) > MOST}

    async def _pushed(
        self, airflow: Airflow, dags: list[str], run_id: str, period: dict[str, str]
    ) -> list[dict[str, Any]]:
        """Return the XComs that may be read; the claims of a DAG whose XComs may not be are listed all the same."""
        pushed: list[dict[str, Any]] = []
        refusals = []
        for dag_id in dags:
            try:
                pushed += await airflow.all_of(
                    "xcom_entries", 2 * MOST, "dags", dag_id, "dagRuns", run_id, "taskInstances", "~", "xcomEntries",
                    xcom_key="summary", order_by="-timestamp", **period,
                )  # fmt: skip
            except HTTPException as error:
                if error.status_code not in {403, 404}:
                    raise
                refusals.append(error)
        if refusals and len(refusals) == len(dags):
            raise refusals[0]
        return pushed

    async def _summary(
        self, airflow: Airflow, gate: asyncio.Semaphore, claim: dict[str, Any], time: str | None
    ) -> dict[str, Any] | None:
        if time is None:
            return None
        key = (*_key(claim), time)
        if key not in self._summaries:
            async with gate:
                try:
                    value = _checked(await self.pushed(airflow, claim, "summary"))
                except HTTPException:
                    return None
            if claim["state"] in {"success", "failed"}:
                self._summaries[key] = value
            while len(self._summaries) > _REMEMBERED:
                self._summaries.popitem(last=False)
            return value
        self._summaries.move_to_end(key)
        return self._summaries[key]

    async def pushed(self, airflow: Airflow, task: Mapping[str, Any], key: str) -> Any:
        """Return what a task pushed under a key, wherever the values of XComs are kept.

        :raises HTTPException: as Airflow has it; 502 if the store that keeps the values cannot be read here.
        """
        raw = await airflow.xcom(task, key)
        if not isinstance(raw, str):
            return raw
        try:
            return await self._threads.run("Airflow's XCom backend", partial(plain, raw))
        except TookTooLongError:
            raise
        except Exception as error:  # every object store fails in its own way
            raise HTTPException(
                502, f"Airflow's XCom backend cannot be read by this web server ({type(error).__name__})."
            ) from error


def _key(claim: Mapping[str, Any]) -> Key:
    return tuple(claim[name] for name in _TASK)


def _claim(task: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "dag_id": task["dag_id"],
        "run_id": task["dag_run_id"],
        "task_id": task["task_id"],
        "map_index": task["map_index"],
        **{name: task.get(name) for name in _SHOWN},
    }


def _checked(value: Any) -> dict[str, Any] | None:
    """Return a summary if it is one: anybody may push an XCom of that name."""
    summary = tidy(value) if isinstance(value, dict) else {}
    return summary if isinstance(summary.get("rows"), int) else None
