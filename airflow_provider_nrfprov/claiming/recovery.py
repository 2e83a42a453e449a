"""After a lost answer: finds the bulk operation that the service started and nobody was told of.

Sending a chunk again while such an operation runs would start a second one for the same rows. The
service lists its operations by time, and keeps the uploaded rows of each.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import pendulum

from airflow_provider_nrfprov.api.errors import ForbiddenError, NotFoundError, NrfProvError
from airflow_provider_nrfprov.api.models import BulkOpsRequest
from airflow_provider_nrfprov.api.waiting import is_transient
from airflow_provider_nrfprov.claiming.claim_file import Row
from airflow_provider_nrfprov.claiming.ledger import Entry
from airflow_provider_nrfprov.claiming.token import TokenError, decode

if TYPE_CHECKING:
    from airflow_provider_nrfprov.api.service import ProvisioningService

CLOCK_SKEW = pendulum.duration(minutes=5)
"""How far the service's clock may be from ours."""
_CLAIM = "CLAIM_DEVICE_OWNERSHIP"


class UnsettledError(NrfProvError):
    """An operation may hold the rows whose answer was lost; asking later will tell."""


def find_lost_operation(rows: Sequence[Row], entry: Entry, service: ProvisioningService) -> Entry | None:
    """Give the entry as it would be had the answer come, ``None`` if no operation was started.

    :param rows: the chunk's sendable rows.
    :raises UnsettledError: if the rows of an operation cannot be had at the moment, or while it runs.
    :raises NrfProvError: if the service cannot be asked.
    """
    position_of = {row.device_id: position for position, row in enumerate(rows)}
    expected = set(range(len(rows))) if entry.sent is None else set(entry.sent)
    try:
        operations = list(service.list_bulk_ops_requests(requested_from=entry.first_sent_at - CLOCK_SKEW))
    except (NotFoundError, ForbiddenError):
        # No such list, then no operations either: the synchronous contract alone is spoken.
        return None
    for operation in operations:
        if operation.endpoint not in {None, _CLAIM}:
            continue
        sent = _positions(operation, position_of, service)
        if set(sent) == expected:
            return replace(entry, sent=sent, status=202, bulk_ops_request_id=operation.id)
    return None


def _positions(
    operation: BulkOpsRequest, position_of: Mapping[str | None, int], service: ProvisioningService
) -> tuple[int, ...]:
    """Give the rows of ours that an operation holds, in its order; none if it holds any other."""
    try:
        uploaded = service.fetch_uploaded_data(operation)
    except NrfProvError as error:
        # What an ended one did shows in the list of our devices, but not what it was refused.
        if operation.is_finished and not is_transient(error):
            return ()
        raise UnsettledError(
            f"bulk operation {operation.id} is {operation.status} and its rows cannot be had now ({error}); it may be "
            "the one whose answer was lost, so nothing is sent again until they can be"
        ) from error
    positions = []
    for cells in csv.reader(io.StringIO(uploaded)):
        try:
            positions.append(position_of[decode(cells[0]).device_id])
        except (TokenError, IndexError, KeyError):
            return ()
    return tuple(positions)
