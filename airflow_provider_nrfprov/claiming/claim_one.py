"""Claims one device, safe to repeat: a device that is ours already is claimed.

A project has no claim that is answered at once: there it is a bulk claim of one row, whose job is waited for.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from airflow_provider_nrfprov.api.contract import CLAIM_TAGS, SUCCEEDED
from airflow_provider_nrfprov.api.errors import (
    ClaimRefusedError,
    ConflictError,
    NotEndedError,
    NotFoundError,
    NrfProvError,
    ServiceError,
    UnavailableError,
    UnreachableError,
    UnreadableAnswerError,
)
from airflow_provider_nrfprov.api.models import ClaimedDevice
from airflow_provider_nrfprov.claiming.chunks import to_device_csv
from airflow_provider_nrfprov.claiming.token import ClaimToken, decode

if TYPE_CHECKING:
    from airflow_provider_nrfprov.api.service import ProvisioningService

_log = logging.getLogger(__name__)

LONGEST_JOB = 900.0
"""Seconds that a job of one row is waited for: so long as Nordic's own client waits for one."""
_PAUSES = (0.1, 0.5, 1.0, 2.0)
_PAUSE = 5.0
_MAYBE = (
    ClaimRefusedError,
    NotEndedError,
    ConflictError,
    UnreachableError,
    UnreadableAnswerError,
    UnavailableError,
)
"""After these it is asked whose the device is."""
_REDIRECTS = range(300, 400)
"""After these, too: the service may have done it before something on the way sent the redirect."""


def claim_once(service: ProvisioningService, claim_token: str, tags: Sequence[str]) -> ClaimedDevice:
    """Claim a device unless it is ours already.

    After a conflict, or an answer that was lost, the service is asked whether the device is ours.

    :raises TokenError: if the token cannot be used; nothing is sent then.
    :raises NotInThisApiError: if there are tags and the API has no way for them; nothing is sent then.
    :raises NrfProvError: what the claim was answered, if the device is not ours.
    """
    token = decode(claim_token)
    if tags:
        service.require(CLAIM_TAGS)
    try:
        if not service.can("ClaimDeviceOwnership"):
            return _claim_by_a_job(service, token)
        device = service.claim_device(token.text, tags)
        if device.id == token.device_id:
            return device
        refusal: NrfProvError = UnreadableAnswerError(
            f"the answer to the claim of device {token.device_id} is about device {device.id}",
            status=201,
            text="",
        )
    except _MAYBE as error:
        refusal = error
    except ServiceError as error:
        if error.status not in _REDIRECTS:
            raise
        refusal = error
    try:
        device = service.fetch_claimed_device(token.device_id)
    except NotFoundError:
        raise refusal from None
    _log.info("device %s is ours: %s", device.id, refusal)
    return device


def _claim_by_a_job(service: ProvisioningService, token: ClaimToken) -> ClaimedDevice:
    """Claim a device by a bulk claim of one row, and wait for its end.

    :raises ClaimRefusedError: if the job ended without it.
    :raises NotEndedError: if it did not end in time.
    """
    csv = to_device_csv([(token.device_id, token.text)])
    job = str(service.bulk_claim(csv).bulk_ops_request_id)
    end = time.monotonic() + LONGEST_JOB
    pauses = iter(_PAUSES)
    while not (operation := service.fetch_bulk_ops_request(job)).is_finished:
        if time.monotonic() >= end:
            raise NotEndedError(
                f"job {job}, which claims device {token.device_id}, is {operation.status} after {LONGEST_JOB:.0f} s; it goes on, "
                "and claiming the device again finds out what it did"
            )
        time.sleep(next(pauses, _PAUSE))
    summary = service.fetch_error_summary(operation)
    named = (*summary.rows.values(), *summary.devices.values())
    words = (
        summary.devices.get(token.device_id) or summary.rows.get(0) or "; ".join((*named, *summary.others))
    )
    if words:
        raise ClaimRefusedError(f"device {token.device_id} was not claimed: {words}")
    if operation.status != SUCCEEDED:
        raise UnreadableAnswerError(
            f"job {job}, which claims device {token.device_id}, is {operation.status} and does not say why; whether the device was "
            "claimed is not known, and claiming it again finds out",
            status=200,
            text="",
        )
    try:
        return service.fetch_claimed_device(token.device_id)
    except NotFoundError:
        # It may not be listed before it connects; its attributes are not known then.
        return ClaimedDevice(token.device_id)
