"""Every call of the service as a method, over a client that somebody else provides."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable, Iterator, Mapping

import pendulum

from airflow_provider_nrfprov.api import lookup, operations
from airflow_provider_nrfprov.api.client import ProvisioningClient
from airflow_provider_nrfprov.api.error_summary import ErrorSummary, parse_error_summary
from airflow_provider_nrfprov.api.errors import ConflictError, NrfProvError
from airflow_provider_nrfprov.api.models import BulkClaim, BulkOpsRequest, ClaimedDevice, DryRun, Tag

_log = logging.getLogger(__name__)


class ProvisioningCalls:
    """The calls; the Airflow hook is one such class, and without Airflow a subclass needs ``get_conn`` only.

    Every method raises a subclass of :class:`~airflow_provider_nrfprov.api.errors.NrfProvError`:
    ``ServiceError`` with the service's status and words, ``UnreachableError`` without an answer,
    ``UnreadableAnswerError`` with one that cannot be read.
    """

    def get_conn(self) -> ProvisioningClient:
        """Give the client, the same at each call."""
        raise NotImplementedError

    def claim_device(self, claim_token: str, tags: Iterable[str] = ()) -> ClaimedDevice:
        """Claim one device (ClaimDeviceOwnership). One that is claimed already is a ``ConflictError``."""
        return self.get_conn().send(operations.claim_device(claim_token, tags))

    def dry_run_claim(self, claim_token: str) -> DryRun:
        """Ask whether a device could be claimed, and if not, why not; nothing is claimed."""
        return self.get_conn().send(operations.dry_run_claim(claim_token))

    def bulk_claim(self, csv: str) -> BulkClaim:
        """Claim the devices of a CSV text of at most 1,000 rows, under whichever contract the service has."""
        return self.get_conn().send(operations.bulk_claim(csv))

    def fetch_bulk_ops_request(self, bulk_ops_request_id: str) -> BulkOpsRequest:
        """Fetch the state of a bulk operation."""
        return self.get_conn().send(operations.fetch_bulk_ops_request(bulk_ops_request_id))

    def list_bulk_ops_requests(
        self,
        *,
        status: str | None = None,
        requested_from: pendulum.DateTime | None = None,
        requested_until: pendulum.DateTime | None = None,
    ) -> Iterator[BulkOpsRequest]:
        """Yield the team's bulk operations, page after page."""
        return self.get_conn().iterate(
            lambda token: operations.list_bulk_ops_requests(
                token, status=status, requested_from=requested_from, requested_until=requested_until
            )
        )

    def fetch_error_summary(self, operation: BulkOpsRequest) -> ErrorSummary:
        """Fetch what the service says went wrong in an operation; empty if it gave no ``errorSummaryUrl``."""
        if not operation.error_summary_url:
            return ErrorSummary()
        return parse_error_summary(self.get_conn().download(operation.error_summary_url))

    def fetch_uploaded_data(self, operation: BulkOpsRequest) -> str:
        """Fetch the CSV text that an operation was started with. It holds claim tokens.

        :raises NrfProvError: also if the operation names no ``uploadedDataUrl``.
        """
        if not operation.uploaded_data_url:
            raise NrfProvError(f"bulk operation {operation.id} names no uploadedDataUrl")
        return self.get_conn().download(operation.uploaded_data_url)

    def list_claimed_devices(self, filters: Mapping[str, str] | None = None) -> Iterator[ClaimedDevice]:
        """Yield the claimed devices, page after page. The names that ``filters`` may hold are inferred."""
        return self.get_conn().iterate(lambda token: operations.list_claimed_devices(token, filters=filters))

    def fetch_claimed_device(self, device_id: str) -> ClaimedDevice:
        """Fetch one claimed device by its UUID; one that is not ours is a ``NotFoundError``."""
        return self.get_conn().send(operations.fetch_claimed_device(device_id))

    def find_claimed_devices(self, device_ids: Collection[str]) -> dict[str, ClaimedDevice]:
        """Find which of many devices are ours, by UUID."""
        return lookup.find_claimed_devices(self.get_conn(), device_ids)

    def set_device_tags(self, device_id: str, tags: Iterable[str]) -> None:
        """Replace the tags of a claimed device (method and path of this call are inferred)."""
        self.get_conn().send(operations.set_device_tags(device_id, tags))

    def unclaim_device(self, device_id: str) -> None:
        """Give a device up: anybody may claim it then, and its data in Device Management is deleted."""
        self.get_conn().send(operations.unclaim_device(device_id))

    def list_tags(self) -> Iterator[Tag]:
        """Yield the team's provisioning tags, page after page."""
        return self.get_conn().iterate(operations.list_tags)

    def create_tag(self, tag: str, description: str = "") -> None:
        """Create a tag; one that exists is a ``ConflictError`` (inferred)."""
        self.get_conn().send(operations.create_tag(tag, description))

    def ensure_tag(self, tag: str, description: str = "") -> None:
        """Create a tag unless it exists."""
        try:
            self.create_tag(tag, description)
        except ConflictError:
            _log.debug("tag %r exists already", tag)

    def update_tag(self, tag_id: str, tag: str, description: str = "") -> None:
        """Rename a tag, on every device that has it."""
        self.get_conn().send(operations.update_tag(tag_id, tag, description))

    def delete_tag(self, tag_id: str) -> None:
        """Delete a tag; it leaves every device that has it."""
        self.get_conn().send(operations.delete_tag(tag_id))
