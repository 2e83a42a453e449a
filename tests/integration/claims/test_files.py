"""What people do with claim files, and what is in them, through the operators.

A section a kind of trouble; each ends in the right outcome, or in an error that says what to do, and no device is sent
twice in one try nor claimed twice.
"""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
from airflow.providers.common.compat.sdk import task

from airflow_provider_nrfprov.claiming.token import decode
from airflow_provider_nrfprov.emulator.accounts import TEAM_A
from airflow_provider_nrfprov.emulator.faults import HARD_WORDS
from airflow_provider_nrfprov.emulator.server import running_emulator
from airflow_provider_nrfprov.exceptions import ClaimFileChangedError, RowsFailedError
from airflow_provider_nrfprov.hooks.nrfprov import NrfProvHook
from airflow_provider_nrfprov.operators.bulk_claim import (
    NrfProvBulkClaimOperator,
    NrfProvBulkClaimReportOperator,
)
from benchmarks.claim_file import tokens as tokens_of_devices
from benchmarks.process import measure
from tests.integration.claims.field import (
    CLAIMS,
    SHIFT,
    TEN,
    THOUSAND,
    assert_sent_once,
    devices,
    outcomes,
    requests_of,
    write,
)
from tests.integration.dag_runs import new_dag, run
from tests.traffic import claimed_by_another_team

pytestmark = [pytest.mark.slow, pytest.mark.airflow_independent, pytest.mark.filterwarnings("ignore")]


# --- Whose a claim is.


def test_a_connection_that_is_moved_to_another_service_claims_there(
    service, contract, connect, tokens, tmp_path, claim_task
):
    file = write(tmp_path / "shift.csv", tokens)
    at_test = claim_task.claim(file)
    with running_emulator(contract=contract, bulk_seconds=0.0) as production:
        connect(production.url)
        moved = claim_task.claim(file)
        assert_sent_once(production, tokens)
    assert_sent_once(service, tokens)
    assert at_test["report"] != moved["report"]
    assert outcomes(at_test["report"]) == outcomes(moved["report"]) == {"claimed": 5}
    summary = json.loads((Path(moved["report"]).parent / "summary.json").read_text())
    assert summary["service"][0].startswith(production.url)


@pytest.fixture
def two_files(tmp_path, tokens) -> list[str]:
    """``split -d`` names them so: two rows and three."""
    return [write(tmp_path / "tokens.001", tokens[:2]), write(tmp_path / "tokens.002", tokens[2:])]


@pytest.mark.parametrize("one_folder", [True, False], ids=["one report_dir", "the default one"])
def test_each_of_two_mapped_files_has_its_own_rows_in_its_own_report(
    load_dag, service, tokens, tmp_path, two_files, one_folder
):
    given = {"report_dir": str(tmp_path / "r")} if one_folder else {}
    with new_dag() as dag:
        claim = NrfProvBulkClaimOperator.partial(task_id="claim", rows_per_request=1, **given).expand(
            claim_file=two_files
        )

        @task
        def see(reports):
            return list(reports)

        see(claim.output["report"])
    reports = run(dag)["see"].xcoms["return_value"]
    assert [outcomes(report) for report in reports] == [{"claimed": 2}, {"claimed": 3}]
    if not one_folder:
        assert [Path(report).relative_to(tmp_path).parts[0] for report in reports] == [
            "tokens.001-reports",
            "tokens.002-reports",
        ]
    assert_sent_once(service, tokens)


def test_two_runs_of_a_day_that_share_a_folder_keep_a_report_each(
    load_dag, service, tokens, tmp_path, two_files
):
    with new_dag() as dag:
        NrfProvBulkClaimOperator(
            task_id="claim",
            claim_file=str(tmp_path / "tokens.{{ '001' if logical_date.hour < 12 else '002' }}"),
            report_dir=str(tmp_path / "{{ ds }}"),
        )
    reports = [run(dag, at=SHIFT.replace(hour=hour))["claim"].xcoms["report"] for hour in (6, 14)]
    assert [outcomes(report) for report in reports] == [{"claimed": 2}, {"claimed": 3}]
    assert_sent_once(service, tokens)


def test_reports_of_two_claims_that_share_a_folder_are_written_by_their_jobs(
    load_dag, service, tokens, tmp_path, two_files
):
    folder = str(tmp_path / "r")
    with new_dag() as dag:
        claim = NrfProvBulkClaimOperator.partial(
            task_id="claim", report_dir=folder, wait_for_completion=False
        ).expand(claim_file=two_files)
        # Airflow maps over what a task returns, not over what it pushes by a key.
        NrfProvBulkClaimReportOperator.partial(task_id="report").expand_kwargs(
            claim.output.map(lambda sent: {name: sent[name] for name in ("report_dir", "job")})
        )
        unnamed = NrfProvBulkClaimReportOperator(task_id="unnamed", report_dir=folder)
        claim >> unnamed

        @task
        def see(reports):
            return list(reports)

        see(dag.get_task("report").output["report"])
    ends = run(dag)
    reports = ends["see"].xcoms["return_value"]
    assert [outcomes(report) for report in reports] == [{"claimed": 2}, {"claimed": 3}]
    # Which of the two it would have to guess.
    assert ends["unnamed"].state == "failed"
    assert 'job=claim.output["job"]' in str(ends["unnamed"].error)


# --- The file changes.


def test_a_try_after_the_file_grew_and_the_worker_died_goes_on_with_what_was_read(
    service, tmp_path, ten, claim_task, monkeypatch
):
    bulk_claim = NrfProvHook.bulk_claim

    def grow_and_die(self: NrfProvHook, csv: str) -> None:
        bulk_claim(self, csv)
        write(tmp_path / "shift.csv", THOUSAND[:15])
        raise SystemExit

    with monkeypatch.context() as patch:
        patch.setattr(NrfProvHook, "bulk_claim", grow_and_die)
        with pytest.raises(SystemExit):
            claim_task.claim(ten, rows_per_request=5)
    # Nobody who looks at its state only is to think that the file as it is now was claimed.
    with pytest.raises(ClaimFileChangedError, match=r"shift\.csv has changed since"):
        claim_task.claim(ten, rows_per_request=5)
    assert outcomes(claim_task.pushed["report"]) == {"claimed": 10}
    assert_sent_once(service, TEN)


# --- One row, refused.


@pytest.mark.parametrize("status", [400, 409, 413, 415, 422])
def test_a_row_for_which_a_chunk_is_refused_voids_no_other(service, contract, tmp_path, claim_task, status):
    poison = decode(THOUSAND[637]).device_id
    service.reset(poison_ids=[poison], poison_status=status)
    with pytest.raises(RowsFailedError, match=rf"1 row failed(.|\n)*line 638 \({poison}\)"):
        claim_task.claim(write(tmp_path / "shift.csv", THOUSAND))
    assert outcomes(claim_task.pushed["report"]) == {"claimed": 999, "failed": 1}
    assert service.service.request_counts()[CLAIMS[contract]] <= 25
    assert service.service.claim_counts() == dict.fromkeys(devices(THOUSAND) - {poison}, 1)


def test_one_refused_row_in_a_team_of_twenty_thousand_costs_fifteen_requests(service, tmp_path, claim_task):
    with service.service.turn():
        for _, token in tokens_of_devices(20_000):
            service.service.devices.claim(TEAM_A, token, (), SHIFT)
    claimed_by_another_team(service, THOUSAND[500])
    sent = claim_task.claim(write(tmp_path / "shift.csv", THOUSAND), wait_for_completion=False)
    before = requests_of(service)
    report = NrfProvBulkClaimReportOperator(
        task_id="report", report_dir=sent["report_dir"], job=sent["job"], max_failed_rows=1
    )
    assert outcomes(report.execute(claim_task.context)["report"]) == {"claimed": 999, "failed": 1}
    assert requests_of(service) - before <= 15


# --- Large files of bad rows.


@pytest.mark.parametrize("kind", ["duplicates", "cut off"])
@pytest.mark.parametrize("contract", ["sync"], indirect=True)
def test_half_a_million_bad_rows_take_no_more_memory_than_a_thousand(service, tmp_path, kind):
    def peak(rows: int) -> float:
        file = tmp_path / f"{rows}.csv"
        tokens = [f"{token if kind == 'duplicates' else token[:150]}\n" for token in THOUSAND]
        with file.open("w") as stream:
            for _ in range(rows // 1000):
                stream.writelines(tokens)
        service.reset()
        folder = tmp_path / f"report-{rows}"
        measured = measure(["tests.integration.one_try", str(file), str(folder)])
        assert json.loads((folder / "summary.json").read_text())["rows"] == rows
        return measured.peak

    assert peak(500_000) - peak(1000) <= 60


# --- Hard words.


@pytest.mark.parametrize(
    "words", HARD_WORDS, ids=["half a pair", "control characters", "140 kB", "a formula"]
)
@pytest.mark.usefixtures("shows_at_once")
def test_whatever_the_service_says_of_a_row_its_report_is_whole_and_small(
    service, tmp_path, claim_task, words
):
    service.reset(refusal_words=words)
    claimed_by_another_team(service, *THOUSAND[:100])
    file = write(tmp_path / "shift.csv", THOUSAND[:110])
    for _ in range(2):
        receipt = claim_task.claim(file, max_failed_rows=None)
        assert outcomes(receipt["report"]) == {"claimed": 10, "failed": 100}
        text = Path(receipt["report"]).read_text()
        assert len(text) < 110 * 2_300
        messages = [row["message"] for row in csv.DictReader(text.splitlines()) if row["message"]]
        assert len(messages) == 100
        assert all(message.isprintable() and not message.startswith("=") for message in messages)
        assert len(words) <= 2_000 or all("… (cut, " in each for each in messages)
