"""A shift's file as a good user of the http provider would have it claimed, waited for, tagged and listed.

In a file of its own, since each task parses its file anew: nothing of ours slows it down.
"""

from __future__ import annotations

import csv
import io
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from airflow.providers.common.compat.sdk import DAG, task
from airflow.providers.http.hooks.http import HttpHook
from airflow.providers.http.operators.http import HttpOperator
from airflow.providers.http.sensors.http import HttpSensor

SHIFT, REPORTS = Path(os.environ["NRFPROV_BENCH_SHIFT"]), Path(os.environ["NRFPROV_BENCH_REPORTS"])
HTTP = "nrfcloud_http"


def _rows() -> list[list[str]]:
    with SHIFT.open(newline="") as stream:
        return list(csv.reader(stream))


def _body() -> str:
    text = io.StringIO()
    # imei,uuid,token,time
    csv.writer(text, lineterminator="\n").writerows([row[2]] for row in _rows())
    return text.getvalue()


def _has_ended(response: Any) -> bool:
    return response.json()["status"] in {"SUCCEEDED", "FAILED"}


with DAG("http_shift", schedule=None, user_defined_macros={"body": _body}):
    claim = HttpOperator(
        task_id="claim",
        method="POST",
        endpoint="claimed-devices/bulk",
        data="{{ body() }}",
        headers={"Content-Type": "text/csv"},
        response_filter=lambda response: response.json()["bulkOpsRequestId"],
        log_response=False,
        http_conn_id=HTTP,
    )
    # Deferred it could not look at the answer: the http provider keeps a sensor with a response_check on its worker.
    wait = HttpSensor(
        task_id="wait",
        endpoint=f"bulk-ops-requests/{claim.output}",
        response_check=_has_ended,
        deferrable=True,
        poke_interval=10,
        http_conn_id=HTTP,
    )

    @task(task_id="tag_and_report")
    def tag_and_report() -> None:
        """Tag each device of the file, eight at a time, and list what became of it."""
        hook = HttpHook(method="PATCH", http_conn_id=HTTP)
        hook.get_conn()

        def tag(row: list[str]) -> list[object]:
            answer = hook.run(
                f"claimed-devices/{row[1]}",
                data='{"tags": ["bench"]}',
                headers={"Content-Type": "application/json"},
                extra_options={"check_response": False},
            )
            return [*row[:2], "claimed" if answer.ok else answer.text]

        with ThreadPoolExecutor(8) as pool, (REPORTS / "http_shift.csv").open("w", newline="") as stream:
            csv.writer(stream).writerows(pool.map(tag, _rows()))

    claim >> wait >> tag_and_report()
