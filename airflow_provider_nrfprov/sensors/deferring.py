"""What the sensors share: poking, rescheduling and deferring with the same end."""

from __future__ import annotations

import time
from abc import abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, ClassVar

from airflow.providers.common.compat.sdk import (
    AirflowFailException,
    AirflowSensorTimeout,
    AirflowSkipException,
    BaseOperator,
    BaseSensorOperator,
    PokeReturnValue,
)

from airflow_provider_nrfprov.api.retry import NEVER
from airflow_provider_nrfprov.api.wait_policy import (
    SOONEST_EVENT,
    Awaited,
    Watch,
    at_least,
    pause_on_worker,
    poll_briefly,
)
from airflow_provider_nrfprov.arguments import Argument, ArgumentError, Arguments, flag, interval
from airflow_provider_nrfprov.operators.base import ConnectedOperator
from airflow_provider_nrfprov.triggers.deferral import backstop, read_event, seconds_to_wait

try:
    from airflow.sdk.exceptions import TaskDeferralTimeout
except ImportError:
    try:  # Airflow 3.0 and 3.1
        from airflow.exceptions import TaskDeferralTimeout  # type: ignore[no-redef]
    except ImportError:  # Airflow 2 has one class for all that keeps a trigger from giving an event
        from airflow.exceptions import TaskDeferralError as TaskDeferralTimeout  # type: ignore[no-redef]

if TYPE_CHECKING:
    from datetime import timedelta

    from airflow.providers.common.compat.sdk import Context

    from airflow_provider_nrfprov.hooks.nrfprov import NrfProvHook
    from airflow_provider_nrfprov.triggers.polling import WaitingTrigger


class DeferringSensor(ConnectedOperator, BaseSensorOperator):
    """Waits until what it watches has ended, on the worker or in the triggerer.

    The first poll is always made on the worker, so that what has ended already costs no deferral. A failed poll is
    tolerated, 20 of one operation in a row are not; a permanent error (401, 403, 404, 410) fails the task at once.

    ``soft_fail``, ``never_fail`` and ``silent_fail`` mean the same in each mode, on each version of Airflow:

    - ``soft_fail`` skips the task if what it waits for ended in failure, or not in time. An error of the service fails it.
    - ``never_fail`` skips it for an error, too, but not if what it waits for has not ended in time.
    - ``silent_fail`` goes on polling until ``timeout``, whatever error there is.

    With ``mode="reschedule"`` the task keeps its worker slot as long as polls fail: how many failed in a row would be
    forgotten between two runs.
    """

    arguments: ClassVar[Arguments] = {"deferrable": Argument(flag)}
    _seconds_before_deferral = 0.0
    """How many seconds the worker polls in quick succession before it defers. 0: nor does it poll sooner while the wait is young."""
    # Of the class: Airflow 2 asks for `reschedule` while the sensor is being made.
    _watch: Watch | None = None
    _hook: NrfProvHook | None = None

    def __init__(self, *, deferrable: bool | str, poke_interval: float | timedelta, **kwargs: Any) -> None:
        try:
            # Airflow takes no template here.
            seconds = Argument(interval)(poke_interval, written=True)
        except ValueError as error:
            raise ArgumentError(f"poke_interval of task {kwargs.get('task_id')!r} {error}") from None
        super().__init__(poke_interval=seconds, **kwargs)
        self.deferrable = deferrable

    @abstractmethod
    def _new_watch(self) -> Watch:
        """Return a watch over what is waited for."""

    @abstractmethod
    def _fetch(self, id_: str) -> Awaited:
        """Poll one of these."""

    @abstractmethod
    def _trigger(self, waiting: Sequence[str], end_time: float) -> WaitingTrigger:
        """Return the trigger that waits for these."""

    @abstractmethod
    def _end(self, failed: Sequence[str]) -> Any:
        """Return the value for XCom of the end, or raise."""

    @abstractmethod
    def _late(self, waiting: Sequence[str]) -> str:
        """Return in words what has not ended in time."""

    @property
    def hook(self) -> NrfProvHook:
        """The hook that polls: one for a whole wait, and so one look-up of the connection. It repeats nothing."""
        from airflow_provider_nrfprov.hooks.nrfprov import NrfProvHook

        if self._hook is None:
            self._hook = NrfProvHook(self._value("nrfprov_conn_id"), NEVER)
        return self._hook

    @property
    def reschedule(self) -> bool:
        """Whether to give the worker slot up until the next poke."""
        if self.mode != "reschedule":
            return False
        return self.silent_fail or self._watch is None or not self._watch.counts_failures

    def execute(self, context: Context) -> Any:
        """Poll once; then poke on, or defer if not everything has ended."""
        # Arguments that cannot be read fail the task whatever the sensor tolerates.
        deferrable = self._values()["deferrable"]
        self._watch = self._new_watch()
        try:
            if not deferrable:
                return super().execute(context)
            with self._ending_as_in_poke_mode():
                done = self._first_polls(context)
        finally:
            # Airflow copies operators, and a client cannot be copied.
            self._hook = None
        if done:
            return done.xcom_value if isinstance(done, PokeReturnValue) else None
        self._defer(time.time() + seconds_to_wait(self.timeout, self.execution_timeout))
        return None

    def poke(self, context: Context) -> bool | PokeReturnValue:
        """Poll once what has not ended."""
        if self._watch is None:
            self._watch = self._new_watch()
        if not self._watch.is_done:
            self._watch.poll(self._fetch)
        return self._outcome(self._watch)

    def execute_complete(
        self, context: Context, event: dict[str, Any] | None = None, end_time: float | None = None
    ) -> Any:
        """Take the trigger's event.

        :param end_time: when the wait is given up; ``dag.test()`` of Airflow 3.3 loses it.
        """
        try:
            failed, waiting = read_event(event)
            if waiting:
                raise AirflowSensorTimeout(self._late(waiting))
            return self._end(failed)
        except Exception as error:
            if not self._goes_on_after(error) or end_time is None or time.time() >= end_time:
                raise
        self._watch = self._new_watch()
        self._defer(end_time)
        return None

    def resume_execution(self, next_method: str, next_kwargs: dict[str, Any] | None, context: Context) -> Any:
        """Go on after a deferral, and end as in poke mode; each version of Airflow does this in its own way."""
        with self._ending_as_in_poke_mode():
            try:
                # Not that of sensors.
                return BaseOperator.resume_execution(self, next_method, next_kwargs, context)
            except TaskDeferralTimeout as error:
                if "timeout" not in str(error).lower():
                    raise
                raise AirflowSensorTimeout(*error.args) from error

    def _first_polls(self, context: Context) -> bool | PokeReturnValue:
        try:
            if done := self.poke(context):
                return done
            assert self._watch is not None  # noqa: S101 - set by the poke
            poll_briefly(self._watch, self._fetch, min(self._seconds_before_deferral, self.timeout))
            return self._outcome(self._watch)
        except Exception as error:
            if not self._goes_on_after(error):
                raise
            return False

    def _outcome(self, watch: Watch) -> bool | PokeReturnValue:
        for note in watch.notes:
            self.log.info("%s", note)
        watch.notes.clear()
        if not watch.is_done:
            return False
        value = self._end(watch.failed)
        return True if value is None else PokeReturnValue(is_done=True, xcom_value=value)

    def _defer(self, end_time: float) -> None:
        assert self._watch is not None  # noqa: S101 - set by whoever defers
        self.defer(
            # What failed is asked about again, so that the event names it, too: dag.test() hands nothing but the
            # event over to the resumed task.
            trigger=self._trigger([*self._watch.failed, *self._watch.waiting], end_time),
            method_name="execute_complete",
            kwargs={"end_time": end_time},
            timeout=backstop(self.poke_interval, end_time),
        )

    def _get_next_poke_interval(
        self, started_at: Any, run_duration: Callable[[], float], poke_count: int
    ) -> float:
        interval = at_least(super()._get_next_poke_interval(started_at, run_duration, poke_count))
        if self._watch is None or not self._seconds_before_deferral or self.exponential_backoff:
            return interval
        sooner = pause_on_worker(self._watch, run_duration(), interval)
        # To be rescheduled takes Airflow seconds, too.
        return min(interval, max(sooner, SOONEST_EVENT)) if self.reschedule else sooner

    def _goes_on_after(self, error: Exception) -> bool:
        """Whether to poll on after an error, which is logged then."""
        final = (AirflowFailException, AirflowSkipException, AirflowSensorTimeout)
        if not self.silent_fail or isinstance(error, final):
            return False
        self.log.error("still waiting, as silent_fail is set: %s: %s", type(error).__name__, error)
        return True

    @contextmanager
    def _ending_as_in_poke_mode(self) -> Iterator[None]:
        try:
            yield
        except Exception as error:
            if not self._skips_for(error):
                raise
            raise AirflowSkipException("Skipping since soft_fail or never_fail is set.") from error

    def _skips_for(self, error: Exception) -> bool:
        if isinstance(error, AirflowSkipException):
            return False
        if isinstance(error, AirflowSensorTimeout):
            # Poke mode does not look at never_fail then.
            return bool(self.soft_fail)
        return bool(self.never_fail or (self.soft_fail and isinstance(error, AirflowFailException)))
