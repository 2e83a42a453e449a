"""The lines of a claim file, in bounded memory, whatever ends them or does not."""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from typing import BinaryIO

MAX_LINE_BYTES = 1 << 16
_BLOCK_BYTES = 1 << 18
_SHOWN_CHARACTERS = 200


class LongLine(str):
    """The beginning of a line that is too long for a row, which is not kept whole."""

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
        self._back: list[tuple[int, str]] = []
        self._blocks = self._split()
        self.first = next(self._blocks, [])
        """The first lines."""
        self._numbered = self._all()

    def __iter__(self) -> Iterator[tuple[int, str]]:
        """Yield number and line, and :data:`END` after the last, as often as it is asked for."""
        return self._numbered

    def take(self) -> tuple[int, str]:
        """Return the next number and line."""
        return next(self._numbered)

    def put_back(self, taken: list[tuple[int, str]]) -> None:
        """Let lines that were taken come again."""
        self._back.extend(reversed(taken))

    def _all(self) -> Iterator[tuple[int, str]]:
        number, block = 0, self.first
        while block:
            for line in block:
                number += 1
                yield number, line
                while self._back:
                    yield self._back.pop()
            block = next(self._blocks, [])
        while True:
            yield number + 1, END
            while self._back:
                yield self._back.pop()

    def _read(self, size: int) -> bytes:
        """Read so many bytes, fewer only at the end; what is opened on an object store may give fewer before."""
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
                return LongLine(shown), rest[2:] if rest.startswith(b"\r\n") else rest[1:]
            block = self._read(_BLOCK_BYTES)
        return LongLine(shown), b""


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
    return LongLine(line[:_SHOWN_CHARACTERS])
