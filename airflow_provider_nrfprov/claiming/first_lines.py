"""In which line of a claim file each device stands first, for files of a million rows.

A dictionary of a million devices takes 140 MB, 30 bytes each would be 30. So the newest devices are in a
dictionary, as fast as Python gets, and all before them in packed records, a microsecond slower a row: most files
never come to that.
"""

from __future__ import annotations

from struct import Struct

_RECORD = Struct(">16sI")
"""The bytes of a device's UUID, and its line."""
_DEVICE_BYTES = 16
_PARTS = 1 << 13
"""A hundred and twenty records each in a file of a million rows: soon searched."""
_NEWEST = 1 << 17
"""So many devices at most are in the dictionary: some 18 MB."""


class FirstLines:
    """The devices met so far, by the 16 bytes of their UUIDs, each with its line."""

    def __init__(self) -> None:
        self._newest: dict[bytes, int] = {}
        self._parts: dict[int, bytearray] = {}

    def get(self, device: bytes) -> int | None:
        """Return the line in which a device was met; ``None`` if it was not."""
        line = self._newest.get(device)
        return self._find(device) if line is None and self._parts else line

    def setdefault(self, device: bytes, line: int) -> int:
        """Return the line in which a device was met first: this one, if it was not met before."""
        newest = self._newest
        first_line = newest.get(device)
        if first_line is None and self._parts:
            first_line = self._find(device)
        if first_line is not None:
            return first_line
        if len(newest) >= _NEWEST:
            self._pack()
        newest[device] = line
        return line

    def _pack(self) -> None:
        for device, line in self._newest.items():
            self._parts.setdefault(_part_of(device), bytearray()).extend(_RECORD.pack(device, line))
        self._newest.clear()

    def _find(self, device: bytes) -> int | None:
        part = self._parts.get(_part_of(device))
        if part is None:
            return None
        at = part.find(device)
        while at > 0 and at % _RECORD.size:
            # The same bytes, but from one record into the next.
            at = part.find(device, at + 1)
        return None if at < 0 else int.from_bytes(part[at + _DEVICE_BYTES : at + _RECORD.size], "big")


def _part_of(device: bytes) -> int:
    # By the hash, not by some of the bytes: UUIDs of one kind of device may begin alike.
    return hash(device) % _PARTS
