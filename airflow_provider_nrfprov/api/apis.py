"""What differs between the API of a team and that of a project, as an interface, and the team's side of it.

Everything else of :mod:`~airflow_provider_nrfprov.api.service` is the same for both: what only one of them has a way for is
refused by :meth:`Api.missing` before anything is read or sent.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Protocol

from airflow_provider_nrfprov.api import operations
from airflow_provider_nrfprov.api.claim_form import ClaimForm
from airflow_provider_nrfprov.api.contract import MAX_PAGE_LIMIT, WHERE_THE_KEY_IS
from airflow_provider_nrfprov.api.errors import ConfigurationError, NotInThisApiError
from airflow_provider_nrfprov.api.models import BulkClaim, BulkOpsRequest, ClaimedDevice, Page
from airflow_provider_nrfprov.api.operations import Operation

_KEY = re.compile(r"[\x21-\x7e]+")


class Api(Protocol):
    """One of the two APIs."""

    claim_form: ClaimForm
    """What :meth:`bulk_claim` takes."""
    list_is_proof: bool
    """Whether a device that the list does not show after a while is certainly not ours."""
    conflicts_as_a_whole: bool
    """Whether a bulk claim may be refused as a whole for a device that is ours already."""
    asks_job_by_job: bool
    """Whether each bulk claim that is taken costs a request more, which asks for its job."""
    page_size: int
    """Devices in a page of their list."""

    def check_key(self, api_key: str) -> None:
        """Check that a key can be one of this API.

        :raises ConfigurationError: if not; nothing is sent then.
        """

    def missing(self, operation: str) -> NotInThisApiError | None:
        """Return why there is no way for an operation, ``None`` if there is one."""

    def hint(self, operation: str, status: int) -> str | None:
        """Return what to do about a refusal, ``None`` for what is said of the team's API."""

    def bulk_claim(self, csv: str) -> Operation[BulkClaim]:
        """Claim many devices."""

    def fetch_bulk_ops_request(self, bulk_ops_request_id: str) -> Operation[BulkOpsRequest]:
        """Ask for the state of a bulk claim."""

    def list_claimed_devices(
        self,
        page_token: str | None = None,
        *,
        page_limit: int | None = None,
        filters: Mapping[str, str] | None = None,
    ) -> Operation[Page[ClaimedDevice]]:
        """List the devices; ``filters`` may be overlooked, and are checked by whoever asks."""

    def fetch_claimed_device(self, device_id: str) -> Operation[ClaimedDevice]:
        """Fetch one device; one that is not ours is not found."""


class TeamApi:
    """The API of a team: the Provisioning Service."""

    claim_form = ClaimForm.TOKENS
    list_is_proof = True
    conflicts_as_a_whole = False
    asks_job_by_job = False
    page_size = MAX_PAGE_LIMIT
    bulk_claim = staticmethod(operations.bulk_claim)
    fetch_bulk_ops_request = staticmethod(operations.fetch_bulk_ops_request)
    list_claimed_devices = staticmethod(operations.list_claimed_devices)
    fetch_claimed_device = staticmethod(operations.fetch_claimed_device)

    def check_key(self, api_key: str) -> None:
        """Check that there is a key."""
        check_key(api_key, f"the team's API key of the {WHERE_THE_KEY_IS}")

    def missing(self, operation: str) -> NotInThisApiError | None:
        """Return ``None``: this is the API that has everything."""
        return None

    def hint(self, operation: str, status: int) -> str | None:
        """Return ``None``: what is said without a hint is of this API."""
        return None


TEAM = TeamApi()


def check_key(api_key: str, what: str) -> None:
    """Check that there is a key, and that it can be a header's value.

    :param what: what the key is and where it is found.
    :raises ConfigurationError: if not.
    """
    if not api_key:
        raise ConfigurationError(f"no API key: set the password of the Airflow connection to {what}")
    if not _KEY.fullmatch(api_key):
        raise ConfigurationError("the API key holds white space or characters that no API key has")
