"""Rows of a report: paged, sorted, filtered and searched, in bounded memory and time."""

from __future__ import annotations

import io
import pathlib
import sqlite3

import pytest

from airflow_provider_nrfprov.plugins.device_claims import building, rows
from airflow_provider_nrfprov.plugins.device_claims.reports import NoReportError
from airflow_provider_nrfprov.plugins.device_claims.rows import Wanted, first_rows, page

LINES = (
    "1,AAAAAAAA-0000-0000-0000-000000000001,claimed,SUCCEEDED,,01OP,350000000000011,SN0003",
    '2,aaaaaaaa-0000-0000-0000-000000000002,failed,409,"position 7: no, it is another\'s",01OP,350000000000022,SN0001',
    "3,,rejected,malformed_token,a token is cut short: 17 characters,,350000000000033,SN0002",
    '4,aaaaaaaa-0000-0000-0000-000000000004,failed,409,"position 9: no, it is another\'s",01OP,350000000000044,SN0004',
    "5,aaaaaaaa-0000-0000-0000-000000000005,already_claimed,409,claimed by this team before; a tag twice,01OP,350000000000055,100%",
)


@pytest.fixture
def indexed(write, tmp_path):
    """Return what writes a report of lines, and builds its index."""

    def built(*lines, **header):
        report = write(*lines, **header)
        with pathlib.Path(report.path).open("rb") as stream:
            assert building.build(stream.readline, str(tmp_path / "index.sqlite")) == len(lines)
        return tmp_path / "index.sqlite"

    return built


@pytest.fixture
def index(indexed):
    return indexed(*LINES)


def lines_of(answer):
    return [row[answer["columns"].index("line")] for row in answer["rows"]]


def test_rows_come_as_they_stand_in_the_file(index, write):
    answer = page(index, Wanted())
    assert (answer["total"], answer["more"]) == (5, False)
    assert answer["columns"] == first_rows(write(*LINES), Wanted())["columns"]
    first = first_rows(write(*LINES), Wanted())["rows"]
    assert [[str(cell) for cell in row] for row in answer["rows"]] == first
    assert lines_of(page(index, Wanted(offset=1, limit=2))) == [2, 3]


@pytest.mark.parametrize(
    ("wanted", "lines"),
    [
        (Wanted(outcome="failed"), [2, 4]),
        (Wanted(outcome="failed", reason="position …: no, it is another's"), [2, 4]),
        (Wanted(outcome="rejected", reason="a token is cut short: … characters"), [3]),
        (Wanted(outcome="already_claimed", reason="a tag twice"), [5]),
        (Wanted(outcome="claimed", reason="a tag twice"), []),
        (Wanted(words="350000000000044"), [4]),
        (Wanted(words="00033"), [3]),
        (Wanted(words="AAAAAAAA-0000-0000-0000-000000000002"), [2]),
        (Wanted(words="sn000"), [1, 2, 3, 4]),
        (Wanted(words="another's"), [2, 4]),
        (Wanted(words="malformed"), [3]),
        (Wanted(words="01op"), [1, 2, 4, 5]),
        (Wanted(words="%"), [5]),
        (Wanted(words="_"), [3]),
        (Wanted(words="'; drop table rows; --"), []),
        (Wanted(words="5", outcome="already_claimed"), [5]),
        (Wanted(words="SN", outcome="failed"), [2, 4]),
        (Wanted(sort="serial"), [5, 2, 3, 1, 4]),
        (Wanted(sort="serial", descending=True), [4, 1, 3, 2, 5]),
        (Wanted(sort="serial", words="SN000", descending=True), [4, 1, 3, 2]),
        (Wanted(sort="serial", outcome="failed"), [2, 4]),
        (Wanted(sort="outcome"), [5, 1, 2, 4, 3]),
        (Wanted(sort="line", descending=True), [5, 4, 3, 2, 1]),
        (Wanted(sort="line); drop table rows; --"), [1, 2, 3, 4, 5]),
    ],
    ids=str,
)
def test_rows_are_filtered_searched_and_sorted(index, wanted, lines):
    answer = page(index, wanted)
    assert lines_of(answer) == lines
    assert answer["total"] == len(lines)


@pytest.mark.parametrize("few", [0, 50_000], ids=["of many rows", "of few rows"])
@pytest.mark.parametrize("rows_of_a_text", [1, 3, 16])
def test_a_search_finds_a_piece_in_whichever_row_it_is(indexed, monkeypatch, few, rows_of_a_text):
    monkeypatch.setattr(rows, "_FEW", few)
    monkeypatch.setattr(building, "ROWS_OF_A_TEXT", rows_of_a_text)
    joined = f"texts cross join rows on n between first and first + {rows_of_a_text - 1}"
    monkeypatch.setattr(rows, "_TEXTS_OF_ROWS", joined)
    outcomes = ("claimed,SUCCEEDED,", "failed,409,serial SN17 is no cell of it")
    index = indexed(
        *(f"{n + 1},d{n},{outcomes[n % 2]},01OP,3500000000{n:05d},SN{n:04d}" for n in range(1, 101))
    )
    for words, piece in (("sn001", "SN001"), ("n0050", "SN0050"), ("d1", "d1")):
        has = [n for n in range(1, 101) if piece in f"d{n} 3500000000{n:05d} SN{n:04d}"]
        for outcome, those in (("", has), ("failed", [n for n in has if n % 2])):
            for down in (False, True):
                found = page(index, Wanted(words=words, outcome=outcome, descending=down))
                assert lines_of(found) == sorted((n + 1 for n in those), reverse=down)
    # In a row's own cells, in what happened, and as a line, but each row once.
    found = page(index, Wanted(words="17", limit=100))
    assert lines_of(found) == sorted({17, 18, *range(2, 102, 2)})


def test_rows_of_one_reason_stand_together(index):
    assert lines_of(page(index, Wanted(sort="message"))) == [1, 2, 4, 3, 5]


def test_a_search_that_finds_very_many_says_that_there_are_more(index, monkeypatch):
    monkeypatch.setattr(rows, "MOST_FOUND", 2)
    answer = page(index, Wanted(words="3500"))
    assert (answer["total"], answer["more"], lines_of(answer)) == (2, True, [1, 2])


def test_a_query_that_takes_too_long_is_ended(index, monkeypatch):
    monkeypatch.setattr(rows, "_SECONDS", -1)
    monkeypatch.setattr(rows, "_STEPS", 1)
    with pytest.raises(NoReportError, match="takes too long"):
        page(index, Wanted(words="3500"))


def test_lines_cells_and_columns_are_bounded_whatever_a_file_holds():
    text = (
        b"line,device_id,outcome\n"
        + b'1,"'
        + b"x" * 200_000
        + b'",failed\n'
        + b"2,y\n"
        + b"," * 500
        + b"\n3,z,\xff"
    )
    found = list(building.rows_of(io.BytesIO(text).readline))
    assert [len(row) for row in found] == [3, 2, 2, building.COLUMNS, 3]
    assert len(found[1][1]) == building.CELL
    assert found[4] == ["3", "z", "\ufffd"]


def test_a_quote_that_is_never_closed_spoils_its_own_line_only():
    text = b'line,device_id\n1,"a\n2,b\n'
    assert list(building.rows_of(io.BytesIO(text).readline))[2] == ["2", "b"]


def test_an_index_of_a_device_report_has_no_lines(indexed):
    index = indexed("x,failed,409,words", header="device_id,outcome,status,message")
    answer = page(index, Wanted(words="words"))
    assert answer["rows"] == [["x", "failed", "409", "words"]]


def test_an_index_is_written_by_nobody_who_reads_it(index):
    with rows._reading(index) as database, pytest.raises(sqlite3.OperationalError):
        database.execute("delete from rows")


def test_more_distinct_endings_than_are_remembered_are_all_kept(indexed, monkeypatch):
    monkeypatch.setattr(building, "_REMEMBERED", 2)
    index = indexed(*(f"{n},d{n},failed,{n % 3},message {n % 5},op,1,2" for n in range(1, 31)))
    answer = page(index, Wanted(outcome="failed", reason="message 3"))
    assert lines_of(answer) == [3, 8, 13, 18, 23, 28]
