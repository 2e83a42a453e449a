"""What a claim job asks of the service, as a protocol: the job itself opens no socket."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Protocol

import pendulum

from airflow_provider_nrfprov.api.error_summary import ErrorSummary
from airflow_provider_nrfprov.api.models import BulkClaim, BulkOpsRequest, ClaimedDevice


class Service(Protocol):
    """What a job asks of the service; the provider's hook is one. Each may raise ``NrfProvError``."""

    def bulk_claim(self, csv: str) -> BulkClaim:
        """Claim the rows of a CSV text."""
        ...

    def fetch_bulk_ops_request(self, bulk_ops_request_id: str) -> BulkOpsRequest:
        """Fetch the state of an operation."""
        ...

    def fetch_error_summary(self, operation: BulkOpsRequest) -> ErrorSummary:
        """Fetch what the service says went wrong in an operation."""
        ...

    def find_claimed_devices(self, device_ids: Collection[str]) -> dict[str, ClaimedDevice]:
        """Find which of these devices are ours."""
        ...

    def list_bulk_ops_requests(self, *, requested_from: pendulum.DateTime) -> Iterator[BulkOpsRequest]:
        """Yield the operations since a time."""
        ...

    def fetch_uploaded_data(self, operation: BulkOpsRequest) -> str:
        """Fetch the CSV text that an operation was started with."""
        ...
