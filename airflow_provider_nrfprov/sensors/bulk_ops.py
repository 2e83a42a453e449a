"""The sensor that waits for bulk operations."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from airflow.configuration import conf

from airflow_provider_nrfprov.api.wait_policy import BulkOpsWatch
from airflow_provider_nrfprov.arguments import Argument, Arguments, flag, ids
from airflow_provider_nrfprov.operators.base import READABLE, SECONDS_ON_WORKER
from airflow_provider_nrfprov.sensors.deferring import DeferringSensor
from airflow_provider_nrfprov.triggers.deferral import check_failed, operation_ids

if TYPE_CHECKING:
    import os
    from datetime import timedelta

    from airflow_provider_nrfprov.api.models import BulkOpsRequest
    from airflow_provider_nrfprov.triggers.bulk_ops import NrfProvBulkOpsTrigger


class NrfProvBulkOpsSensor(DeferringSensor):
    """Waits until bulk operations have ended (FetchBulkOpsRequest).

    Under the synchronous contract a bulk claim has no operation to wait for: with an empty list the
    sensor is satisfied at once, so a DAG is the same under both.

    A failed poll is tolerated, 20 of one operation in a row are not; a permanent error (401, 403, 404, 410) fails
    the task at once. An unknown status is waited for. With ``mode="reschedule"`` the task keeps its worker slot as long
    as polls fail; ``deferrable`` does not.

    :param bulk_ops_request_ids: ids of operations (ULIDs): a list, one id, or the path of a file with one a line. An
        empty list is satisfied at once; what renders to nothing is an error.
        ``claim.output["bulk_ops_request_ids"]`` of a bulk claim fits.
    :param allow_failed: accept FAILED as an end like SUCCEEDED. That is right where
        :class:`~airflow_provider_nrfprov.operators.bulk_claim.NrfProvBulkClaimReportOperator` follows, since an
        operation is FAILED if one of its rows is.
    :param nrfprov_conn_id: Airflow connection of type ``nrfprov``.
    :param deferrable: wait in the triggerer and give the worker slot up.
    :param poke_interval: seconds between two rounds of polls at most, 10 by default, 1 at least. Up to ten operations are polled
        sooner while the wait is young; deferred, later ones less often (docs/operators.md).
    :raises BulkOpsFailedError: if an operation ended FAILED (skips with ``soft_fail`` or ``never_fail``).
    :raises AirflowSensorTimeout: after ``timeout`` seconds (skips with ``soft_fail``).
    """

    arguments: ClassVar[Arguments] = {
        "bulk_ops_request_ids": Argument(ids),
        "allow_failed": Argument(flag),
    }
    _seconds_before_deferral = SECONDS_ON_WORKER
    template_fields_renderers = {"bulk_ops_request_ids": "json"}  # noqa: RUF012 - as Airflow declares it

    def __init__(
        self,
        *,
        bulk_ops_request_ids: str | Sequence[str] | os.PathLike[str],
        allow_failed: bool | str = False,
        deferrable: bool | str = conf.getboolean("operators", "default_deferrable", fallback=False),
        poke_interval: float | timedelta = 10,
        **kwargs: Any,
    ) -> None:
        super().__init__(deferrable=deferrable, poke_interval=poke_interval, **kwargs)
        self.bulk_ops_request_ids = bulk_ops_request_ids
        self.allow_failed = allow_failed
        self._check_constants()

    def _new_watch(self) -> BulkOpsWatch:
        given = self._value("bulk_ops_request_ids")
        name = "bulk_ops_request_ids"
        with self._naming(name, "cannot be used: "), self._naming_path(name, given, READABLE):
            watch = BulkOpsWatch(operation_ids(given))
        if watch.is_done:
            self.log.info("no bulk operation to wait for: the service answered at once")
        return watch

    def _fetch(self, id_: str) -> BulkOpsRequest:
        return self.hook.fetch_bulk_ops_request(id_)

    def _trigger(self, waiting: Sequence[str], end_time: float) -> NrfProvBulkOpsTrigger:
        from airflow_provider_nrfprov.triggers.bulk_ops import NrfProvBulkOpsTrigger

        return NrfProvBulkOpsTrigger(
            self._value("nrfprov_conn_id"),
            waiting,
            self.poke_interval,
            end_time,
            silent_fail=self.silent_fail,
        )

    def _end(self, failed: Sequence[str]) -> None:
        if not self._value("allow_failed"):
            check_failed(failed)
        self.log.info("all bulk operations have ended, %d of them FAILED", len(failed))

    def _late(self, waiting: Sequence[str]) -> str:
        return f"bulk operations that have not ended in time: {len(waiting)}, {waiting[:10]}"
