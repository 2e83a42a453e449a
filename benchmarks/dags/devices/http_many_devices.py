"""Tagging and blocking many devices with a mapped ``HttpOperator`` task for each.

In a file of its own, since each task parses its file anew: nothing of ours slows it down.
"""

from __future__ import annotations

import os
from pathlib import Path

from airflow.providers.common.compat.sdk import DAG
from airflow.providers.http.operators.http import HttpOperator

IDS = Path(os.environ["NRFPROV_BENCH_DEVICES"]).read_text().split()
HTTP = {"http_conn_id": "nrfcloud_http", "log_response": False}

# As many tasks run as Airflow lets.
with DAG("http_tag", schedule=None, max_active_tasks=64, default_args={"retries": 0}):
    HttpOperator.partial(
        task_id="tag",
        method="PATCH",
        data='{"tags": ["bench"]}',
        headers={"Content-Type": "application/json"},
        **HTTP,
    ).expand(endpoint=[f"claimed-devices/{device_id}" for device_id in IDS])

with DAG("http_block", schedule=None, max_active_tasks=64, default_args={"retries": 0}):
    HttpOperator.partial(task_id="block", method="POST", **HTTP).expand(
        endpoint=[f"claimed-devices/{device_id}/block" for device_id in IDS]
    )
