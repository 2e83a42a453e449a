"""A device is found in a report by any piece of its id, its IMEI or its serial number."""

from __future__ import annotations

import pytest

from airflow_provider_nrfprov.plugins.device_claims import search
from airflow_provider_nrfprov.plugins.device_claims.search import find_device

LINES = tuple(
    f"{n},aaaaaaaa-0000-0000-0000-{n:012d},claimed,SUCCEEDED,imei 350000000000099,01OP,3500000000{n:05d},SN{n:04d}"
    for n in range(1, 101)
)


@pytest.mark.parametrize(
    ("words", "lines"),
    [
        ("AAAAAAAA-0000-0000-0000-000000000042", ["42"]),
        ("350000000000042", ["42"]),
        ("sn0007", ["7"]),
        ("0000100", ["100"]),
        ("350000000000999", []),
        # In messages, outcomes and operations there are no devices to be found.
        ("01OP", []),
        ("SUCCEEDED", []),
        ("imei", []),
    ],
)
def test_it_is_found_by_what_is_known_of_it(write, words, lines):
    rows, more = find_device(write(*LINES), words)
    assert [row["line"] for row in rows] == lines
    assert more is (len(lines) > search.MOST_IN_A_REPORT)


@pytest.mark.parametrize("block", [1, 7, 64, 1000])
def test_it_is_found_wherever_a_block_ends(write, monkeypatch, block):
    monkeypatch.setattr(search, "_BLOCK", block)
    (row,), more = find_device(write(*LINES), "350000000000042")
    assert not more
    assert row["device_id"] == "aaaaaaaa-0000-0000-0000-000000000042"


def test_the_last_line_needs_no_end(write, tmp_path):
    report = write(*LINES)
    (tmp_path / "report.csv").write_text((tmp_path / "report.csv").read_text().rstrip("\n"))
    rows, _ = find_device(report, "SN0100")
    assert [row["line"] for row in rows] == ["100"]


@pytest.mark.parametrize(("count", "more"), [(19, False), (20, False), (21, True), (100, True)])
def test_no_more_than_some_are_shown_of_a_report_and_that_there_are_more_is_said(write, count, more):
    rows, there_are_more = find_device(write(*LINES[:count]), "aaaaaaaa")
    assert len(rows) == min(count, search.MOST_IN_A_REPORT)
    assert there_are_more is more


def test_the_header_is_no_device(write):
    assert find_device(write(*LINES), "device_id") == ([], False)
    assert find_device(write(*LINES), "serial") == ([], False)
