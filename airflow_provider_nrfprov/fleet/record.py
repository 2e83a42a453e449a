"""What was done to which devices, kept where a crash cannot take it.

Which devices are meant is written before anything is done to them. What was done follows in segments of 500 devices, each a
file written whole, since an object store cannot append. A crash loses the last segment at most; the next try looks at what
each device is like. When every device is done the record is closed: the same work in the same run starts over then.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import logging
import re
import time
from collections.abc import Collection, Iterator

from airflow_provider_nrfprov.files.storage import Folder
from airflow_provider_nrfprov.fleet.engine import SETTLED, DeviceResult

FOLDER = "progress"
_CLOSED = "closed.json"
_DEVICES = 500
_SECONDS = 10.0
_DEVICE = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")

_log = logging.getLogger(__name__)


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
        self._named = sorted(name for name in names if name.endswith(".txt"))
        self._unwritten: list[DeviceResult] = []
        self._written_at = time.monotonic()

    def begin(self, device_ids: Collection[str]) -> list[str]:
        """Write which devices are meant; return those that an earlier try meant and this one does not."""
        earlier = dict.fromkeys(
            line for name in self._named for line in self._lines(name) if _DEVICE.fullmatch(line)
        )
        new = (each for each in device_ids if each not in earlier)
        if (first := next(new, None)) is not None:
            name = f"named-{len(self._named) + 1:06d}.txt"
            with self._folder.writing(name) as stream:
                stream.write(f"{first}\n")
                stream.writelines(f"{each}\n" for each in new)
        if earlier:
            for each in device_ids:
                earlier.pop(each, None)
        return list(earlier)

    def read(self) -> dict[str, DeviceResult]:
        """Return what earlier tries did, by device; under 500 bytes each. What cannot be read any more is left out."""
        outcomes = {outcome.value: outcome for outcome in SETTLED}
        # Most are alike in all but their device.
        known: dict[tuple[str, ...], tuple[str, ...]] = {}
        done: dict[str, DeviceResult] = {}
        for name in self._names:
            for row in csv.reader(self._lines(name)):
                if len(row) != len(DeviceResult._fields) or row[1] not in outcomes:
                    _log.warning("%s is damaged; its devices are looked at again", self._folder.path_of(name))
                    break
                device_id, outcome, *rest = row
                status, message = known.setdefault(tuple(rest), tuple(rest))
                done[device_id] = DeviceResult(device_id, outcomes[outcome], status, message)
        return done

    def _lines(self, name: str) -> Iterator[str]:
        return iter((self._folder.read(name) or "").splitlines())

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
        """Note that nothing is left to be done."""
        self._folder.write(_CLOSED, json.dumps({"segments": self._segments}))
