"""Tagging and blocking many devices with one operator of ours."""

from __future__ import annotations

import os

from airflow.providers.common.compat.sdk import DAG

from airflow_provider_nrfprov.operators.block_devices import NrfProvBlockDevicesOperator
from airflow_provider_nrfprov.operators.tag_devices import NrfProvTagDevicesOperator

DEVICES = os.environ["NRFPROV_BENCH_DEVICES"]

with DAG("ours_tag", schedule=None):
    NrfProvTagDevicesOperator(
        task_id="tag", device_file=DEVICES, tags=["bench"], nrfprov_conn_id="nrfprov_bench"
    )

with DAG("ours_block", schedule=None):
    NrfProvBlockDevicesOperator(task_id="block", device_file=DEVICES, nrfprov_conn_id="nrfprov_bench")
