"""The operators that look at bulk operations: list them, and show what became of one."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from airflow_provider_nrfprov.arguments import Argument, Arguments, choice, count, moment, text
from airflow_provider_nrfprov.exceptions import TooManyForXComError
from airflow_provider_nrfprov.operators.base import ConnectedOperator

if TYPE_CHECKING:
    from datetime import datetime

    from airflow.providers.common.compat.sdk import Context

    from airflow_provider_nrfprov.api.error_summary import ErrorSummary

_ERRORS_IN_LOG = 100
_ERRORS_IN_XCOM = 10
_CHARACTERS_IN_LOG = 10_000
_CHARACTERS_IN_XCOM = 2_000


class NrfProvListBulkOpsOperator(ConnectedOperator):
    """Lists bulk operations (ListBulkOpsRequests): all, or those for which every condition holds.

    Each is shown in the log with its status and times. The ids are the result: for ``.expand``, or for
    :class:`~airflow_provider_nrfprov.sensors.bulk_ops.NrfProvBulkOpsSensor`.

    :param status: ``PENDING``, ``IN_PROGRESS``, ``FAILED`` or ``SUCCEEDED``; ``None`` for any.
    :param requested_after: operations that were started at this time or later: a datetime, or ISO 8601 (UTC unless it
        names a zone); ``None`` for any.
    :param requested_before: operations that were started at this time or before it; ``None`` for any.
    :param limit: how many ids are pushed to XCom at most.
    :param nrfprov_conn_id: Airflow connection of type ``nrfprov``.
    :return: the list of ids (ULIDs).
    :raises TooManyForXComError: if there are more than ``limit``.
    :raises ArgumentError: for a condition that renders to nothing or is not a time.
    :raises ServiceError: with the service's status and words.
    """

    arguments: ClassVar[Arguments] = {
        "status": Argument(choice("PENDING", "IN_PROGRESS", "FAILED", "SUCCEEDED"), optional=True),
        "requested_after": Argument(moment, optional=True),
        "requested_before": Argument(moment, optional=True),
        "limit": Argument(count(1)),
    }

    def __init__(
        self,
        *,
        status: Literal["PENDING", "IN_PROGRESS", "FAILED", "SUCCEEDED"] | str | None = None,
        requested_after: datetime | str | None = None,
        requested_before: datetime | str | None = None,
        limit: int | str = 200,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.status = status
        self.requested_after = requested_after
        self.requested_before = requested_before
        self.limit = limit
        self._check_constants()

    def execute(self, context: Context) -> list[str]:
        """Read the list page by page."""
        limit = self._value("limit")
        found = self.hook.list_bulk_ops_requests(
            status=self._value("status"),
            requested_from=self._value("requested_after"),
            requested_until=self._value("requested_before"),
        )
        operations = list(islice(found, limit + 1))
        if len(operations) > limit:
            raise TooManyForXComError(
                f"there are more than {limit} such bulk operations: narrow the time, or raise limit"
            )
        for each in operations:
            self.log.info(
                "bulk operation %s (%s) is %s; requested %s, completed %s",
                each.id, each.endpoint or "unknown endpoint", each.status, each.requested_at, each.completed_at,
            )  # fmt: skip
        self.log.info("bulk operations: %d", len(operations))
        return [each.id for each in operations]


class NrfProvFetchBulkOpsOperator(ConnectedOperator):
    """Fetches one bulk operation, and shows its error summary and its result data in the log.

    What the result data of a claim holds is unknown: it is shown as it is, but for claim tokens. What became of each row of a
    claim is what
    :class:`~airflow_provider_nrfprov.operators.bulk_claim.NrfProvBulkClaimReportOperator` finds out.

    :param bulk_ops_request_id: id of the operation (a ULID).
    :param nrfprov_conn_id: Airflow connection of type ``nrfprov``.
    :return: ``{"id", "status", "endpoint", "requested_at", "completed_at", "errors", "examples", "result"}``: ``errors`` is the
        number of errors, ``examples`` ten of them, ``result`` the first 2,000 characters of the result data or ``None``.
        Rows count from 0.
    :raises NotFoundError: if there is no such operation.
    :raises ServiceError: with the service's status and words; also if a file of the operation is unavailable.
    """

    arguments: ClassVar[Arguments] = {"bulk_ops_request_id": Argument(text)}

    def __init__(self, *, bulk_ops_request_id: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.bulk_ops_request_id = bulk_ops_request_id
        self._check_constants()

    def execute(self, context: Context) -> dict[str, Any]:
        """Fetch the operation and its files."""
        hook = self.hook
        operation = hook.fetch_bulk_ops_request(self._value("bulk_ops_request_id"))
        errors = list(_in_words(hook.fetch_error_summary(operation)))
        result = hook.fetch_result_data(operation)
        self.log.info(
            "bulk operation %s is %s; requested %s, completed %s; errors: %d",
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
    yield from (f"device {device}: {message}" for device, message in summary.devices.items())
    yield from summary.others
