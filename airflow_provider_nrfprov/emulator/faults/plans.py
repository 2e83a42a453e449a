"""Which requests meet a fault: planned one by one, or drawn at random from a seed."""

from __future__ import annotations

import random
import threading
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple

from airflow_provider_nrfprov.emulator.faults import ANY, RECOVERABLE, Fault, StuckOperation
from airflow_provider_nrfprov.emulator.settings import OPERATION_NAMES


class Injected(NamedTuple):
    """A request that met a fault: the ``n``-th for its operation as ``request_counts()`` counts, from 1."""

    operation: str
    n: int
    fault: Fault


@dataclass
class Plan:
    """A fault for requests ``nth`` to ``nth + times - 1``, counted from when it was planned."""

    operation: str
    fault: Fault
    nth: int
    times: int | None
    seen: int = 0

    @property
    def is_over(self) -> bool:
        """Whether no request can meet it any more."""
        return self.times is not None and self.seen >= self.nth + self.times - 1

    def meets(self, operation: str) -> bool:
        """Count a request; return whether it is one of those meant."""
        if self.operation not in {ANY, operation} or not self.fault.fits(operation) or self.is_over:
            return False
        self.seen += 1
        return self.seen >= self.nth


class Schedule:
    """Faults at random. The same seed gives the same faults to the same requests in the same order."""

    def __init__(
        self, seed: int, rate: float, limit: int, kinds: Iterable[Fault], operations: Collection[str]
    ) -> None:
        self.seed, self.rate, self.left = seed, rate, limit
        self.kinds, self.operations = tuple(kinds), frozenset(operations)
        self._random = random.Random(seed)  # noqa: S311 - repeatable is what it has to be

    def draw(self, operation: str) -> Fault | None:
        """Return the fault for a request, if any. Every request takes two numbers, whatever comes of it."""
        chance, which = self._random.random(), self._random.random()
        if not self.left or chance >= self.rate or (self.operations and operation not in self.operations):
            return None
        fitting = [kind for kind in self.kinds if kind.fits(operation)]
        return fitting[int(which * len(fitting))] if fitting else None

    def as_json(self) -> dict[str, Any]:
        """Return what is left of it."""
        return {
            "seed": self.seed,
            "rate": self.rate,
            "left": self.left,
            "kinds": [kind.as_json() for kind in self.kinds],
            "operations": sorted(self.operations),
        }


class Faults:
    """The faults of one service. Safe to use from any thread; side doors never meet any."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._plans: list[Plan] = []
        self._schedule: Schedule | None = None
        self._injected: list[Injected] = []
        self.lies: dict[str, Fault] = {}
        """What is said of a bulk operation against the truth, by its id. Changed within ``Service.turn``."""
        self.interruptions = 0
        """How often requests that were waiting were told to give up: by a reset, by going down."""

    @property
    def injected(self) -> list[Injected]:
        """The requests that met a fault since the last reset, oldest first."""
        with self._lock:
            return list(self._injected)

    def plan(self, operation: str, fault: Fault, *, nth: int = 1, times: int | None = 1) -> None:
        """Let requests meet a fault. Of several plans for one request, the latest counts.

        :param operation: a name as in ``request_counts()``, or ``ANY``.
        :param nth: the first request that meets it; 1 is the next one from now.
        :param times: how many in a row meet it; None for all until ``clear``.
        :raises ValueError: for a name or a number that does not exist, or a fault that does not fit.
        """
        _check_names({operation} - {ANY})
        if nth < 1 or (times is not None and times < 1):
            raise ValueError("nth and times are at least 1")
        if operation != ANY and not fault.fits(operation):
            raise ValueError(f"{type(fault).__name__} is for {' and '.join(sorted(fault.only_on))} only")
        with self._lock:
            self._plans.append(Plan(operation, fault, nth, times))

    def schedule(
        self,
        *,
        seed: int,
        rate: float,
        limit: int = 20,
        kinds: Iterable[Fault] = RECOVERABLE,
        operations: Collection[str] = (),
    ) -> None:
        """Let requests meet faults at random, in place of an earlier schedule; a plan goes first.

        :param seed: the same seed gives the same faults, if the requests come in the same order.
        :param rate: the share of requests, from 0 to 1.
        :param limit: after this number of faults there are no more: a client that repeats itself gets through.
        :param kinds: what may happen; of these, only what fits the operation.
        :param operations: names as in ``request_counts()``; none for all.
        :raises ValueError: for a name or a number that does not exist, or no kinds.
        """
        _check_names(operations)
        schedule = Schedule(seed, rate, limit, kinds, operations)
        if not 0 <= rate <= 1 or limit < 0 or not schedule.kinds:
            raise ValueError("rate is from 0 to 1, limit at least 0, and there is at least one of kinds")
        with self._lock:
            self._schedule = schedule

    def clear(self) -> None:
        """End all plans and the schedule. What has happened stays, and is still in ``injected``."""
        with self._lock:
            self._plans.clear()
            self._schedule = None

    def reset(self) -> None:
        """Forget everything, also what was injected; requests that are waiting give up."""
        self.clear()
        with self._lock:
            self._injected.clear()
            self.lies.clear()
        self.interrupt()

    def interrupt(self) -> None:
        """Let slow requests that are waiting end now, without doing anything (more)."""
        with self._lock:
            self.interruptions += 1

    def forget_stuck(self, operation_id: str) -> None:
        """No longer report a bulk operation as running that has ended."""
        if isinstance(self.lies.get(operation_id), StuckOperation):
            del self.lies[operation_id]

    def take(self, operation: str, n: int) -> Fault | None:
        """Return the fault that a request meets, and note it; ``n`` is its number."""
        if not self._plans and self._schedule is None:  # the usual case costs no lock
            return None
        with self._lock:
            due = [plan for plan in self._plans if plan.meets(operation)]
            self._plans = [plan for plan in self._plans if not plan.is_over]
            drawn = self._schedule.draw(operation) if self._schedule else None
            fault = due[-1].fault if due else drawn
            if fault is None:
                return None
            if not due and self._schedule:
                self._schedule.left -= 1
            self._injected.append(Injected(operation, n, fault))
            return fault

    def as_json(self) -> dict[str, Any]:
        """Return ``{"plans": […], "schedule": {…} or None, "injected": […]}``."""
        with self._lock:
            return {
                "plans": [{**vars(plan), "fault": plan.fault.as_json()} for plan in self._plans],
                "schedule": self._schedule.as_json() if self._schedule else None,
                "injected": [{**each._asdict(), "fault": each.fault.as_json()} for each in self._injected],
            }


def _check_names(operations: Iterable[str]) -> None:
    if unknown := set(operations) - OPERATION_NAMES:
        raise ValueError(
            f"there is no operation {', '.join(sorted(unknown))}; there are {', '.join(sorted(OPERATION_NAMES))}"
        )
