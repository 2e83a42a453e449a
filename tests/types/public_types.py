"""What type checkers make of the public classes, as code: `make lint` runs mypy over it, nobody executes it.

What has to be refused has the error in a comment; mypy complains of a comment that has become needless.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

from typing_extensions import assert_type

from airflow_provider_nrfprov.api import (
    BulkClaim,
    BulkOpsRequest,
    ClaimedDevice,
    DryRun,
    ProvisioningClient,
    ProvisioningService,
    RateLimitedError,
    Retry,
    ServiceError,
    Tag,
    retry_after,
)
from airflow_provider_nrfprov.asset_events import claim_files
from airflow_provider_nrfprov.hooks.nrfprov import NrfProvHook
from airflow_provider_nrfprov.operators.block_devices import NrfProvBlockDevicesOperator
from airflow_provider_nrfprov.operators.bulk_claim import (
    NrfProvBulkClaimOperator,
    NrfProvBulkClaimReportOperator,
)
from airflow_provider_nrfprov.operators.claim_device import NrfProvClaimDeviceOperator
from airflow_provider_nrfprov.operators.list_devices import NrfProvListDevicesOperator
from airflow_provider_nrfprov.operators.tag_devices import NrfProvTagDevicesOperator
from airflow_provider_nrfprov.operators.unclaim_devices import NrfProvUnclaimDevicesOperator
from airflow_provider_nrfprov.sensors.bulk_ops import NrfProvBulkOpsSensor
from airflow_provider_nrfprov.task_groups import NrfProvClaimAndTagGroup, claim_and_tag
from airflow_provider_nrfprov.triggers.claim_file_arrival import NrfProvClaimFileTrigger


def operators(path: Path) -> None:
    claim = NrfProvBulkClaimOperator(
        task_id="claim", claim_file=path, tags=["line=1"], timeout=timedelta(hours=6), max_failed_ratio=0.01
    )
    NrfProvBulkClaimOperator(
        task_id="claim", claim_file="{{ params.file }}", max_failed_rows="{{ params.most }}"
    )
    assert_type(claim.hook, NrfProvHook)
    output: Any = claim.output  # Airflow's XComArg does not say that it can be indexed
    NrfProvBulkClaimReportOperator(task_id="report", report_dir=output["report_dir"], job=output["job"])
    NrfProvBulkOpsSensor(
        task_id="wait", bulk_ops_request_ids=["01M8"], deferrable=True, poke_interval=timedelta(minutes=1)
    )
    NrfProvTagDevicesOperator(
        task_id="tag", device_ids=["…"], tags="a,b", mode="add", max_failed_devices=None
    )
    NrfProvBlockDevicesOperator(task_id="block", tag="lot=7", max_devices=10)
    NrfProvUnclaimDevicesOperator(task_id="unclaim", report=path, max_devices=20)
    NrfProvListDevicesOperator(task_id="list", tag="lot=7", limit=200)
    NrfProvClaimDeviceOperator(task_id="one", claim_token="{{ params.claim_token }}", check_only=True)


def what_is_refused(path: Path) -> None:
    NrfProvBulkClaimOperator(task_id="claim")  # type: ignore[call-arg] # a claim has a file
    NrfProvBulkClaimOperator("claim", claim_file=path)  # type: ignore[misc] # arguments have names
    NrfProvBulkClaimOperator(task_id="claim", claim_file=7)  # type: ignore[arg-type]
    NrfProvBulkClaimOperator(task_id="claim", claim_file=path, timeout=path)  # type: ignore[arg-type]
    NrfProvTagDevicesOperator(task_id="tag", tags=7)  # type: ignore[arg-type]
    NrfProvHook(retry=3)  # type: ignore[arg-type]


def service(hook: NrfProvHook, client: ProvisioningClient) -> None:
    assert_type(hook.claim_device("…"), ClaimedDevice)
    assert_type(hook.dry_run_claim("…"), DryRun)
    assert_type(hook.bulk_claim("…"), BulkClaim)
    assert_type(hook.list_claimed_devices(tag="lot=7"), Iterator[ClaimedDevice])
    assert_type(hook.fetch_bulk_ops_request("01M8"), BulkOpsRequest)
    assert_type(hook.find_tag("lot=7"), Tag | None)
    assert_type(hook.get_conn(), ProvisioningClient)
    assert_type(hook.test_connection(), tuple[bool, str])
    without_airflow: ProvisioningService = hook
    assert_type(without_airflow.urls, tuple[str, ...])
    NrfProvHook("another", retry=Retry(deadline=10))


def errors(error: RateLimitedError) -> None:
    wider: ServiceError = error
    assert_type(wider.status, int)
    assert_type(wider.problem.message, str)
    assert_type(retry_after(error), float | None)


def pipelines(context: dict[str, Any]) -> None:
    group = claim_and_tag(claim_file="shift.csv", tags=["line=1"], claim_arguments={"deferrable": True})
    assert_type(group, NrfProvClaimAndTagGroup)
    assert_type(claim_files(context), list[str])
    NrfProvClaimFileTrigger("/factory/claims", "*.csv", 30)
