"""Reads a claim file line by line in bounded memory, whatever its line endings."""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from typing import BinaryIO

MAX_LINE_BYTES = 1 << 16
_BLOCK_BYTES = 1 << 18
_SHOWN_CHARACTERS = 200


class LongLine(str):
    """The beginning of a line that is too long for a row, which is not kept whole; ends with …, so that it is like no row."""

    __slots__ = ()


END = LongLine()
"""Comes after the last line."""


class Lines:
    """The lines of a stream with their numbers, from 1; lines may be put back.

    They end with a line feed, a carriage return or both. Bytes that are no UTF-8 become surrogates, so that
    only their own row is refused.
    """

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self.start = self._read(_BLOCK_BYTES)
        """The first bytes of the stream."""
        self._blocks = self._split()
        self.first = next(self._blocks, [])
        """The first lines."""
        self._block, self._at = self.first, 0
        self.number = 1
        """The number of the line that comes next."""

    def ahead(self, most: int) -> list[str]:
        """Return some of the lines that come next, which stay to be taken; none at the end only."""
        if self._at == len(self._block):
            self._block, self._at = next(self._blocks, []), 0
        return self._block[self._at : self._at + most]

    def skip(self, count: int) -> None:
        """Take the first ``count`` lines that :meth:`ahead` has shown."""
        self._at += count
        self.number += count

    def take(self) -> tuple[int, str]:
        """Return the next number and line; :data:`END` after the last, as often as it is asked for."""
        number = self.number
        for line in self.ahead(1):
            self.skip(1)
            return number, line
        return number, END

    def put_back(self, taken: list[tuple[int, str]]) -> None:
        """Let the lines that were taken last come again."""
        if taken:
            self._block = [line for _, line in taken] + self._block[self._at :]
            self._at = 0
            self.number = taken[0][0]

    def _read(self, size: int) -> bytes:
        """Read ``size`` bytes, fewer only at the end; what is opened on an object store may return fewer before."""
        parts = []
        while size and (part := self._stream.read(size)):
            parts.append(part)
            size -= len(part)
        return b"".join(parts)

    def _split(self) -> Iterator[list[str]]:
        rest, block = b"", self.start.removeprefix(codecs.BOM_UTF8)
        while block:
            block = rest + block
            # A carriage return at the very end may be half of a line end.
            cut = max(block.rfind(b"\n"), block.rfind(b"\r", 0, len(block) - 1)) + 1
            if cut:
                yield _lines(block[:cut])
            rest = block[cut:]
            if len(rest) > MAX_LINE_BYTES:
                long, rest = self._skip_line(rest)
                yield [long]
            block = self._read(_BLOCK_BYTES)
        if rest:
            yield _lines(rest)

    def _skip_line(self, start: bytes) -> tuple[LongLine, bytes]:
        """Read to the end of a long line; return its beginning, and what comes after it."""
        shown = start[:_SHOWN_CHARACTERS].decode("utf-8", "replace")
        block = start
        while block:
            ends = [end for end in (block.find(b"\n"), block.find(b"\r")) if end >= 0]
            if ends:
                rest = block[min(ends) :]
                if rest == b"\r":
                    rest += self._read(1)
                return LongLine(f"{shown}…"), rest[2:] if rest.startswith(b"\r\n") else rest[1:]
            block = self._read(_BLOCK_BYTES)
        return LongLine(f"{shown}…"), b""


def _lines(block: bytes) -> list[str]:
    text = block.decode("utf-8", "surrogateescape")
    if "\r" in text:
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    lines = text.split("\n")
    if not lines[-1]:
        lines.pop()
    if len(block) > MAX_LINE_BYTES and 4 * max(map(len, lines)) > MAX_LINE_BYTES:
        return [_kept(line) for line in lines]
    return lines


def _kept(line: str) -> str:
    if len(line.encode("utf-8", "surrogateescape")) <= MAX_LINE_BYTES:
        return line
    return LongLine(f"{line[:_SHOWN_CHARACTERS]}…")
