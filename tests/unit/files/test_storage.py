"""Files are whole or absent, on local disks and object stores alike, and nobody's trap takes what is written."""

from __future__ import annotations

import errno
import os
import resource
import stat
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from airflow.providers.common.compat.sdk import ObjectStoragePath

from airflow_provider_nrfprov.files.storage import Folder

GOOD = "whole and good\n" * 100


@pytest.fixture(params=["local disk", "object store"])
def folder(request, tmp_path) -> Folder:
    if request.param == "local disk":
        return Folder(tmp_path / "reports")
    return Folder(ObjectStoragePath(request.getfixturevalue("object_store")) / "reports")


@pytest.mark.parametrize("death", [SystemExit, KeyboardInterrupt, OSError, RuntimeError])
def test_what_stood_there_stays_whole_if_its_successor_breaks_off(folder, death):
    folder.write("report.csv", GOOD)

    def break_off() -> None:
        with folder.writing("report.csv") as stream:
            stream.write("half of\n" * 5000)
            raise death

    with pytest.raises(death):
        break_off()
    assert folder.read("report.csv") == GOOD
    assert folder.names() == {"report.csv"}


def test_a_file_is_absent_until_it_is_whole(folder):
    with folder.writing("report.csv") as stream:
        stream.write(GOOD)
        assert folder.read("report.csv") is None
    assert folder.read("report.csv") == GOOD


def test_what_was_written_is_read_listed_and_removed(folder):
    assert folder.names() == set()
    assert folder.read("a") is None
    folder.write("a", "ä€\udcff")
    folder.folder("inner").write("b", "")
    assert folder.names() == {"a", "inner"}
    assert folder.folder("inner").read("b") == ""
    with folder.reading("a") as stream:
        assert stream.read() == "ä€".encode() + b"\xff"
    folder.remove("a")
    folder.remove("a")
    assert folder.names() == {"inner"}


def test_two_processes_with_one_pid_write_each_its_own(tmp_path, monkeypatch):
    """Two containers on one volume: each has a process 27."""
    monkeypatch.setattr(os, "getpid", lambda: 27)
    texts = {f"{letter * 20}\n" * 200 for letter in "abcdef"}

    def write(text: str) -> None:
        for _ in range(40):
            with Folder(tmp_path).writing("summary.json") as stream:
                for line in text.splitlines(keepends=True):
                    stream.write(line)

    with ThreadPoolExecutor(len(texts)) as pool:
        list(pool.map(write, texts))  # an error of one is raised here
    assert (tmp_path / "summary.json").read_text() in texts
    assert [path.name for path in tmp_path.iterdir()] == ["summary.json"]


def test_what_is_no_regular_file_is_not_replaced(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(OSError, match="not a regular file"):
        Folder(tmp_path).write("pipe", "x")
    assert (tmp_path / "pipe").is_fifo()


@pytest.mark.parametrize("trap", ["link", "dangling link", "file of everybody"])
def test_a_trap_in_a_folder_of_others_takes_no_token(tmp_path, trap):
    elsewhere, target = tmp_path / "elsewhere", tmp_path / "reports" / "failed_rows.csv"
    target.parent.mkdir()
    if trap == "file of everybody":
        target.write_text("")
        target.chmod(0o666)
        held_open = target.open()
    else:
        held_open = None
        target.symlink_to(elsewhere)
        if trap == "link":
            elsewhere.write_text("")
    with Folder(target.parent).writing(target.name, owner_only=True) as stream:
        stream.write("a token")
    assert not elsewhere.exists() or elsewhere.read_text() == ""
    assert not target.is_symlink()
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    if held_open is not None:
        with held_open:
            assert held_open.read() == ""


def test_a_file_of_tokens_is_never_readable_by_others_while_it_is_written(tmp_path):
    with Folder(tmp_path).writing("failed_rows.csv", owner_only=True) as stream:
        stream.write("a token")
        stream.flush()
        assert {oct(stat.S_IMODE(path.stat().st_mode)) for path in Path(tmp_path).iterdir()} == {"0o600"}


@pytest.fixture
def full_disk() -> Iterator[None]:
    """No file of this process may grow past 64 KiB; what a disk without room answers differs by its number only."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (65_536, limits[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, limits)


def test_the_error_of_a_full_disk_names_the_file(folder, full_disk):
    with pytest.raises(OSError, match=r"report\.csv|nrfprov-") as caught:
        folder.write("report.csv", "x" * 200_000)
    assert caught.value.errno == errno.EFBIG
    assert not folder.names()
