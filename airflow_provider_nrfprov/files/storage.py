"""A folder in which a job keeps its files: local, or on an object store.

Works with whatever behaves as :class:`pathlib.Path` does (Airflow's ``ObjectStoragePath`` does).
A file is whole or absent: it is written elsewhere first, and put in its place once it is complete. So whoever
dies while writing leaves what was there before.
"""

from __future__ import annotations

import contextlib
import errno
import io
import os
import secrets
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, AnyStr, BinaryIO, TextIO, cast

from airflow_provider_nrfprov.files.paths import PathLike, require_regular

_OWNER_ONLY = 0o600
_FOLDERLESS = ("s3", "gs", "gcs", "abfs", "az", "adl", "wasb")
"""Stores without folders: to make one would make the bucket, and of a mistyped name a new one."""

_DISK_IS_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def lines(stream: IO[AnyStr]) -> Iterator[AnyStr]:
    """Yield the lines of an open file; what Airflow 2 opens on an object store cannot be iterated itself."""
    while line := stream.readline():
        yield line


class Folder:
    """A folder by its path. It is made when something is first written to it."""

    def __init__(self, path: PathLike) -> None:
        self.path = path

    def __str__(self) -> str:
        return str(self.path)

    def folder(self, name: str) -> Folder:
        """Return a folder inside this one."""
        return Folder(self.path / name)

    def path_of(self, name: str) -> str:
        """Return the whole path of a file in here, as text."""
        return str(self.path / name)

    def names(self) -> set[str]:
        """Return the names of what is in here; none if the folder is not there."""
        _forget_listings(self.path)
        try:
            return {entry.name for entry in self.path.iterdir()}
        except (FileNotFoundError, NotADirectoryError):
            return set()

    def read(self, name: str) -> str | None:
        """Return the text of a file, ``None`` if it is not there. Bytes that are no UTF-8 become U+FFFD."""
        with self.reading(name) as stream:
            return None if stream is None else stream.read().decode("utf-8", "replace")

    @contextlib.contextmanager
    def reading(self, name: str) -> Iterator[BinaryIO | None]:
        """Open a file for its bytes, ``None`` if it is not there."""
        _forget_listings(self.path)
        try:
            stream = (self.path / name).open("rb")
        except FileNotFoundError:
            yield None
            return
        with stream:
            yield stream

    def write(self, name: str, text: str) -> None:
        """Write a file, whole."""
        with self.writing(name) as stream:
            stream.write(text)

    def remove(self, name: str) -> None:
        """Remove a file, if it is there."""
        with contextlib.suppress(FileNotFoundError):
            (self.path / name).unlink(missing_ok=True)

    @contextlib.contextmanager
    def writing(self, name: str, *, owner_only: bool = False) -> Iterator[TextIO]:
        """Open a file for writing text; it appears under its name when the block ends without an error.

        Surrogates of bytes that were no UTF-8 are written as those bytes again.
        """
        with self.writing_bytes(name, owner_only=owner_only) as raw:
            text = io.TextIOWrapper(raw, encoding="utf-8", errors="surrogateescape", newline="")
            yield text
            text.flush()
            text.detach()

    @contextlib.contextmanager
    def writing_bytes(self, name: str, *, owner_only: bool = False) -> Iterator[BinaryIO]:
        """Open a file for writing; it appears under its name when the block ends without an error.

        :param owner_only: let only its owner read it where the file system knows owners, whatever was there before.
        """
        target = self.path / name
        if not str(getattr(self.path, "protocol", "")).startswith(_FOLDERLESS):
            self.path.mkdir(parents=True, exist_ok=True)
        # Not Path itself: before Airflow 3 an ObjectStoragePath is one, too.
        if isinstance(target, type(Path())):
            with _beside(target, owner_only=owner_only) as stream:
                yield stream
        else:
            with _spooled(target) as stream:
                yield stream


def _forget_listings(path: Any) -> None:
    """Let an object store be asked again: others write to the same folder, and what its client remembers is what was."""
    store = getattr(path, "fs", None)
    if store is not None:
        store.invalidate_cache()


@contextlib.contextmanager
def _beside(target: Path, *, owner_only: bool) -> Iterator[BinaryIO]:
    """Write a local file under a name that nobody can foresee, and rename it: a link of that name is replaced."""
    # As root a device would be replaced, too.
    require_regular(target)
    beside = target.with_name(f".{target.name}.{secrets.token_hex(8)}.part")
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0)
    descriptor = os.open(beside, flags, _OWNER_ONLY if owner_only else 0o666)
    try:
        with _named_if_full(target), os.fdopen(descriptor, "wb") as stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        beside.replace(target)
    finally:
        beside.unlink(missing_ok=True)


@contextlib.contextmanager
def _spooled(target: Any) -> Iterator[BinaryIO]:
    """Write an object: to a local file first, which the store is given at one go once it is complete.

    A stream that is closed because its writer died would be kept by most stores, cut off, in the place of the whole one.
    """
    with tempfile.NamedTemporaryFile(prefix="nrfprov-") as spool:
        with _named_if_full(Path(spool.name)):
            yield cast("BinaryIO", spool.file)
            spool.flush()
        target.fs.put_file(spool.name, target.path)


@contextlib.contextmanager
def _named_if_full(path: Path) -> Iterator[None]:
    """Name the file in the error of a full disk: the system does so only where a file is opened."""
    try:
        yield
    except OSError as error:
        if error.errno in _DISK_IS_FULL and error.filename is None:
            error.filename = str(path)
        raise
