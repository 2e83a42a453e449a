"""The indexes of reports: kept in a folder of this server, built in a program beside it, few at a time."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import tempfile
import threading
import time
from concurrent.futures import Future
from contextlib import suppress
from pathlib import Path
from stat import S_IMODE, S_ISDIR
from typing import IO, cast

from airflow_provider_nrfprov.plugins.device_claims.building import FORMAT
from airflow_provider_nrfprov.plugins.device_claims.reports import NoReportError, Report, opened
from airflow_provider_nrfprov.plugins.device_claims.threads import ENVIRONMENT, command

_AT_A_TIME = 2
_WAITING = 20
_MOST_BYTES = 4 << 30
"""Of all indexes together; those that were used last are kept."""
_GROWTH = 4
"""How many times as large as its report an index is at most."""
_SECONDS = 900
_BLOCK = 1 << 18
_PROGRAM = "from airflow_provider_nrfprov.plugins.device_claims.building import main; sys.exit(main())"


class Build:
    """An index that is being built."""

    def __init__(self, report: Report) -> None:
        self.report = report
        self.read = 0
        """Bytes of the report that were read."""
        self.done: Future[None] = Future()
        self.done.set_running_or_notify_cancel()
        self.error: str | None = None

    @property
    def share(self) -> float:
        """How much of it is done, from 0 to 1. The last tenth is what comes after the last row."""
        return 0.9 * self.read / max(1, self.report.size)


class Indexes:
    """Finds the index of a report, or has it built.

    :param folder: where they are kept; by default one of this user below the folder for temporary files.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder
        self._lock = threading.Lock()
        self._builds: dict[Path, Build] = {}
        self._turns = threading.Semaphore(_AT_A_TIME)

    def of(self, report: Report) -> Path | Build:
        """Return the file of a report's index, or the build of it.

        :raises NoReportError: if it could not be built.
        """
        with self._lock:
            if self._folder is None:
                self._folder = _own_folder()
            target = self._folder / f"{_name(report)}.sqlite"
            build = self._builds.get(target)
            if build is None:
                if target.exists():
                    os.utime(target)
                    return target
                if len(self._builds) >= _WAITING:
                    raise NoReportError(
                        "Too many reports are being read at the moment; try again in a minute."
                    )
                build = self._builds[target] = Build(report)
                threading.Thread(
                    target=self._build, args=(build, target), name="nrfprov-index", daemon=True
                ).start()
            elif build.error is not None:
                del self._builds[target]
                raise NoReportError(build.error)
        return build

    def _build(self, build: Build, target: Path) -> None:
        part = target.with_name(f"{target.name}.{os.getpid()}.{time.monotonic_ns()}.part")
        try:
            with self._turns:
                _make_room(target.parent, _GROWTH * build.report.size)
                _run(build, part)
                part.replace(target)
        except Exception as error:  # noqa: BLE001 - shown to whoever asked
            build.error = (
                str(error)
                if isinstance(error, NoReportError)
                else f"The rows cannot be shown ({type(error).__name__})."
            )
        finally:
            part.unlink(missing_ok=True)
            with self._lock:
                if build.error is None:
                    del self._builds[target]
            build.done.set_result(None)


def _run(build: Build, part: Path) -> None:
    with opened(build.report.path) as (stream, size, _):
        program = subprocess.Popen(  # noqa: S603 - our own
            command(_PROGRAM, str(size), str(part)),
            stdin=subprocess.PIPE,
            env=ENVIRONMENT,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        end = time.monotonic() + _SECONDS
        try:
            with cast("IO[bytes]", program.stdin) as target:
                while (block := stream.read(_BLOCK)) and time.monotonic() < end:
                    target.write(block)
                    build.read += len(block)
            program.wait(max(0.0, end - time.monotonic()))
        finally:
            program.kill()
            program.wait()
    if program.returncode != 0:
        raise NoReportError("The rows cannot be shown: the report could not be read to its end.")


def _name(report: Report) -> str:
    what = "\0".join((FORMAT, report.path, str(report.size), report.stamp))
    return hashlib.sha256(what.encode()).hexdigest()[:32]


def _own_folder() -> Path:
    """Return a folder that nobody else can have put anything into."""
    folder = Path(tempfile.gettempdir()) / f"nrfprov-report-indexes-{os.getuid()}"
    with suppress(FileExistsError):
        folder.mkdir(mode=0o700)
    stat = folder.lstat()
    if S_ISDIR(stat.st_mode) and stat.st_uid == os.getuid() and not S_IMODE(stat.st_mode) & 0o077:
        return folder
    return Path(tempfile.mkdtemp(prefix="nrfprov-report-indexes-"))


def _make_room(folder: Path, wanted: int) -> None:
    """Remove what was not used for longest, until an index of that size fits.

    :raises NoReportError: if the disk has no room for it.
    """
    files = []
    for file in folder.iterdir():
        with suppress(FileNotFoundError):
            stat = file.stat()
            if file.suffix == ".part" and time.time() - stat.st_mtime > 2 * _SECONDS:
                file.unlink()
            elif file.suffix == ".sqlite":
                files.append((stat.st_mtime, stat.st_size, file))
    total = sum(size for _, size, _ in files)
    for _, size, file in sorted(files):
        if total + wanted <= _MOST_BYTES and wanted < shutil.disk_usage(folder).free:
            break
        file.unlink(missing_ok=True)
        total -= size
    if wanted > shutil.disk_usage(folder).free:
        raise NoReportError(f"The rows cannot be shown: there is no room for their index in {folder}.")
