"""Shapes of claim files that factories make, each with what has to come out."""

from __future__ import annotations

import io
import re
import time

import pytest

from airflow_provider_nrfprov.claiming.claim_file import (
    ClaimFile,
    ClaimFileError,
    Row,
    Verdict,
    chunks,
    read_rows,
)
from airflow_provider_nrfprov.emulator.mint import mint_devices, mint_keygen, mint_token

DEVICES = list(mint_devices(4, seed="shapes"))
A, B, C, D = (device.token for device in DEVICES)
ID_A, ID_B, ID_C = (device.device_id for device in DEVICES[:3])
IMEI = "352656106118683"
TIME = "2026-11-02T06:00:01.123456+00:00"
ESC = "\x1b"


def read(content: str | bytes, **columns: str) -> list[Row]:
    raw = content.encode() if isinstance(content, str) else content
    return list(read_rows(io.BytesIO(raw), "shift.csv", columns=columns or None))


@pytest.mark.parametrize(
    ("content", "tags", "carried"),
    [
        (f"token,imei\n{A},{IMEI}\n", (), {"imei": IMEI}),
        (f"attestationToken,deviceId\n{A},{ID_A}\n", (), {"deviceId": ID_A}),
        (f"deviceId,attestationToken\n{ID_A},{A}\n", (), {"deviceId": ID_A}),
        (f"token,timestamp\n{A},{TIME}\n", (), {"timestamp": TIME}),
        (f"imei,uuid,token,tags\n{IMEI},{ID_A},{A},nrf-cloud-onboarding\n", ("nrf-cloud-onboarding",),
         {"imei": IMEI, "uuid": ID_A}),
        (f"serial,imei,token,station\nSN-0001,{IMEI},{A},7\n", (), {"serial": "SN-0001", "imei": IMEI, "station": "7"}),
        (f"serial;imei;token;station\nSN-0001;{IMEI};{A};7\n", (), {"serial": "SN-0001", "imei": IMEI, "station": "7"}),
        (f'imei,token,tags\n{IMEI},{A},"line=1,lot=7"\n', ("line=1", "lot=7"), {"imei": IMEI}),
        (f'token,tag list\n{A},"a,b"\n', ("a", "b"), {}),
        (f'token,tag_list\n{A},"a,b"\n', ("a", "b"), {}),
        (f'token,Tag-List\n{A},"a,b"\n', ("a", "b"), {}),
        (f"imei;token;tags\n{IMEI};{A};line=1,lot=7\n", ("line=1", "lot=7"), {"imei": IMEI}),
        (f"imei,uuid,token,time,serial\n{IMEI},{ID_A},{A},{TIME},SN-1\n", (),
         {"imei": IMEI, "uuid": ID_A, "time": TIME, "serial": "SN-1"}),
        (f",imei,token\n0,{IMEI},{A}\n", (), {"column_1": "0", "imei": IMEI}),
        (f"No.;Token\n1;{A}\n", (), {"No.": "1"}),
        (f"IMEI\tClaim Token\tTags\n{IMEI}\t{A}\tx\n", ("x",), {"IMEI": IMEI}),
        (f"imei|token|tags\n{IMEI}|{A}|x\n", ("x",), {"imei": IMEI}),
        (f'"imei" , "claim_token", "tags"\n"{IMEI}" ,"{A}" , "a,b"\n', ("a", "b"), {"imei": IMEI}),
        (f'Seriennummer;"Attestation\nToken"\nSN-1;{A}\n', (), {"Seriennummer": "SN-1"}),
        (f"Stückzahl;token\n3,5;{A}\n".encode("latin-1"), (), {"St\udcfcckzahl": "3,5"}),
        (f"sep=;\nimei;token;tags\n{IMEI};{A};x\n", ("x",), {"imei": IMEI}),
        (f"Shift report of 2 November\n\nimei,token,tags\n{IMEI},{A},x\n", ("x",), {"imei": IMEI}),
        (f"#TYPE System.Management.Automation.PSCustomObject\n\"imei\",\"token\"\n\"{IMEI}\",\"{A}\"\n", (), {"imei": IMEI}),
        (f"\ufeff\ufefftoken,tags\n{A},x\n", ("x",), {}),
    ],
)  # fmt: skip
def test_with_a_header_columns_go_by_their_names(content, tags, carried):
    (row,) = read(content)
    assert (row.verdict.value, row.message, row.device_id, row.token) == ("ok", "", ID_A, A)
    assert row.tags == tags
    assert dict(zip(row.form.carried, row.carried, strict=True)) == carried


def test_a_user_may_name_the_columns():
    other = mint_token(ID_A, device_type=2)
    content = f"Nr;Token ID;Gruppe;token\n1;{A};x;{other}\n"
    (row,) = read(content, token="Token ID", tags="gruppe")
    assert (row.token, row.tags, row.form.carried) == (A, ("x",), ("Nr", "token"))
    # What may be a token is in no cell that a report shows.
    assert row.carried == ("1", "(left out, as it may be a token)")


@pytest.mark.parametrize("at_once", [1, 1000])
@pytest.mark.parametrize(
    ("header", "row", "place"),
    [
        ("token,token2", "{A},{B}", 2),
        ("token2;serial;token", "{B};SN-1;{A}", 1),
        ("token,tags,token2", '{A},"a,b","{B}"', 3),
        ("token,token2", '{A},%ATTESTTOKEN: "{B}"', 2),
        ("token,token2", "{A},{B:.100}", 2),
        ("token,uuid", "{A},{B}", 2),
        ("imei,uuid,token,time", "352656106118683,{B},{A},2026-11-02T06:00:01", 2),
    ],
)
def test_a_row_with_the_tokens_of_two_devices_is_refused_as_one_would_be_lost(header, row, place, at_once):
    content = f"{header}\n{row.format(A=A, B=B)}\n"
    rows = list(ClaimFile(io.BytesIO(content.encode() * 3), "shift.csv", at_once=at_once))
    assert [each.verdict for each in rows] == [Verdict.SECOND_TOKEN] * 3
    assert rows[0].message == f"column {place} holds a claim token, too; put each device on a row of its own"
    assert not any(B[:30] in cell for each in rows for cell in each.carried)


@pytest.mark.parametrize("header", ["", "token,tags\n"])
@pytest.mark.parametrize("cell", [A, B, f'"x,{B}"', B[:60]])
def test_a_token_where_tags_belong_is_called_one(header, cell):
    row = read(f"{header}{A},{cell}\n{C}\n")[0]
    assert (row.verdict, row.tags) == (Verdict.INVALID_TAG, ())
    assert "holds a claim token; put each device on a row of its own" in row.message


@pytest.mark.parametrize("at_once", [1, 1000])
@pytest.mark.parametrize(
    ("cell", "is_ok", "words"),
    [
        (IMEI, False, "holds an IMEI; check that this row's columns"),
        (f'"x,{IMEI}"', False, "an IMEI"),
        ("352656106118680", True, "a tag looks like an IMEI; check that"),
        ("3.52656E+14", True, "a number that a spreadsheet has shortened"),
        ('"3,52656E+14"', True, "a number that a spreadsheet has shortened"),
        ("3E+14", True, "a number that a spreadsheet has shortened"),
        (ID_A, False, "the device's own UUID; check that this row's columns"),
        (f"{{{ID_A.upper()}}}", False, "the device's own UUID"),
        (ID_B, True, "a tag looks like a UUID"),
        (TIME, True, "a tag looks like a time"),
        ('"x,None"', False, "a placeholder for an empty value"),
        ('"[""a"",""b""]"', False, "separate tags by commas"),
        ("\"['a', 'b']\"", False, "written like a list in a program"),
        ("[]", False, "separate tags by commas"),
        ('"{""lot"": 7}"', False, "separate tags by commas"),
        ("'a'", False, "separate tags by commas"),
        ("\"'a,b'\"", False, "separate tags by commas"),
        ("\"'a', 'b'\"", False, "separate tags by commas"),
    ],
)
def test_what_is_no_tag_by_its_looks_is_noted_under_a_header_too(cell, is_ok, words, at_once):
    content = f"token,tags\n{B},x\n{A},{cell}\n{C},lot=7\n"
    rows = list(ClaimFile(io.BytesIO(content.encode()), "shift.csv", at_once=at_once))
    assert [row.is_ok for row in rows] == [True, is_ok, True]
    assert [bool(row.message) for row in rows] == [False, True, False]
    assert words in rows[1].message


@pytest.mark.parametrize("word", ["NULL", "N/A", "None", "nan", "\\N", "#N/A", "<NA>"])
def test_a_word_for_no_value_is_no_tag_under_a_header_and_refused_without(word):
    (row,) = read(f"token,tags\n{A},{word}\n")
    assert (row.is_ok, row.tags, row.message) == (True, (), "")
    (row,) = read(f"{A},{word}\n")
    assert (row.verdict, row.message[:49]) == (
        Verdict.INVALID_TAG,
        "column 2 holds a placeholder for an empty value w",
    )


@pytest.mark.parametrize("at_once", [1, 1000])
@pytest.mark.parametrize("start", ["", "token,tags\n", "token,serial\n"])
@pytest.mark.parametrize("row", [A, f"{A},lot=7", f'{A},"lot=7"'])
def test_a_ctrl_z_at_the_end_is_no_part_of_the_last_row(start, row, at_once):
    for end in ("\x1a", "\n\x1a", "\n\x1a\n"):
        content = f"{start}{B},x\n{row}{end}"
        rows = list(ClaimFile(io.BytesIO(content.encode()), "shift.csv", at_once=at_once))
        assert [each.message for each in rows] == ["", ""]
        wanted = "lot=7" if "," in row else ""
        assert (rows[1].tags or rows[1].carried or ("",)) == (wanted,)


@pytest.mark.parametrize("tag", ["[beta]", "'a", "it's", "NA", "none-such", "1E5", "2026", "line 12:30 b"])
def test_tags_that_only_resemble_something_else_are_tags(tag):
    (row,) = read(f"token,tags\n{A},{tag}\n")
    assert (row.is_ok, row.tags, row.message) == (True, (tag,), "")


@pytest.mark.parametrize("at_once", [1, 1000])
@pytest.mark.parametrize("start", ["token,tags\n", ""])
@pytest.mark.parametrize(
    "header", ["Jeton,Serie", "Série,Étiquettes", "imei,serial", "token,claimToken", "Jeton;Serie"]
)
def test_below_a_line_that_may_be_another_header_nothing_is_tagged_by_the_one_before(start, header, at_once):
    mark = ";" if ";" in header else ","
    content = f"{start}{A},x\n{header}\n{B}{mark}SN-1\n{C}\ntoken,tags\n{D},x\n"
    rows = list(ClaimFile(io.BytesIO(content.encode()), "shift.csv", at_once=at_once))
    assert [row.is_ok for row in rows] == [True, False, False, True, True]
    assert rows[1].message.startswith("looks like another header, and none of its columns is called token")
    if not (start and mark == ";"):
        assert rows[2].verdict is Verdict.UNNAMED_COLUMN
        assert f"line {2 + bool(start)} looks like another header" in rows[2].message


@pytest.mark.parametrize(
    "line",
    [
        "ERROR,night",
        "None,None",
        "SN-0001,night",
        "night",
        f"{A[:40]},x",
        'AT,"lot',
        "OK,shift",
        "a,a",
        "=x,y",
        "7,night",
    ],
)
def test_a_bad_row_does_not_put_the_tags_of_others_in_doubt(line):
    rows = read(f"token,tags\n{A},x\n{line}\n{B},x\n")
    assert [row.is_ok for row in rows] == [True, False, True]


def test_what_a_cell_with_a_stray_quote_goes_on_with_is_no_header():
    rows = read(f'token,tags\n{A},"x\nnight,shift\n{B},x\n')
    assert [row.is_ok for row in rows] == [False, False, True]


@pytest.mark.parametrize(
    ("content", "names"),
    [
        (f"Série;Jeton;Étiquettes\nSN-1;{A};x\n", "Série, Jeton, Étiquettes"),
        (f"Série;Étiquettes;Jeton\nSN-1;x;{A}\n", "Série, Étiquettes, Jeton"),
        (f"Serie,Jeton\nSN-1,{A}\n", "Serie, Jeton"),
    ],
)
def test_a_header_of_another_language_is_called_a_header_without_a_token_column(content, names):
    with pytest.raises(ClaimFileError) as error:
        read(content)
    assert f"has the columns {names}, and none of them is called token" in str(error.value)
    assert "columns={'token': …}" in str(error.value)


def test_a_title_above_rows_of_a_documented_form_voids_none_without_tags():
    content = f"Shift report, line B\n{A}\n{B},x\n"
    assert [row.is_ok for row in read(content)] == [False, True, False]
    content = f'Shift report, line B\n%ATTESTTOKEN: "{A}"\n'
    assert [row.is_ok for row in read(content)] == [False, True]
    content = f"Shift report, line B, night\n{IMEI},{ID_A},{A},{TIME}\n"
    assert [row.is_ok for row in read(content)] == [False, True]


@pytest.mark.parametrize(
    ("columns", "words"),
    [({"tokens": "x"}, "columns names 'tokens'"), ({"token": " "}, "empty name for token")],
)
def test_columns_that_cannot_be_are_refused_by_name(columns, words):
    with pytest.raises(ValueError, match=words):
        read(A, **columns)


@pytest.mark.parametrize(
    ("content", "columns", "words"),
    [
        (f"Nr;Token ID\n1;{A}\n", {"token": "Serial"}, "has no header with the columns that were named .'serial'."),
        (f"imei,uuid,value\n{IMEI},{ID_A},{A}\n", {}, "has the columns imei, uuid, value, and none of them is called token"),
        (f"token,claimToken\n{A},{B}\n", {}, "names two columns for token, 1 and 2"),
        (f"token,tags,tag\n{A},a,b\n", {}, "names two columns for tags, 2 and 3"),
        ("deviceId,onboardingToken\nx,eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJ4In0.c2ln\n", {}, "onboarding tokens .nRF93M1."),
        (f'{ID_A},,tag,APP|MODEM,"-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"\n', {},
         "device_credentials_installer.*gather_attestation_tokens"),
        ('[{"token": "x"}]', {}, "JSON"),
        ('{"token": "x"}\n{"token": "y"}\n', {}, "JSON"),
        ("<!DOCTYPE html><p>Sign in", {}, "HTML"),
        ("%PDF-1.7\n", {}, "a PDF"),
        ("token\n".encode("utf-16"), {}, "UTF-16"),
        ("token\n".encode("utf-16-le"), {}, "UTF-16"),
        (b"PK\x03\x04 a spreadsheet", {}, "spreadsheet.*not a text file.*CSV UTF-8"),
        (b"\x7fELF\x02\x01\x00\x00", {}, "not a text file"),
        pytest.param(b"\x00" * 5000, {}, "not a text file", id="what a power cut leaves"),
        (b"", {}, "empty"),
        (b"\n \n", {}, "empty"),
        (b"imei,uuid,token,time\n", {}, "a header and no rows"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1", {}, "old Excel"),
        (b"\x1f\x8b\x08\x00", {}, "gzip"),
        ("{\\rtf1 token}", {}, "rich text"),
    ],
)  # fmt: skip
def test_a_file_that_cannot_be_used_is_named_with_what_it_looks_like(content, columns, words):
    with pytest.raises(ClaimFileError, match=rf"^shift\.csv .*{words}") as error:
        read(content, **columns)
    assert "\n" not in str(error.value)
    assert A[:30] not in str(error.value)


@pytest.mark.parametrize(
    ("line", "verdict", "words"),
    [
        (f"{A},{IMEI}", "invalid_tag", "column 2 holds an IMEI.*header"),
        (f"{A},{ID_A}", "invalid_tag", "column 2 holds a UUID"),
        (f"{A},{ID_B.upper()}", "invalid_tag", "a UUID"),
        (f"{A},{TIME}", "invalid_tag", "a time"),
        (f"{A};01.01.2025 06:00", "invalid_tag", "a time"),
        (f"{A},06:00:01", "invalid_tag", "a time"),
        (f"{A},1760000000", "invalid_tag", "a time"),
        (f"{A},8944501234567890123", "invalid_tag", "a SIM"),
        (f'{A},"line=1,{IMEI}"', "invalid_tag", "an IMEI"),
        (f"{A};3,52656E+14", "invalid_tag", "a number that a spreadsheet has shortened"),
        (f"{IMEI},{ID_A},{A},nrf-cloud-onboarding", "unnamed_column", "imei,uuid,token,tags"),
        (f"{IMEI},{ID_A},{A},{TIME},SN-1", "too_many_columns", "name all in a header"),
        (f"{IMEI},{A}", "malformed_token", "column 2 holds what looks like a token"),
        (f"SN-0001,{IMEI},7,{A}", "malformed_token", "column 4 holds what looks like a token"),
        (f'{A},"a\x07b"', "invalid_tag", "cannot be printed"),
        ("AT%ATTESTTOKEN failed,tag1", "malformed_token", "token"),
        (f"IMEI:{IMEI},UUID:{ID_A},TOKEN:{A}", "malformed_token", "base64url"),
        (f"{mint_keygen(ID_A)},tag1", "wrong_token_kind", "AT%KEYGEN"),
        ("ERROR", "malformed_token", "token"),
    ],
    ids=lambda value: repr(value)[:4],
)  # fmt: skip
def test_without_a_header_nothing_is_guessed_that_could_tag_or_lose(line, verdict, words):
    rows = read(f"{line}\n{C}\n")
    assert [row.line for row in rows] == [1, 2]
    assert rows[1].is_ok
    assert rows[0].verdict.value == verdict
    assert re.search(words, rows[0].message)


@pytest.mark.parametrize(
    ("line", "tags"),
    [
        (f'{A}, "a,b"', ("a", "b")),
        (f'{A}, "nrf-cloud-onboarding"', ("nrf-cloud-onboarding",)),
        (f' "{A}" ,\t"x" ', ("x",)),
        (f"3,52656E+14;{ID_A};{A};01.01.2025", ()),
        (f"3,52656E+14;{ID_A};{A};45658,25", ()),
        (f"None,{ID_A},{A},{TIME}", ()),
        (f"{IMEI},{ID_A},{A}", ()),
        (f'%ATTESTTOKEN: "{A}"', ()),
        (f'"None";"{ID_A}";"%ATTESTTOKEN: ""{A}"""', ()),
        (f'"%ATTESTTOKEN: ""{A}""",x', ("x",)),
        (f'%ATTESTTOKEN: "{A}",x', ("x",)),
        (f"Attestation token: {A}", ()),
        (f"[00:00:03.123,456] {ESC}[0m<inf> app: Attestation token: {A}{ESC}[0m", ()),
        (f"{ESC}[32m{A}{ESC}[0m", ()),
        (f"\ufeff{A},x", ("x",)),
        (f'{A},"a,\nb"', ("a", "b")),
    ],
)
def test_what_stands_around_a_token_does_not_matter(line, tags):
    rows = read(f"{B}\n{line}\n{C}\n")
    assert [row.device_id for row in rows] == [ID_B, ID_A, ID_C]
    assert all(row.is_ok for row in rows)
    assert (rows[1].token, rows[1].tags, rows[1].text) == (A, tags, line)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (f"{IMEI},{ID_B},{A},2025-01-01\n", f"the file says device {ID_B}, but the token is that of {ID_A}"),
        (f"uuid,token\n{{{ID_B.upper()}}},{A}\n", f"the file says device {ID_B}"),
        (f"{A},a|b\n", "the tag 'a|b' holds a |"),
    ],
)
def test_what_is_strange_is_sent_with_a_warning(content, message):
    (row,) = read(content)
    assert row.is_ok
    assert message in row.message


@pytest.mark.parametrize(
    ("content", "skipped"),
    [
        (f"sep=;\n{A}\n", {"separator line": 1}),
        (f"token\n{A}\ntoken\n{B}\n", {"header": 1, "repeated header": 1}),
        (f"token,tags\n{A},x\n\ufefftags,token\nx,{B}\n", {"header": 2}),
        (f"Shift 7\ntoken\n{A}\n# end of shift\n", {"title": 1, "header": 1, "comment": 1}),
        (f"-----BEGIN ATTESTATION TOKEN-----\n{A}\n-----END ATTESTATION TOKEN-----\n", {"BEGIN or END line": 2}),
        (f"[00:00:03.123,456] <inf> app: --- BEGIN TOKEN ---\n{A}\n", {"BEGIN or END line": 1}),
        (f"AT%ATTESTTOKEN\n%ATTESTTOKEN: \"{A}\"\nOK\n", {"modem reply": 2}),
        (f'\n{A},"a,\nb"\n,,\n', {"blank": 2, "line of the row before": 1}),
        (f'"Claim\ntoken"\n{A}\n', {"header": 1, "line of the header": 1}),
        (f"{A}\nname,token\nx,{B}\n", {"header": 1}),
    ],
)  # fmt: skip
def test_lines_that_are_no_rows_are_counted_by_name_and_logged(content, skipped, caplog):
    caplog.set_level("INFO")
    file = ClaimFile(io.BytesIO(content.encode()), "shift.csv")
    rows = list(file)
    assert all(row.is_ok for row in rows)
    assert file.skipped == skipped
    assert len(rows) + file.skipped.total() == len(content.splitlines())
    if "header" in skipped:
        assert "header; token: column" in caplog.text
    assert all(name in caplog.text for name in skipped if name not in {"header", "blank"})


@pytest.mark.parametrize("at_once", [1, 1000])
def test_what_has_no_name_in_a_later_header_is_not_dropped_for_it_may_be_tags(at_once):
    # The third line is what damage left of a row.
    content = f'token,tags\n{A},x\ntoken,,\n{B},"y,z"\n{C},,\n'
    rows = list(ClaimFile(io.BytesIO(content.encode()), "shift.csv", at_once=at_once))
    assert [(row.line, row.verdict) for row in rows] == [
        (2, Verdict.OK),
        (4, Verdict.UNNAMED_COLUMN),
        (5, Verdict.OK),
    ]
    assert "column 2 has no name in the last header before this row; name it there: tags" in rows[1].message


def test_a_second_header_changes_the_columns_of_the_rows_below_it():
    rows = read(f"token,tags\n{A},x\nimei,tags,token\n{IMEI},y,{B}\n")
    assert [(row.device_id, row.tags) for row in rows] == [(ID_A, ("x",)), (ID_B, ("y",))]
    assert [row.form.header for row in rows] == ["token,tags", "imei,tags,token"]


@pytest.mark.parametrize("line", [f'{IMEI},{ID_A},"cut', f"{IMEI},{ID_A},{A[:90]}", f"{IMEI},{ID_A}"])
def test_damaged_rows_still_tell_what_else_they_hold(line):
    rows = read(f"{line}\n{IMEI},{ID_B},{B},{TIME}\n")
    assert rows[0].form.carried == ("imei", "uuid", "time")
    assert rows[0].carried == (IMEI, ID_A, "")
    assert not rows[0].is_ok


@pytest.mark.parametrize(
    "content",
    [b" " * 100_000, b'"' * 1_000_000, b"A" * 1_000_000, b"-" * 60_000, b'" ' * 30_000, b"," * 60_000, b"\x1b[" * 30_000,
     b"[" * 60_000, b"2dn3" * 15_000, b"1" * 60_000, b"BEGIN " * 10_000, b"token," * 10_000],
    ids=lambda content: f"{len(content)} {content[:4]!r}",
)  # fmt: skip
def test_no_line_takes_longer_than_its_length(content):
    started = time.process_time()
    (*_, last) = read(A.encode() + b"\n" + content + b"\n" + content + f"\n{B}\n".encode())
    assert last.is_ok
    # A pattern that looks at each character again for each takes minutes.
    assert time.process_time() - started < 2


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
@pytest.mark.parametrize("before", [0, 1, 65_536, 65_537, 262_143, 262_144, 262_145, 600_000])
def test_a_line_of_any_length_is_one_row_and_the_next_is_read(before, end):
    rows = read(b"x" * before + end + A.encode() + end + B.encode())
    assert [row.line for row in rows] == ([1, 2, 3] if before else [2, 3])
    assert [row.device_id for row in rows[-2:]] == [ID_A, ID_B]
    if before > 65_536:
        assert "more than 65,536 bytes" in rows[0].message
        assert len(rows[0].text) < 300


def test_a_line_that_is_too_long_is_no_row_though_it_begins_as_one():
    rows = read(f"{A},{'t' * 70_000}\n{B}\n")
    assert [row.verdict.value for row in rows] == ["unreadable_row", "ok"]
    assert rows[0].tags == ()


@pytest.mark.parametrize("line", [A, A[:100], "x" * 700])
def test_a_chunk_is_bounded_whatever_the_rows_are(line):
    rows = ClaimFile(io.BytesIO(f"{line}\n".encode() * 20_000), "shift.csv")
    sizes = [(len(chunk.rows), len(chunk.sendable)) for chunk in chunks(rows, 1_000)]
    assert sum(size for size, _ in sizes) == 20_000
    assert max(size for size, _ in sizes) == 4_000


def test_a_file_may_begin_with_any_number_of_blank_lines():
    (row,) = read("\n" * 600_000 + A)
    assert row.line == 600_001


def test_a_chunk_of_long_rows_has_fewer_of_them():
    rows = ClaimFile(io.BytesIO(b"x" * 60_000 + b"\n" + (b"y" * 60_000 + b"\n") * 400), "shift.csv")
    assert [len(chunk.rows) for chunk in chunks(rows, 1_000)] == [140, 140, 121]
