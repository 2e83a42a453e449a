"""Unclaim devices. Anybody may claim them then, and nRF Cloud deletes their data."""

from __future__ import annotations

from airflow.providers.common.compat.sdk import DAG, Param

from airflow_provider_nrfprov.operators.unclaim_devices import NrfProvUnclaimDevicesOperator

with DAG(
    dag_id="nrfprov_unclaim",
    description="Unclaim devices in nRF Cloud, named one by one",
    schedule=None,
    catchup=False,
    tags=["nrfprov", "example"],
    doc_md=__doc__,
    render_template_as_native_obj=True,
    params={
        "device_ids": Param(
            type="array",
            items={"type": "string", "format": "uuid"},
            minItems=1,
            title="Devices",
            description="UUIDs of the devices, one a line.",
        ),
        "max_devices": Param(
            10,
            type="integer",
            minimum=1,
            title="At most",
            description="More devices than this are refused, so that a typing error cannot give away a fleet.",
        ),
    },
) as dag:
    NrfProvUnclaimDevicesOperator(
        task_id="unclaim_devices",
        device_ids="{{ params.device_ids }}",
        max_devices="{{ params.max_devices }}",
    )
