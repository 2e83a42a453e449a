"""Tagging and blocking many devices: with one operator of ours, and with a mapped ``HttpOperator`` task a device."""

from __future__ import annotations

import os
from pathlib import Path

from airflow.providers.common.compat.sdk import DAG
from airflow.providers.http.operators.http import HttpOperator

from airflow_provider_nrfprov.operators.block_devices import NrfProvBlockDevicesOperator
from airflow_provider_nrfprov.operators.tag_devices import NrfProvTagDevicesOperator

DEVICES = os.environ["NRFPROV_BENCH_DEVICES"]
HTTP = {"http_conn_id": "nrfcloud_http", "log_response": False}


def ids() -> list[str]:
    """Give the devices."""
    return Path(DEVICES).read_text().split()


def dag_of(dag_id: str) -> DAG:
    """Give a DAG of which as many tasks run as Airflow lets."""
    return DAG(dag_id, schedule=None, max_active_tasks=64, default_args={"retries": 0})


with dag_of("ours_tag"):
    NrfProvTagDevicesOperator(
        task_id="tag", device_file=DEVICES, tags=["bench"], nrfprov_conn_id="nrfprov_bench"
    )

with dag_of("ours_block"):
    NrfProvBlockDevicesOperator(task_id="block", device_file=DEVICES, nrfprov_conn_id="nrfprov_bench")

with dag_of("http_tag"):
    HttpOperator.partial(
        task_id="tag",
        method="PATCH",
        data='{"tags": ["bench"]}',
        headers={"Content-Type": "application/json"},
        **HTTP,
    ).expand(endpoint=[f"claimed-devices/{device_id}" for device_id in ids()])

with dag_of("http_block"):
    HttpOperator.partial(task_id="block", method="POST", **HTTP).expand(
        endpoint=[f"claimed-devices/{device_id}/block" for device_id in ids()]
    )
