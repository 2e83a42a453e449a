"""Finds the line of a claim file in which each device occurs first, for files of a million rows.

A dictionary of a million devices takes 140 MB, 30 bytes each would be 30. So all devices and their lines are in packed
records, in the order of the file. The newest are in a dictionary, too, as fast as Python gets; those before them are
found by a part of their hash, a microsecond slower a row: most files never come to that.

The records are also what a second reading of the same file needs instead of decoding its tokens again.
"""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections.abc import Sequence
from struct import Struct

DEVICE_BYTES = 16
_RECORD = Struct(">II")
"""Another part of a device's hash, and the place of the device among all."""
_HASH_BYTES = 4
_PARTS = 1 << 13
"""A hundred and twenty records each in a file of a million rows: soon searched."""
_NEWEST = 1 << 17
"""The most devices in the dictionary: some 18 MB."""


class FirstLines:
    """The devices met so far, by the 16 bytes of their UUIDs, each with its line."""

    def __init__(self) -> None:
        self._newest: dict[bytes, int] = {}
        self._parts: dict[int, bytearray] = {}
        self._devices = bytearray()
        self._lines = array("I")
        # Of the blocks: first line, number of rows, place of the first device.
        self._blocks = array("I"), array("I"), array("I")

    def get(self, device: bytes) -> int | None:
        """Return the line in which a device was met; ``None`` if it was not."""
        line = self._newest.get(device)
        return self._find(device) if line is None and self._parts else line

    def setdefault(self, device: bytes, line: int) -> int:
        """Return the line in which a device was met first: this one, if it was not met before."""
        first_line = self.get(device)
        if first_line is not None:
            return first_line
        self._add((device,), range(line, line + 1))
        return line

    def add_block(self, line: int, devices: bytes) -> int:
        """Add the devices of consecutive lines, as far as none was met before; return how many these are."""
        each = [devices[at : at + DEVICE_BYTES] for at in range(0, len(devices), DEVICE_BYTES)]
        met = self._newest.keys()
        if (
            len(set(each)) < len(each)
            or not met.isdisjoint(each)
            or (self._parts and any(map(self._find, each)))
        ):
            each = self._new_before_others(each)
        if each:
            starts, counts, places = self._blocks
            if starts and starts[-1] + counts[-1] == line and places[-1] + counts[-1] == len(self._lines):
                counts[-1] += len(each)
            else:
                for column, value in zip(self._blocks, (line, len(each), len(self._lines)), strict=True):
                    column.append(value)
            self._add(each, range(line, line + len(each)))
        return len(each)

    def has_read(self, line: int) -> bool:
        """Return whether a device of this line or a later one was met."""
        return bool(self._lines) and line <= self._lines[-1]

    def block_at(self, line: int, most: int) -> bytes:
        """Return the devices of the rows from this line on that were added as blocks; nothing if this one was not."""
        starts, counts, places = self._blocks
        block = bisect_right(starts, line) - 1
        offset = line - starts[block] if block >= 0 else 0
        if block < 0 or offset >= counts[block]:
            return b""
        start = places[block] + offset
        end = start + min(most, counts[block] - offset)
        return bytes(self._devices[DEVICE_BYTES * start : DEVICE_BYTES * end])

    def _new_before_others(self, devices: list[bytes]) -> list[bytes]:
        here: set[bytes] = set()
        for place, device in enumerate(devices):
            if device in here or self.get(device) is not None:
                return devices[:place]
            here.add(device)
        return devices

    def _add(self, devices: Sequence[bytes], lines: range) -> None:
        if len(self._newest) + len(devices) > _NEWEST:
            self._pack()
        self._newest.update(zip(devices, lines, strict=True))
        self._devices += b"".join(devices)
        self._lines.extend(lines)

    def _pack(self) -> None:
        # A dictionary keeps the order in which its keys came.
        for place, device in enumerate(self._newest, start=len(self._lines) - len(self._newest)):
            digest = hash(device)
            part = self._parts.setdefault(digest % _PARTS, bytearray())
            part += _RECORD.pack(digest >> 13 & 0xFFFFFFFF, place)
        self._newest.clear()

    def _find(self, device: bytes) -> int | None:
        # By the hash, not by some of the bytes: UUIDs of one kind of device may begin alike.
        digest = hash(device)
        part = self._parts.get(digest % _PARTS)
        if part is None:
            return None
        mark = (digest >> 13 & 0xFFFFFFFF).to_bytes(_HASH_BYTES, "big")
        at = part.find(mark)
        while at >= 0:
            # Else the same bytes, but from one record into the next.
            if at % _RECORD.size == 0:
                place = int.from_bytes(part[at + _HASH_BYTES : at + _RECORD.size], "big")
                if self._devices.startswith(device, DEVICE_BYTES * place):
                    return self._lines[place]
            at = part.find(mark, at + 1)
        return None
