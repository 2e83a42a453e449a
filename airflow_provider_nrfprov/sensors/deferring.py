"""What the sensors share: poking and deferring with the same end."""

from __future__ import annotations

import time
from abc import abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import (
    AirflowFailException,
    AirflowSensorTimeout,
    AirflowSkipException,
    BaseSensorOperator,
    PokeReturnValue,
)

from airflow_provider_nrfprov.deferral import backstop, read_event
from airflow_provider_nrfprov.retries import set_default_retry_policy

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context

    from airflow_provider_nrfprov.api.wait_policy import Awaited, Watch
    from airflow_provider_nrfprov.hooks.nrfprov import NrfProvHook
    from airflow_provider_nrfprov.triggers.polling import WaitingTrigger


class DeferringSensor(BaseSensorOperator):
    """Waits until what it watches has ended, on the worker or in the triggerer.

    The first question is always asked on the worker, so that what has ended already costs no deferral. A
    failed poll is tolerated, 20 in a row are not; what cannot get better (401, 403, 404) fails the task at
    once.

    :param nrfprov_conn_id: Airflow connection of type ``nrfprov``.
    :param deferrable: wait in the triggerer and give the worker slot up.
    :param poke_interval: seconds between two rounds of asking.
    """

    def __init__(
        self, *, nrfprov_conn_id: str, deferrable: bool, poke_interval: float, **kwargs: Any
    ) -> None:
        super().__init__(poke_interval=poke_interval, **kwargs)
        set_default_retry_policy(self)
        self.nrfprov_conn_id = nrfprov_conn_id
        self.deferrable = deferrable
        self._watch: Watch | None = None

    @abstractmethod
    def _new_watch(self) -> Watch:
        """Give a watch over what is waited for."""

    @abstractmethod
    def _fetch(self, hook: NrfProvHook, id_: str) -> Awaited:
        """Ask about one of these."""

    @abstractmethod
    def _trigger(self, waiting: Sequence[str], end_time: float) -> WaitingTrigger:
        """Give the trigger that waits for those which have not ended."""

    @abstractmethod
    def _end(self, failed: Sequence[str]) -> Any:
        """Say what the end is: raise, or give the value for XCom."""

    @abstractmethod
    def _late(self, waiting: Sequence[str]) -> str:
        """Say what has not ended in time."""

    def execute(self, context: Context) -> Any:
        """Ask once; then poke on, or defer if not everything has ended."""
        if not self.deferrable:
            return super().execute(context)
        if done := self._first_poke(context):
            return done.xcom_value if isinstance(done, PokeReturnValue) else None
        assert self._watch is not None  # noqa: S101 - set by the poke
        seconds = self.timeout
        if self.execution_timeout is not None:
            # Airflow does not enforce it while a task is deferred.
            seconds = min(seconds, self.execution_timeout.total_seconds())
        end_time = time.time() + seconds
        self.defer(
            # What failed is asked about again, so that the event names it, too: dag.test() hands nothing but the
            # event over to the resumed task.
            trigger=self._trigger([*self._watch.failed, *self._watch.waiting], end_time),
            method_name="execute_complete",
            timeout=backstop(self.poke_interval, end_time),
        )
        return None

    def poke(self, context: Context) -> bool | PokeReturnValue:
        """Ask once about what has not ended."""
        from airflow_provider_nrfprov.api.retry import NEVER
        from airflow_provider_nrfprov.hooks.nrfprov import NrfProvHook

        if self._watch is None:
            self._watch = self._new_watch()
        if not self._watch.is_done:
            hook = NrfProvHook(self.nrfprov_conn_id, NEVER)
            self._watch.poll(lambda id_: self._fetch(hook, id_))
        for note in self._watch.notes:
            self.log.info("%s", note)
        if not self._watch.is_done:
            return False
        value = self._end(self._watch.failed)
        return True if value is None else PokeReturnValue(is_done=True, xcom_value=value)

    def execute_complete(self, context: Context, event: dict[str, Any] | None = None) -> Any:
        """Take the trigger's event."""
        failed, waiting = read_event(event)
        if waiting:
            raise AirflowSensorTimeout(self._late(waiting))
        return self._end(failed)

    def _first_poke(self, context: Context) -> bool | PokeReturnValue:
        try:
            return self.poke(context)
        except AirflowFailException as error:
            # As in poke mode, where the base class does this.
            if self.soft_fail or getattr(self, "never_fail", False):
                raise AirflowSkipException("Skipping since soft_fail or never_fail is set.") from error
            raise
