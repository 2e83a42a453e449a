"""A folder in which a job keeps its files: local, or on an object store.

Works with whatever behaves as :class:`pathlib.Path` does (Airflow's ``ObjectStoragePath`` does).
A file is whole or not there: locally it is written beside and renamed; an object store shows an
object only when it is complete.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, AnyStr, Protocol, TextIO, cast

_OWNER_ONLY = 0o600


def lines(stream: IO[AnyStr]) -> Iterator[AnyStr]:
    """Yield the lines of an open file; what Airflow 2 opens on an object store cannot be iterated itself."""
    while line := stream.readline():
        yield line


class PathLike(Protocol):
    """The part of :class:`pathlib.Path` that is used here."""

    def __truediv__(self, name: str) -> PathLike:
        """Give the path of something in this folder."""
        ...

    def open(self, mode: str = ..., **kwargs: Any) -> IO[Any]:
        """Open the file."""
        ...

    def mkdir(self, *, parents: bool, exist_ok: bool) -> None:
        """Make the folder."""
        ...

    def iterdir(self) -> Iterator[Any]:
        """Give the paths of what is in the folder; each has a ``name``."""
        ...


class Folder:
    """A folder by its path. It is made when something is first written to it."""

    def __init__(self, path: PathLike) -> None:
        self.path = path

    def __str__(self) -> str:
        return str(self.path)

    def folder(self, name: str) -> Folder:
        """Give a folder inside this one."""
        return Folder(self.path / name)

    def path_of(self, name: str) -> str:
        """Give the whole path of a file in here, as text."""
        return str(self.path / name)

    def names(self) -> set[str]:
        """Give the names of what is in here; none if the folder is not there."""
        try:
            return {entry.name for entry in self.path.iterdir()}
        except (FileNotFoundError, NotADirectoryError):
            return set()

    def read(self, name: str) -> str | None:
        """Give the text of a file, ``None`` if it is not there."""
        try:
            with (self.path / name).open("rb") as stream:
                return cast("bytes", stream.read()).decode()
        except FileNotFoundError:
            return None

    def write(self, name: str, text: str) -> None:
        """Write a file, whole."""
        with self.writing(name) as stream:
            stream.write(text)

    @contextlib.contextmanager
    def writing(self, name: str, *, owner_only: bool = False) -> Iterator[TextIO]:
        """Open a file for writing; it appears under its name when the block ends without an error.

        ``owner_only`` keeps others from reading it where the file system knows owners. Surrogates of
        bytes that were no UTF-8 are written as those bytes again.
        """
        self.path.mkdir(parents=True, exist_ok=True)
        target = self.path / name
        # Not Path itself: before Airflow 3 an ObjectStoragePath is one, too.
        if not isinstance(target, type(Path())):
            with target.open("w", encoding="utf-8", errors="surrogateescape", newline="") as stream:
                yield cast("TextIO", stream)
            return
        beside = target.with_name(f".{name}.{os.getpid()}.part")
        mode = _OWNER_ONLY if owner_only else 0o666
        try:
            descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
            with os.fdopen(descriptor, "w", encoding="utf-8", errors="surrogateescape", newline="") as stream:
                yield stream
                stream.flush()
                os.fsync(descriptor)
            beside.replace(target)
        finally:
            beside.unlink(missing_ok=True)
