"""Reads rows of the usual form in blocks of lines: several times as fast as one by one, with the same verdicts.

Why it is exact. The pattern of a line in a block is that of one row from the line's begin to its end, or else anything; no
part of it takes a line feed. So it finds each line once, and a token in just those that are of the usual form by
themselves. All of these tokens have one length and one alphabet, so that decoded together they are the bytes that each
is alone. What a row has to hold beside its pattern is then looked at for all of them: the fixed bytes of the body,
the UUID beside the token, the tags, tokens in other columns, the lines before. The block ends before the first row for which
one of this does not hold; that row is read by itself, as is every line of another form.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import compress, count, repeat

from airflow_provider_nrfprov.claiming.columns import Form
from airflow_provider_nrfprov.claiming.first_lines import DEVICE_BYTES, FirstLines
from airflow_provider_nrfprov.claiming.rows import Row, Verdict
from airflow_provider_nrfprov.claiming.tag_cells import TagCells
from airflow_provider_nrfprov.claiming.token import BEGINNING, may_hold_two, usual_devices, uuid_texts

MOST_AT_ONCE = 1_000
"""Rows in a block."""

_Columns = tuple[Sequence[str], Sequence[str]]
"""Tokens and cells of tags."""


class Block:
    """Consecutive lines, each a row that can be sent and of which there is nothing to say; made rows where asked for."""

    def __init__(
        self,
        line: int,
        lines: Sequence[str],
        form: Form,
        device_ids: Sequence[str],
        *,
        tag_cells: TagCells,
        columns: _Columns | None = None,
    ) -> None:
        self.line = line
        """The number of the first line."""
        self.lines = lines
        self.form = form
        self.device_ids = device_ids
        self._tag_cells = tag_cells
        self._columns = columns

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.lines)

    def __iter__(self) -> Iterator[Row]:
        """Yield the rows one by one."""
        tags: Iterable[tuple[str, ...]] = self.tags or repeat((), len(self))
        columns = zip(count(self.line), self.device_ids, self.tokens, tags, self.lines, strict=False)
        for line, device_id, token, own, text in columns:
            yield Row(line, Verdict.OK, "", device_id, token, own, text, self.form)

    def between(self, start: int, end: int) -> Block:
        """Return some of the rows as a block, by their places from 0."""
        if not start and end >= len(self):
            return self
        columns = self._columns and (self._columns[0][start:end], self._columns[1][start:end])
        ids = self.device_ids[start:end]
        lines = self.lines[start:end]
        return Block(self.line + start, lines, self.form, ids, tag_cells=self._tag_cells, columns=columns)

    @property
    def characters(self) -> int:
        """Return how many characters the lines have, without their ends."""
        return sum(map(len, self.lines))

    @property
    def tokens(self) -> Sequence[str]:
        """Return the token of each row."""
        return self._found()[0]

    @property
    def tags(self) -> list[tuple[str, ...]] | None:
        """Return the tags of each row; ``None`` if none has any."""
        cells = self._found()[1]
        named = bool(self.form.header)
        tags = {cell: self._tag_cells.read_usual(cell, named=named).tags for cell in set(cells) if cell}
        return [tags.get(cell, ()) for cell in cells] if any(tags.values()) else None

    def _found(self) -> _Columns:
        if self._columns is None:
            tokens, tags, _ = _columns(self.form, "\n".join(self.lines))
            self._columns = tokens, tags
        return self._columns


def read_block(
    line: int, lines: Sequence[str], form: Form, first_lines: FirstLines, tag_cells: TagCells
) -> Block | None:
    """Read lines as far as they are rows of the usual form that can be sent; ``None`` if the first is not.

    :param line: the number of the first.
    :param first_lines: of the rows before. Lines that an earlier reading of the same file has read are not decoded anew.
    """
    if first_lines.has_read(line):
        devices = first_lines.block_at(line, len(lines))
        known = lines[: len(devices) // DEVICE_BYTES]
        return Block(line, known, form, uuid_texts(devices), tag_cells=tag_cells) if known else None
    text = "\n".join(lines)
    if not text or not text.isascii():
        return None
    tokens, tags, uuids = _columns(form, text)
    devices = usual_devices(tokens[: tokens.index("")] if "" in tokens else tokens)
    ids = uuid_texts(devices)
    size = len(ids)
    if any(uuids) and uuids[:size] != tuple(ids):
        size = _before((uuid and uuid != own for uuid, own in zip(uuids, ids, strict=False)), size)
    noted = {
        cell for cell in set(tags) if cell and tag_cells.read_usual(cell, named=bool(form.header)).message
    }
    if noted:
        size = min(size, _before((cell in noted for cell in tags), size))
    # Without a header the pattern has no place for a second token but the tags, whose cells are looked at.
    if form.header and form.carried and text.count(BEGINNING) != size:
        size = min(size, _before(map(may_hold_two, lines), size))
    size = first_lines.add_block(line, devices[: DEVICE_BYTES * size])
    if not size:
        return None
    columns = tokens[:size], tags[:size]
    return Block(line, lines[:size], form, ids[:size], tag_cells=tag_cells, columns=columns)


def _columns(form: Form, text: str) -> tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]:
    """Return tokens, tags and UUIDs of all lines of a text; empty in lines that are not of the usual form."""
    columns = tuple(zip(*form.usual_lines.findall(text), strict=True))
    token, tags, uuid = form.groups
    return columns[token - 1], columns[tags - 1], columns[uuid - 1]


def _before(flags: Iterable[object], otherwise: int) -> int:
    """Return how many flags come before the first that is set."""
    return next(compress(count(), flags), otherwise)
