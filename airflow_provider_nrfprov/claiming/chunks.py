"""Chunks of a claim file's rows, and rows in the form in which they are sent."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

from airflow_provider_nrfprov.api.project_contract import CSV_HEADER
from airflow_provider_nrfprov.claiming.blocks import Block
from airflow_provider_nrfprov.claiming.rows import Row

_MOST_ROWS = 4
"""The most rows of a chunk, sendable or not, as a multiple of a request's."""
_MOST_CHARACTERS = 8 << 20


@dataclass(frozen=True)
class Chunk:
    """Consecutive rows of a file, of which no more can be sent than one request of a bulk claim takes."""

    number: int
    """From 1."""
    parts: tuple[Block | Row, ...]
    """All rows in their order: those of the usual form in blocks."""

    @cached_property
    def device_ids(self) -> list[str]:
        """The devices of the rows that can be sent, in the order in which they are sent; none if there are no such rows."""
        ids: list[str] = []
        for part in self.parts:
            if isinstance(part, Block):
                ids += part.device_ids
            elif part.is_ok:
                ids.append(str(part.device_id))
        return ids

    @property
    def rows(self) -> tuple[Row, ...]:
        """All rows, one by one."""
        return tuple(rows_of(self.parts))

    @property
    def sendable(self) -> tuple[Row, ...]:
        """The rows that can be sent, one by one, in the order of :attr:`device_ids`."""
        return tuple(row for row in rows_of(self.parts) if row.is_ok)

    def to_csv(self, positions: Sequence[int] | None = None, extra_tags: Iterable[str] = ()) -> str:
        """Write rows that can be sent in the service's form, as :func:`to_csv` does.

        :param positions: which of them, and in which order; ``None`` for all.
        """
        cells = _TagsCells(extra_tags)
        lines: list[str] = []
        for part in self.parts:
            if isinstance(part, Block):
                lines += cells.lines_of(part.tokens, part.tags)
            elif part.is_ok:
                lines += cells.lines_of((part.token,), (part.tags,))
        return "".join(lines if positions is None else [lines[place] for place in positions])

    def to_device_csv(self, positions: Sequence[int] | None = None) -> str:
        """Write rows that can be sent in the form of a project, as :func:`to_device_csv` does.

        :param positions: which of them, and in which order; ``None`` for all.
        :raises ValueError: if a row has tags, for which there is no column.
        """
        tokens: list[str] = []
        for part in self.parts:
            if isinstance(part, Row) and not part.is_ok:
                continue
            if part.tags:
                raise ValueError(
                    "a row has tags, for which the API of projects has no column; nothing is sent"
                )
            tokens += part.tokens if isinstance(part, Block) else [str(part.token)]
        pairs = list(zip(self.device_ids, tokens, strict=True))
        return to_device_csv(pairs if positions is None else [pairs[place] for place in positions])


def rows_of(parts: Iterable[Block | Row]) -> Iterator[Row]:
    """Yield rows one by one."""
    for part in parts:
        if isinstance(part, Block):
            yield from part
        else:
            yield part


def chunks(parts: Iterable[Block | Row], size: int) -> Iterator[Chunk]:
    """Cut rows into chunks of at most ``size`` rows that can be sent; the others stay in their place.

    A chunk holds at most four times as many rows in all, and 8 million characters (and a row): a file without any
    row that can be sent must fit into memory, too. Where a chunk ends depends on the rows alone, not on their blocks.
    """
    cut = _Cutting(size)
    for part in parts:
        if isinstance(part, Row):
            yield from cut.add(part)
        elif cut.characters + part.characters > _MOST_CHARACTERS:
            for row in part:
                yield from cut.add(row)
        else:
            start = 0
            while start < len(part):
                yield from cut.if_full()
                end = start + min(size - cut.sendable, _MOST_ROWS * size - cut.count)
                cut.take(part.between(start, end))
                start = end
    yield from cut.end()


class _Cutting:
    """The chunk that is gathered."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._number = 0
        self._begin()

    def _begin(self) -> None:
        self._parts: list[Block | Row] = []
        self.count = self.sendable = self.characters = 0

    def add(self, row: Row) -> Iterator[Chunk]:
        is_full = self.count == _MOST_ROWS * self._size or self.characters > _MOST_CHARACTERS
        if is_full or (row.is_ok and self.sendable == self._size):
            yield from self.end()
        self._parts.append(row)
        self.count += 1
        self.sendable += row.is_ok
        self.characters += len(row.text)

    def if_full(self) -> Iterator[Chunk]:
        """End the chunk if no row that can be sent fits in any more."""
        if self.sendable == self._size or self.count == _MOST_ROWS * self._size:
            yield from self.end()

    def take(self, block: Block) -> None:
        self._parts.append(block)
        self.count += len(block)
        self.sendable += len(block)
        self.characters += block.characters

    def end(self) -> Iterator[Chunk]:
        if self._parts:
            self._number += 1
            yield Chunk(self._number, tuple(self._parts))
            self._begin()


def to_csv(rows: Iterable[Row], extra_tags: Iterable[str] = ()) -> str:
    """Write rows in the service's form: every field quoted, no header, a line feed after each row.

    ``extra_tags`` come after a row's own; a tag that it has already is not repeated.
    """
    cells = _TagsCells(extra_tags)
    return "".join(line for row in rows for line in cells.lines_of((row.token,), (row.tags,)))


def to_device_csv(pairs: Iterable[tuple[str, str]]) -> str:
    """Write devices and their tokens in the form of a project: a header, and nothing that would have to be quoted."""
    return "".join([f"{CSV_HEADER}\n", *(f"{device_id},{token}\n" for device_id, token in pairs)])


class _TagsCells:
    """Writes rows; remembers what their tags look like: most rows of a chunk have the same."""

    def __init__(self, extra_tags: Iterable[str]) -> None:
        self._extra_tags = tuple(extra_tags)
        self._known: dict[tuple[str, ...], str] = {(): _cell(self._extra_tags)}

    def lines_of(self, tokens: Sequence[str | None], tags: Sequence[tuple[str, ...]] | None) -> Sequence[str]:
        """Return a line each; no ``tags`` is none for all."""
        # A decoded token holds nothing that would have to be quoted; csv.writer looks at each character.
        if tags is None:
            end = f'"{self._known[()]}\n'
            return [f'"{token}{end}' for token in tokens]
        return [f'"{token}"{self._cell_of(own)}\n' for token, own in zip(tokens, tags, strict=True)]

    def _cell_of(self, tags: tuple[str, ...]) -> str:
        cell = self._known.get(tags)
        if cell is None:
            cell = self._known[tags] = _cell(dict.fromkeys((*tags, *self._extra_tags)))
        return cell


def _cell(tags: Iterable[str]) -> str:
    cell = ",".join(tags).replace('"', '""')
    return f',"{cell}"' if cell else ""
