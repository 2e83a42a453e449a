"""``check FILE…``: verdicts by reason, exit codes, and nothing of Airflow or the network."""

from __future__ import annotations

import io
import json
import logging
import os
import subprocess
import sys
from pathlib import Path

import pytest

from airflow_provider_nrfprov.__main__ import main
from airflow_provider_nrfprov.claiming import check
from airflow_provider_nrfprov.emulator.mint import mint_devices
from airflow_provider_nrfprov.emulator.server import running_emulator

DEVICES = list(mint_devices(4, seed="check"))
A, B, C = (device.token for device in DEVICES[:3])


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def file(tmp_path):
    def write(content: str):
        path = tmp_path / "shift.csv"
        path.write_text(content)
        return str(path)

    return write


def test_a_good_file_exits_with_0(file, capsys):
    assert main(["check", file(f"token,tags\n{A},x\n{B},y\n")]) == 0
    assert capsys.readouterr().out.endswith("shift.csv: 2 rows: 2 can be sent, 0 cannot\n")


def test_rows_that_cannot_be_sent_are_grouped_by_reason_and_exit_with_1(file, capsys):
    assert main(["check", file(f"{A}\n" + f"{B[:90]}\n" * 12 + f"{C},352656106118683\n")]) == 1
    first, most, other = capsys.readouterr().out.splitlines()
    assert first.endswith("14 rows: 1 can be sent, 13 cannot")
    assert most.startswith("12 \N{MULTIPLICATION SIGN} malformed token: ")
    assert most.endswith("(lines 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, …)")
    assert other.startswith("1 \N{MULTIPLICATION SIGN} invalid tag: column 2 holds an IMEI")


@pytest.mark.parametrize("content", ["", '[{"token": 1}]', "imei,uuid\n1,2\n"])
def test_a_file_that_cannot_be_used_exits_with_2(file, capsys, content):
    path = file(content)
    assert main(["check", path]) == 2
    assert path in capsys.readouterr().out


def test_the_worst_of_several_files_counts(file, tmp_path, capsys):
    assert main(["check", file(A), str(tmp_path / "missing.csv")]) == 2
    assert "missing.csv cannot be read: No such file" in capsys.readouterr().out


def test_a_name_that_cannot_be_printed_and_a_token_in_its_place_are_shown_as_they_may_be(file, capsys):
    odd = os.fsdecode(os.fsencode(file(f"{A}\n{B}\n")) + b"-Sch\xf6n.csv")
    Path(odd.partition("-Sch")[0]).rename(odd)
    assert main(["check", odd]) == 0
    assert r"-Sch\xf6n.csv: 2 rows" in capsys.readouterr().out
    assert main(["check", C]) == 2
    assert capsys.readouterr().out == "<claim token> cannot be read: No such file or directory\n"


def test_json_has_all_of_it(file, capsys):
    assert main(["check", "--json", file(f"{A}\nrubbish\n")]) == 1
    told = json.loads(capsys.readouterr().out)
    assert (told["rows"], told["sendable"], told["rejected"]) == (2, 1, 1)
    assert (told["reasons"][0]["outcome"], told["reasons"][0]["lines"]) == ("malformed_token", [2])


def test_columns_can_be_named(file, capsys):
    path = file(f"Nr;Token ID\n1;{A}\n")
    assert main(["check", path, "--columns", "token=Token ID"]) == 0
    assert main(["check", path]) == 2
    assert "has the columns Nr, Token ID, and none of them is called token" in capsys.readouterr().out
    assert main(["check", path, "--columns", "Token ID"]) == 2
    assert "write ROLE=NAME" in capsys.readouterr().err


def test_a_long_file_has_a_progress_bar_in_a_terminal_only(file, monkeypatch):
    monkeypatch.setattr(check, "_ROWS_PER_STEP", 1)
    terminal, pipe = Terminal(), io.StringIO()
    for err in (terminal, pipe):
        assert check._check(file(f"{A}\n{B}\n"), {}, None, 0, err).exit_code == 0
    assert "100% 2 rows" in terminal.getvalue()
    assert pipe.getvalue() == ""


def test_against_asks_the_service_about_a_sample(file, capsys, monkeypatch):
    path = file("\n".join(device.token for device in DEVICES))
    with running_emulator() as emulator:
        monkeypatch.setenv("NRFPROV_BASE_URL", emulator.url)
        assert main(["check", "--against", path]) == 2
        assert "NRFPROV_API_KEY" in capsys.readouterr().err
        monkeypatch.setenv("NRFPROV_API_KEY", "wrong")
        assert main(["check", "--against", path]) == 2
        assert "could not ask the service" in capsys.readouterr().out
        monkeypatch.setenv("NRFPROV_API_KEY", "emulator-key")
        assert main(["check", "--against", "--sample", "2", path]) == 0
        assert "rows that the service would accept: 2 of 2 asked about" in capsys.readouterr().out


@pytest.mark.parametrize("name", ["pipe", "/dev/zero"])
def test_what_would_never_end_is_no_claim_file(tmp_path, capsys, name):
    path = tmp_path / name
    if name == "pipe":
        os.mkfifo(path)
    assert main(["check", str(path)]) == 2
    assert f"{path} cannot be read: it is not a regular file" in capsys.readouterr().out


def test_a_file_url_is_local(file, capsys):
    assert main(["check", f"file://{file(A)}"]) == 0
    assert "shift.csv: 1 row: 1 can be sent" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("", "the path of a claim file is empty"),
        (
            "s3://conn@bucket/shift.csv",
            "check reads local files; download it first, or let NrfProvCheckClaimFileOperator",
        ),
        ("http://host/shift.csv", "check reads local files"),
        ("file://host/shift.csv", "names the host 'host'"),
    ],
)
def test_what_is_not_local_is_not_read(name, words, capsys):
    assert main(["check", name]) == 2
    assert words in capsys.readouterr().out


@pytest.mark.parametrize(
    ("header", "names"),
    [
        ("token,tag1,tag2", "tag1, tag2"),
        ("token,labels,lot", "labels"),
        ("token,group,", "group"),
        ("token,tags,tag2", "tag2"),
    ],
)
def test_columns_that_may_be_meant_as_tags_have_a_warning(file, capsys, caplog, header, names):
    path = file(f"{header}\n{A},x,y\n")
    assert main(["check", path]) == 0
    words = f"line 1: {names}: not read as tags, only carried along"
    assert f"\nwarning: {words}" in capsys.readouterr().out
    assert words in caplog.text
    # Airflow 2, once a test has imported it, logs to stdout; the program itself does not import it.
    caplog.set_level(logging.CRITICAL, logger="airflow_provider_nrfprov")
    assert main(["check", "--json", path]) == 0
    assert json.loads(capsys.readouterr().out)["warnings"][0].startswith(words)


@pytest.mark.parametrize("header", ["token,tag list,group", "token,tag_list,Montag", "token,stage,target"])
def test_other_columns_have_no_warning(file, capsys, header):
    assert main(["check", file(f"{header}\n{A},x,y\n")]) == 0
    assert "warning" not in capsys.readouterr().out


def test_neither_airflow_nor_a_network_library_nor_openssl_is_imported(file):
    code = (
        "import sys; from airflow_provider_nrfprov.__main__ import main; main(sys.argv[1:]);"
        "print([name for name in ('airflow', 'requests', 'pendulum', 'hashlib') if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, "check", file(A)], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.splitlines()[-1] == "[]"
