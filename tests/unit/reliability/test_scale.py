"""The judging and counting of many runs at once: what is planted is found, and a kill that hit nothing is told."""

from __future__ import annotations

import csv
import socket
from pathlib import Path

import pytest

from airflow_provider_nrfprov.emulator.accounts import TEAM_A
from airflow_provider_nrfprov.emulator.bulk import BulkSubmission, Row
from airflow_provider_nrfprov.emulator.service import Service
from harness import redis_server
from reliability import engines
from reliability.judge import Remembered, faults_of_run
from reliability.scale import lines_of
from reliability.scale_runs import Outcome, Size, Strike, write_shifts

SIZE = Size(runs=3, rows=1600, rows_per_request=100)


def test_the_files_have_all_rows_together_and_some_that_cannot_be_sent(tmp_path: Path) -> None:
    shifts = write_shifts(SIZE, tmp_path / "more")
    assert sum(shift.rows for shift in shifts) == SIZE.rows
    assert {shift.rows - shift.sendable for shift in shifts} == {1}
    devices = [device.device_id for shift in shifts for device in shift.scenario.devices]
    assert len(set(devices)) == len(devices)
    assert [shift.file.read_text().count("\n") for shift in shifts] == [shift.rows for shift in shifts]


def test_nothing_is_found_where_nothing_is_wrong(tmp_path: Path) -> None:
    here = write_shifts(SIZE, tmp_path / "files")[1].scenario
    service = Service()
    with service.turn() as now:
        service.submissions.append(BulkSubmission(None, [Row(device.token) for device in here.devices], now))
        for device in here.devices:
            service.devices.claim(TEAM_A, device.token, (), now)
    with (tmp_path / "report.csv").open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["line", "device_id", "outcome", "message"])
        for line, (_, device_id) in enumerate(here.lines, start=1):
            writer.writerow([line, device_id, "claimed" if device_id else "rejected", ""])
    assert faults_of_run(here, tmp_path, Remembered(service)) == []


@pytest.mark.parametrize(
    ("strike", "tries", "expected"),
    [
        (Strike("", True, {"a": 1, "b": 1}), {"a": 2, "b": 2}, True),
        (Strike("", True, {"a": 1, "b": 1}), {"a": 2, "b": 1}, False),
        (Strike("", False, {}), {"a": 1}, False),
        (Strike("", True), {"a": 1}, True),
    ],
)
def test_a_kill_counts_only_if_what_it_interrupted_was_tried_again(strike, tries, expected):
    assert strike.came_in_time(tries) is expected


def test_a_kill_that_hit_nothing_or_a_run_that_failed_is_wrong_and_is_told() -> None:
    good = Outcome("CeleryExecutor", 4, 4000, seconds=10, tries=5, strikes=["worker-1 killed"])
    assert not good.is_wrong
    late = Outcome("CeleryExecutor", 4, 4000, seconds=10, tries=4, strikes=["worker-1 killed"], missed=1)
    failed = Outcome("LocalExecutor", 4, 4000, seconds=10, tries=4, unsuccessful=1)
    lost = Outcome("LocalExecutor", 4, 4000, seconds=10, tries=4, wrong=["lost: a device"])
    assert all(outcome.is_wrong for outcome in (late, failed, lost))
    text = "\n".join(lines_of([good, late, failed, lost]))
    assert "| CeleryExecutor | a worker, a triggerer | 4 | 4,000 | 0 | 0 | 0 | 0 | 0 | 5 | 10 | 400 |" in text
    assert "| LocalExecutor | nothing | 4 | 4,000 | 0 | 0 | 0 | 0 | 1 | 4 | 10 | 400 |" in text
    assert "| LocalExecutor | nothing | 4 | 4,000 | 1 | 0 | 0 | 0 | 0 | 4 | 10 | 400 |" in text
    assert "- 1 kill(s) came too early or too late to matter." in text


def test_redis_listens_while_it_is_wanted_and_is_gone_afterwards() -> None:
    if why := redis_server.what_is_missing():
        pytest.skip(why)
    with redis_server.running_redis() as url:
        port = int(url.rpartition(":")[2].partition("/")[0])
        with socket.create_connection(("127.0.0.1", port)) as connection:
            connection.sendall(b"PING\r\n")
            # It answers, and not to whoever does not know the password.
            assert connection.recv(100).startswith(b"-NOAUTH")
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port))


def test_what_is_missing_is_said_in_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redis_server.shutil, "which", lambda name: None)
    assert redis_server.what_is_missing().startswith("Redis is not installed: there is no redis-server;")
    monkeypatch.setattr(engines.postgres, "what_is_missing", lambda: "There is no PostgreSQL.")
    monkeypatch.setattr(engines, "AIRFLOW_V_3_3_PLUS", True)
    assert (
        engines.what_is_missing(engines.CELERY)
        == engines.what_is_missing(engines.LOCAL)
        == "There is no PostgreSQL."
    )
