"""What the operators that judge a claim share: how many rows may fail or be rejected, and the error if more do."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, ClassVar

from airflow_provider_nrfprov.arguments import Argument, Arguments, count, ratio
from airflow_provider_nrfprov.counted import counted
from airflow_provider_nrfprov.exceptions import RowsFailedError, RowsRejectedError, RowsUnknownError
from airflow_provider_nrfprov.operators.base import ArgumentReadingOperator
from airflow_provider_nrfprov.operators.tolerance import RejectedTolerance, Tolerance


class ClaimJudgingOperator(ArgumentReadingOperator):
    """The base of operators that fail if too many rows of a claim failed or were rejected. Not for use in DAGs.

    :param max_failed_rows: how many rows may fail or be unknown; ``None`` for any number.
    :param max_failed_ratio: the share of the rows that may, from 0 to 1; the larger limit counts. ``None`` for no share.
    :param max_rejected_rows: how many rows may be rejected; ``None`` for any number, as long as some row is claimed.
    :param max_rejected_ratio: the share of the rows that may, from 0 to 1; the larger limit counts. ``None`` for no share.
    """

    arguments: ClassVar[Arguments] = {
        "max_failed_rows": Argument(count(), optional=True),
        "max_failed_ratio": Argument(ratio, optional=True),
        "max_rejected_rows": Argument(count(), optional=True),
        "max_rejected_ratio": Argument(ratio, optional=True),
    }
    _may_know_more_later = True
    """Whether a retry asks again what became of the rows that are unknown."""

    def __init__(
        self,
        *,
        max_failed_rows: int | str | None = 0,
        max_failed_ratio: float | str | None = None,
        max_rejected_rows: int | str | None = None,
        max_rejected_ratio: float | str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.max_failed_rows = max_failed_rows
        self.max_failed_ratio = max_failed_ratio
        self.max_rejected_rows = max_rejected_rows
        self.max_rejected_ratio = max_rejected_ratio

    def _tolerance(self) -> Tolerance:
        return Tolerance(self._value("max_failed_rows"), self._value("max_failed_ratio"))

    def _judge(self, summary: Mapping[str, Any], explain: Callable[[], Iterable[str]]) -> Mapping[str, Any]:
        """Fail if more rows failed, are unknown or were rejected than is allowed; else return the summary.

        :param summary: a report's, see :meth:`airflow_provider_nrfprov.claiming.report.Summary.as_dict`.
        :param explain: gives the lines that an error ends in.
        """

        def where() -> str:
            head = f"Report: {summary.get('report')}; rows to run again: {summary.get('failed_rows')}"
            return "\n".join((head, *explain()))

        rows, bad = summary["rows"], summary["failed"] + summary["unknown"]
        allowed = self._tolerance().allowed(rows)
        if bad > allowed:
            kind = RowsUnknownError if summary["unknown"] and self._may_know_more_later else RowsFailedError
            words = counted(bad, "row failed or is unknown", "rows failed or are unknown")
            raise kind(f"{words}, {allowed:,} allowed. {where()}")
        rejected = RejectedTolerance(self._value("max_rejected_rows"), self._value("max_rejected_ratio"))
        too_many = rejected.problem(
            rows=rows,
            rejected=summary["rejected"] - summary.get("repeated", 0),
            # Rows whose failure is allowed were sent: a limit of rejected rows holds beside them.
            ours=summary["claimed"] + summary["already_claimed"] + bad,
        )
        if too_many:
            raise RowsRejectedError(f"{too_many}. {where()}")
        return summary
