"""Claiming one device, safe to repeat: a device that is ours already is claimed."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING

from airflow_provider_nrfprov.api.errors import (
    ConflictError,
    NotFoundError,
    NrfProvError,
    UnavailableError,
    UnreachableError,
    UnreadableAnswerError,
)
from airflow_provider_nrfprov.api.models import ClaimedDevice
from airflow_provider_nrfprov.claiming.token import decode

if TYPE_CHECKING:
    from airflow_provider_nrfprov.api.service import ProvisioningService

_log = logging.getLogger(__name__)


def claim_once(service: ProvisioningService, claim_token: str, tags: Sequence[str]) -> ClaimedDevice:
    """Claim a device unless it is ours already.

    After a conflict, or an answer that was lost, the service is asked whether the device is ours.

    :raises TokenError: if the token cannot be used; nothing is sent then.
    :raises NrfProvError: what the claim was answered, if the device is not ours.
    """
    token = decode(claim_token)
    try:
        return service.claim_device(token.text, tags)
    except (ConflictError, UnreachableError, UnreadableAnswerError, UnavailableError) as error:
        refusal: NrfProvError = error
    try:
        device = service.fetch_claimed_device(token.device_id)
    except NotFoundError:
        raise refusal from None
    _log.info("device %s is ours: %s", device.id, refusal)
    return device
