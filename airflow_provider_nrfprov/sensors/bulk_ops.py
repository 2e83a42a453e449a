"""The sensor that waits for bulk operations."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import conf

from airflow_provider_nrfprov.api.wait_policy import BulkOpsWatch
from airflow_provider_nrfprov.deferral import check_failed, operation_ids
from airflow_provider_nrfprov.sensors.deferring import DeferringSensor

if TYPE_CHECKING:
    from airflow_provider_nrfprov.api.models import BulkOpsRequest
    from airflow_provider_nrfprov.triggers.bulk_ops import NrfProvBulkOpsTrigger


class NrfProvBulkOpsSensor(DeferringSensor):
    """Waits until bulk operations have ended (FetchBulkOpsRequest).

    Under the synchronous contract a bulk claim has no operation to wait for: with an empty list the
    sensor is satisfied at once, so a DAG is the same under both.

    A failed poll is tolerated, 20 of one operation in a row are not; what cannot get better (401, 403, 404, 410) fails
    the task at once. An unknown status is waited for. With ``mode="reschedule"`` the task keeps its worker slot as long
    as polls fail; ``deferrable`` does not.

    :param bulk_ops_request_ids: ids of operations (ULIDs): a list, one id, or a file of them.
        ``claim.output["bulk_ops_request_ids"]`` of a bulk claim fits.
    :param allow_failed: take FAILED for an end as good as SUCCEEDED. That is right where
        :class:`~airflow_provider_nrfprov.operators.bulk_claim.NrfProvBulkClaimReportOperator` follows, since an
        operation is FAILED if one of its rows is.
    :param nrfprov_conn_id: Airflow connection of type ``nrfprov``.
    :param deferrable: wait in the triggerer and give the worker slot up.
    :param poke_interval: seconds between two rounds of polls, 10 by default, 1 at least.
    :raises BulkOpsFailedError: if an operation ended FAILED (skips with ``soft_fail`` or ``never_fail``).
    :raises AirflowSensorTimeout: after ``timeout`` seconds (skips with ``soft_fail``).
    """

    template_fields: Sequence[str] = ("bulk_ops_request_ids", "nrfprov_conn_id")
    _seconds_before_deferral = 1.5
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
        super().__init__(
            nrfprov_conn_id=nrfprov_conn_id, deferrable=deferrable, poke_interval=poke_interval, **kwargs
        )
        self.bulk_ops_request_ids = bulk_ops_request_ids
        self.allow_failed = allow_failed

    def _new_watch(self) -> BulkOpsWatch:
        watch = BulkOpsWatch(operation_ids(self.bulk_ops_request_ids))
        if watch.is_done:
            self.log.info("no bulk operation to wait for: the service answered at once")
        return watch

    def _fetch(self, id_: str) -> BulkOpsRequest:
        return self.hook.fetch_bulk_ops_request(id_)

    def _trigger(self, waiting: Sequence[str], end_time: float) -> NrfProvBulkOpsTrigger:
        from airflow_provider_nrfprov.triggers.bulk_ops import NrfProvBulkOpsTrigger

        return NrfProvBulkOpsTrigger(
            self.nrfprov_conn_id, waiting, self.poke_interval, end_time, silent_fail=self.silent_fail
        )

    def _end(self, failed: Sequence[str]) -> None:
        if not self.allow_failed:
            check_failed(failed)
        self.log.info("all bulk operations have ended, %d of them FAILED", len(failed))

    def _late(self, waiting: Sequence[str]) -> str:
        return f"{len(waiting)} bulk operation(s) have not ended in time: {waiting[:10]}"
