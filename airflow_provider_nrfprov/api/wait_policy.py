"""Waiting for what the service does in its own time: one policy for the worker and the triggerer, without sleeping itself."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Protocol

from airflow_provider_nrfprov.api.contract import SUCCEEDED
from airflow_provider_nrfprov.api.errors import (
    NrfProvError,
    ServiceError,
    UnreachableError,
    UnreadableAnswerError,
)

FAILURES_IN_A_ROW = 20
"""After so many rounds without an answer a wait ends with the last error."""


def is_transient(error: NrfProvError) -> bool:
    """Whether asking again later may help: no answer, an unreadable one, 429 or a 5xx."""
    if isinstance(error, ServiceError):
        return error.status == 429 or error.status >= 500
    return isinstance(error, (UnreachableError, UnreadableAnswerError))


class Awaited(Protocol):
    """What is waited for, as the service last described it."""

    @property
    def status(self) -> str:
        """Its status, in the service's words."""
        ...

    @property
    def is_finished(self) -> bool:
        """Whether the status is a final one."""
        ...


class Watch:
    """Which of some things of the service are still to be waited for.

    Each change of a status is said once in ``notes``.

    :param ids: their ids.
    :param what: what they are, in the singular, for the notes.
    """

    def __init__(self, ids: Iterable[str], what: str) -> None:
        self.waiting = list(dict.fromkeys(ids))
        self.failed: list[str] = []
        """What ended with another status than SUCCEEDED."""
        self.notes: list[str] = []
        """What changed in the newest round, one sentence each."""
        self._what = what
        self._statuses: dict[str, str] = {}
        self._failures = 0

    @property
    def is_done(self) -> bool:
        """Whether everything has ended."""
        return not self.waiting

    def poll(self, fetch: Callable[[str], Awaited]) -> None:
        """Ask once about each that is waited for.

        A transient error ends the round; the next round goes on with what is left.

        :raises NrfProvError: a permanent error, or the transient one that was one too many.
        """
        self.notes.clear()
        for id_ in list(self.waiting):
            try:
                awaited = fetch(id_)
            except NrfProvError as error:
                self._tolerate(error)
                return
            self._take(id_, awaited)
        self._failures = 0

    def update(self, found: Mapping[str, Awaited | NrfProvError], error: NrfProvError | None = None) -> None:
        """Take what somebody else found out in a round.

        :param found: what is known of some of those that are waited for.
        :param error: what kept the round from finding out about the others.
        :raises NrfProvError: as :meth:`poll` does.
        """
        self.notes.clear()
        for id_, awaited in found.items():
            if isinstance(awaited, NrfProvError):
                self._tolerate(awaited)
            else:
                self._take(id_, awaited)
        if error is None:
            self._failures = 0
        elif self.waiting:
            self._tolerate(error)

    def _tolerate(self, error: NrfProvError) -> None:
        self._failures += 1
        if not is_transient(error) or self._failures >= FAILURES_IN_A_ROW:
            raise error
        self.notes.append(f"asking failed {self._failures} time(s) in a row: {error}")

    def _take(self, id_: str, awaited: Awaited) -> None:
        if self._statuses.get(id_) != awaited.status:
            self._statuses[id_] = awaited.status
            self.notes.append(f"{self._what} {id_} is {awaited.status}")
        if awaited.is_finished:
            self.waiting.remove(id_)
            if awaited.status != SUCCEEDED:
                self.failed.append(id_)


class BulkOpsWatch(Watch):
    """Waits for bulk operations. One that is FAILED may have carried out some of its rows.

    A status that is not known is waited for.
    """

    def __init__(self, bulk_ops_request_ids: Iterable[str]) -> None:
        super().__init__(bulk_ops_request_ids, "bulk operation")


class CommandWatch(Watch):
    """Waits for provisioning commands of one device. A status that is not known is an end, and no success."""

    def __init__(self, command_ids: Iterable[str]) -> None:
        super().__init__(command_ids, "provisioning command")
