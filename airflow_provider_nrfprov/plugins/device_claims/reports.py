"""A report as the web server may serve it: a regular file of bounded size, whose own summary says which task's it is.

Everything here may have to wait for a storage: it is for a thread only.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from stat import S_ISREG
from typing import Any, BinaryIO, cast

from airflow_provider_nrfprov.claiming import report as claim_report
from airflow_provider_nrfprov.claiming.report import REPORT, SUMMARY
from airflow_provider_nrfprov.files.paths import to_path
from airflow_provider_nrfprov.fleet import report as device_report

MOST_BYTES = 1 << 30
"""About ten million rows."""
_MOST_BYTES_OF_SUMMARY = 1 << 20
_MOST_CHARACTERS_OF_HEADER = 1 << 16
_HEADERS = {",".join(columns) for columns in (claim_report.COLUMNS, device_report.COLUMNS)}


class NoReportError(Exception):
    """There is no report to show; the text says why."""


@dataclass(frozen=True)
class Report:
    """A report that may be shown to those who may read the XComs of its DAG."""

    path: str
    summary: Mapping[str, Any]
    """What the ``summary.json`` beside it says."""
    size: int
    """In bytes."""
    stamp: str
    """Is another if the file is another."""


def find(path: Any, owner: Mapping[str, Any]) -> Report:
    """Return the report at the path that a task pushed.

    :param path: as the XCom ``report`` has it; it may be written by hand, and name any file that this server can read.
    :param owner: ``dag_id``, ``run_id``, ``task_id`` and ``map_index`` of that task.
    :raises NoReportError: if it is none, or the summary beside it does not say that it is this task's.
    """
    if not isinstance(path, str) or not path:
        raise NoReportError("This task has written no report, at least not in its last try.")
    folder, _, name = path.rpartition("/")
    if name != REPORT:
        raise NoReportError(f"The file that the task named is not a {REPORT}, so it is not shown.")
    with _opened(f"{folder}/{SUMMARY}", _MOST_BYTES_OF_SUMMARY) as (stream, _, _):
        try:
            said = json.loads(stream.read(_MOST_BYTES_OF_SUMMARY))
        except (ValueError, RecursionError):
            said = None
    if not isinstance(said, dict) or any(said.get(key) != value for key, value in owner.items()):
        raise NoReportError(
            "The summary beside the file that the task named does not say that the report is this task's, so it is not shown."
        )
    with _opened(path, MOST_BYTES) as (_, size, stamp):
        return Report(path, said, size, stamp)


@contextlib.contextmanager
def opened(path: str) -> Any:
    """Open a report; yield the stream from its first line on, its size in bytes, and its stamp.

    :raises NoReportError: if it is no report, or cannot be read here.
    """
    with _opened(path, MOST_BYTES) as (stream, size, stamp):
        header = stream.readline(_MOST_CHARACTERS_OF_HEADER).decode("utf-8", "replace")
        # Further columns are those of the claim file.
        if not any(f"{header.strip()},".startswith(f"{columns},") for columns in _HEADERS):
            raise NoReportError(
                "The file that the task named does not begin like a report, so it is not shown."
            )
        stream.seek(0)
        yield stream, size, stamp


@contextlib.contextmanager
def _opened(path: str, most_bytes: int) -> Any:
    with contextlib.ExitStack() as stack:
        try:
            where: Any = to_path(path)
            stream, size, stamp = _local(where) if _is_local(where) else _object(where)
            stack.callback(stream.close)
        except FileNotFoundError as error:
            raise NoReportError(
                f"{path} is not there, as far as this web server sees: it was moved or removed, or is on another machine. "
                "The page can show reports on an object store, or in a folder that workers and web server share."
            ) from error
        except Exception as error:  # every object store fails in its own way
            raise NoReportError(
                f"The report is at {path}, which this web server cannot read ({type(error).__name__}). "
                "It can if report_dir is on an object store, or in a folder that workers and web server share."
            ) from error
        if size > most_bytes:
            raise NoReportError(
                f"{path} has {size:,} bytes, more than the {most_bytes:,} that can be shown here."
            )
        yield stream, size, stamp


def _is_local(where: Any) -> bool:
    # Airflow 2's path on an object store is a Path, too.
    return not hasattr(where, "storage_options") or where.protocol in {"", "file", "local"}


def _local(where: Any) -> tuple[BinaryIO, int, str]:
    """Open a file that is one: a pipe or a device would keep its reader waiting, and a link leads out of the folder."""
    flags = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOFOLLOW
    descriptor = os.open(getattr(where, "path", str(where)), flags)
    try:
        stat = os.fstat(descriptor)
        if not S_ISREG(stat.st_mode):
            raise OSError(f"{where} is not a regular file")
        return os.fdopen(descriptor, "rb"), stat.st_size, f"{stat.st_ino} {stat.st_mtime_ns}"
    except BaseException:
        os.close(descriptor)
        raise


def _object(where: Any) -> tuple[BinaryIO, int, str]:
    # What its client remembers is what was.
    where.fs.invalidate_cache()
    about = where.fs.info(where.path)
    stamp = next(
        (str(about[key]) for key in ("ETag", "etag", "LastModified", "updated", "mtime") if about.get(key)),
        "",
    )
    return cast("BinaryIO", where.open("rb")), int(about["size"]), stamp
