"""The factory's report: its own columns, reasons first, and nothing that a spreadsheet would run."""

from __future__ import annotations

import csv
import io
import json
import tracemalloc
from pathlib import Path

import pytest

from airflow_provider_nrfprov.claiming.claim_file import read_rows
from airflow_provider_nrfprov.claiming.reasons import Reasons, general, in_lines
from airflow_provider_nrfprov.claiming.report import (
    COLUMNS,
    Ending,
    Outcome,
    RowOutcome,
    explained,
    read_device_ids,
    write_report,
)
from airflow_provider_nrfprov.emulator.mint import mint_devices
from airflow_provider_nrfprov.files.storage import Folder

DEVICES = list(mint_devices(6, seed="report"))
TOKENS = [device.token for device in DEVICES]
IMEI = "352656106118683"


def outcomes(content: str, *ends: tuple[Outcome, str]) -> list[RowOutcome]:
    """Let the rows that can be sent come to these ends, the last one again and again; the others are rejected."""
    given = list(ends)
    result = []
    for row in read_rows(io.BytesIO(content.encode("utf-8", "surrogateescape")), "shift.csv"):
        if row.is_ok:
            outcome, message = given.pop(0) if len(given) > 1 else given[0]
            result.append(RowOutcome(row, Ending(outcome, "FAILED", message, "01ABC")))
        else:
            result.append(RowOutcome(row, Ending(Outcome.REJECTED, row.verdict.value, row.message)))
    return result


@pytest.fixture
def folder(tmp_path):
    return Folder(tmp_path / "report")


def table(folder: Folder) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(folder.read("report.csv"))))


CLAIMED, FAILED = (Outcome.CLAIMED, ""), (Outcome.FAILED, "no")


def test_the_report_carries_the_files_own_columns_for_every_row(folder):
    content = (
        "serial;imei;token;line;tags\n"
        f"SN-1;{IMEI};{TOKENS[0]};3;x\nSN-2;{IMEI};{TOKENS[1][:90]};3;\n=SN-3;;{TOKENS[2]};3;y\n"
    )
    write_report(folder, outcomes(content, CLAIMED))
    assert folder.read("report.csv").splitlines()[0] == f"{','.join(COLUMNS)},serial,imei,file_line"
    assert [(row["serial"], row["imei"], row["file_line"], row["outcome"]) for row in table(folder)] == [
        ("SN-1", IMEI, "3", "claimed"),
        ("SN-2", IMEI, "3", "rejected"),
        ("'=SN-3", "", "3", "claimed"),
    ]


def test_failed_rows_go_straight_back_in_with_the_files_header_and_columns(folder):
    content = (
        f"serial;token;tags\nSN-1;{TOKENS[0]};x\nSN-2;{TOKENS[1]};=1+1\nSN-3;rubbish;\n"
        f"tags;token\nz;{TOKENS[2]}\nz;{TOKENS[2]}\n"
    )
    summary = write_report(folder, outcomes(content, CLAIMED, FAILED))
    again = folder.read("failed_rows.csv")
    assert again == f"serial;token;tags\nSN-2;{TOKENS[1]};=1+1\nSN-3;rubbish;\ntags;token\nz;{TOKENS[2]}\n"
    rows = list(read_rows(io.BytesIO(again.encode()), "failed_rows.csv"))
    assert [(row.device_id, row.tags) for row in rows] == [
        (DEVICES[1].device_id, ("=1+1",)),
        (None, ()),
        (DEVICES[2].device_id, ("z",)),
    ]
    assert (summary.failed_rows, summary.repeated) == (folder.path_of("failed_rows.csv"), 1)
    assert not any(token in folder.read("report.csv") for token in TOKENS)
    assert Path(summary.failed_rows).stat().st_mode & 0o077 == 0


@pytest.mark.parametrize(
    "damaged", [f"SN-1;{TOKENS[0][:70]}", f"{TOKENS[0]};{TOKENS[0]}", f"{TOKENS[0][5:]};x;y;z;"]
)
def test_no_damage_puts_a_token_into_the_report(folder, damaged):
    write_report(folder, outcomes(f"serial;token;tags\n{damaged}\n{damaged}\n", CLAIMED))
    written = folder.read("report.csv") + folder.read("summary.json")
    assert not any(TOKENS[0][at : at + 20] in written for at in range(len(TOKENS[0]) - 20))


@pytest.mark.parametrize(
    ("message", "cell"),
    [
        ("=HYPERLINK(1)", "'=HYPERLINK(1)"),
        ("+CME ERROR: 517", "'+CME ERROR: 517"),
        ("-1", "'-1"),
        ("@x", "'@x"),
        ("\tx", "'\\x09x"),
        ("\rx", "'\\x0dx"),
        (
            "half \ud800, byte \udcff, bell \x07, line\nend",
            "half \\ud800, byte \\xff, bell \\x07, line\\x0aend",
        ),
        ("x" * 5_000, f"{'x' * 2_000}… (cut, 5,000 characters)"),
        ('grün, "so"', 'grün, "so"'),
    ],
)
def test_any_message_can_be_written_and_none_is_run_by_a_spreadsheet(folder, message, cell):
    summary = write_report(folder, outcomes(TOKENS[0], (Outcome.FAILED, message)))
    assert [row["message"] for row in table(folder)] == [cell]
    assert json.loads(folder.read("summary.json"))["failed"] == summary.counts[Outcome.FAILED] == 1


def test_any_code_point_can_be_written(folder):
    (row,) = read_rows(io.BytesIO(TOKENS[0].encode()), "shift.csv")
    messages = [
        f"a{chr(code)}b" for code in (*range(0x3000), *range(0xD7F0, 0xE010), *range(0xFE00, 0x110000, 257))
    ]
    write_report(folder, (RowOutcome(row, Ending(Outcome.FAILED, "", message)) for message in messages))
    written = [row["message"] for row in table(folder)]
    assert len(written) == len(messages)
    assert all(
        code >= 0x20 and not 0x7F <= code < 0xA0 and not 0xD800 <= code < 0xE000
        for code in map(ord, "".join(written))
    )


def test_reasons_come_first_in_summary_and_log(folder):
    content = "\n".join(
        [*(device.token for device in mint_devices(2_500, seed="many")), "rubbish", TOKENS[0]]
    )
    ends = [
        (Outcome.FAILED, f"row {n}: device {'0' * 8}-0000-4000-8000-{n:012} is taken") for n in range(2_500)
    ]
    summary = write_report(folder, outcomes(content, *ends, CLAIMED))
    first, second, third = str(summary).splitlines()
    assert first == "2,502 rows: 1 claimed, 0 already claimed, 1 rejected, 2,500 failed, 0 unknown"
    assert second == (
        "2,500 \N{MULTIPLICATION SIGN} failed: row …: device … is taken (lines 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, …)"
    )
    assert third.endswith("(line 2501)")
    told = json.loads(folder.read("summary.json"))
    assert told["reasons"][0] == {
        "outcome": "failed", "reason": "row …: device … is taken", "count": 2500, "lines": list(range(1, 11))
    }  # fmt: skip


def test_a_warning_of_a_row_that_was_sent_is_in_report_and_reasons(folder):
    summary = write_report(folder, outcomes(f"{TOKENS[0]},a|b\n", CLAIMED))
    assert "commas do" in table(folder)[0]["message"]
    assert [(reason.outcome, reason.count) for reason in summary.reasons] == [("claimed", 1)]
    assert summary.failed_rows is None


def test_a_report_is_read_by_machines_whatever_columns_the_file_has(folder):
    write_report(folder, outcomes(f"device_id,outcome,token\nx,claimed,{TOKENS[0]}\n", FAILED))
    lines = folder.read("report.csv").splitlines()
    assert lines[0].endswith("file_device_id,file_outcome")
    assert list(read_device_ids(lines, [Outcome.FAILED])) == [(2, DEVICES[0].device_id)]
    assert list(read_device_ids(lines, [Outcome.CLAIMED])) == []


@pytest.mark.parametrize(
    ("message", "is_explained"),
    [
        ("Device is already claimed", True),
        ("already been claimed by another tenant", True),
        ("Invalid token", False),
    ],
)
def test_already_claimed_by_another_team_says_what_to_do(message, is_explained):
    assert explained(message).startswith(message)
    assert ("must be unclaimed there" in explained(message)) == is_explained


def test_reasons_of_a_million_different_messages_stay_small():
    reasons = Reasons()
    tracemalloc.start()
    for line in range(20_000):
        reasons.add(line, "failed", f"{line:x} {'z' * 500}")
    taken = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    found = reasons.most_frequent()
    assert sum(reason.count for reason in found) == 20_000
    assert found[0].reason == "other reasons"
    assert len(in_lines(found)) == 11
    assert taken < 1_000_000


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("the same device as in line 5", "the same device as in line 71"),
        ("[3]: no", "[14]: no"),
        ("the body (90 characters) is not CBOR", "the body (76 characters) is not CBOR"),
        ("device 352656106118683 is taken", "device 351358815340515 is taken"),
    ],
)
def test_messages_that_differ_by_device_or_place_are_one_reason(one, other):
    assert general(one) == general(other) != general("HTTP 403")
