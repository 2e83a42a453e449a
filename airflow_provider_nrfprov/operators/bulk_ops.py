"""The operators that look at bulk operations: list them, and show what became of one."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import BaseOperator

from airflow_provider_nrfprov.retries import set_default_retry_policy

if TYPE_CHECKING:
    from datetime import datetime

    from airflow.providers.common.compat.sdk import Context

    from airflow_provider_nrfprov.api.error_summary import ErrorSummary

_ERRORS_IN_LOG = 100
_ERRORS_IN_XCOM = 10
_CHARACTERS_IN_LOG = 10_000
_CHARACTERS_IN_XCOM = 2_000


class NrfProvListBulkOpsOperator(BaseOperator):
    """Lists bulk operations (ListBulkOpsRequests): all, or those for which every condition holds.

    Each is shown in the log with its status and times. The ids are the result: for ``.expand``, or for
    :class:`~airflow_provider_nrfprov.sensors.bulk_ops.NrfProvBulkOpsSensor`.

    :param status: ``PENDING``, ``IN_PROGRESS``, ``FAILED`` or ``SUCCEEDED``.
    :param requested_after: operations that were started at this time or later: a datetime, or ISO 8601 (UTC unless it
        names a zone).
    :param requested_before: operations that were started at this time or before it.
    :param limit: so many ids at most are given to XCom.
    :param nrfprov_conn_id: Airflow connection of type ``nrfprov``.
    :return: the list of ids (ULIDs).
    :raises TooManyForXComError: if there are more than ``limit``.
    :raises ValueError: for a condition that renders to nothing or is no time.
    :raises ServiceError: with the service's status and words.
    """

    template_fields: Sequence[str] = ("status", "requested_after", "requested_before", "nrfprov_conn_id")

    def __init__(
        self,
        *,
        status: str | None = None,
        requested_after: datetime | str | None = None,
        requested_before: datetime | str | None = None,
        limit: int = 200,
        nrfprov_conn_id: str = "nrfprov_default",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        set_default_retry_policy(self)
        self.status = status
        self.requested_after = requested_after
        self.requested_before = requested_before
        self.limit = limit
        self.nrfprov_conn_id = nrfprov_conn_id

    def execute(self, context: Context) -> list[str]:
        """Read the list page by page."""
        from airflow_provider_nrfprov.exceptions import TooManyForXComError
        from airflow_provider_nrfprov.hooks.nrfprov import NrfProvHook
        from airflow_provider_nrfprov.rendered import condition, moment

        found = NrfProvHook(self.nrfprov_conn_id).list_bulk_ops_requests(
            status=condition("status", self.status),
            requested_from=moment("requested_after", self.requested_after),
            requested_until=moment("requested_before", self.requested_before),
        )
        operations = list(islice(found, self.limit + 1))
        if len(operations) > self.limit:
            raise TooManyForXComError(
                f"there are more than {self.limit} such bulk operations: narrow the time, or raise limit"
            )
        for each in operations:
            self.log.info(
                "bulk operation %s (%s) is %s; requested %s, completed %s",
                each.id, each.endpoint or "endpoint not told", each.status, each.requested_at, each.completed_at,
            )  # fmt: skip
        self.log.info("%d bulk operations", len(operations))
        return [each.id for each in operations]


class NrfProvFetchBulkOpsOperator(BaseOperator):
    """Fetches one bulk operation, and shows its error summary and its result data in the log.

    What the result data of a claim holds is unknown: it is shown as it is, but for claim tokens. Which of a claim's
    rows became what is better asked of
    :class:`~airflow_provider_nrfprov.operators.bulk_claim.NrfProvBulkClaimReportOperator`.

    :param bulk_ops_request_id: id of the operation (a ULID).
    :param nrfprov_conn_id: Airflow connection of type ``nrfprov``.
    :return: ``{"id", "status", "endpoint", "requested_at", "completed_at", "errors", "examples", "result"}``: ``errors`` is the
        number of errors, ``examples`` ten of them, ``result`` the first 2,000 characters of the result data or ``None``.
        Rows count from 0.
    :raises NotFoundError: if there is no such operation.
    :raises ServiceError: with the service's status and words; also if a file of the operation cannot be had.
    """

    template_fields: Sequence[str] = ("bulk_ops_request_id", "nrfprov_conn_id")

    def __init__(
        self, *, bulk_ops_request_id: str, nrfprov_conn_id: str = "nrfprov_default", **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        set_default_retry_policy(self)
        self.bulk_ops_request_id = bulk_ops_request_id
        self.nrfprov_conn_id = nrfprov_conn_id

    def execute(self, context: Context) -> dict[str, Any]:
        """Fetch the operation and its files."""
        from airflow_provider_nrfprov.hooks.nrfprov import NrfProvHook

        hook = NrfProvHook(self.nrfprov_conn_id)
        operation = hook.fetch_bulk_ops_request(self.bulk_ops_request_id)
        errors = list(_in_words(hook.fetch_error_summary(operation)))
        result = hook.fetch_result_data(operation)
        self.log.info(
            "bulk operation %s is %s; requested %s, completed %s; %d error(s)",
            operation.id, operation.status, operation.requested_at, operation.completed_at, len(errors),
        )  # fmt: skip
        for error in errors[:_ERRORS_IN_LOG]:
            self.log.warning("%s", error)
        if len(errors) > _ERRORS_IN_LOG:
            self.log.warning("and %d more", len(errors) - _ERRORS_IN_LOG)
        if result is not None:
            self.log.info("result data (%d characters): %s", len(result), result[:_CHARACTERS_IN_LOG])
        return {
            **operation.as_dict(),
            "errors": len(errors),
            "examples": errors[:_ERRORS_IN_XCOM],
            "result": None if result is None else result[:_CHARACTERS_IN_XCOM],
        }


def _in_words(summary: ErrorSummary) -> Iterable[str]:
    yield from (f"row {row}: {message}" for row, message in sorted(summary.rows.items()))
    yield from summary.others
