"""Indexes of reports: built beside the web server, kept, found again, and removed for others."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from airflow_provider_nrfprov.plugins.device_claims import indexes
from airflow_provider_nrfprov.plugins.device_claims.indexes import Build, Indexes
from airflow_provider_nrfprov.plugins.device_claims.reports import NoReportError, Report
from airflow_provider_nrfprov.plugins.device_claims.rows import Wanted, page

LINE = "1,d,claimed,SUCCEEDED,,op,350000000000011,SN"


@pytest.fixture
def kept(tmp_path):
    folder = tmp_path / "indexes"
    folder.mkdir()
    return Indexes(folder)


def built(kept: Indexes, report: Report) -> Path:
    index = kept.of(report)
    if isinstance(index, Build):
        index.done.result(60)
        index = kept.of(report)
    assert isinstance(index, Path)
    return index


def test_an_index_is_built_once_and_leaves_nothing_else_behind(kept, write):
    report = write(LINE)
    first = kept.of(report)
    assert isinstance(first, Build)
    assert kept.of(report) is first
    index = built(kept, report)
    assert index == kept.of(report)
    assert page(index, Wanted())["total"] == 1
    assert [each.suffix for each in index.parent.iterdir()] == [".sqlite"]


def test_a_report_that_is_another_has_another_index(kept, write):
    first = built(kept, write(LINE))
    second = built(kept, write(LINE, LINE))
    assert first != second
    assert page(second, Wanted())["total"] == 2


def test_a_report_that_ends_too_early_has_no_index(kept, write, monkeypatch):
    report = write(LINE)
    monkeypatch.setattr(indexes, "_BLOCK", 0)
    with pytest.raises(NoReportError, match="could not be read to its end"):
        built(kept, report)
    monkeypatch.undo()
    # Nothing is remembered of it: the next one tries again.
    assert page(built(kept, report), Wanted())["total"] == 1


def test_a_report_that_is_gone_is_an_error_in_words(kept, write):
    report = write(LINE)
    Path(report.path).unlink()
    with pytest.raises(NoReportError, match="is not there"):
        built(kept, report)


def test_what_was_not_used_for_longest_makes_room(kept, write, monkeypatch):
    first = built(kept, write(LINE))
    os.utime(first, (1, 1))
    monkeypatch.setattr(indexes, "_MOST_BYTES", first.stat().st_size)
    second = built(kept, write(LINE, LINE))
    assert not first.exists()
    assert second.exists()


def test_without_room_on_the_disk_it_says_so(kept, write, monkeypatch):
    monkeypatch.setattr(indexes, "_GROWTH", 1 << 50)
    with pytest.raises(NoReportError, match="no room"):
        built(kept, write(LINE))


def test_only_so_many_wait_for_their_turn(kept, write, monkeypatch):
    monkeypatch.setattr(indexes, "_WAITING", 0)
    with pytest.raises(NoReportError, match="Too many"):
        kept.of(write(LINE))


def test_the_folder_is_ours_alone_or_another(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    own = indexes._own_folder()
    assert own.stat().st_mode & 0o777 == 0o700
    assert indexes._own_folder() == own
    own.chmod(0o777)
    another = indexes._own_folder()
    assert another != own
    assert another.stat().st_mode & 0o777 == 0o700
    own.rmdir()
    own.symlink_to(another)
    assert indexes._own_folder() not in {own, another}


def test_the_program_that_builds_knows_no_secret_of_the_server(kept, write, monkeypatch):
    monkeypatch.setenv("AIRFLOW_CONN_NRFPROV_DEFAULT", "secret")
    seen = {}
    popen = indexes.subprocess.Popen

    def started(command, **options):
        seen.update(options, command=command)
        return popen(command, **options)

    monkeypatch.setattr(indexes.subprocess, "Popen", started)
    built(kept, write(LINE))
    assert seen["env"] == {}
    assert "-I" in seen["command"]


def test_a_build_says_how_far_it_is(write):
    build = Build(write(LINE))
    assert build.share == 0
    build.read = build.report.size
    assert 0.8 < build.share < 1


def test_a_leftover_of_a_server_that_died_is_removed(kept, write):
    folder = built(kept, write(LINE)).parent
    left, fresh = folder / "a.sqlite.1.2.part", folder / "b.sqlite.1.2.part"
    for file in (left, fresh):
        file.touch()
    os.utime(left, (1, time.time() - 10_000))
    built(kept, write(LINE, LINE))
    assert (left.exists(), fresh.exists()) == (False, True)
