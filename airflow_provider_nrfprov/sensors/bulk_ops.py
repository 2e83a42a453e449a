"""The sensor that waits for bulk operations."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import (
    AirflowFailException,
    AirflowSensorTimeout,
    AirflowSkipException,
    BaseSensorOperator,
    conf,
)

from airflow_provider_nrfprov.api.waiting import BulkOpsWatch
from airflow_provider_nrfprov.retries import set_default_retry_policy
from airflow_provider_nrfprov.waiting import check_failed, deferral, operation_ids, read_event

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context


class NrfProvBulkOpsSensor(BaseSensorOperator):
    """Waits until bulk operations have ended (FetchBulkOpsRequest).

    Under the synchronous contract a bulk claim has no operation to wait for: with an empty list the
    sensor is satisfied at once, so a DAG is the same under both.

    A failed poll is tolerated, 20 in a row are not; what cannot get better (401, 403, 404) fails the
    task at once. An unknown status is waited for.

    :param bulk_ops_request_ids: ids of operations (ULIDs): a list, one id, or a file of them.
        ``claim.output["bulk_ops_request_ids"]`` of a bulk claim fits.
    :param allow_failed: take FAILED for an end as good as SUCCEEDED. That is right where
        :class:`~airflow_provider_nrfprov.operators.bulk_claim.NrfProvBulkClaimReportOperator` follows, since an
        operation is FAILED if one of its rows is.
    :param nrfprov_conn_id: Airflow connection of type ``nrfprov``.
    :param deferrable: wait in the triggerer and give the worker slot up.
    :param poke_interval: seconds between two rounds of asking, 10 by default.
    :raises BulkOpsFailedError: if an operation ended FAILED (skips with ``soft_fail``).
    :raises AirflowSensorTimeout: after ``timeout`` seconds (skips with ``soft_fail``).
    """

    template_fields: Sequence[str] = ("bulk_ops_request_ids", "nrfprov_conn_id")
    template_fields_renderers = {"bulk_ops_request_ids": "json"}  # noqa: RUF012 - as Airflow declares it

    def __init__(
        self,
        *,
        bulk_ops_request_ids: str | list[str],
        allow_failed: bool = False,
        nrfprov_conn_id: str = "nrfprov_default",
        deferrable: bool = conf.getboolean("operators", "default_deferrable", fallback=False),
        poke_interval: float = 10,
        **kwargs: Any,
    ) -> None:
        super().__init__(poke_interval=poke_interval, **kwargs)
        set_default_retry_policy(self)
        self.bulk_ops_request_ids = bulk_ops_request_ids
        self.allow_failed = allow_failed
        self.nrfprov_conn_id = nrfprov_conn_id
        self.deferrable = deferrable
        self._watch: BulkOpsWatch | None = None

    def execute(self, context: Context) -> Any:
        """Ask once; then poke on, or defer if the operations have not ended."""
        if not self.deferrable:
            return super().execute(context)
        if self._first_poke(context):
            return None
        assert self._watch is not None  # noqa: S101 - set by the poke
        seconds = self.timeout
        if self.execution_timeout is not None:
            # Airflow does not enforce it while a task is deferred.
            seconds = min(seconds, self.execution_timeout.total_seconds())
        trigger, backstop = deferral(
            self.nrfprov_conn_id, self._watch.waiting, self.poke_interval, time.time() + seconds
        )
        self.defer(
            trigger=trigger,
            method_name="execute_complete",
            timeout=backstop,
            kwargs={"failed": self._watch.failed},
        )
        return None

    def poke(self, context: Context) -> bool:
        """Ask once about the operations that have not ended."""
        from airflow_provider_nrfprov.api.retry import NEVER
        from airflow_provider_nrfprov.hooks.nrfprov import NrfProvHook

        if self._watch is None:
            self._watch = BulkOpsWatch(operation_ids(self.bulk_ops_request_ids))
            if self._watch.is_done:
                self.log.info("no bulk operation to wait for: the service answered at once")
        if not self._watch.is_done:
            self._watch.ask(NrfProvHook(self.nrfprov_conn_id, NEVER).fetch_bulk_ops_request)
        for note in self._watch.notes:
            self.log.info("%s", note)
        if self._watch.is_done:
            self._end(self._watch.failed)
        return self._watch.is_done

    def execute_complete(
        self, context: Context, event: dict[str, Any] | None = None, failed: Sequence[str] = ()
    ) -> None:
        """Take the trigger's event; ``failed`` is what had ended FAILED before the deferral."""
        failed_since, waiting = read_event(event)
        if waiting:
            raise AirflowSensorTimeout(
                f"{len(waiting)} bulk operation(s) have not ended in time: {waiting[:10]}"
            )
        self._end([*failed, *failed_since])

    def _end(self, failed: Sequence[str]) -> None:
        if not self.allow_failed:
            check_failed(failed)
        self.log.info("all bulk operations have ended, %d of them FAILED", len(failed))

    def _first_poke(self, context: Context) -> bool:
        try:
            return self.poke(context)
        except AirflowFailException as error:
            # As in poke mode, where the base class does this.
            if self.soft_fail or getattr(self, "never_fail", False):
                raise AirflowSkipException("Skipping since soft_fail or never_fail is set.") from error
            raise
