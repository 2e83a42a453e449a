"""Holds a report against the emulator's own state: what is lost, done twice or said wrongly."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Set
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from airflow_provider_nrfprov.emulator.bulk import TERMINAL
from airflow_provider_nrfprov.emulator.service import Service
from reliability.scenario import Scenario

OURS = {"claimed", "already_claimed"}
REFUSED = {"theirs", "poison"}
"""Whose devices the service claims for nobody of ours, however often they are sent."""


class Remembered:
    """The emulator's state, each part of it read once: many reports can be held against it in no time."""

    def __init__(self, service: Service) -> None:
        self.claimed_ids = cache(service.claimed_ids)
        self.claim_counts = cache(service.claim_counts)
        self.submission_counts = cache(service.submission_counts)


Claims = Service | Remembered


def running_operations(service: Service) -> set[str]:
    """Return the ids of the bulk operations that have not ended."""
    now = service.now()
    return {each.id for each in service.bulk_operations() if each.status(now) not in TERMINAL}


COUNTED = (">lost", ">claimed twice", ">sent twice", ">other wrong outcomes")
"""The columns of :meth:`Tally.cells`."""
COUNTED_LEGEND = """\
- *lost*: rows that are not in the report, and devices that are not ours at the end and should be.
- *claimed twice*, *sent twice*: devices, as the emulator counts them.
- *other wrong outcomes*: rows whose outcome is not what the emulator's state says"""


@dataclass(frozen=True)
class Tally:
    """What went wrong, by kind."""

    lost: int
    claimed_twice: int
    sent_twice: int
    other: int

    @classmethod
    def of(cls, sentences: Iterable[str]) -> Tally:
        """Count what the judge found. What is not known by its first word is an outcome that is wrong."""
        found = list(sentences)
        lost = sum(sentence.startswith("lost") for sentence in found)
        claimed = sum(sentence.startswith("claimed") for sentence in found)
        sent = sum(sentence.startswith("sent") for sentence in found)
        return cls(lost, claimed, sent, len(found) - lost - claimed - sent)

    @property
    def total(self) -> int:
        """Everything that went wrong."""
        return sum(self.cells())

    def cells(self) -> tuple[int, ...]:
        """Return the counts, in the order of :data:`COUNTED`."""
        return self.lost, self.claimed_twice, self.sent_twice, self.other


def read_report(folder: Any) -> list[dict[str, str]]:
    """Read the ``report.csv`` of a folder."""
    with (folder / "report.csv").open("rb") as stream:
        text = stream.read().decode()
    return list(csv.DictReader(io.StringIO(text, newline="")))


def faults_of_run(scenario: Scenario, report_dir: Path, service: Claims) -> list[str]:
    """Return all that is wrong at the end of a run whose report is in a folder."""
    if not (report_dir / "report.csv").exists():
        return [f"lost or doubled rows: {len(scenario.lines)} in the file, and no report"]
    report = read_report(report_dir)
    # Where rows are missing or doubled, nothing else can be said of each.
    return list(faults_of_report(scenario, report, service)) or list(faults_of_end(scenario, report, service))


def faults_of_report(scenario: Scenario, report: list[dict[str, str]], service: Claims) -> Iterator[str]:
    """Yield what is wrong with any report, also one of a run that was interrupted."""
    lines = [int(row["line"]) for row in report]
    if lines != list(range(1, len(scenario.lines) + 1)):
        yield f"lost or doubled rows: {len(scenario.lines)} in the file, {len(report)} in the report"
        return
    ours = service.claimed_ids(scenario.owner)
    for row, (_, device_id) in zip(report, scenario.lines, strict=True):
        if (row["outcome"] == "rejected") != (device_id is None):
            yield f"line {row['line']}: {row['outcome']} ({row['message']})"
        elif row["outcome"] in OURS and row["device_id"] not in ours:
            yield f"line {row['line']}: {row['outcome']}, but the service has not claimed it for us"


def faults_of_end(scenario: Scenario, report: list[dict[str, str]], service: Claims) -> Iterator[str]:
    """Yield what is wrong at the end of a run, when nothing went wrong any more."""
    expected = expected_outcomes(scenario)
    for row in report:
        if row["outcome"] != "rejected" and row["outcome"] not in expected[row["device_id"]]:
            words = " or ".join(sorted(expected[row["device_id"]]))
            yield f"line {row['line']}: {row['outcome']} instead of {words} ({row['message']})"
    yield from faults_of_claims(scenario, service)


def expected_outcomes(scenario: Scenario) -> Mapping[str, Set[str]]:
    """Return what may be said at the end of each device."""
    ours, nobodys = {"already_claimed"}, {"claimed"}
    theirs = {"failed"}
    if scenario.settings.get("project_readding") == "accepted":
        # Nothing tells those apart that were ours before.
        ours |= {"claimed"}
    if scenario.may_stay_unknown:
        theirs |= {"unknown"}
    if scenario.is_blind:
        # Refused in the service's words, or not known: a look at the devices shows none.
        ours |= {"failed", "unknown"}
        nobodys |= {"failed", "unknown"}
    by_owner = {"nobody": nobodys, "ours": ours, "theirs": theirs, "poison": theirs}
    return {device.device_id: by_owner[device.owner] for device in scenario.devices}


def faults_of_claims(scenario: Scenario, service: Claims) -> Iterator[str]:
    """Yield devices that were lost, claimed twice, or for which two bulk claims were started."""
    ours, claims = service.claimed_ids(scenario.owner), Counter(service.claim_counts())
    submissions = service.submission_counts()
    for device in scenario.devices:
        if device.owner not in REFUSED and device.device_id not in ours:
            yield f"lost: {device.device_id}"
        if claims[device.device_id] > 1:
            yield f"claimed {claims[device.device_id]} times: {device.device_id}"
        # What was refused is sent again at each try: a refusal did nothing, and its cause may be mended.
        # Where nobody can see what was created, a lost answer can only be sent again.
        once = device.owner not in REFUSED and not scenario.is_blind
        if submissions.get(device.device_id, 0) > 1 and once:
            yield f"sent {submissions[device.device_id]} times: {device.device_id}"
