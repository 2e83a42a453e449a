"""The trigger of an asset watcher: a claim file has landed in a folder or bucket (Airflow 3)."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from fnmatch import fnmatch
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

try:
    from airflow.triggers.base import BaseEventTrigger, TriggerEvent
except ImportError:  # Airflow 2, which has no asset watchers
    from airflow.triggers.base import BaseTrigger as BaseEventTrigger  # type: ignore[assignment]
    from airflow.triggers.base import TriggerEvent

from airflow_provider_nrfprov.arguments import Argument, ArgumentError, interval, path, text
from airflow_provider_nrfprov.files.csv_cells import visible

if TYPE_CHECKING:
    import os
    from datetime import timedelta

T = TypeVar("T")

REMEMBERED = "nrfprov_claim_files"
"""Where in the asset's state it is kept for which files there was an event."""
MOST_REMEMBERED = 4000
"""Files; what is kept of them stays below the 64 KB that Airflow recommends for a value."""
_VERSION_KEYS = ("ETag", "etag", "md5Hash", "generation", "LastModified", "mtime", "created", "updated")
"""What tells one version of an object from the next is named differently by every store."""
_LEAST_INTERVAL = 1.0
_SECONDS_TO_STORE = 5.0
"""After so long the triggerer has written an event to Airflow's database: it does so each second or two."""


class NrfProvClaimFileTrigger(BaseEventTrigger):
    """Fires once for each new claim file in a folder, local to the triggerer or on an object store.

    A file is taken when it is not empty and has not changed between two looks, so that half of one is not claimed. One
    that is written again is a new one. Files whose name begins with a dot, and folders inside, are ignored.

    From Airflow 3.3 on the asset's state says which files have had an event. Before, a restarted triggerer
    does not know: it fires again for all files that are still there, which a bulk claim answers with
    ``already_claimed``. The same happens, rather than that a file is lost, if the triggerer ends within five seconds
    after an event.

    The event's payload is ``{"claim_file": path, "bytes": size}``; in an asset event it is in ``extra["payload"]``.

    :param folder: path, or URL as ``s3://conn_id@bucket/claims``.
    :param pattern: which names count, as a pattern of a shell.
    :param poll_interval: seconds between two looks, or a ``timedelta``, 1 s at least. A new file's event comes after one to two of them.
    """

    def __init__(
        self, folder: str | os.PathLike[str], pattern: str = "*.csv", poll_interval: float | timedelta = 30
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.folder = _given("folder", path, folder)
        self.pattern = _given("pattern", _names, pattern)
        self.poll_interval = _given("poll_interval", interval, poll_interval)
        self._is_readable = True
        self._unusable: Mapping[str, str] = {}

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return class path and arguments."""
        return (
            "airflow_provider_nrfprov.triggers.claim_file_arrival.NrfProvClaimFileTrigger",
            {"folder": self.folder, "pattern": self.pattern, "poll_interval": self.poll_interval},
        )

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Look, sleep, and look again, for ever."""
        fired = kept = await self._remembered()
        before: Mapping[str, _File] = {}
        while True:
            found = await self._look()
            interval = max(_LEAST_INTERVAL, self.poll_interval)
            if found is not None:
                for file in _landed(before, found, fired):
                    self.log.info("claim file %s has landed: %d bytes", file.path, file.size)
                    fired = fired | {file.mark}
                    payload = {"claim_file": file.path, "bytes": file.size}
                    yield TriggerEvent(payload)  # type: ignore[no-untyped-call]
                before = found
                if fired != kept:
                    # Not before Airflow has the event for certain.
                    await asyncio.sleep(min(interval, _SECONDS_TO_STORE))
                    interval -= min(interval, _SECONDS_TO_STORE)
                    kept = fired = _bounded(fired, found.values())
                    await self._remember(kept)
            await asyncio.sleep(interval)

    async def _look(self) -> dict[str, _File] | None:
        """Return the files of the folder by name; ``None`` if it cannot be read, which the log says once."""
        from asgiref.sync import sync_to_async

        try:
            # In a thread: neither a disk nor a bucket may hold up the other triggers. Not asyncio.to_thread: Airflow 3.0
            # and 3.1 look up an object store's connection with asgiref's async_to_sync, which finds its way back to this
            # event loop only from a thread of asgiref's. Else it reads the triggerer's pipe on a loop of its own, and
            # the answer that it leaves there breaks every look-up of every trigger in the process; so does a look-up that
            # is cancelled before its answer is read.
            look = sync_to_async(_files, thread_sensitive=False)(self.folder, self.pattern)
            found, unusable = await asyncio.shield(look)
        except Exception as error:  # noqa: BLE001 - every object store fails in its own way, and the next look may work
            if self._is_readable:
                self.log.warning("%s cannot be read; trying again: %s", self.folder, error)
            self._is_readable = False
            return None
        if not self._is_readable:
            self.log.info("%s can be read again", self.folder)
        self._is_readable = True
        for name in sorted(unusable.keys() - self._unusable.keys()):
            folder = self.folder.rstrip("/")
            self.log.warning("%s/%s has no event: %s", folder, visible(name), unusable[name])
        self._unusable = unusable
        return found

    async def _remembered(self) -> frozenset[str]:
        store = getattr(self, "asset_state_store", None)
        if store is None:
            return frozenset()
        try:
            text = await store.aget(REMEMBERED)
        except Exception as error:  # noqa: BLE001 - also if two assets share this trigger
            self.log.warning("cannot tell which files have had an event: %s", error)
            return frozenset()
        return frozenset(text.split()) if isinstance(text, str) else frozenset()

    async def _remember(self, marks: Iterable[str]) -> None:
        store = getattr(self, "asset_state_store", None)
        if store is None:
            return
        try:
            await store.aset(REMEMBERED, " ".join(sorted(marks)))
        except Exception as error:  # noqa: BLE001 - a restarted triggerer fires once more then
            self.log.warning(
                "cannot store which files have had an event; after a restart they fire again: %s", error
            )


def _names(value: Any) -> str:
    pattern = text(value)
    if "/" in pattern:
        raise ValueError(
            f"is {pattern!r}; it must be a pattern of names, without a slash: folders inside are not looked into"
        )
    return pattern


def _given(name: str, read: Callable[[Any], T], value: Any) -> T:
    try:
        # Each other argument has a default.
        return Argument(read)(value, written=True, has_default=name != "folder")  # type: ignore[no-any-return]
    except ValueError as error:
        raise ArgumentError(f"{name} of NrfProvClaimFileTrigger {error}") from None


class _File(NamedTuple):
    """A file as a look found it."""

    path: str
    size: int
    version: object

    @property
    def mark(self) -> str:
        """What tells it from every other, and from what it was before."""
        return hashlib.sha256("\n".join(map(str, self)).encode()).hexdigest()[:14]


def _landed(before: Mapping[str, _File], found: Mapping[str, _File], fired: frozenset[str]) -> list[_File]:
    """Return the files that are as they were at the last look, and had no event, in the order of their names."""
    return [
        file for name, file in sorted(found.items()) if file == before.get(name) and file.mark not in fired
    ]


def _files(folder: str, pattern: str) -> tuple[dict[str, _File], dict[str, str]]:
    """Return the files of a folder by name, and of those that cannot be taken why not: one of them keeps no other from its event."""
    from airflow_provider_nrfprov.files.paths import to_path

    base = folder.rstrip("/")
    path: Any = to_path(folder)
    entries = _listed(path) if "://" in folder and not folder.startswith("file://") else _local(path)
    found: dict[str, _File] = {}
    unusable: dict[str, str] = {}
    for name, size, version in entries:
        if name.startswith(".") or not fnmatch(name, pattern):
            continue
        if isinstance(version, OSError):
            unusable[name] = str(version.strerror)
        elif any("\ud800" <= character <= "\udfff" for character in name):
            unusable[name] = "its name is not UTF-8; give it another"
        elif size:
            found[name] = _File(f"{base}/{name}", size, version)
    return found, unusable


def _local(path: Any) -> Iterable[tuple[str, int, object]]:
    for entry in path.iterdir():
        try:
            stat = entry.stat()
            if entry.is_file():
                yield entry.name, stat.st_size, stat.st_mtime_ns
        except FileNotFoundError:  # moved away meanwhile
            continue
        except OSError as error:
            yield entry.name, 0, error


def _listed(path: Any) -> Iterable[tuple[str, int, object]]:
    """List an object store: one request for all its files, and not from a cache."""
    file_system = path.fs
    file_system.invalidate_cache(path.path)
    for entry in file_system.ls(path.path, detail=True):
        if entry["type"] == "file":
            version = [str(entry.get(key)) for key in _VERSION_KEYS]
            yield entry["name"].rpartition("/")[2], entry.get("size") or 0, version


def _bounded(marks: frozenset[str], found: Iterable[_File]) -> frozenset[str]:
    """Forget files that are gone, but only when there are too many: a folder may seem empty for a moment."""
    if len(marks) <= MOST_REMEMBERED:
        return marks
    return marks & {file.mark for file in found}
