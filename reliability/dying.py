"""A worker that dies: at any moment before or after it speaks to the service or writes to the ledger."""

from __future__ import annotations

import contextlib
import random
import threading
from collections.abc import Callable, Iterator
from typing import Any, BinaryIO

from airflow_provider_nrfprov.api.client import ProvisioningClient
from airflow_provider_nrfprov.api.models import BulkClaim
from airflow_provider_nrfprov.files.storage import Folder
from harness.calls import Calls


class Killed(BaseException):
    """The worker got SIGKILL: nothing of the program runs after it."""


class Fate:
    """Decides when the worker dies; at most twelve times, so that a run comes to an end.

    All threads of a worker die together: once it is dead, whatever another of them tries next kills that, too.
    """

    def __init__(self, seed: int, rate: float) -> None:
        self._chance = random.Random(seed)
        self._rate = rate
        self._left = 12
        self._is_dead = False
        self._lock = threading.Lock()
        self.deaths = 0

    def revive(self) -> None:
        """Begin the next try."""
        self._is_dead = False

    def strike(self) -> None:
        """Die, perhaps."""
        with self._lock:
            if not self._is_dead and self._left and self._chance.random() < self._rate:
                self._left -= 1
                self.deaths += 1
                self._is_dead = True
            if self._is_dead:
                raise Killed

    def around(self, call: Callable[..., Any]) -> Callable[..., Any]:
        """Make a call before and after which the worker may die."""

        def fateful(*arguments: Any, **named: Any) -> Any:
            self.strike()
            answer = call(*arguments, **named)
            self.strike()
            return answer

        return fateful


class MortalFolder(Folder):
    """A folder; before and after each file is written the worker may die."""

    def __init__(self, path: Any, fate: Fate) -> None:
        super().__init__(path)
        self._fate = fate

    def folder(self, name: str) -> Folder:
        return MortalFolder(self.path / name, self._fate)

    @contextlib.contextmanager
    def writing_bytes(self, name: str, *, owner_only: bool = False) -> Iterator[BinaryIO]:
        self._fate.strike()
        with super().writing_bytes(name, owner_only=owner_only) as stream:
            yield stream
        self._fate.strike()


class MortalService(Calls):
    """The service's calls; before and after each the worker may die.

    :param after_first_claim: happens once the first bulk claim of a try was sent.
    """

    def __init__(
        self, client: ProvisioningClient, fate: Fate, after_first_claim: Callable[[], None] | None = None
    ) -> None:
        super().__init__(client)
        self._after_first_claim = after_first_claim
        for name in (
            "bulk_claim",
            "fetch_bulk_ops_request",
            "fetch_error_summary",
            "fetch_uploaded_data",
            "find_on_lists",
            "fetch_claimed_device",
        ):
            setattr(self, name, fate.around(getattr(self, name)))

    def bulk_claim(self, csv: str) -> BulkClaim:
        happen, self._after_first_claim = self._after_first_claim, None
        try:
            return super().bulk_claim(csv)
        finally:
            if happen is not None:
                happen()


class MortalSecondPlace:
    """A store that outlives workers and folders; before and after each entry is kept the worker may die."""

    def __init__(self, texts: dict[str, str], fate: Fate) -> None:
        self._texts = texts
        self._fate = fate

    def get(self, key: str) -> str | None:
        return self._texts.get(key)

    def set(self, key: str, text: str) -> None:
        self._fate.strike()
        self._texts[key] = text
        self._fate.strike()
