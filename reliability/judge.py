"""Holds a report against the emulator's own state: what is lost, done twice or said wrongly."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from airflow_provider_nrfprov.emulator.accounts import TEAM_A
from airflow_provider_nrfprov.emulator.service import Service
from reliability.scenario import Scenario

OURS = {"claimed", "already_claimed"}


def read_report(folder: Path) -> list[dict[str, str]]:
    """Read ``report.csv``."""
    with (folder / "report.csv").open(newline="") as stream:
        return list(csv.DictReader(stream))


def faults_of_report(scenario: Scenario, report: list[dict[str, str]], service: Service) -> Iterator[str]:
    """Yield what is wrong with any report, also one of a run that was interrupted."""
    lines = [int(row["line"]) for row in report]
    if lines != list(range(1, len(scenario.lines) + 1)):
        yield f"lost or doubled rows: {len(scenario.lines)} in the file, {len(report)} in the report"
        return
    ours = service.claimed_ids(TEAM_A)
    for row, (_, device_id) in zip(report, scenario.lines, strict=True):
        if (row["outcome"] == "rejected") != (device_id is None):
            yield f"line {row['line']}: {row['outcome']} ({row['message']})"
        elif row["outcome"] in OURS and row["device_id"] not in ours:
            yield f"line {row['line']}: {row['outcome']}, but the service has not claimed it for us"


def faults_of_end(scenario: Scenario, report: list[dict[str, str]], service: Service) -> Iterator[str]:
    """Yield what is wrong at the end of a run, when nothing went wrong any more."""
    expected = {"nobody": "claimed", "ours": "already_claimed", "theirs": "failed"}
    owner = {device.device_id: device.owner for device in scenario.devices}
    for row in report:
        device_id = row["device_id"]
        if row["outcome"] != "rejected" and row["outcome"] != expected[owner[device_id]]:
            yield f"line {row['line']}: {row['outcome']} instead of {expected[owner[device_id]]} ({row['message']})"
    yield from faults_of_claims(scenario, service)


def faults_of_claims(scenario: Scenario, service: Service) -> Iterator[str]:
    """Yield devices that were lost, claimed twice, or for which two bulk claims were started."""
    ours, claims = service.claimed_ids(TEAM_A), Counter(service.claim_counts())
    submissions = service.submission_counts()
    for device in scenario.devices:
        if device.owner != "theirs" and device.device_id not in ours:
            yield f"lost: {device.device_id}"
        if claims[device.device_id] > 1:
            yield f"claimed {claims[device.device_id]} times: {device.device_id}"
        # Under the synchronous contract the words of a refusal are lost with the answer: it has to be asked again.
        may_be_repeated = device.owner == "theirs" and scenario.settings["contract"] == "sync"
        if submissions.get(device.device_id, 0) > 1 and not may_be_repeated:
            yield f"sent {submissions[device.device_id]} times: {device.device_id}"
