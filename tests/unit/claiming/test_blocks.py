"""Rows read a block at a time, and again without decoding, are the rows that are read one by one."""

from __future__ import annotations

import io
import random
from collections.abc import Iterator
from unittest import mock

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_nrfprov.claiming import blocks
from airflow_provider_nrfprov.claiming.blocks import Block
from airflow_provider_nrfprov.claiming.chunks import chunks, rows_of, to_csv
from airflow_provider_nrfprov.claiming.claim_file import ClaimFile, Row, read_rows
from airflow_provider_nrfprov.claiming.first_lines import FirstLines
from airflow_provider_nrfprov.claiming.report import Ending, Outcome, RowOutcome, write_report
from airflow_provider_nrfprov.emulator.mint import mint_devices, mint_keygen, mint_token
from airflow_provider_nrfprov.files.storage import Folder
from reliability.fuzz import check_blocks

DEVICES = list(mint_devices(60, seed="blocks"))
TOKENS = [device.token for device in DEVICES]
A, ID_A = TOKENS[0], DEVICES[0].device_id
TIME = "2026-11-02T06:00:00+00:00"


def attestation_row(place: int) -> str:
    device = DEVICES[place]
    return f"35135881534{place:04d},{device.device_id},{device.token},{TIME}"


def parts_of(content: str | bytes, **named: object) -> list[Block | Row]:
    raw = content.encode() if isinstance(content, str) else content
    return list(ClaimFile(io.BytesIO(raw), "shift.csv", **named).parts())


HEADERS = {
    "": "{token}",
    "token,tags": "{token},{tags}",
    "imei,uuid,token,time": "{imei},{uuid},{token},{time}",
    "serial;token;uuid;tags": "{serial};{token};{uuid};{tags}",
    "tags\ttoken\tserial": "{tags}\t{token}\t{serial}",
}
SERIALS = [
    TOKENS[1],
    "",
    "A-1",
    "=1+1",
    "ä",
    "x" * 60,
    " b",
    "A2dn3",
    '"q"',
    "c d ",
    "\x07",
    "\ufeffA",
    "\udcff",
]
TAGS = [
    "",
    "",
    "lot=7",
    '"a,b"',
    "a|b",
    "t" * 101,
    "351358815340515",
    '"a""b"',
    '""',
    "x;y",
    "\u200blot",
    "\udcff",
]
BETWEEN = [
    "", " ", ",,", "Jeton,Serie", "# a comment", "OK", "token", "imei,token", "imei,uuid,token,time", '"', f'"{A}\n"', "\ufeff", "\x1b[31m", "AT",
    A[:-1], f" {A}", f'"{A}"', f"{A},x,y", f'%ATTESTTOKEN: "{A}"', mint_keygen(ID_A), mint_token(ID_A, device_type=200), "\udcff",
    mint_token(ID_A, message_type=2), f"{A}" + "z" * 70_000, f"{A},{ID_A}",
]  # fmt: skip


def damaged(token: str, chance: random.Random) -> str:
    """Return a token with another character, which may be of the usual form still."""
    place = chance.choice([28, 29, 30, 31, 32, 53, 54, chance.randrange(len(token))])
    return token[:place] + chance.choice("Az9-_.") + token[place + 1 :]


@st.composite
def long_files(draw: st.DrawFn, least: int = 0) -> bytes:
    """A file of mostly usual rows, some of whose devices are there twice, with something else in between."""
    header = draw(st.sampled_from(sorted(HEADERS)))
    chance = random.Random(draw(st.integers(0, 10**6)))
    odd = draw(st.sampled_from([0.0, 0.02, 0.1, 0.5]))
    lines = [header] if header else []
    for place in range(draw(st.integers(least, 60))):
        device = DEVICES[chance.randrange(60) if chance.random() < odd else place]
        uuid = chance.choice(["", device.device_id, ID_A]) if chance.random() < odd else device.device_id
        cells = {"imei": chance.choice(["", "351358815340515", "None"]), "token": device.token, "uuid": uuid,
                 "time": chance.choice([TIME, ""]), "tags": "lot=7", "serial": f"A-{place}"}  # fmt: skip
        if chance.random() < odd:
            cells |= chance.choice(
                [
                    {"tags": chance.choice(TAGS)},
                    {"serial": chance.choice(SERIALS)},
                    {"token": damaged(device.token, chance)},
                ]
            )
        lines.append(HEADERS[header].format(**cells))
        if chance.random() < odd:
            lines.append(chance.choice(BETWEEN))
    end = draw(st.sampled_from(["\n", "\r\n", "\r"]))
    return end.join(lines).encode("utf-8", "surrogateescape")


@given(long_files())
def test_the_fast_reader_and_the_plain_one_agree_on_every_line(content):
    check_blocks(content)


@pytest.mark.parametrize("header", sorted(HEADERS))
def test_a_clean_file_is_read_in_blocks(header):
    rows = (
        HEADERS[header].format(imei="351358815340515", token=device.token, uuid=device.device_id, time=TIME, tags="lot=7", serial="A-1")
        for device in DEVICES
    )  # fmt: skip
    content = "\n".join([header, *rows, ""])
    parts = parts_of(content)
    assert [len(part) for part in parts if isinstance(part, Block)] == [2, 4, 8, 16, 29]
    check_blocks(content.encode())


ODD = [*filter(None, SERIALS), *filter(None, TAGS), *filter(None, BETWEEN)]


# By number: some tokens are other ones in each process.
@pytest.mark.parametrize("odd", ODD, ids=map(str, range(len(ODD))))
def test_a_row_in_the_middle_that_is_not_usual_has_a_verdict_of_its_own(odd):
    lines = [f"{token},lot=7" for token in TOKENS]
    lines[40] = f"{TOKENS[40]},{odd}" if odd in (*SERIALS, *TAGS) else odd
    check_blocks("\n".join(lines).encode("utf-8", "surrogateescape"))


@pytest.mark.parametrize("header", sorted(HEADERS)[2:])
@pytest.mark.parametrize("odd", [{"serial": each} for each in SERIALS] + [{"tags": each} for each in TAGS]
                         + [{"token": damaged(TOKENS[40], random.Random(seed))} for seed in range(20)])  # fmt: skip
def test_a_row_in_the_middle_with_an_odd_cell_is_read_and_reported_as_by_itself(header, odd):
    lines = [header]
    for place, device in enumerate(DEVICES):
        cells = {"imei": "351358815340515", "token": device.token, "uuid": device.device_id, "time": TIME, "tags": "lot=7",
                 "serial": "A-1"}  # fmt: skip
        lines.append(HEADERS[header].format(**cells | odd if place == 40 else cells))
    check_blocks("\n".join(lines).encode("utf-8", "surrogateescape"))


def test_what_makes_no_usual_row_is_read_by_itself_and_the_others_in_blocks():
    lines = [attestation_row(place) for place in range(60)]
    lines[9] = lines[9].replace(DEVICES[9].device_id, ID_A)  # a contradiction
    lines[30] = lines[0]  # a duplicate
    lines[31] = "# a comment"
    parts = parts_of("\n".join(lines))
    alone = {part.line: part.verdict.value for part in parts if isinstance(part, Row)}
    assert {line: alone[line] for line in (10, 31)} == {10: "ok", 31: "duplicate_device"}
    assert sum(len(part) for part in parts if isinstance(part, Block)) > 45


def test_nothing_is_decoded_in_a_second_reading():
    content = "\n".join(map(attestation_row, range(60)))
    known = FirstLines()
    rows = list(rows_of(parts_of(content, first_lines=known)))
    with mock.patch.object(blocks, "usual_devices", side_effect=AssertionError):
        again = parts_of(content, first_lines=known)
    assert list(rows_of(again)) == rows


@pytest.mark.parametrize("read", [1, 5, 40])
def test_a_reading_that_ended_early_is_no_harm_to_the_next(read):
    content = "\n".join(map(attestation_row, range(60))).encode()
    known = FirstLines()
    reader = iter(ClaimFile(io.BytesIO(content), "shift.csv", first_lines=known))
    for _ in range(read):
        next(reader)
    assert list(ClaimFile(io.BytesIO(content), "shift.csv", first_lines=known)) == list(
        read_rows(io.BytesIO(content), "shift.csv")
    )


@given(long_files(least=1), st.integers(1, 25))
def test_chunks_of_blocks_are_chunks_of_rows(content, size):
    fast = list(chunks(parts_of(content), size))
    plain = list(chunks(parts_of(content, at_once=1), size))
    assert [len(chunk.rows) for chunk in fast] == [len(chunk.rows) for chunk in plain]
    for ours, theirs in zip(fast, plain, strict=True):
        assert (ours.number, ours.device_ids) == (theirs.number, theirs.device_ids)
        assert ours.to_csv(None, ["extra"]) == to_csv(theirs.sendable, ["extra"])
        some = range(0, len(ours.device_ids), 2)
        assert ours.to_csv(some) == to_csv([theirs.sendable[place] for place in some])


@given(long_files(least=1))
def test_a_report_of_blocks_is_a_report_of_rows(tmp_path_factory, content):
    written = []
    for at_once in (1_000, 1):
        folder = Folder(tmp_path_factory.mktemp("report"))
        write_report(folder, outcomes(parts_of(content, at_once=at_once)))
        written.append(folder.read("report.csv"))
    assert written[0] == written[1]


def outcomes(parts: list[Block | Row]) -> Iterator[RowOutcome]:
    for part in parts:
        if isinstance(part, Block) or part.is_ok:
            yield RowOutcome(part, Ending(Outcome.CLAIMED, "200"))
        else:
            yield RowOutcome(part, Ending(Outcome.REJECTED, part.verdict.value, part.message))
