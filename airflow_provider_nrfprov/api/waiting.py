"""Waiting for bulk operations: one policy for the worker and the triggerer, without sleeping itself."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from airflow_provider_nrfprov.api.errors import (
    NrfProvError,
    ServiceError,
    UnreachableError,
    UnreadableAnswerError,
)
from airflow_provider_nrfprov.api.models import FAILED, BulkOpsRequest

FAILURES_IN_A_ROW = 20
"""After so many rounds without an answer a wait ends with the last error."""


def is_transient(error: NrfProvError) -> bool:
    """Whether asking again later may help: no answer, an unreadable one, 429 or a 5xx."""
    if isinstance(error, ServiceError):
        return error.status == 429 or error.status >= 500
    return isinstance(error, (UnreachableError, UnreadableAnswerError))


class BulkOpsWatch:
    """Which of some bulk operations are still to be waited for.

    A status that is not known is waited for, and said once in ``notes``.
    """

    def __init__(self, bulk_ops_request_ids: Iterable[str]) -> None:
        self.waiting = list(dict.fromkeys(bulk_ops_request_ids))
        self.failed: list[str] = []
        """Operations that ended FAILED: some of their rows may have been carried out."""
        self.notes: list[str] = []
        """What changed in the newest round, one sentence each."""
        self._statuses: dict[str, str] = {}
        self._failures = 0

    @property
    def is_done(self) -> bool:
        """Whether every operation has ended."""
        return not self.waiting

    def ask(self, fetch: Callable[[str], BulkOpsRequest]) -> None:
        """Ask once about each operation that is waited for.

        A transient error ends the round; the next round goes on with what is left.

        :raises NrfProvError: a permanent error, or the transient one that was one too many.
        """
        self.notes = []
        for operation_id in list(self.waiting):
            try:
                operation = fetch(operation_id)
            except NrfProvError as error:
                self._failures += 1
                if not is_transient(error) or self._failures >= FAILURES_IN_A_ROW:
                    raise
                self.notes.append(f"asking failed {self._failures} time(s) in a row: {error}")
                return
            self._take(operation_id, operation)
        self._failures = 0

    def _take(self, operation_id: str, operation: BulkOpsRequest) -> None:
        if self._statuses.get(operation_id) != operation.status:
            self._statuses[operation_id] = operation.status
            self.notes.append(f"bulk operation {operation_id} is {operation.status}")
        if operation.is_finished:
            self.waiting.remove(operation_id)
            if operation.status == FAILED:
                self.failed.append(operation_id)
