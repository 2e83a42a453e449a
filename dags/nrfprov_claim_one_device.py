"""Claim one device, from the form: paste what it answers ``AT%ATTESTTOKEN``."""

from __future__ import annotations

from airflow.providers.common.compat.sdk import DAG, Param

from airflow_provider_nrfprov.operators.claim_device import NrfProvClaimDeviceOperator

with DAG(
    dag_id="nrfprov_claim_one_device",
    description="Claim one device in nRF Cloud",
    schedule=None,
    catchup=False,
    tags=["nrfprov", "example"],
    doc_md=__doc__,
    render_template_as_native_obj=True,
    params={
        "claim_token": Param(
            type="string",
            # No pattern: Airflow quotes a value that breaks one, and this is a secret until it is used.
            minLength=1,
            title="Claim token",
            description="What the device answers AT%ATTESTTOKEN: 180 characters with a dot. The run's configuration "
            "keeps it, as it keeps all that is typed here.",
        ),
        "tags": Param(
            [],
            # Without "null" the form wants a tag as soon as somebody has typed one and taken it away again.
            type=["null", "array"],
            items={"type": "string", "minLength": 1, "maxLength": 100},
            title="Tags",
            description="Provisioning tags of the device, one a line.",
        ),
        "check_only": Param(
            False,
            type="boolean",
            title="Check only",
            description="Only ask whether the device could be claimed, and why not.",
        ),
    },
) as dag:
    NrfProvClaimDeviceOperator(
        task_id="claim_device",
        claim_token="{{ params.claim_token }}",
        tags="{{ params.tags or [] }}",
        check_only="{{ params.check_only }}",
    )
