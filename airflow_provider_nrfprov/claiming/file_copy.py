"""The copy of a claim file: what is claimed and reported is what was read, whatever becomes of the file itself.

The file is read once. Its copy lies in the job's ledger for other tries and workers, readable by its owner only, until
nothing more can need it; a try works on a nameless local copy, which is gone with the process.
"""

from __future__ import annotations

import hashlib
import logging
import shutil
import tempfile
import weakref
from typing import BinaryIO, cast

from airflow_provider_nrfprov.claiming.ledger import LEDGER
from airflow_provider_nrfprov.files.paths import PathLike, require_regular
from airflow_provider_nrfprov.files.storage import Folder

_log = logging.getLogger(__name__)

_NAME = "claim_file.csv"
_BLOCK = 1 << 20


class ClaimFileUnavailableError(OSError):
    """A claim file is not there, or cannot be read now; it may be later."""


class FileCopy:
    """A nameless local file, which is gone with the process."""

    def __init__(self) -> None:
        self.stream = cast("BinaryIO", tempfile.TemporaryFile(prefix="nrfprov-"))  # noqa: SIM115 - closed below
        # Also if nobody calls close(): a job may be dropped at any place by a task that ends. The stream and not its
        # descriptor: what it still holds would be written to whatever file has that number next.
        self._close = weakref.finalize(self, self.stream.close)

    def close(self) -> None:
        """Discard it."""
        self._close()

    def from_start(self) -> BinaryIO:
        """Return the stream, at its start."""
        self.stream.seek(0)
        return self.stream


def read_once(claim_file: PathLike) -> tuple[FileCopy, str]:
    """Copy a claim file.

    :return: the copy, and the SHA-256 of its bytes as hex.
    :raises ClaimFileUnavailableError: if the file is not there or cannot be read.
    """
    copy = FileCopy()
    digest = hashlib.sha256()
    try:
        require_regular(claim_file)
        with claim_file.open("rb") as stream:
            while block := stream.read(_BLOCK):
                digest.update(block)
                copy.stream.write(block)
    except OSError as error:
        raise unavailable(claim_file, error) from error
    return copy, digest.hexdigest()


def unavailable(claim_file: object, error: OSError) -> ClaimFileUnavailableError:
    """Return the error of a claim file that is not there or cannot be read, from the system's."""
    if isinstance(error, FileNotFoundError):
        return ClaimFileUnavailableError(
            f"there is no claim file {claim_file}; check the path, as the worker sees it"
        )
    return ClaimFileUnavailableError(f"the claim file {claim_file} cannot be read: {error.strerror or error}")


def keep(copy: FileCopy, folder: Folder) -> None:
    """Keep a copy in a job's folder, unless it is there."""
    ledger = folder.folder(LEDGER)
    if _NAME in ledger.names():
        return
    with ledger.writing_bytes(_NAME, owner_only=True) as stream:
        shutil.copyfileobj(copy.from_start(), stream, _BLOCK)


def kept(folder: Folder, digest: str) -> FileCopy | None:
    """Return the copy that a job's folder keeps; ``None`` if there is none, or if it is not what was read."""
    with folder.folder(LEDGER).reading(_NAME) as stream:
        if stream is None:
            return None
        copy, found = FileCopy(), hashlib.sha256()
        while block := stream.read(_BLOCK):
            found.update(block)
            copy.stream.write(block)
    if found.hexdigest() != digest:
        _log.warning(
            "%s is not the copy that this job made, and is not used", folder.folder(LEDGER).path_of(_NAME)
        )
        return None
    return copy


def is_kept(folder: Folder) -> bool:
    """Return whether a job's folder keeps a copy: something may still need it."""
    return _NAME in folder.folder(LEDGER).names()


def forget(folder: Folder) -> None:
    """Remove the copy from a job's folder."""
    folder.folder(LEDGER).remove(_NAME)
