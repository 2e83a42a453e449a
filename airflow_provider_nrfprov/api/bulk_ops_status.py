"""Polls the status of many bulk operations in few requests.

One page of ListBulkOpsRequests tells of a hundred operations, so the list is asked for the times in which
those that are waited for were requested, and single operations only where that would cost more.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Collection, Iterator, Sequence

import pendulum

from airflow_provider_nrfprov.api import operations
from airflow_provider_nrfprov.api.client import ProvisioningClient
from airflow_provider_nrfprov.api.errors import (
    NotInThisApiError,
    NrfProvError,
    ServiceError,
    UnauthorizedError,
)
from airflow_provider_nrfprov.api.models import BulkOpsRequest
from airflow_provider_nrfprov.api.wait_policy import RoundCut, is_transient

_NEWEST = pendulum.duration(minutes=15)
"""Operations of unknown age are looked for among those of this time first: most waits begin at once."""
_GAP = 600.0
"""Seconds; operations that were requested further apart from each other are listed apart."""
_MARGIN = pendulum.duration(seconds=2)
_SECONDS_BETWEEN_SINGLES = 0.05
"""Where there is no list, nobody is asked more than twenty times a second."""

Found = tuple[str, BulkOpsRequest | NrfProvError]
Window = tuple[list[str], pendulum.DateTime, pendulum.DateTime]
"""Operations, with the times between which they were requested."""


class BulkOpsStatus:
    """What is known of when operations were requested, and whether the service has a list of them.

    Blocks; to be used by one thread at a time.

    :param client: of the team whose operations they are; it should not repeat what fails.
    """

    def __init__(
        self,
        client: ProvisioningClient,
        *,
        now: Callable[[], pendulum.DateTime] = lambda: pendulum.now("UTC"),
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.client = client
        self._now = now
        self._sleep = sleep
        # As seconds since the epoch: numbers are nothing that Python looks through for garbage.
        self._requested_at: dict[str, float] = {}
        self._has_list = True

    def poll(self, ids: Collection[str], others: Collection[str] = ()) -> Iterator[Found]:
        """Poll each of ``ids``; yield what is found, operation by operation.

        An operation about which the service refuses to answer, because it is not there for example, is yielded with
        that error, and so is one whose poll failed while others are answered.

        :param ids: those that are due.
        :param others: those that are waited for, too: what a list happens to say of them is yielded as well.
        :raises NrfProvError: what concerns all of them and ends the round: the key is refused, a page of the list failed,
            several polls in a row failed, or the service asked to wait. What was not yielded until then was not asked.
        """
        missing = dict.fromkeys(ids)
        wanted = missing.keys() | set(others)
        for window in self._windows(list(missing)):
            for operation in self._listed(window, missing):
                if operation.id in wanted:
                    missing.pop(operation.id, None)
                    self._note(operation)
                    yield operation.id, operation
        yield from self._one_by_one(list(missing))

    def forget(self, ids: Collection[str]) -> None:
        """Drop what is known of operations that nobody waits for any more."""
        for id_ in ids:
            self._requested_at.pop(id_, None)

    def _windows(self, ids: Sequence[str]) -> Iterator[Window]:
        """Cut the time line: operations that were requested near each other, with the times around them."""
        unknown = [id_ for id_ in ids if id_ not in self._requested_at]
        if unknown:
            yield unknown, self._now() - _NEWEST, self._now() + _MARGIN
        known = sorted((self._requested_at[id_], id_) for id_ in ids if id_ in self._requested_at)
        window: list[tuple[float, str]] = []
        for time_, id_ in known:
            if window and time_ - window[-1][0] > _GAP:
                yield _window(window)
                window = []
            window.append((time_, id_))
        if window:
            yield _window(window)

    def _listed(self, window: Window, missing: dict[str, None]) -> Iterator[BulkOpsRequest]:
        """List a window, as long as another page is cheaper than asking for what is missing of it one by one."""
        ids, start, end = window
        token: str | None = None
        for pages in itertools.count(1):
            left = sum(id_ in missing for id_ in ids)
            if left == 0 or left < pages or left == 1 or not self._has_list:
                return
            page = operations.list_bulk_ops_requests(token, requested_from=start, requested_until=end)
            try:
                answer = self.client.send(page)
            except (ServiceError, NotInThisApiError) as error:
                if not _says_no_list(error):
                    raise
                self._has_list = False
                return
            yield from answer.items
            token = answer.next_page_token
            if token is None:
                return

    def _one_by_one(self, ids: Sequence[str]) -> Iterator[Found]:
        cut = RoundCut()
        for number, id_ in enumerate(ids):
            if number:
                self._sleep(_SECONDS_BETWEEN_SINGLES)
            found = self._fetch(id_)
            yield id_, found
            error = found if isinstance(found, NrfProvError) else None
            if cut.is_due(error) and error is not None:
                raise error

    def _fetch(self, id_: str) -> BulkOpsRequest | NrfProvError:
        try:
            operation = self.client.send(self.client.api.fetch_bulk_ops_request(id_))
        except UnauthorizedError:
            raise
        except NrfProvError as error:
            return error
        self._note(operation)
        return operation

    def _note(self, operation: BulkOpsRequest) -> None:
        if operation.requested_at is not None and operation.id not in self._requested_at:
            self._requested_at[operation.id] = operation.requested_at.timestamp()


def _window(known: Sequence[tuple[float, str]]) -> Window:
    start, end = pendulum.from_timestamp(known[0][0]), pendulum.from_timestamp(known[-1][0])
    return [id_ for _, id_ in known], start - _MARGIN, end + _MARGIN


def _says_no_list(error: NrfProvError) -> bool:
    # Switched off, never there, or refused to this role or in this form, which says nothing about a single operation.
    return not is_transient(error) and not isinstance(error, UnauthorizedError)
