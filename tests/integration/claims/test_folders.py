"""What happens to a claim whose folder is on an object store, shared, or prepared by others."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import signal
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import ObjectStoragePath

from airflow_provider_nrfprov.claiming.job import ClaimJob
from airflow_provider_nrfprov.claiming.ledger import SupersededError
from airflow_provider_nrfprov.operators.bulk_claim import NrfProvBulkClaimReportOperator
from tests.integration.claims.field import TEN, THOUSAND, assert_sent_once, outcomes, write
from tests.integration.one_try import ClaimTask, settling_until

pytestmark = [pytest.mark.slow, pytest.mark.airflow_independent, pytest.mark.filterwarnings("ignore")]


# --- Folders: on object stores, of several containers, of others.


@pytest.fixture(params=["memory", "S3"])
def store(request) -> str:
    """The URL of a folder on an object store."""
    return request.getfixturevalue("object_store" if request.param == "memory" else "s3")


@pytest.fixture
def s3(monkeypatch) -> Iterator[str]:
    """S3 as moto's server has it."""
    server = pytest.importorskip("moto.server", reason="moto is in the group dev-newest only")
    import boto3
    from werkzeug.serving import WSGIRequestHandler

    # It would send a Server beside moto's own, and in Python's development mode aiohttp refuses two.
    monkeypatch.setattr(WSGIRequestHandler, "send_response", WSGIRequestHandler.send_response_only)
    running = server.ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    running.start()
    try:
        host, port = running.get_host_and_port()
        url = f"http://{host}:{port}"
        # Its servers in one process share what they store.
        bucket = f"reports-{secrets.token_hex(8)}"
        keys = {"aws_access_key_id": "of-a-test", "aws_secret_access_key": "of-a-test"}
        boto3.client("s3", endpoint_url=url, region_name="us-east-1", **keys).create_bucket(Bucket=bucket)
        connection = {
            "conn_type": "aws",
            "login": "of-a-test",
            "password": "of-a-test",
            "extra": {"endpoint_url": url, "region_name": "us-east-1"},
        }
        # Airflow keeps a file system for each connection.
        monkeypatch.setenv(f"AIRFLOW_CONN_STORE_{port}", json.dumps(connection))
        yield f"s3://store_{port}@{bucket}/claims"
    finally:
        running.stop()


def summary_at(folder: str) -> dict[str, Any]:
    return json.loads((ObjectStoragePath(folder) / "summary.json").read_text())


@pytest.mark.parametrize("contract", ["async"], indirect=True)
@pytest.mark.parametrize("end", [SystemExit, KeyboardInterrupt, OSError])
def test_a_report_on_an_object_store_stays_whole_if_the_next_try_ends_while_it_reports(
    service, tmp_path, store, end, monkeypatch
):
    file = write(tmp_path / "shift.csv", THOUSAND)
    claim_task = ClaimTask(store)
    report = claim_task.claim(file)["report"]
    assert outcomes(report) == {"claimed": 1000}

    def fail() -> None:
        raise end

    with monkeypatch.context() as patch:
        patch.setattr(ClaimJob, "settle", settling_until(700, fail))
        with pytest.raises(end):
            claim_task.claim(file)
    assert outcomes(report) == {"claimed": 1000}
    assert (summary_at(store)["rows"], summary_at(store)["try_number"]) == (1000, 1)
    assert claim_task.claim(file)["report"] == report
    assert outcomes(report) == {"claimed": 1000}
    assert summary_at(store)["try_number"] == 3
    assert_sent_once(service, THOUSAND)


def one_try(*arguments: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, "-m", "tests.integration.one_try", *arguments],
        cwd=Path(__file__).parents[3], check=False, capture_output=True, timeout=120,
    )  # fmt: skip


def test_a_task_that_is_killed_while_it_reports_to_an_object_store_leaves_a_report_or_none(
    service, tmp_path, s3
):
    file = write(tmp_path / "shift.csv", THOUSAND)
    killed = one_try(file, s3, "--killed-after", "700")
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert len(service.service.claimed_ids()) == 1000
    report = ObjectStoragePath(s3) / "report.csv"
    assert not report.exists()
    assert outcomes(ClaimTask(s3).claim(file)["report"]) == {"claimed": 1000}
    killed = one_try(file, s3, "--killed-after", "700")
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert outcomes(str(report)) == {"claimed": 1000}
    assert summary_at(s3)["rows"] == 1000
    assert_sent_once(service, THOUSAND)


def test_containers_with_one_pid_that_share_a_folder_do_not_take_their_files_for_one(
    service, tmp_path, ten, claim_task, monkeypatch
):
    """Tries of one task in six containers; each writes for a while, so that they do so at the same time."""
    monkeypatch.setattr(os, "getpid", lambda: 27)
    sync = os.fsync
    monkeypatch.setattr(os, "fsync", lambda descriptor: time.sleep(0.05) or sync(descriptor))
    together = threading.Barrier(6)

    def container(_: int) -> None:
        together.wait()
        with suppress(SupersededError):
            ClaimTask(claim_task.folder).claim(ten)

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(container, range(6)))  # another error is raised here
    assert outcomes(claim_task.claim(ten)["report"]) == {"claimed": 10}
    assert not list(tmp_path.rglob("*.part"))
    assert_sent_once(service, TEN)


@pytest.mark.parametrize("contract", ["async"], indirect=True)
@pytest.mark.parametrize("trap", ["link", "file of everybody"])
def test_traps_in_a_folder_of_others_take_no_token_and_change_no_row(service, tmp_path, claim_task, trap):
    # A row that is cut off goes into failed_rows.csv, with its token.
    file = write(tmp_path / "shift.csv", [*TEN, THOUSAND[10][:150]])
    claim_task.claim(file)
    job, folder = claim_task.pushed["job"], Path(claim_task.folder)
    shutil.rmtree(folder)
    service.reset()
    theirs = tmp_path / "theirs"
    theirs.write_text(f"{THOUSAND[20]}\n")
    theirs.chmod(0o666)
    traps = [
        base / name
        for base in (folder, folder / job)
        for name in ("failed_rows.csv", "ledger/claim_file.csv")
    ]
    for path in traps:
        path.parent.mkdir(parents=True, exist_ok=True)
        if trap == "link":
            path.symlink_to(theirs)
        else:
            shutil.copy(theirs, path)
            path.chmod(0o666)
    sent = claim_task.claim(file, wait_for_completion=False)
    report = NrfProvBulkClaimReportOperator(task_id="report", report_dir=sent["report_dir"], job=sent["job"])
    receipt = report.execute(claim_task.context)
    assert outcomes(receipt["report"]) == {"claimed": 10, "rejected": 1}
    assert_sent_once(service, TEN)
    assert theirs.read_text() == f"{THOUSAND[20]}\n"
    written = Path(receipt["failed_rows"])
    assert not written.is_symlink()
    assert stat.S_IMODE(written.stat().st_mode) == 0o600
    for path in folder.rglob("*"):
        if path.is_file() and any(token in path.read_text() for token in (*TEN, THOUSAND[10][:150])):
            assert path == written
