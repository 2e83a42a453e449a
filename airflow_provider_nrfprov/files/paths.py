"""Paths that a user writes, local or on an object store."""

from __future__ import annotations

import errno
import os
from pathlib import Path, PosixPath
from typing import TYPE_CHECKING, TypeAlias, cast
from urllib.parse import unquote

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import ObjectStoragePath

PathLike: TypeAlias = "Path | ObjectStoragePath"
"""Where files and folders are; both classes are used alike."""


def to_path(where: str | os.PathLike[str]) -> PathLike:
    """Turn a path or URL into something that can be opened.

    Without a scheme, or with ``file://``, it is local to the worker; ``s3://conn_id@bucket/key`` and the
    like go through Airflow's ``ObjectStoragePath``.

    :raises ValueError: if a ``file://`` URL names another host.
    """
    if not isinstance(where, str):
        return cast("PathLike", where)
    scheme, separator, rest = where.partition("://")
    if not separator:
        return Path(where)
    if scheme.lower() == "file":
        host, slash, name = rest.partition("/")
        if host not in {"", "localhost"}:
            raise ValueError(
                f"{where!r} names the host {host!r}; a file:// URL is local, like file:///folder/file"
            )
        return Path(unquote(slash + name))
    from airflow.providers.common.compat.sdk import ObjectStoragePath

    return ObjectStoragePath(where)


def require_regular(path: PathLike) -> None:
    """See that a path leads to no pipe, socket or device, which may never end, or never return a byte.

    :raises OSError: if it does. What is not there, and what is not local, is left to who opens it.
    """
    if isinstance(path, PosixPath) and path.exists() and not path.is_file() and not path.is_dir():
        raise OSError(errno.EINVAL, "it is not a regular file (a pipe, a socket or a device)", str(path))


def default_report_dir(claim_file: str, run_id: str, map_index: int = -1) -> str:
    """Return the folder beside a claim file in which a task of a DAG run reports if none is named.

    It is another for each file (its whole name counts: ``tokens.001`` is not ``tokens.002``), run and map index.
    """
    parent, _, name = claim_file.rpartition("/")
    safe_run_id = "".join(
        character if character.isalnum() or character in "-_." else "_" for character in run_id
    )
    folder = f"{name}-reports/{safe_run_id}" + (f"/{map_index}" if map_index >= 0 else "")
    return f"{parent}/{folder}" if parent else folder


def folder_and_name(path: str) -> tuple[str, str]:
    """Part the path or URL of a file into its folder and its name.

    :raises ValueError: if it ends in a slash, so that it names no file.
    """
    parent, slash, name = path.rpartition("/")
    if not name:
        raise ValueError(f"{path!r} names a folder, not a file")
    return (parent or slash or "."), name
