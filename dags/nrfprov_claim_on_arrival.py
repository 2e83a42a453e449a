"""Claim every file that lands in a folder or bucket, as soon as it is there.

Set ``NRFPROV_CLAIM_FOLDER`` where DAG files are parsed (``/factory/claims``, ``s3://conn_id@bucket/claims``), and unpause:
on Airflow 3 the triggerer looks there, and each new ``*.csv`` is an event of the asset ``nrfprov_claim_files``. Workers
and triggerer have to see the same folder. Without the variable nothing looks: events come from elsewhere, from another
DAG or through the API, with the file's path as ``claim_file`` in their ``extra``. On Airflow 2, which has no asset
watchers, that is the only way (there it is a dataset); or run the DAG by hand and name the file.

The claim is an event itself, of the asset ``nrfprov_claimed_devices``: its ``extra`` has counts and the path of the report.
"""

from __future__ import annotations

import os
from datetime import datetime, timedelta, timezone
from typing import Any

from airflow.providers.common.compat.sdk import DAG, Asset, Param, task

from airflow_provider_nrfprov.operators.bulk_claim import NrfProvBulkClaimOperator

FOLDER = os.environ.get("NRFPROV_CLAIM_FOLDER")


def watchers() -> dict[str, Any]:
    """Return what watches the folder, if there is one to watch, and Airflow can."""
    if not FOLDER:
        return {}
    try:
        from airflow.sdk import AssetWatcher
    except ImportError:
        return {}

    from airflow_provider_nrfprov.triggers.claim_file_arrival import NrfProvClaimFileTrigger

    trigger = NrfProvClaimFileTrigger(folder=FOLDER, pattern="*.csv", poll_interval=30)
    return {"watchers": [AssetWatcher(name="nrfprov_claim_folder", trigger=trigger)]}


claim_files = Asset("nrfprov_claim_files", **watchers())
claimed_devices = Asset("nrfprov_claimed_devices")

with DAG(
    dag_id="nrfprov_claim_on_arrival",
    description="Claim each file that lands in a folder",
    schedule=[claim_files],
    # Airflow 2 wants one wherever there is a schedule.
    start_date=datetime(2026, 1, 1, tzinfo=timezone.utc),
    catchup=False,
    tags=["nrfprov", "example"],
    doc_md=__doc__,
    render_template_as_native_obj=True,
    # Every task here may be repeated: nothing is sent twice.
    default_args={"retries": 2, "retry_delay": timedelta(seconds=10)},
    params={
        "claim_file": Param(
            None,
            type=["null", "string"],
            minLength=1,
            title="Claim file",
            description="For a run by hand: path as the workers see it, or a URL. A run that an event starts takes "
            "the file that the event names.",
            examples=["/factory/claims/shift.csv", "s3://factory@claims/shift.csv"],
        ),
        "tags": Param(
            [],
            # Without "null" the form wants a tag as soon as somebody has typed one and taken it away again.
            type=["null", "array"],
            items={"type": "string", "minLength": 1, "maxLength": 100},
            title="Tags",
            description="Given to every device besides the row's own tags, one a line.",
        ),
    },
) as dag:

    @task
    def landed(by_hand: str | None, **context: Any) -> list[str]:
        """Return the files that the run is about: several, if they landed while another run was under way."""
        from airflow_provider_nrfprov.asset_events import claim_files

        files = claim_files(context) or ([by_hand] if by_hand else [])
        if not files:
            raise ValueError("no event names a claim file, and none was named by hand")
        return files

    NrfProvBulkClaimOperator.partial(
        task_id="claim",
        tags="{{ params.tags or [] }}",
        deferrable=True,
        outlets=[claimed_devices],
        map_index_template="{{ task.claim_file }}",
        # Files are claimed one after another: the service's limits are unknown.
        max_active_tis_per_dagrun=1,
    ).expand(claim_file=landed("{{ params.claim_file }}"))
