"""One outcome for each row: ``report.csv``, ``failed_rows.csv`` and a summary that fits into an XCom."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from itertools import count, groupby
from operator import itemgetter
from typing import NamedTuple, TextIO

from airflow_provider_nrfprov.api.redaction import redact
from airflow_provider_nrfprov.claiming.blocks import Block
from airflow_provider_nrfprov.claiming.carried_cells import CarriedCells
from airflow_provider_nrfprov.claiming.columns import Form
from airflow_provider_nrfprov.claiming.reasons import Reason, Reasons, in_lines
from airflow_provider_nrfprov.claiming.rows import Row, Verdict
from airflow_provider_nrfprov.counted import counted
from airflow_provider_nrfprov.files.csv_cells import csv_line, shortened, visible
from airflow_provider_nrfprov.files.storage import Folder

REPORT = "report.csv"
FAILED_ROWS = "failed_rows.csv"
SUMMARY = "summary.json"
COLUMNS = ("line", "device_id", "outcome", "status", "message", "bulk_ops_request_id")
SHOWN_EXAMPLES = 10
_REMEMBERED = 100_000
"""Devices that are not ours, at most: some 20 MB."""


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


CLAIMED_BEFORE = "claimed before this job"
"""What a report says of a row that ended as already claimed."""
_CLAIMED_ELSEWHERE = "another team has it: it must be unclaimed there, in nRF Cloud or by its API, before this team can claim it"
_SAYS_CLAIMED = re.compile(
    r"\balready\b.{0,40}\bclaimed\b|\bclaimed\b.{0,40}\b(?:already|another|different|other)\b", re.I
)


def explained(message: str) -> str:
    """Return the service's message on a device that is not ours, with what to do if it says that it is claimed.

    That the service words it so is INFERRED; any other message is returned as it is.
    """
    return f"{message}; {_CLAIMED_ELSEWHERE}" if _SAYS_CLAIMED.search(message) else message


_TO_EXPLAIN = {Outcome.FAILED, Outcome.UNKNOWN}


class Ending(NamedTuple):
    """What became of a row."""

    outcome: Outcome
    status: str = ""
    """A verdict (rejected rows), an operation's status, or the HTTP status of the answer."""
    message: str = ""
    """The service's message, unedited but for secrets; or what is wrong with the row."""
    bulk_ops_request_id: str | None = None


class RowOutcome(NamedTuple):
    """A row and what became of it; or rows of a block that ended alike."""

    row: Row | Block
    ending: Ending

    @property
    def size(self) -> int:
        """Return the number of rows."""
        return len(self.row) if isinstance(self.row, Block) else 1


@dataclass(frozen=True, slots=True)
class Summary:
    """Counts of a report, why rows were not claimed, and where it is."""

    counts: dict[Outcome, int]
    report: str
    failed_rows: str | None
    """A claim file of the rows to run again; ``None`` if there are none."""
    examples: tuple[str, ...] = ()
    """At most ten rows that failed or are unknown, in words."""
    reasons: tuple[Reason, ...] = ()
    """Why rows were rejected, failed or are unknown, and warnings of those that were sent; most rows first."""
    repeated: int = 0
    """How many of the rejected rows repeat a device of the file: these are not unclaimed for it."""

    @property
    def rows(self) -> int:
        """The number of rows in the claim file."""
        return sum(self.counts.values())

    @property
    def ours(self) -> int:
        """How many rows are claimed, by this job or before."""
        return self.counts[Outcome.CLAIMED] + self.counts[Outcome.ALREADY_CLAIMED]

    @property
    def not_claimed(self) -> int:
        """How many rows failed or are unknown."""
        return self.counts[Outcome.FAILED] + self.counts[Outcome.UNKNOWN]

    @property
    def counts_in_words(self) -> str:
        """All counts in one line."""
        counts = ", ".join(
            f"{self.counts[outcome]:,} {outcome.value.replace('_', ' ')}" for outcome in Outcome
        )
        return f"{counted(self.rows, 'row')}: {counts}"

    def __str__(self) -> str:
        return "\n".join((self.counts_in_words, *in_lines(self.reasons)))

    def as_dict(self) -> dict[str, int | str | None]:
        """Return counts and paths: under 2 KB whatever the size of the file."""
        counts = {outcome.value: self.counts[outcome] for outcome in Outcome}
        return {
            "rows": self.rows,
            **counts,
            "repeated": self.repeated,
            "report": self.report,
            "failed_rows": self.failed_rows,
        }


def write_report(
    folder: Folder, outcomes: Iterable[RowOutcome], *, about: Mapping[str, object] | None = None
) -> Summary:
    """Write the report of a job into a folder, row by row as the outcomes come.

    ``report.csv`` has the columns of :data:`COLUMNS` and then those of the file beside token and tags, by the
    file's names (``file_NAME`` where that is one of ours). It is safe to open in a spreadsheet.

    ``failed_rows.csv`` is a claim file itself, with the file's header and columns: the rows that failed, are
    unknown or were rejected, as they are in the file. Rows that repeat a device by the same token, or one that is ours, are left out. It holds
    claim tokens, so only its owner may read it where the file system knows owners.

    :param about: what else ``summary.json`` says: of which job the report is.
    """
    with folder.writing(REPORT) as report, folder.writing(FAILED_ROWS, owner_only=True) as failed_rows:
        tally = _Tally(report, failed_rows)
        # Neighbours mostly end alike: all but their own cells is written once for all of them.
        for ending, alike in groupby(outcomes, itemgetter(1)):
            tally.add(ending, alike)
    summary = tally.summary(folder)
    details = {"reasons": [reason.as_dict() for reason in summary.reasons]}
    folder.write(
        SUMMARY, json.dumps({**(about or {}), **summary.as_dict(), **details}, indent=2, default=str)
    )
    return summary


class _Tally:
    """Writes rows, and counts them."""

    def __init__(self, report: TextIO, failed_rows: TextIO) -> None:
        self._report = report
        self._failed_rows = failed_rows
        self._carried: CarriedCells | None = None
        self._header = ""
        self._counts = dict.fromkeys(Outcome, 0)
        self._examples: list[str] = []
        self._reasons = Reasons()
        self._repeated = self._again = 0
        self._not_ours: dict[str, int] = {}

    def add(self, ending: Ending, alike: Iterable[RowOutcome]) -> None:
        """Write rows, and blocks of rows, that ended alike."""
        usual = _cells(ending)
        is_ours = ending.outcome is Outcome.CLAIMED or ending.outcome is Outcome.ALREADY_CLAIMED
        for rows, _ in alike:
            carried = self._carried or self._begin(rows.form)
            if isinstance(rows, Block) and is_ours:
                self._counts[ending.outcome] += len(rows)
                self._report.write(_lines(rows, usual, carried.cells_of_block(rows)))
                continue
            for row in rows if isinstance(rows, Block) else (rows,):
                self._counts[ending.outcome] += 1
                words = usual
                if row.message and row.is_ok:
                    # A warning of the file's reader, beside what the service said.
                    whole = f"{ending.message}; {row.message}" if ending.message else row.message
                    words = _cells(ending._replace(message=whole))
                    self._reasons.add(row.line, ending.outcome.value, row.message)
                self._report.write(f"{row.line},{row.device_id or ''},{words}{carried.cells_of(row)}\n")
                if not is_ours:
                    self._not_claimed(row, ending)

    def _begin(self, form: Form) -> CarriedCells:
        self._carried = carried = CarriedCells(form, COLUMNS)
        self._report.write(csv_line((*COLUMNS, *carried.names)))
        return carried

    def summary(self, folder: Folder) -> Summary:
        if self._carried is None:
            self._report.write(csv_line(COLUMNS))
        return Summary(
            self._counts,
            folder.path_of(REPORT),
            folder.path_of(FAILED_ROWS) if self._again else None,
            tuple(self._examples),
            self._reasons.most_frequent(),
            self._repeated,
        )

    def _not_claimed(self, row: Row, ending: Ending) -> None:
        outcome, _, message, _ = ending
        self._reasons.add(row.line, outcome.value, message or row.message)
        if outcome in _TO_EXPLAIN and len(self._examples) < SHOWN_EXAMPLES:
            words = shortened(visible(message))
            self._examples.append(f"line {row.line} ({row.device_id}): {outcome.value}: {words}")
        device_id, token = str(row.device_id), hash(row.token)
        if row.verdict is Verdict.DUPLICATE_DEVICE and self._not_ours.get(device_id, token) == token:
            self._repeated += 1
            return
        if outcome in _TO_EXPLAIN and len(self._not_ours) < _REMEMBERED:
            # Another line of the device may hold the token that does claim it.
            self._not_ours[device_id] = token
        self._again += 1
        if row.form.header != self._header:
            self._header = row.form.header
            self._failed_rows.write(f"{self._header}\n" if self._header else "")
        self._failed_rows.write(f"{row.text}\n")


def _lines(block: Block, words: str, carried: Iterable[str]) -> str:
    columns = zip(count(block.line), block.device_ids, carried, strict=False)
    return "".join([f"{line},{device},{words}{cells}\n" for line, device, cells in columns])


def _cells(ending: Ending) -> str:
    outcome, status, message, operation_id = ending
    return csv_line((outcome.value, status, message, operation_id))[:-1]


def read_device_ids(report: Iterable[str], outcomes: Iterable[Enum]) -> Iterator[tuple[int, str]]:
    """Yield line and device id of what ended in one of the given outcomes in a ``report.csv``, of rows or of devices.

    :raises ValueError: if it has no such columns, or a row an outcome that is unknown, or one of the given and no device.
    """
    outcomes = tuple(outcomes)
    wanted = {outcome.value for outcome in outcomes}
    known = {each.value for outcome in outcomes for each in type(outcome)}
    reader = csv.DictReader(report)
    if not {"device_id", "outcome"} <= set(reader.fieldnames or ()):
        raise ValueError(f"this is not a report: it does not have the columns {', '.join(COLUMNS[1:3])}")
    for row in reader:
        outcome, device_id, line = row["outcome"], row["device_id"], reader.line_num
        if outcome not in known:
            raise ValueError(f"line {line}: {redact(repr(outcome))[:100]} is not an outcome of a report")
        if outcome in wanted and not device_id:
            raise ValueError(f"line {line}: the outcome is {outcome}, but there is no device id")
        if outcome in wanted:
            yield line, device_id
