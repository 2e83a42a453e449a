"""What the operators that end in a claim's report share: they settle every row, write the report and judge."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, ClassVar

from airflow_provider_nrfprov.arguments import Argument, Arguments, count, ratio
from airflow_provider_nrfprov.asset_events import describe
from airflow_provider_nrfprov.counted import counted
from airflow_provider_nrfprov.exceptions import RowsFailedError, RowsRejectedError, RowsUnknownError
from airflow_provider_nrfprov.hooks.metrics import count_outcomes
from airflow_provider_nrfprov.links.nrf_cloud import NrfProvPortalLink, device_page
from airflow_provider_nrfprov.links.report import NrfProvReportLink
from airflow_provider_nrfprov.operators.base import ArgumentReadingOperator, ConnectedOperator, push
from airflow_provider_nrfprov.operators.lineage import claim_lineage
from airflow_provider_nrfprov.operators.tolerance import RejectedTolerance, Tolerance

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context
    from airflow.providers.openlineage.extractors import OperatorLineage

    from airflow_provider_nrfprov.claiming.job import ClaimJob
    from airflow_provider_nrfprov.claiming.plan import Owner
    from airflow_provider_nrfprov.claiming.report import Summary

OPERATION_IDS_FILE = "bulk_ops_request_ids.txt"
IDS_IN_XCOM = 40
"""The most ids of bulk operations that are pushed as an XCom; of more, the path of their list is pushed."""
_REASONS = 5
_CHARACTERS_OF_REASONS = 1_000
"""Of JSON, where a character that is not of ASCII takes six."""


class ClaimJudgingOperator(ArgumentReadingOperator):
    """The base of operators that fail if too many rows of a claim failed or were rejected. Not for use in DAGs."""

    arguments: ClassVar[Arguments] = {
        "max_failed_rows": Argument(count(), optional=True),
        "max_failed_ratio": Argument(ratio, optional=True),
        "max_rejected_rows": Argument(count(), optional=True),
        "max_rejected_ratio": Argument(ratio, optional=True),
    }
    ui_color = "#d7f0f7"
    written_report: str | None = None
    """Path of the claim's report, once there is one; the link to it asks."""
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
        :param explain: returns the lines that an error ends in.
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


class ClaimReportingOperator(ClaimJudgingOperator, ConnectedOperator):
    """What both operators do at the end: settle every row, write the report, judge."""

    arguments: ClassVar[Arguments] = {
        **ClaimJudgingOperator.arguments,
        **ConnectedOperator.arguments,
    }
    xcoms: ClassVar[Mapping[str, str]] = {
        "report": "path of ``report.csv``",
        "summary": "what ``return_value`` is, the claim file, service and connection; there also if the task fails",
    }
    operator_extra_links = (NrfProvPortalLink(), NrfProvReportLink())
    _read: tuple[str, int] | None = None
    """The claim file and its number of rows, then."""
    _job: ClaimJob | None = None

    def get_openlineage_facets_on_complete(self, task_instance: Any) -> OperatorLineage | None:
        """Return to OpenLineage's provider, which alone calls this, what was read and written."""
        if self._read is None:
            return (
                claim_lineage(self._value("claim_file"), None, None)
                if "claim_file" in self.arguments
                else None
            )
        claim_file, rows = self._read
        return claim_lineage(claim_file, self.written_report, rows)

    def on_kill(self) -> None:
        """Stop at once, and say what goes on: nothing is undone, a new try goes on from the ledger."""
        # Airflow 3 calls this from a signal handler and lets execute run on.
        if self._job is not None:
            self._job.stop()
            self.log.warning(
                "killed; nRF Cloud goes on with what was sent, and the next try of this task continues from the ledger in %s",
                self._job.folder,
            )

    @contextmanager
    def _working_on(self, job: ClaimJob) -> Iterator[None]:
        """Let ``on_kill`` reach the job."""
        self._job = job
        try:
            yield
        finally:
            # Airflow copies operators, and a lock cannot be copied.
            self._job = None
            job.close()

    def _report(self, job: ClaimJob, context: Context) -> Summary:
        """Write the report of a job, from its ledger and the service's answers."""
        self.log.info("finding out what became of each row")
        summary = job.report(owner_of(context))
        self.log.info("report: %s\n%s", summary.report, summary)
        # Before it is judged: a claim that fails has counts, too.
        count_outcomes("rows", {outcome.value: count for outcome, count in summary.counts.items()})
        claim_file = job.details.claim_file
        where = self._where_to(job)
        push(self, context, report=summary.report, summary=summary_in_xcom(summary, claim_file, where))
        facts = {
            "claim_file": claim_file,
            "report_dir": str(job.folder),
            "job": job.job_id,
            "bulk_ops_request_ids": in_xcom(job.operations, job.folder),
        }
        self.written_report, self._read = summary.report, (claim_file, summary.rows)
        # They become events only if the task succeeds.
        describe(context, self.outlets, {**summary.as_dict(), **facts})
        return summary

    def _where_to(self, job: ClaimJob) -> dict[str, Any]:
        """Return which service the rows were sent to, through which connection, and where a device's page is."""
        conn_id = self._value("nrfprov_conn_id")
        found = {
            "service": list(job.details.service),
            "connection": conn_id,
            "device_url": device_page(conn_id),
        }
        return {name: value for name, value in found.items() if value}

    def _verdict(self, summary: Summary) -> dict[str, Any]:
        """Judge a report; return the receipt for XCom."""
        return dict(self._judge(summary.as_dict(), lambda: (str(summary), *summary.examples)))


def owner_of(context: Context) -> Owner:
    """Return the task that runs; what a context lacks, as of a bare call, is left out."""
    from airflow_provider_nrfprov.claiming.plan import Owner

    ti = context.get("ti")
    map_index = getattr(ti, "map_index", None)
    return Owner(
        dag_id=str(getattr(ti, "dag_id", "")),
        run_id=str(context.get("run_id") or getattr(ti, "run_id", "")),
        task_id=str(getattr(ti, "task_id", "")),
        map_index=-1 if map_index is None else int(map_index),
        try_number=int(getattr(ti, "try_number", 1) or 1),
    )


def summary_in_xcom(summary: Summary, claim_file: str, where: Mapping[str, Any]) -> dict[str, Any]:
    """Return counts, paths and the most frequent reasons as they go into an XCom, where the web page looks for them.

    :param where: what else the page shows of a claim.
    """
    reasons: list[dict[str, Any]] = []
    room = _CHARACTERS_OF_REASONS
    for each in summary.reasons[:_REASONS]:
        words = f"{each.reason[:159]}…" if len(each.reason) > 160 else each.reason
        short = {"outcome": each.outcome, "reason": words, "count": each.count}
        room -= len(json.dumps(short))
        if room < 0:
            break
        reasons.append(short)
    return {"claim_file": claim_file, **where, **summary.as_dict(), "reasons": reasons}


def in_xcom(operations: list[str], folder: Any) -> list[str] | str:
    """Return the ids of operations as they go into an XCom: of many, the path of their list."""
    if len(operations) <= IDS_IN_XCOM:
        return operations
    folder.write(OPERATION_IDS_FILE, "\n".join(operations) + "\n")
    path: str = folder.path_of(OPERATION_IDS_FILE)
    return path
