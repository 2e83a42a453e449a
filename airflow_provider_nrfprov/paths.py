"""Paths that a user writes, local or on an object store."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from airflow_provider_nrfprov.storage import PathLike


def to_path(text: str) -> PathLike:
    """Turn a path or URL into something that can be opened.

    Without a scheme, or with ``file://``, it is local to the worker; ``s3://conn_id@bucket/key`` and the
    like go through Airflow's ``ObjectStoragePath``.
    """
    if "://" not in text:
        return cast("PathLike", Path(text))
    scheme, rest = text.split("://", 1)
    if scheme == "file":
        return cast("PathLike", Path(rest))
    from airflow.providers.common.compat.sdk import ObjectStoragePath

    return cast("PathLike", ObjectStoragePath(text))


def default_report_dir(claim_file: str, run_id: str) -> str:
    """Give the folder beside a claim file in which the reports of a DAG run go if none is named."""
    parent, _, name = claim_file.rpartition("/")
    safe_run_id = "".join(
        character if character.isalnum() or character in "-_." else "_" for character in run_id
    )
    folder = f"{name.rsplit('.', 1)[0]}-reports/{safe_run_id}"
    return f"{parent}/{folder}" if parent else folder


def folder_and_name(path: str) -> tuple[str, str]:
    """Part the path or URL of a file into its folder and its name.

    :raises ValueError: if it ends in a slash, so that it names no file.
    """
    parent, slash, name = path.rpartition("/")
    if not name:
        raise ValueError(f"{path!r} names a folder, not a file")
    return (parent or slash or "."), name
