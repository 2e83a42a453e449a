"""Quarantine a lot: block all claimed devices that have its tag, and mark them.

A blocked device cannot connect to the Provisioning Service; it stays yours, and onboarded if it was. To end
the quarantine, give the same tag to ``NrfProvUnblockDevicesOperator``.
"""

from __future__ import annotations

from datetime import timedelta

from airflow.providers.common.compat.sdk import DAG, Param

from airflow_provider_nrfprov.operators.block_devices import NrfProvBlockDevicesOperator
from airflow_provider_nrfprov.operators.tag_devices import NrfProvTagDevicesOperator

with DAG(
    dag_id="nrfprov_quarantine",
    description="Block a lot of devices in nRF Cloud, by its tag",
    schedule=None,
    catchup=False,
    tags=["nrfprov", "example"],
    doc_md=__doc__,
    # Every task here may be repeated: what is blocked or marked is left alone.
    default_args={"retries": 2, "retry_delay": timedelta(seconds=10)},
    params={
        "tag": Param(
            type="string",
            minLength=1,
            maxLength=100,
            pattern=r"^\S(.*\S)?$",
            title="Tag of the lot",
            description="Exactly as the devices have it, for example lot=7.",
            examples=["lot=7"],
        ),
        "max_devices": Param(
            1000,
            type="integer",
            minimum=1,
            title="At most",
            description="If more devices than this have the tag, it is not that of a lot, and nothing is blocked.",
        ),
        "report_dir": Param(
            type="string",
            minLength=1,
            title="Report folder",
            description="As the workers see it, or a URL like s3://conn_id@bucket/quarantine; each run has its own "
            "folder in there, with a line for each device.",
            examples=["s3://factory@reports/quarantine"],
        ),
        "mark": Param(
            "quarantine",
            type=["null", "string"],
            maxLength=100,
            title="Mark",
            description="A tag that the blocked devices get, so that they can be found again; empty for none.",
        ),
    },
) as dag:
    block = NrfProvBlockDevicesOperator(
        task_id="block",
        tag="{{ params.tag }}",
        max_devices="{{ params.max_devices }}",
        # A run's id holds colons and a plus sign, which not every file system takes.
        report_dir="{{ params.report_dir }}/{{ run_id | replace(':', '_') | replace('+', '_') }}",
    )

    mark = NrfProvTagDevicesOperator(
        task_id="mark",
        report=block.output["report"],
        tags="{{ [params.mark] if params.mark else [] }}",
        mode="add",
    )

    block >> mark
