"""Whose a job is: another service, file, task or folder is another job, and no job writes another's report."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import pytest

from airflow_provider_nrfprov.claiming.job import ClaimJob
from airflow_provider_nrfprov.claiming.plan import Owner
from airflow_provider_nrfprov.claiming.report import Outcome, Summary
from airflow_provider_nrfprov.emulator.mint import mint_devices
from airflow_provider_nrfprov.files.storage import Folder
from reliability.dying import Killed
from tests.service_in_memory import ServiceInMemory, raising

DEVICES = list(mint_devices(12, seed="identity"))
TOKENS = [device.token for device in DEVICES]
TASK = Owner("claims", "run-1", "claim")


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path / "reports")


def written(tmp_path: Path, tokens: list[str], name: str = "shift.csv") -> Path:
    path = tmp_path / name
    path.write_text("".join(f"{token}\n" for token in tokens))
    return path


def claim(
    claim_file: Path, folder: Folder, service: ServiceInMemory, owner: Owner = TASK, **arguments
) -> Summary:
    job = ClaimJob.plan(claim_file, folder, service, owner=owner, visible_after=0.0, **arguments)
    job.send()
    return job.report(owner)


def lines(summary: Summary) -> int:
    return len(Path(summary.report).read_text().splitlines()) - 1


@pytest.mark.parametrize("contract", ["sync", "async"])
def test_the_same_file_and_folder_at_another_service_are_another_job(tmp_path, folder, contract):
    file = written(tmp_path, TOKENS[:3])
    test, production = (
        ServiceInMemory(contract, "memory://test"),
        ServiceInMemory(contract, "memory://production"),
    )
    for service in (test, production):
        assert claim(file, folder, service).counts[Outcome.CLAIMED] == 3
        assert len(service.ours) == 3


@pytest.mark.parametrize(
    ("other", "arguments"),
    [
        (Owner("claims", "run-1", "claim", 1), {}),
        (Owner("claims", "run-1", "another task"), {}),
        (Owner("another DAG", "run-1", "claim"), {}),
        (Owner("claims", "run-2", "claim"), {}),
        (TASK, {"tags": ["line=1"]}),
        (TASK, {"rows_per_request": 2}),
    ],
    ids=["map index", "task", "DAG", "run", "tags", "rows a request"],
)
def test_two_jobs_of_one_folder_have_a_report_each(tmp_path, folder, caplog, other, arguments):
    service = ServiceInMemory()
    first = claim(written(tmp_path, TOKENS[:3], "a.csv"), folder, service)
    second = claim(written(tmp_path, TOKENS[3:], "b.csv"), folder, service, other, **arguments)
    assert (lines(first), lines(second)) == (3, 9)
    assert first.report != second.report
    assert "holds the report of another job" in caplog.text
    summaries = [
        json.loads((Path(each.report).parent / "summary.json").read_text()) for each in (first, second)
    ]
    assert [Path(each["claim_file"]).name for each in summaries] == ["a.csv", "b.csv"]
    assert [each["map_index"] for each in summaries] == [-1, other.map_index]


def test_jobs_that_begin_at_once_in_one_folder_never_share_it(tmp_path, folder, monkeypatch):
    """Each leaves its mark before the other looks: whatever the order, no two take the folder itself."""
    service = ServiceInMemory()
    files = [written(tmp_path, TOKENS[n : n + 3], f"{n}.csv") for n in (0, 3)]
    names, within, begun = Folder.names, [], []

    def names_while_another_begins(self: Folder) -> set[str]:
        if self.path.name == "jobs" and not begun:
            begun.append(True)
            within.append(claim(files[1], folder, service, Owner("claims", "run-1", "other")))
        return names(self)

    monkeypatch.setattr(Folder, "names", names_while_another_begins)
    first = claim(files[0], folder, service)
    assert first.report != within[0].report
    assert (lines(first), lines(within[0])) == (3, 3)


def test_a_report_that_somebody_else_left_in_the_folder_is_not_overwritten(tmp_path, folder):
    Path(str(folder)).mkdir()
    (Path(str(folder)) / "report.csv").write_text("of an older version")
    summary = claim(written(tmp_path, TOKENS), folder, ServiceInMemory())
    assert (Path(str(folder)) / "report.csv").read_text() == "of an older version"
    assert lines(summary) == 12


def test_a_job_is_named_where_several_report_to_a_folder(tmp_path, folder):
    service = ServiceInMemory()
    for name, tokens in (("a.csv", TOKENS[:3]), ("b.csv", TOKENS[3:])):
        job = ClaimJob.plan(written(tmp_path, tokens, name), folder, service, owner=TASK)
        job.send()
    with pytest.raises(ValueError, match=r'2 jobs .*job=claim\.output\["job"\]'):
        ClaimJob.reopen(folder, service)
    assert ClaimJob.reopen(folder, service, job_id=job.job_id).report().rows == 9
    with pytest.raises(FileNotFoundError, match="holds no job 0123"):
        ClaimJob.reopen(folder, service, job_id="0123")


def test_a_summary_says_whose_report_it_is(tmp_path, folder):
    owner = Owner("claims", "manual__1", "claim", 4, 2)
    summary = claim(written(tmp_path, TOKENS), folder, ServiceInMemory(), owner)
    body = json.loads((Path(summary.report).parent / "summary.json").read_text())
    assert {name: body[name] for name in ("dag_id", "run_id", "task_id", "map_index", "try_number")} == {
        "dag_id": "claims", "run_id": "manual__1", "task_id": "claim", "map_index": 4, "try_number": 2,
    }  # fmt: skip
    assert body["service"] == ["memory://service/v1"]
    assert len(body["file_sha256"]) == 64
    assert body["rows"] == 12


def changed(file: Path, change: str) -> None:
    if change == "vanishes":
        file.unlink()
    else:
        tokens = {"grows": TOKENS, "shrinks": TOKENS[:1], "is another one": TOKENS[6:]}
        written(file.parent, tokens[change])


@pytest.mark.parametrize("change", ["grows", "shrinks", "vanishes", "is another one"])
def test_a_file_that_changes_while_it_is_sent_changes_nothing(tmp_path, folder, change):
    file = written(tmp_path, TOKENS[:6])
    service = ServiceInMemory()
    service.after = lambda number: changed(file, change) if number == 1 else None
    summary = claim(file, folder, service, rows_per_request=2)
    assert (summary.rows, summary.counts[Outcome.CLAIMED]) == (6, 6)
    assert set(service.sent) == {device.device_id for device in DEVICES[:6]}
    assert max(service.sent.values()) == 1


@pytest.mark.parametrize("change", ["grows", "shrinks", "vanishes"])
def test_the_next_try_of_the_run_goes_on_with_what_the_first_one_read(tmp_path, folder, change, caplog):
    file = written(tmp_path, TOKENS[:6])
    service = ServiceInMemory()
    service.after = raising(Killed(), 2)
    with pytest.raises(Killed):
        claim(file, folder, service, rows_per_request=2)
    service.after = lambda number: None
    changed(file, change)
    with caplog.at_level(logging.WARNING):
        summary = claim(file, folder, service, rows_per_request=2)
    assert (summary.rows, summary.counts[Outcome.CLAIMED]) == (6, 6)
    assert max(service.sent.values()) == 1
    assert "shift.csv" in caplog.text


def test_the_copy_of_the_claim_file_is_its_owners_and_goes_once_every_row_is_known(tmp_path, folder):
    service = ServiceInMemory()
    modes = []
    service.before = lambda number: modes.extend(
        oct(path.stat().st_mode & 0o777) for path in Path(str(folder)).rglob("claim_file.csv")
    )
    claim(written(tmp_path, TOKENS), folder, service)
    assert modes == ["0o600"]
    assert not list(Path(str(folder)).rglob("claim_file.csv"))
    assert not [
        path for path in Path(str(folder)).rglob("*") if path.is_file() and TOKENS[0] in path.read_text()
    ]
