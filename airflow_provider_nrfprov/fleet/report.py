"""One outcome for each device: ``report.csv``, ``failed_devices.txt`` and ``summary.json``.

The names and columns are those of the bulk claim's report as far as they make sense here.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Mapping
from typing import IO

from airflow_provider_nrfprov.claiming.report import REPORT, SUMMARY
from airflow_provider_nrfprov.files.csv_cells import csv_line
from airflow_provider_nrfprov.files.storage import Folder
from airflow_provider_nrfprov.fleet.engine import SETTLED, DeviceOutcome, DeviceResult, Tally

FAILED_DEVICES = "failed_devices.txt"
COLUMNS = ("device_id", "outcome", "status", "message")


class DeviceReport:
    """A report, gathered on the local disk line by line and written to its folder at the end.

    So that nothing is in the folder that is not whole, and an object store needs no open upload meanwhile.
    """

    def __init__(self, folder: Folder) -> None:
        self._folder = folder
        self._lines: IO[str] = _spool()
        self._failed: IO[str] = _spool()
        self._lines.write(csv_line(COLUMNS))

    def close(self) -> None:
        """Let go of what was gathered."""
        self._lines.close()
        self._failed.close()

    def add(self, result: DeviceResult) -> None:
        """Take what became of a device."""
        self._lines.write(csv_line((result.device_id, result.outcome.value, result.status, result.message)))
        if result.outcome not in SETTLED:
            self._failed.write(f"{result.device_id}\n")

    def write(
        self, action: str, tally: Tally, ended_early: str | None, facts: Mapping[str, object]
    ) -> dict[str, str | None]:
        """Write the files.

        ``failed_devices.txt`` has the devices that failed or were not tried, one UUID a line: the
        ``device_file`` of another task.

        :param action: what was done, in a word.
        :param ended_early: why the last devices were not tried.
        :param facts: put into ``summary.json``, too.
        :return: the paths ``report`` and ``failed_devices``, the latter ``None`` if there are none.
        """
        for name, lines in ((REPORT, self._lines), (FAILED_DEVICES, self._failed)):
            lines.seek(0)
            with self._folder.writing(name) as target:
                shutil.copyfileobj(lines, target)
        left = tally.counts[DeviceOutcome.FAILED] + tally.counts[DeviceOutcome.NOT_TRIED]
        paths = {
            "report": self._folder.path_of(REPORT),
            "failed_devices": self._folder.path_of(FAILED_DEVICES) if left else None,
        }
        counts = {outcome.value: count for outcome, count in tally.counts.items()}
        summary = {
            **facts,
            "action": action,
            "devices": tally.devices,
            **counts,
            **paths,
            "ended_early": ended_early,
        }
        self._folder.write(SUMMARY, json.dumps(summary, indent=2))
        return paths


def _spool() -> IO[str]:
    # A service may send half a character; which must not cost a report.
    return tempfile.TemporaryFile("w+", encoding="utf-8", errors="backslashreplace", newline="")
