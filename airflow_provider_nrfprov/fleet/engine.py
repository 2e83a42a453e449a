"""One action on each of many devices, several requests in flight: the engine, and one outcome a device."""

from __future__ import annotations

import logging
import re
import threading
import time
from collections.abc import Callable, Generator, Iterable, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from enum import Enum
from itertools import chain
from typing import NamedTuple

from airflow_provider_nrfprov.api.errors import (
    ConfigurationError,
    ForbiddenError,
    GoneError,
    NrfProvError,
    RateLimitedError,
    ServiceError,
    UnauthorizedError,
    UnavailableError,
    UnreachableError,
)
from airflow_provider_nrfprov.files.csv_cells import shortened, visible
from airflow_provider_nrfprov.ordered_map import ordered_map

_log = logging.getLogger(__name__)

MAX_IN_FLIGHT = 8
"""The service's limits are unknown; a 429 slows all requests down together (module ``api.throttle``)."""
_AHEAD = 1000
"""How many devices may be done before a slow one that comes earlier; a future takes 2 KB."""
_HOPELESS = (
    UnauthorizedError,
    ForbiddenError,
    GoneError,
    RateLimitedError,
    UnreachableError,
    ConfigurationError,
)
"""After all retries, these would be met by every other device too."""
_FAILURES_IN_A_ROW = 20
"""The number of 5xx one after the other, each after all retries, that means that the service is down."""
_DEVICES_A_LINE = 1000
_SECONDS_A_LINE = 10.0
SHOWN_EXAMPLES = 10
NO_ANSWER = "no_answer"
"""Status of a device whose request got no usable answer."""
_MAY_SUCCEED_LATER = re.compile(f"{NO_ANSWER}|3..|408|429|5..")
"""A redirect says nothing of the device, nor whether anything was done."""


class DeviceOutcome(str, Enum):
    """What became of a device. Every device ends in exactly one of these."""

    DONE = "done"
    UNCHANGED = "unchanged"
    """It was so already."""
    FAILED = "failed"
    NOT_TRIED = "not_tried"
    """The task ended before, for a reason that every device would have met."""


SETTLED = frozenset({DeviceOutcome.DONE, DeviceOutcome.UNCHANGED})
"""Nothing is left to be done for these."""


class DeviceResult(NamedTuple):
    """A device and what became of it. A tuple: there may be a million."""

    device_id: str
    outcome: DeviceOutcome
    status: str = ""
    """The HTTP status of a refusal, ``no_answer``, or a word of ours; empty for what is done."""
    message: str = ""
    """The service's message, unedited but for secrets; or ours, where it was not asked."""


Step = Callable[[], DeviceResult]
"""Does something to a device; may raise ``NrfProvError``."""
Action = Callable[[str, bool], "DeviceResult | Step"]
"""Something that can be done to a device, to the same end however often it is done. Asks what the device is like, and returns its
result if nothing is left to be done, else what does it. The second argument says that the device is only looked at: an earlier try
may have done it. Called from many threads; may raise ``NrfProvError``."""


class Stop:
    """Why nothing more is begun. Safe to use from many threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._in_a_row = 0
        self._wanted = threading.Event()
        self.error: NrfProvError | None = None
        """What every other device would meet too."""

    @property
    def wanted(self) -> bool:
        """Whether nothing more is to be begun."""
        return self._wanted.is_set()

    def now(self) -> None:
        """Begin nothing more; what is under way comes to its end."""
        self._wanted.set()

    def note_answer(self) -> None:
        """Take note that the service answered, whatever it said of the device."""
        self._in_a_row = 0

    def note(self, error: NrfProvError) -> None:
        """Take note of an error; after a hopeless one, begin nothing more."""
        with self._lock:
            self._in_a_row = self._in_a_row + 1 if isinstance(error, UnavailableError) else 0
            if isinstance(error, _HOPELESS) or self._in_a_row >= _FAILURES_IN_A_ROW:
                self.error = self.error or error
                self.now()


@dataclass
class Tally:
    """How many devices ended how."""

    counts: dict[DeviceOutcome, int] = field(default_factory=lambda: dict.fromkeys(DeviceOutcome, 0))
    examples: list[str] = field(default_factory=list)
    """At most ten devices that failed, in words."""
    may_succeed_later: int = 0
    """How many of the failed ones were not refused for what they are."""

    @property
    def devices(self) -> int:
        """The number of devices so far."""
        return sum(self.counts.values())

    def add(self, result: DeviceResult) -> None:
        """Count a device."""
        self.counts[result.outcome] += 1
        if result.outcome is DeviceOutcome.FAILED:
            self.may_succeed_later += bool(_MAY_SUCCEED_LATER.fullmatch(result.status))
            if len(self.examples) < SHOWN_EXAMPLES:
                status = f"{result.status} " if result.status.isdigit() else ""
                self.examples.append(f"{result.device_id}: {status}{visible(result.message)}")

    def __str__(self) -> str:
        return ", ".join(
            f"{count:,} {outcome.value.replace('_', ' ')}"
            for outcome, count in self.counts.items()
            if count or outcome is not DeviceOutcome.NOT_TRIED
        )


def carry_out(
    action: Action,
    device_ids: Iterable[str],
    *,
    max_in_flight: int = MAX_IN_FLIGHT,
    done_before: Mapping[str, DeviceResult] | None = None,
    not_named: Iterable[str] = (),
    stop: Stop | None = None,
) -> Generator[DeviceResult, None, None]:
    """Do something to each of many devices; yield what became of each, in the order of ``device_ids``.

    At most ``max_in_flight`` requests are in flight, and memory does not grow with the number of
    devices. Nothing is raised for the service's sake: after an error that every device would meet
    (401, 403, 410, a 429 or no answer after all retries, twenty 5xx in a row) the others are not tried, and
    ``stop.error`` is it.

    :param device_ids: UUIDs, each once, lower case.
    :param done_before: what an earlier try did. That is looked at, and done again where it is so no longer.
    :param not_named: devices that an earlier try was about, and this one is not: they are looked at, and come last if the
        earlier try may have done something to them.
    :param stop: ends the work early, from any thread, when asked to.
    :raises ValueError: if ``max_in_flight`` is below 1.
    """
    if max_in_flight < 1:
        raise ValueError(f"max_in_flight is {max_in_flight}; it has to be at least 1")
    stop = stop or Stop()
    stopping, before = stop, done_before or {}
    work = chain(((each, True) for each in device_ids), ((each, False) for each in not_named))
    pieces = (_Piece(each, before.get(each), is_named) for each, is_named in work)
    with closing(
        ordered_map(lambda piece: piece.outcome(action, stopping), pieces, max_in_flight, ahead=_AHEAD)
    ) as results:
        yield from (result for _, result in results if result is not None)


class Progress:
    """Says how far the work is: a line each 1,000 devices or ten seconds, whichever comes first.

    :param done_before: devices that an earlier try did; the rate is without them.
    """

    def __init__(self, what: str, total: int, done_before: int = 0) -> None:
        self._what = what
        self._total = total
        self._done_before = done_before
        self._started = self._said = time.monotonic()
        self._said_devices = 0

    def see(self, tally: Tally) -> None:
        """Log a line of progress, if it is time to."""
        due = tally.devices - self._said_devices >= _DEVICES_A_LINE
        if due or time.monotonic() - self._said >= _SECONDS_A_LINE:
            self.say(tally)

    def say(self, tally: Tally) -> None:
        """Log a line of progress now."""
        self._said, self._said_devices = time.monotonic(), tally.devices
        rate = max(0, tally.devices - self._done_before) / max(self._said - self._started, 1e-9)
        _log.info(
            "%s: %s of %s devices: %s; %.0f devices/s",
            self._what, f"{tally.devices:,}", f"{self._total:,}", str(tally), rate,
        )  # fmt: skip


def failed(device_id: str, error: NrfProvError) -> DeviceResult:
    """Return what an error means for a device."""
    if isinstance(error, ServiceError):
        words = error.problem.message or str(error).partition("\n")[0]
        return DeviceResult(device_id, DeviceOutcome.FAILED, str(error.status), shortened(words))
    return DeviceResult(device_id, DeviceOutcome.FAILED, NO_ANSWER, str(error))


@dataclass(frozen=True, slots=True)
class _Piece:
    """The work on one device."""

    device_id: str
    before: DeviceResult | None
    """What an earlier try did."""
    is_named: bool
    """Whether anything may be done to it; else it is only looked at."""

    def outcome(self, action: Action, stop: Stop) -> DeviceResult | None:
        """Do the work; ``None`` for a device that is not named, and to which nothing was done."""
        if stop.wanted:
            return self.before or (
                DeviceResult(self.device_id, DeviceOutcome.NOT_TRIED) if self.is_named else None
            )
        try:
            result = self._result(action(self.device_id, self.before is not None or not self.is_named))
        except NrfProvError as error:
            stop.note(error)
            return failed(self.device_id, error) if self.is_named else self.before
        stop.note_answer()
        return result

    def _result(self, found: DeviceResult | Step) -> DeviceResult | None:
        if not isinstance(found, DeviceResult):
            return found() if self.is_named else self.before
        if found.outcome in SETTLED:
            return self.before or found
        return found if self.is_named else self.before
