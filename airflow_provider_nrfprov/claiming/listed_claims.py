"""What a bulk claim that is answered at once says of its rows: which it lists as claimed, and why not the others."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from airflow_provider_nrfprov.api.models import BulkClaim, FailedClaim
from airflow_provider_nrfprov.claiming.token import TokenError, decode
from airflow_provider_nrfprov.counted import counted

_log = logging.getLogger(__name__)


def not_claimed(device_ids: Sequence[str], positions: Sequence[int], answer: BulkClaim) -> dict[int, str]:
    """Return the sent rows that a synchronous answer does not list as claimed, with the service's message.

    A row that it lists as claimed and as failed is one of them: the answer proves nothing of it. Devices that it lists
    and that were not sent count for nothing; the log says how many.

    :param positions: which of ``device_ids`` were sent, in the order of sending.
    """
    sent = [device_ids[position] for position in positions]
    claimed = set(answer.claimed_ids)
    if strangers := len(claimed.difference(sent)):
        _log.warning("the service lists as claimed %s that nobody sent", counted(strangers, "device"))
    missing = {place for place, device_id in enumerate(sent) if device_id not in claimed}
    by_device = {device: failed.message for failed in answer.failed if (device := _device_of(failed))}
    by_row = {
        failed.row: failed.message
        for failed in answer.failed
        if failed.row is not None and not _device_of(failed)
    }
    by_place = _by_place(by_row, missing, len(sent))
    doubtful = missing | by_place.keys()
    doubtful |= {place for place, device_id in enumerate(sent) if device_id in by_device}
    return {
        positions[place]: by_device.get(sent[place]) or by_place.get(place, "") for place in sorted(doubtful)
    }


def _device_of(failed: FailedClaim) -> str | None:
    if failed.claim_token:
        try:
            return decode(failed.claim_token).device_id
        except TokenError:
            pass
    return failed.device_id


def _by_place(messages: dict[int, str], missing: set[int], size: int) -> dict[int, str]:
    """Read row numbers whose base (0 or 1) is unknown: one that hits just missing rows can be meant.

    If none does, the answer contradicts itself, and every row that may be meant is in doubt.
    """
    fitting = [base for base in (0, 1) if {row - base for row in messages} <= missing]
    if not fitting:
        sent = set(range(size))
        within = [base for base in (0, 1) if {row - base for row in messages} <= sent]
        if len(within) != 1:
            return dict.fromkeys(sent & {row - base for row in messages for base in (0, 1)}, "")
        fitting = within
    if len(fitting) != 1:
        return {}
    return {row - fitting[0]: message for row, message in messages.items()}
