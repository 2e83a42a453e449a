"""Which devices were sent in which CSV of claims: for a judge of clients that must not send twice."""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple

from airflow_provider_nrfprov.claiming.token import TokenError, decode
from airflow_provider_nrfprov.emulator.bulk import Row


class BulkSubmission(NamedTuple):
    """A CSV that was accepted. ``operation_id`` is None if it was claimed at once; ``repeated``: by a ``Twice``."""

    operation_id: str | None
    device_ids: frozenset[str]
    at: datetime
    repeated: bool = False


class Submissions:
    """The accepted CSVs of all teams."""

    def __init__(self) -> None:
        self._waiting: list[tuple[str | None, list[Row], datetime, bool]] = []
        self._read: list[BulkSubmission] = []

    def add(self, operation_id: str | None, rows: list[Row], at: datetime, *, repeated: bool = False) -> None:
        """Note a CSV."""
        self._waiting.append((operation_id, rows, at, repeated))

    def all(self) -> list[BulkSubmission]:
        """Return all in order of arrival. A row whose token cannot be read names no device."""
        # Reading a thousand tokens takes time, which no request should pay for.
        self._read += [
            BulkSubmission(each, _devices(rows), at, repeated) for each, rows, at, repeated in self._waiting
        ]
        self._waiting.clear()
        return list(self._read)


def _devices(rows: list[Row]) -> frozenset[str]:
    found = set()
    for row in rows:
        try:
            found.add(decode(row.token).device_id)
        except TokenError:
            continue
    return frozenset(found)
