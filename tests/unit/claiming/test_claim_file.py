from __future__ import annotations

import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_nrfprov.claiming.claim_file import (
    ClaimFile,
    ClaimFileError,
    Row,
    Verdict,
    check_tags,
    chunks,
    read_rows,
    to_csv,
)
from airflow_provider_nrfprov.claiming.columns import ATTESTATION, SERVICE, Form, read_header
from airflow_provider_nrfprov.emulator.mint import mint_devices, mint_keygen, mint_token

DEVICES = list(mint_devices(6, seed="claim file"))
LONG_TAG = "t" * 101
A, B, C = (device.token for device in DEVICES[:3])


def read(content: str | bytes) -> list[Row]:
    raw = content.encode() if isinstance(content, str) else content
    return list(read_rows(io.BytesIO(raw), "shift.csv"))


def verdicts(content: str | bytes) -> list[tuple[int, str]]:
    return [(row.line, row.verdict.value) for row in read(content)]


def test_reads_the_services_own_form():
    rows = read(f'{A}\n{B},"line=1,lot=7"\n"{C}","x"\n')
    assert [row.device_id for row in rows] == [device.device_id for device in DEVICES[:3]]
    assert [row.tags for row in rows] == [(), ("line=1", "lot=7"), ("x",)]
    assert all(row.is_ok for row in rows)


def test_reads_what_gather_attestation_tokens_writes():
    rows = read(
        f"351358815340515,{DEVICES[0].device_id},{A},2026-11-02T06:00:01.123456+00:00\n"
        f"351358815340523,{DEVICES[1].device_id},{B},2026-11-02T06:00:09.123456+00:00\n"
    )
    assert [(row.line, row.device_id, row.verdict) for row in rows] == [
        (1, DEVICES[0].device_id, Verdict.OK),
        (2, DEVICES[1].device_id, Verdict.OK),
    ]


@pytest.mark.parametrize("header", ["token", "claimToken,tags", "imei,uuid,token,time", "Token;Tags"])
def test_a_header_is_no_row_and_keeps_its_line_number(header):
    separator = ";" if ";" in header else ","
    row = A if "imei" not in header else f"351358815340515{separator}x{separator}{A}{separator}t"
    assert verdicts(f"{header}\n{row}\n") == [(2, "ok")]


@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_separators_of_spreadsheets_are_taken(separator):
    tags = '"line=1,lot=7"' if separator == "," else "line=1,lot=7"
    (row,) = read(f"{A}{separator}{tags}\n")
    assert row.tags == ("line=1", "lot=7")


def test_byte_order_mark_crlf_and_blank_lines_do_not_matter():
    assert verdicts(f"\r\n{A}\r\n\r\n   \r\n{B}\r\n".encode("utf-8-sig")) == [(2, "ok"), (5, "ok")]


def test_every_bad_row_gets_a_verdict_and_no_good_row_is_lost():
    again = mint_token(DEVICES[0].device_id)
    content = "\n".join(
        [
            A,
            B[:90],
            mint_keygen(DEVICES[3].device_id),
            again,
            f'{C},"{LONG_TAG}"',
            f"{C},a,b",
            f'"{C}',
            f'{C},"{LONG_TAG[1:]}"',
            "",
            f"1,2,{DEVICES[3].token},4,5",
            f"imei-like,{DEVICES[4].token}",
        ]
    )
    assert verdicts(content) == [
        (1, "ok"),
        (2, "malformed_token"),
        (3, "wrong_token_kind"),
        (4, "duplicate_device"),
        (5, "tag_too_long"),
        (6, "too_many_columns"),
        (7, "unreadable_row"),
        (8, "ok"),
        (10, "too_many_columns"),
        (11, "malformed_token"),
    ]
    rows = {row.line: row for row in read(content)}
    assert "line 1" in rows[4].message
    assert "101 characters" in rows[5].message
    assert "quoted" in rows[6].message
    assert "column 2" in rows[11].message


def test_a_stray_quote_does_not_swallow_the_rows_after_it():
    assert [verdict for _, verdict in verdicts(f'{A},"oops\n{B}\n{C}\n')] == ["unreadable_row", "ok", "ok"]


def test_a_row_that_is_not_utf8_is_refused_alone():
    content = f"{A}\n".encode() + f"{B},gr\u00fcn\n".encode("latin-1") + f"{C}\n".encode()
    assert [verdict for _, verdict in verdicts(content)] == ["ok", "unreadable_row", "ok"]


def test_chunks_hold_so_many_rows_that_can_be_sent_and_the_others_between_them():
    tokens = [device.token for device in mint_devices(1001, seed="chunks")]
    content = "\n".join([*tokens[:500], "rubbish", *tokens[500:]])
    cut = list(chunks(read(content), 1000))
    assert [(chunk.number, len(chunk.rows), len(chunk.sendable)) for chunk in cut] == [
        (1, 1001, 1000),
        (2, 1, 1),
    ]
    assert cut[1].rows[0].line == 1002


def test_rows_are_written_as_the_service_reads_them():
    rows = read(f'{A}\n{B},"a,b"\n')
    assert to_csv(rows) == f'"{A}"\n"{B}","a,b"\n'
    assert to_csv(rows, ["b", "c"]) == f'"{A}","b,c"\n"{B}","a,b,c"\n'


@pytest.mark.parametrize(
    ("tag", "words"), [("t" * 101, "101 characters"), ("a,b", "comma"), ("", "empty"), ("a\nb", "printed")]
)
def test_tags_given_as_an_argument_are_checked_by_name(tag, words):
    with pytest.raises(ValueError, match=words):
        check_tags(["fine", tag])


def test_the_token_of_a_row_is_not_in_its_repr():
    (row,) = read(A)
    assert A[:30] not in repr(row)


_cell = st.sampled_from(
    [A, B, B[:50], "x", "351358815340515", '"a,b"', '"', ";", "t" * 101, "", "token", "\u00fc"]
) | st.text(st.characters(codec="utf-8", exclude_characters="\x00"), max_size=8)
_line = st.lists(_cell, max_size=5).flatmap(
    lambda cells: st.sampled_from(",;\t").map(lambda by: by.join(cells))
)


@given(st.lists(_line, max_size=8).map("\n".join) | st.binary(max_size=300))
def test_any_file_gives_a_verdict_for_each_row_or_a_claim_file_error(content):
    try:
        rows = read(content)
    except ClaimFileError:
        return
    assert rows
    assert [row.line for row in rows] == sorted({row.line for row in rows})
    good = [row for row in rows if row.is_ok]
    assert len({row.device_id for row in good}) == len(good)
    assert all(row.message for row in rows if not row.is_ok)
    # What is sent is read back by any CSV reader as these very rows.
    sent = list(csv.reader(io.StringIO(to_csv(good))))
    assert [cells[0] for cells in sent] == [row.token for row in good]


_CELLS = st.one_of(
    st.sampled_from(
        [
            A,
            B,
            f'"{A}"',
            A[:-1],
            f" {A}",
            "",
            "35000",
            "x",
            '"a,b"',
            '"a""b"',
            LONG_TAG,
            "ä",
            "\udcff",
            "a|b",
            "\x07",
            DEVICES[0].device_id,
            DEVICES[1].device_id,
            "351358815340515",
            "2026-11-02T06:00:01",
            "None",
            f"Attestation token: {A}",
            "\x1b[31mred\x1b[0m",
            "token",
        ]
    ),
    st.text("0123456789 ab,;\t\"'", max_size=6),
)


def short_and_long_way(line: str, form: Form = SERVICE) -> tuple[Row | None, Row | None]:
    readers = [ClaimFile(io.BytesIO(), "shift.csv") for _ in range(2)]
    for reader in readers:
        reader.form = form
    return readers[0].read_usual(7, line), readers[1].read_unusual(7, line)


NAMED = read_header("imei;token;tags;uuid", "imei;token;tags;uuid", {})


@given(
    st.lists(_CELLS, min_size=1, max_size=5),
    st.sampled_from([",", ",", ";", "\t"]),
    st.sampled_from([SERVICE, ATTESTATION, NAMED]),
)
def test_the_short_way_through_a_row_gives_what_the_long_way_gives(cells, separator, form):
    short, long = short_and_long_way(separator.join(cells), form)
    assert short is None or short == long


@pytest.mark.parametrize(
    ("line", "form"),
    [
        (A, SERVICE),
        (f'{B},"line=1,lot=7"', SERVICE),
        (f"{C},x", SERVICE),
        (f"351358815340515,{DEVICES[3].device_id},{DEVICES[3].token},2026-11-02T06:00:01+00:00", ATTESTATION),
        (f"None,,{DEVICES[3].token},2026-11-02", ATTESTATION),
        (f"35;{A};line=1,lot=7;{DEVICES[0].device_id}", NAMED),
        (f'35;{A};"line=1;lot=7";', NAMED),
    ],
)
def test_usual_rows_take_the_short_way(line, form):
    short, long = short_and_long_way(line, form)
    assert short is not None
    assert short == long
