"""Where tests of the claim job do their claims: a file, a folder for its report, and a service."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

from airflow_provider_nrfprov.api.service import ProvisioningService
from airflow_provider_nrfprov.claiming.job import ClaimJob
from airflow_provider_nrfprov.claiming.report import Summary
from airflow_provider_nrfprov.emulator.mint import MintedDevice
from airflow_provider_nrfprov.files.storage import Folder


class Desk:
    """A claim file, its report folder, and what a person does with them. Nothing is waited for that may not show yet."""

    def __init__(self, folder: Path, service: ProvisioningService) -> None:
        self.file, self.folder, self.service = folder / "shift.csv", Folder(folder / "report"), service

    def write(self, *rows: str | MintedDevice) -> None:
        lines = (row if isinstance(row, str) else row.token for row in rows)
        self.file.write_text("\n".join(lines))

    def plan(self, **arguments: Any) -> ClaimJob:
        return ClaimJob.plan(self.file, self.folder, self.service, **{"visible_after": 0.0, **arguments})

    def run(self, **arguments: Any) -> Summary:
        job = self.plan(**arguments)
        job.send()
        return job.report()

    def report(self) -> list[dict[str, str]]:
        with Path(self.folder.path_of("report.csv")).open(newline="") as stream:
            return list(csv.DictReader(stream))


def counts(summary: Summary) -> dict[str, int]:
    """Return the numbers of rows by outcome, without those of which there is none."""
    return {outcome.value: number for outcome, number in summary.counts.items() if number}
