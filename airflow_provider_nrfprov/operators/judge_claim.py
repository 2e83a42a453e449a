"""The operator that fails if too many rows of a claim failed, once its devices are tagged."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping
from itertools import islice
from typing import TYPE_CHECKING, Any, ClassVar

from airflow_provider_nrfprov.api.redaction import redact
from airflow_provider_nrfprov.arguments import Argument, ArgumentError, Arguments, fields
from airflow_provider_nrfprov.files.paths import folder_and_name, to_path
from airflow_provider_nrfprov.files.storage import Folder, lines
from airflow_provider_nrfprov.links.report import OWNER, NrfProvReportLink
from airflow_provider_nrfprov.operators.claim_reporting import ClaimJudgingOperator

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context

_SHOWN_ROWS = 10
_NUMBERS = ("rows", "claimed", "already_claimed", "rejected", "failed", "unknown")


class NrfProvJudgeClaimOperator(ClaimJudgingOperator):
    """Fails if more rows of a claim failed, or are unknown, than allowed: for a claim whose devices are tagged before it is judged.

    What is wrong is in the error: ten rows, each with its line, its device and the service's message. The task has a link to
    the claim's report. It does not ask the service anything.

    :param summary: what the claim returned, ``claim.output``.
    :param max_failed_rows: how many rows may fail or be unknown; ``None`` for any number.
    :param max_failed_ratio: the share of the rows that may, from 0 to 1; the larger limit counts. ``None`` for no share.
    :param max_rejected_rows: how many rows may be rejected; ``None`` for any number, as long as some row is claimed.
    :param max_rejected_ratio: the share of the rows that may, from 0 to 1; the larger limit counts. ``None`` for no share.
    :return: the summary as it was given.
    :raises RowsFailedError: if more did (not retried).
    :raises RowsRejectedError: if more were rejected (not retried).
    """

    arguments: ClassVar[Arguments] = {"summary": Argument(fields)}
    template_fields_renderers = {"summary": "json"}  # noqa: RUF012 - as Airflow declares it
    operator_extra_links = (NrfProvReportLink(),)
    _may_know_more_later = False
    report_owner: Mapping[str, Any] | None = None
    """Which task wrote it."""

    def __init__(self, *, summary: Mapping[str, Any] | str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.summary = summary
        self._check_constants()

    def execute(self, context: Context) -> dict[str, Any]:
        """Judge."""
        summary: dict[str, Any] = self._value("summary")
        if any(not isinstance(summary.get(name), int) for name in _NUMBERS):
            raise ArgumentError(f"summary of task {self.task_id!r} is not what a bulk claim returns")
        self.written_report = summary.get("report")
        self.report_owner = self._owner()
        return dict(self._judge(summary, self._examples))

    def _owner(self) -> dict[str, Any] | None:
        import json

        from airflow_provider_nrfprov.claiming.report import SUMMARY

        try:
            folder, _ = folder_and_name(str(self.written_report))
            found = json.loads(Folder(to_path(folder)).read(SUMMARY) or "{}")
            return {name: found[name] for name in OWNER}
        except Exception as error:  # noqa: BLE001 - every object store fails in its own way; it is only about a link
            self.log.info("cannot tell which task wrote %s: %s", self.written_report, error)
            return None

    def _examples(self) -> list[str]:
        try:
            return list(islice(_rows_to_explain(self.written_report), _SHOWN_ROWS))
        except Exception as error:  # noqa: BLE001 - every object store fails in its own way, and the verdict needs none
            self.log.warning("the report %s cannot be read: %s", self.written_report, error)
            return []


def _rows_to_explain(report: str | None) -> Iterator[str]:
    from airflow_provider_nrfprov.claiming.report import Outcome

    if report is None:
        return
    with to_path(report).open("r", encoding="utf-8", newline="") as stream:
        for row in csv.DictReader(lines(stream)):
            if row["outcome"] in {Outcome.FAILED.value, Outcome.UNKNOWN.value}:
                yield redact(f"line {row['line']} ({row['device_id']}): {row['outcome']}: {row['message']}")
