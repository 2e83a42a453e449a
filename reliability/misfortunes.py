"""What befalls each tool of the comparison, one after the other: the same for all of them."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from airflow_provider_nrfprov.emulator.bulk import BulkSubmission
from airflow_provider_nrfprov.emulator.faults import (
    DropAfter,
    DropBefore,
    FailAfter,
    Fault,
    HtmlAfter,
    HtmlBefore,
    Refuse,
    Slow,
    TruncateAfter,
)
from airflow_provider_nrfprov.emulator.service import Service
from harness.nordic import environment
from reliability.ours import KEY_OF, OUR_KEY
from reliability.tools import LONGEST_RUN, Death

CLAIM = {
    "sync": "ClaimDeviceOwnershipCsv",
    "async": "BulkClaimDeviceOwnership",
    "project": "CreateDevicesInBulk",
}
_BULK_SECONDS = 0.2


@dataclass(frozen=True)
class Misfortune:
    """One row of the comparison for each tool."""

    words: str
    contract: str = "sync"
    fault: Fault | None = None
    nth: tuple[int, ...] = (1,)
    """Which bulk claims meet the fault, counted from the first one of the run."""
    settings: dict[str, object] = field(default_factory=dict)
    one_is_theirs: bool = False
    """Whether another team holds one device of the first chunk."""
    revoked: bool = False
    """Whether the API key is revoked as soon as the first chunk was accepted."""
    deadly: bool = False
    """Whether the worker dies after the first chunk was accepted and before its answer came."""

    @property
    def all_settings(self) -> dict[str, object]:
        """Return the emulator's settings."""
        contract = {} if self.contract == "project" else {"contract": self.contract}
        return {**contract, "bulk_seconds": _BULK_SECONDS, **self.settings}

    @property
    def is_any(self) -> bool:
        """Whether anything happens at all."""
        return bool(self.fault or self.one_is_theirs or self.revoked or self.deadly)

    def befall(self, service: Service) -> None:
        """Prepare the service."""
        if self.fault:
            for number in self.nth:
                service.faults.plan(CLAIM[self.contract], self.fault, nth=number)
        if self.revoked:
            key = KEY_OF.get(self.contract, OUR_KEY)
            service.submissions = _LastSubmissions(lambda: service.keys.revoke(key))

    def death(self, service: Service) -> Death | None:
        """Return what kills the first worker, if it is to die."""
        if not self.deadly:
            return None

        def die(command: list[str]) -> None:
            service.faults.plan(CLAIM[self.contract], Slow(after=LONGEST_RUN))
            worker = subprocess.Popen(  # noqa: S603 - our own interpreter
                command, env=environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
            )
            try:
                _wait_for_submission(service, worker)
            finally:
                worker.kill()
                worker.wait()
                service.faults.clear()
                service.faults.interrupt()

        return die


class _LastSubmissions(list[BulkSubmission]):
    """Notes a CSV, and calls."""

    def __init__(self, then: Callable[[], None]) -> None:
        super().__init__()
        self._then = then

    def append(self, submission: BulkSubmission) -> None:
        super().append(submission)
        self._then()


def _wait_for_submission(service: Service, worker: subprocess.Popen[bytes]) -> None:
    """Wait until a bulk claim was accepted, and so carried out; its answer waits then."""
    end = time.monotonic() + LONGEST_RUN
    while not service.bulk_submissions():
        if time.monotonic() > end or worker.poll() is not None:
            raise RuntimeError(f"no bulk claim of the worker was accepted; it ended with {worker.poll()}")
        time.sleep(0.01)


MISFORTUNES: tuple[Misfortune, ...] = (
    Misfortune("nothing"),
    Misfortune(
        "429 with Retry-After: 1 for every second request", fault=Refuse(429, retry_after=1), nth=(1, 3, 5)
    ),
    Misfortune("503 for the first chunk", fault=Refuse(503)),
    Misfortune("500 after the rows were claimed", fault=FailAfter(500)),
    Misfortune("connection dropped before anything was done", fault=DropBefore()),
    Misfortune("connection dropped after the rows were claimed", fault=DropAfter()),
    Misfortune("200 with an HTML page before anything was done", fault=HtmlBefore()),
    Misfortune("200 with an HTML page after the rows were claimed", fault=HtmlAfter()),
    Misfortune("answer cut off after the rows were claimed", fault=TruncateAfter()),
    Misfortune("a device of another team, answered 422", one_is_theirs=True),
    Misfortune(
        "a device of another team, answered 207", one_is_theirs=True, settings={"partial_failure_status": 207}
    ),
    Misfortune("API key revoked after the first chunk", revoked=True),
    Misfortune("worker killed after the first chunk was sent, run again", deadly=True),
    Misfortune("nothing", "async"),
    Misfortune("503 for the first chunk", "async", Refuse(503)),
    Misfortune("500 after the operation was started", "async", FailAfter(500)),
    Misfortune("connection dropped after the operation was started", "async", DropAfter()),
    Misfortune("a device of another team", "async", one_is_theirs=True),
    Misfortune("API key revoked after the first chunk", "async", revoked=True),
    Misfortune("worker killed after the first chunk was sent, run again", "async", deadly=True),
)
"""Of a team's API."""
PROJECT_MISFORTUNES: tuple[Misfortune, ...] = (
    Misfortune("nothing", "project"),
    Misfortune("429 with Retry-After: 1 for the first chunk", "project", Refuse(429, retry_after=1)),
    Misfortune("503 for the first chunk", "project", Refuse(503)),
    Misfortune("500 after the job was started", "project", FailAfter(500)),
    Misfortune("connection dropped after the job was started", "project", DropAfter()),
    Misfortune("a device of another project", "project", one_is_theirs=True),
    Misfortune("the job is named on another host", "project", settings={"project_status_url": "elsewhere"}),
    Misfortune("API key revoked after the first chunk", "project", revoked=True),
    Misfortune("worker killed after the first chunk was sent, run again", "project", deadly=True),
)
