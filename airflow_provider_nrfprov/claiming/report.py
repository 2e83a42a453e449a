"""One outcome for each row: ``report.csv``, ``failed_rows.csv`` and a summary that fits into an XCom."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from itertools import groupby
from operator import itemgetter
from typing import NamedTuple

from airflow_provider_nrfprov.claiming.claim_file import Row, Verdict, to_csv
from airflow_provider_nrfprov.storage import Folder

REPORT = "report.csv"
FAILED_ROWS = "failed_rows.csv"
SUMMARY = "summary.json"
COLUMNS = ("line", "device_id", "outcome", "status", "message", "bulk_ops_request_id")
SHOWN_EXAMPLES = 10


class Outcome(str, Enum):
    """What became of a row. Every row ends in exactly one of these."""

    CLAIMED = "claimed"
    ALREADY_CLAIMED = "already_claimed"
    """It was ours before."""
    REJECTED = "rejected"
    """Found wanting before anything was sent."""
    FAILED = "failed"
    """The service refused it, or it was never sent; the message says which."""
    UNKNOWN = "unknown"
    """It was sent, and nobody can say what became of it (yet)."""


_TO_EXPLAIN = {Outcome.FAILED, Outcome.UNKNOWN}


class RowOutcome(NamedTuple):
    """A row and what became of it."""

    row: Row
    outcome: Outcome
    status: str = ""
    """A verdict (rejected rows), an operation's status, or the HTTP status of the answer."""
    message: str = ""
    """The service's words, unedited but for secrets; or what is wrong with the row."""
    bulk_ops_request_id: str | None = None


@dataclass(frozen=True, slots=True)
class Summary:
    """Counts of a report and where it lies."""

    counts: dict[Outcome, int]
    report: str
    failed_rows: str | None
    """A claim file of the rows to run again; ``None`` if there are none."""
    examples: tuple[str, ...] = ()
    """At most ten rows that failed or are unknown, in words."""

    @property
    def rows(self) -> int:
        """The number of rows in the claim file."""
        return sum(self.counts.values())

    @property
    def not_claimed(self) -> int:
        """How many rows failed or are unknown."""
        return self.counts[Outcome.FAILED] + self.counts[Outcome.UNKNOWN]

    def __str__(self) -> str:
        counts = ", ".join(
            f"{self.counts[outcome]:,} {outcome.value.replace('_', ' ')}" for outcome in Outcome
        )
        return f"{self.rows:,} rows: {counts}"

    def as_dict(self) -> dict[str, int | str | None]:
        """Give counts and paths: under 2 KB whatever the size of the file."""
        counts = {outcome.value: self.counts[outcome] for outcome in Outcome}
        return {"rows": self.rows, **counts, "report": self.report, "failed_rows": self.failed_rows}


def write_report(
    folder: Folder, outcomes: Iterable[RowOutcome], *, about: Mapping[str, object] | None = None
) -> Summary:
    """Write the report of a job into a folder, row by row as the outcomes come.

    ``failed_rows.csv`` is a claim file itself: the rows that failed or are unknown, and the rejected
    ones as they stand in the file, to be mended. Rows that repeat a device are left out. It holds
    claim tokens, so only its owner may read it where the file system knows owners.
    """
    counts = dict.fromkeys(Outcome, 0)
    examples: list[str] = []
    with folder.writing(REPORT) as report, folder.writing(FAILED_ROWS, owner_only=True) as failed_rows:
        report.write(_cells(COLUMNS))
        # Neighbours mostly end alike: all but their line and device is written once for all of them.
        for (outcome, status, message, operation_id), alike in groupby(outcomes, itemgetter(1, 2, 3, 4)):
            end = _cells((outcome.value, status, message, operation_id))
            count = 0
            for item in alike:
                count += 1
                report.write(f"{item.row.line},{item.row.device_id or ''},{end}")
                if outcome is not Outcome.CLAIMED:
                    failed_rows.write(_to_run_again(item))
                if outcome in _TO_EXPLAIN and len(examples) < SHOWN_EXAMPLES:
                    examples.append(
                        f"line {item.row.line} ({item.row.device_id}): {outcome.value}: {message}"
                    )
            counts[outcome] += count
    again = counts[Outcome.FAILED] + counts[Outcome.UNKNOWN] + counts[Outcome.REJECTED]
    summary = Summary(
        counts, folder.path_of(REPORT), folder.path_of(FAILED_ROWS) if again else None, tuple(examples)
    )
    folder.write(SUMMARY, json.dumps({**(about or {}), **summary.as_dict()}, indent=2))
    return summary


def read_device_ids(report: Iterable[str], outcomes: Iterable[Enum]) -> Iterator[str]:
    """Yield the device ids of a ``report.csv``, of rows or of devices, that ended in one of the given outcomes.

    :raises ValueError: if it has no such columns.
    """
    wanted = {outcome.value for outcome in outcomes}
    reader = csv.DictReader(report)
    if not {"device_id", "outcome"} <= set(reader.fieldnames or ()):
        raise ValueError(f"this is no report: it has no columns {', '.join(COLUMNS[1:3])}")
    for row in reader:
        if row["outcome"] in wanted and row["device_id"]:
            yield row["device_id"]


def _cells(values: Iterable[object]) -> str:
    line = io.StringIO()
    csv.writer(line, lineterminator="\n").writerow(values)
    return line.getvalue()


def _to_run_again(item: RowOutcome) -> str:
    if item.outcome in _TO_EXPLAIN:
        return to_csv([item.row])
    if item.outcome is Outcome.REJECTED and item.row.verdict is not Verdict.DUPLICATE_DEVICE:
        return f"{item.row.text}\n"
    return ""
