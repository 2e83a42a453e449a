"""What a bulk claim that is answered at once says of its rows: which it lists as claimed, and why not the others."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from airflow_provider_nrfprov.api.models import BulkClaim, FailedClaim
from airflow_provider_nrfprov.claiming.token import TokenError, decode


def not_claimed(device_ids: Sequence[str], positions: Sequence[int], answer: BulkClaim) -> dict[int, str]:
    """Return the sent rows that a synchronous answer does not list as claimed, with the service's message.

    Devices that it lists and that were not sent count for nothing.

    :param positions: which of ``device_ids`` were sent, in the order of sending.
    """
    claimed = set(answer.claimed_ids)
    missing = {
        place: position for place, position in enumerate(positions) if device_ids[position] not in claimed
    }
    by_device = {device: failed.message for failed in answer.failed if (device := _device_of(failed))}
    by_place = _by_place([failed for failed in answer.failed if not _device_of(failed)], set(missing))
    return {
        position: by_device.get(device_ids[position]) or by_place.get(place, "")
        for place, position in missing.items()
    }


def _device_of(failed: FailedClaim) -> str | None:
    if failed.claim_token:
        try:
            return decode(failed.claim_token).device_id
        except TokenError:
            pass
    return failed.device_id


def _by_place(numbered: Iterable[FailedClaim], missing: set[int]) -> dict[int, str]:
    """Read row numbers whose base (0 or 1) is unknown: only the one that hits just missing rows can be meant."""
    messages = {failed.row: failed.message for failed in numbered if failed.row is not None}
    fitting = [base for base in (0, 1) if {row - base for row in messages} <= missing]
    if len(fitting) != 1:
        return {}
    return {row - fitting[0]: message for row, message in messages.items()}
