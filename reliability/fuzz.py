"""Feeds the claim-file reader and the token decoder whatever may lie in a file: `python -m reliability.fuzz`.

Neither may ever raise anything but its own error, lose a row, or leave one without a verdict.
"""

from __future__ import annotations

import argparse
import csv
import io
import multiprocessing
import re
import time
from collections.abc import Callable, Iterator
from typing import Any

from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st

from airflow_provider_nrfprov.claiming.blocks import MOST_AT_ONCE, Block
from airflow_provider_nrfprov.claiming.carried_cells import CarriedCells
from airflow_provider_nrfprov.claiming.claim_file import (
    ClaimFile,
    ClaimFileError,
    Row,
    Verdict,
    chunks,
    to_csv,
)
from airflow_provider_nrfprov.claiming.first_lines import FirstLines
from airflow_provider_nrfprov.claiming.report import COLUMNS
from airflow_provider_nrfprov.claiming.token import TokenError, decode
from airflow_provider_nrfprov.emulator.mint import mint_devices, mint_keygen, mint_token
from reliability.file_shapes import ShapedFile, shaped_files

BATCH = 5_000
_SECRET = re.compile("[A-Za-z0-9_-]{16}")
"""Longer than any word in our messages."""
_SIZE_OF_CHUNK = 3

_DEVICES = list(mint_devices(4, seed="fuzz"))
_TOKENS = [device.token for device in _DEVICES]
_KINDS = [
    *_TOKENS,
    mint_token(_DEVICES[0].device_id, device_type=200),
    mint_token(_DEVICES[1].device_id, message_type=2),
    mint_keygen(_DEVICES[2].device_id),
    "eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJ4In0.c2lnbmF0dXJl",
]


@st.composite
def _damaged(draw: st.DrawFn) -> str:
    """Return a token of any kind with a piece cut out, put in or exchanged."""
    token = draw(st.sampled_from(_KINDS))
    start = draw(st.integers(0, len(token)))
    end = draw(st.integers(start, min(len(token), start + 40)))
    return token[:start] + draw(st.text("Aa0-_.=+/\"' é", max_size=4)) + token[end:]


_texts = st.one_of(st.sampled_from(_KINDS), _damaged(), st.text(max_size=30))
_cells = st.one_of(
    _texts,
    st.sampled_from(
        ["", "imei", "token", "351358815340515", _DEVICES[0].device_id, "lot=7,line=2", "t" * 101]
    ),
)
_pieces = st.one_of(
    st.tuples(st.lists(_cells, min_size=1, max_size=5), st.sampled_from([",", ";", "\t", ', "'])).map(
        lambda drawn: drawn[1].join(drawn[0]).encode("utf-8", "surrogatepass")
    ),
    st.binary(max_size=20),
    st.sampled_from([b"", b" ", b",,;", b"token,tags", b"imei,uuid,token,time", b'"', b"\xff\xfe", b"PK\x03\x04", b"\x00"]),
)  # fmt: skip
_files = st.builds(
    lambda start, pieces, end: start + end.join(pieces),
    st.sampled_from([b"", b"", b"\xef\xbb\xbf"]),
    st.lists(_pieces, max_size=8),
    st.sampled_from([b"\n", b"\r\n", b"\r"]),
)


def check_shaped_file(file: ShapedFile) -> None:
    """Assert what has to hold of a file of which it is known what each line is."""
    rows = check_file(file.content)
    if rows is None:
        assert not file.expected, "a file with good rows was refused as a whole"
        return
    by_line = {row.line: row for row in rows}
    for line, (token, tags) in file.expected.items():
        row = by_line[line]
        assert row.is_ok or row.verdict is Verdict.DUPLICATE_DEVICE, row
        assert (row.token, row.tags) == (token, tags), row
    for row in rows:
        assert not row.is_ok or all(file.may_be_sent(row.line, tag) for tag in row.tags), (row, row.tags)


def check_file(content: bytes) -> list[Row] | None:
    """Assert all that has to hold of any file; return its rows, or None if it was refused as a whole."""
    check_blocks(content)
    file = ClaimFile(io.BytesIO(content), "shift.csv")
    try:
        rows = list(read_rows_of(file))
    except ClaimFileError as error:
        assert "shift.csv" in str(error)
        return None
    text = content.removeprefix(b"\xef\xbb\xbf").decode("utf-8", "surrogateescape")
    lines = re.split("\r\n|\n|\r", text)
    if not lines[-1]:
        lines.pop()
    # Every physical line is a row or is counted by what it is.
    assert len(rows) + sum(file.skipped.values()) == len(lines), (len(rows), file.skipped, len(lines))
    for row in rows:
        more = row.text.count("\n")
        assert row.text == "\n".join(lines[row.line - 1 : row.line + more])
        assert len(row.carried) == len(row.form.carried)
        assert not any(token in cell for cell in row.carried for token in _TOKENS)
    _check_rows(rows)
    return rows


def check_blocks(content: bytes) -> None:
    """Assert that a file comes to the same row by row, in blocks, and read again by what is known of it."""
    known = FirstLines()
    plain, *others = (
        _read_in(ClaimFile(io.BytesIO(content), "shift.csv", first_lines=first_lines, at_once=at_once))
        for first_lines, at_once in ((None, 1), (None, 2), (known, MOST_AT_ONCE), (known, MOST_AT_ONCE))
    )
    for other in others:
        assert other == plain


def _read_in(file: ClaimFile) -> tuple[list[object], dict[str, int], str]:
    """Return all that reading a file came to: rows with what the report says of them, lines that are no rows, the error."""
    rows: list[object] = []
    carried: CarriedCells | None = None
    try:
        for part in file.parts():
            carried = carried or CarriedCells(part.form, COLUMNS)
            some = list(part) if isinstance(part, Block) else [part]
            cells = carried.cells_of_block(part) if isinstance(part, Block) else [carried.cells_of(part)]
            # Two readers make two forms of one header.
            rows += [(*row[:-1], row.form.header, *each) for row, *each in zip(some, cells, strict=True)]
    except ClaimFileError as error:
        return rows, file.skipped, str(error)
    return rows, file.skipped, ""


def read_rows_of(file: ClaimFile) -> Iterator[Row]:
    """Read a file; a name of its own, so that a test can put a broken reader here."""
    return iter(file)


def _check_rows(rows: list[Row]) -> None:
    for row in rows:
        assert row.is_ok or row.message, row
        assert not any(token in f"{row.message}{row!r}" for token in _TOKENS), row
        assert not row.is_ok or (row.device_id and row.token), row
    sent = [row for chunk in chunks(rows, _SIZE_OF_CHUNK) for row in chunk.sendable]
    assert len({row.device_id for row in sent}) == len(sent)
    assert [row for chunk in chunks(rows, _SIZE_OF_CHUNK) for row in chunk.rows] == rows
    written = list(csv.reader(io.StringIO(to_csv(sent, ["extra"]))))
    assert [cells[0] for cells in written] == [row.token for row in sent]
    assert all(decode(str(row.token)).device_id == row.device_id for row in sent)


def check_token(text: str) -> None:
    """Assert all that has to hold of any text that may be a token."""
    try:
        token = decode(text)
    except TokenError as error:
        assert not any(piece in str(error) for piece in _SECRET.findall(text))
        return
    assert re.fullmatch("[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", token.device_id)
    assert decode(token.text) == token


_KINDS_OF_EXAMPLES: dict[str, tuple[Callable[..., object], st.SearchStrategy[Any]]] = {
    "shaped files": (check_shaped_file, shaped_files()),
    "files": (check_file, _files),
    "tokens": (check_token, _texts),
}


def run_batch(task: tuple[str, int, int]) -> int:
    """Try a number of examples of a kind; the number is the seed, so that what is found can be found again."""
    kind, number, examples = task
    check, strategy = _KINDS_OF_EXAMPLES[kind]
    quiet = settings(
        max_examples=examples,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        # One is enough, and is raised as it is.
        report_multiple_bugs=False,
    )
    tried = 0

    @seed(number)
    @quiet
    @given(strategy)
    def fuzz(example: object) -> None:
        nonlocal tried
        tried += 1
        check(example)

    fuzz()
    return tried


def main() -> None:
    """Run; print how many examples were tried. What is found is raised, with the example that shows it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--examples",
        type=int,
        default=600_000,
        help="a third files as factories make them, a third any files, a third tokens",
    )
    parser.add_argument(
        "--first", type=int, default=0, help="of each kind, from this one on: a run can be continued"
    )
    parser.add_argument("--processes", type=int, default=multiprocessing.cpu_count())
    arguments = parser.parse_args()
    third = arguments.examples // len(_KINDS_OF_EXAMPLES)
    tasks = [
        (kind, start // BATCH, min(BATCH, third - start))
        for start in range(arguments.first, third, BATCH)
        for kind in _KINDS_OF_EXAMPLES
    ]
    started, tried = time.monotonic(), 0
    with multiprocessing.get_context("spawn").Pool(arguments.processes) as pool:
        for number, count in enumerate(pool.imap_unordered(run_batch, tasks), start=1):
            tried += count
            if number % 4 == 0 or number == len(tasks):
                print(f"{tried} examples, {time.monotonic() - started:.0f} s", flush=True)
    print(
        f"{tried} files and tokens, none of which broke the reader or the decoder; {time.monotonic() - started:.0f} s"
    )


if __name__ == "__main__":
    main()
