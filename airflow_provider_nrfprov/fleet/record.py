"""What was done to which devices, kept where a crash cannot take it.

In segments of 500 devices, each a file written whole, since an object store cannot append. A crash loses
the last segment at most, so that at most 500 devices are asked about twice, which does no harm. When
every device is done the record is closed: the same work in the same run starts over then.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import time

from airflow_provider_nrfprov.files.storage import Folder
from airflow_provider_nrfprov.fleet.engine import SETTLED, DeviceOutcome, DeviceResult

FOLDER = "progress"
_CLOSED = "closed.json"
_DEVICES = 500
_SECONDS = 10.0


class DeviceRecord:
    """The record of one piece of work, in a folder beside its report.

    :param work: texts that tell this work from any other: action, selection, DAG run, task.
    """

    def __init__(self, folder: Folder, *work: str) -> None:
        root = folder.folder(FOLDER)
        key = hashlib.sha256("\0".join(work).encode()).hexdigest()[:16]
        number, names = 1, root.folder(f"{key}-1").names()
        while _CLOSED in names:
            number += 1
            names = root.folder(f"{key}-{number}").names()
        self._folder = root.folder(f"{key}-{number}")
        self._names = sorted(name for name in names if name.endswith(".csv"))
        self._segments = len(self._names)
        self._unwritten: list[DeviceResult] = []
        self._written_at = time.monotonic()

    def read(self) -> dict[str, DeviceResult]:
        """Return what earlier tries did, by device; under 500 bytes each."""
        outcomes = {outcome.value: outcome for outcome in SETTLED}
        known: dict[tuple[str, ...], tuple[DeviceOutcome, str, str]] = {}
        done: dict[str, DeviceResult] = {}
        for name in self._names:
            for device_id, *rest in csv.reader(io.StringIO(self._folder.read(name) or "")):
                outcome, status, message = rest
                alike = known.setdefault(tuple(rest), (outcomes[outcome], status, message))
                done[device_id] = DeviceResult(device_id, *alike)
        return done

    def add(self, result: DeviceResult) -> None:
        """Keep what was done to a device. What failed is not kept: the next try tries it again."""
        if result.outcome not in SETTLED:
            return
        self._unwritten.append(result)
        if len(self._unwritten) >= _DEVICES or time.monotonic() - self._written_at >= _SECONDS:
            self.write()

    def write(self) -> None:
        """Write what is not written yet."""
        if self._unwritten:
            text = io.StringIO()
            csv.writer(text, lineterminator="\n").writerows(
                (each.device_id, each.outcome.value, each.status, each.message) for each in self._unwritten
            )
            self._segments += 1
            self._folder.write(f"done-{self._segments:06d}.csv", text.getvalue())
            self._unwritten.clear()
        self._written_at = time.monotonic()

    def close(self) -> None:
        """Say that nothing is left to be done."""
        self._folder.write(_CLOSED, json.dumps({"segments": self._segments}))
