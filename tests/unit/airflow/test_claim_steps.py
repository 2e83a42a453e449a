"""The steps around a claim: a look at its file before, and a verdict after."""

from __future__ import annotations

import json
import os
from contextlib import nullcontext

import pytest

from airflow_provider_nrfprov.arguments import ArgumentError
from airflow_provider_nrfprov.claiming.file_copy import ClaimFileUnavailableError
from airflow_provider_nrfprov.exceptions import RowsFailedError, RowsRejectedError
from airflow_provider_nrfprov.operators.check_claim_file import NrfProvCheckClaimFileOperator
from airflow_provider_nrfprov.operators.judge_claim import NrfProvJudgeClaimOperator
from airflow_provider_nrfprov.task_groups import claim_and_tag
from tests.traffic import claimed_by_another_team


@pytest.fixture
def claim_file(tmp_path, tokens):
    path = tmp_path / "shift.csv"
    path.write_text("\n".join([*tokens, "rubbish", tokens[0], "more rubbish"]))
    return path


def check(claim_file, **arguments):
    return NrfProvCheckClaimFileOperator(task_id="check", claim_file=claim_file, **arguments).execute({})


def test_a_look_at_a_file_needs_no_connection_and_names_rows_that_cannot_be_sent(claim_file, written):
    assert check(claim_file) == {"rows": 8, "rejected": 3, "asked": 0, "refused": 0}
    said = written()
    assert "8 rows: 5 can be sent, 3 cannot" in said
    assert "more rubbish" not in said
    assert "a token is two base64url parts" in said


@pytest.mark.parametrize(
    ("where", "words"),
    [
        ("", "the claim file .* cannot be read: Is a directory"),
        ("none.csv", "there is no claim file .*none.csv; check the path"),
        ("shift.csv/none.csv", "the claim file .* cannot be read: Not a directory"),
    ],
)
def test_a_file_that_cannot_be_read_is_named_as_a_claim_names_it(claim_file, where, words):
    with pytest.raises(ClaimFileUnavailableError, match=words):
        check(claim_file.parent / where)


def test_a_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe.csv")
    with pytest.raises(
        ClaimFileUnavailableError, match=r"pipe\.csv cannot be read: it is not a regular file"
    ):
        check(tmp_path / "pipe.csv")


@pytest.mark.parametrize(
    ("arguments", "ends"),
    [
        ({"max_rejected_rows": 1}, "2 of 8 rows were rejected, 1 allowed"),
        ({"max_rejected_rows": 0, "max_rejected_ratio": 0.2}, "1 allowed"),
        ({"max_rejected_rows": 2}, None),
        ({"max_rejected_rows": 0, "max_rejected_ratio": "0.3"}, None),
    ],
)
def test_more_rows_than_allowed_fail_it(claim_file, arguments, ends):
    if ends is None:
        assert check(claim_file, **arguments)["rejected"] == 3
        return
    with pytest.raises(RowsRejectedError, match=ends):
        check(claim_file, **arguments)


def test_a_file_none_of_whose_rows_can_be_sent_fails_whatever_is_allowed(claim_file):
    claim_file.write_text("rubbish\nmore rubbish\n")
    with pytest.raises(RowsRejectedError, match="2 of 2 rows were rejected; none was sent"):
        check(claim_file, max_rejected_ratio=1)


def test_the_service_is_asked_about_a_sample_and_nothing_is_claimed(nrfcloud, claim_file, tokens, written):
    claimed_by_another_team(nrfcloud, tokens[0])
    assert check(claim_file, dry_run_rows=5) == {"rows": 8, "rejected": 3, "asked": 5, "refused": 1}
    assert "would be refused: line 1" in written()
    assert len(nrfcloud.service.claimed_ids()) == 1


@pytest.fixture
def summary(tmp_path):
    lines = ["line,device_id,outcome,status,message,bulk_ops_request_id"]
    lines += [f"{n},device-{n},failed,409,is already claimed,01M" for n in range(1, 13)]
    lines += ["13,device-13,claimed,,,01M"]
    (tmp_path / "report.csv").write_text("\n".join(lines) + "\n")
    owner = {"dag_id": "d", "run_id": "r", "task_id": "claim", "map_index": 3}
    (tmp_path / "summary.json").write_text(json.dumps(owner))
    counts = {"rows": 13, "claimed": 1, "already_claimed": 0, "rejected": 0, "failed": 12, "unknown": 0}
    return {
        **counts,
        "report": str(tmp_path / "report.csv"),
        "failed_rows": str(tmp_path / "failed_rows.csv"),
    }


def test_the_verdict_shows_ten_rows_with_their_reasons_and_leads_to_the_claims_report(summary):
    operator = NrfProvJudgeClaimOperator(task_id="judge", summary=summary, max_failed_rows=11)
    with pytest.raises(RowsFailedError) as caught:
        operator.execute({})
    head, *rows = str(caught.value).splitlines()
    assert head.startswith(f"12 rows failed or are unknown, 11 allowed. Report: {summary['report']}")
    assert rows == [f"line {n} (device-{n}): failed: is already claimed" for n in range(1, 11)]
    assert operator.report_owner == {"dag_id": "d", "run_id": "r", "task_id": "claim", "map_index": 3}


@pytest.mark.parametrize(
    "allowed", [{"max_failed_rows": 12}, {"max_failed_rows": None}, {"max_failed_ratio": 0.95}]
)
def test_as_many_as_allowed_are_no_failure(summary, allowed):
    assert NrfProvJudgeClaimOperator(task_id="judge", summary=summary, **allowed).execute({}) == summary


@pytest.mark.parametrize(
    ("limit", "is_judged"),
    [({}, False), ({"max_rejected_rows": 499}, True), ({"max_rejected_ratio": 0.1}, True)],
)
def test_a_limit_of_rejected_rows_holds_beside_rows_that_may_fail(summary, limit, is_judged):
    summary |= {"rows": 513, "rejected": 500}
    operator = NrfProvJudgeClaimOperator(task_id="judge", summary=summary, max_failed_rows=None, **limit)
    with (
        pytest.raises(RowsRejectedError, match="500 of 513 rows were rejected")
        if is_judged
        else nullcontext()
    ):
        operator.execute({})


def test_only_rejected_rows_beside_rows_that_may_fail_are_as_they_were(summary):
    summary |= {"rows": 512, "rejected": 500, "claimed": 0}
    assert (
        NrfProvJudgeClaimOperator(task_id="judge", summary=summary, max_failed_rows=12).execute({}) == summary
    )


def test_a_report_that_is_gone_changes_no_verdict(summary, tmp_path):
    (tmp_path / "report.csv").unlink()
    with pytest.raises(RowsFailedError, match="12 rows failed"):
        NrfProvJudgeClaimOperator(task_id="judge", summary=summary).execute({})


@pytest.mark.parametrize("summary", [{"rows": 1}, {"rows": "1", "failed": 0, "unknown": 0}, {"x": None}])
def test_what_no_claim_returned_is_no_summary(summary):
    with pytest.raises(ArgumentError, match="summary of task 'judge' is not what a bulk claim returns"):
        NrfProvJudgeClaimOperator(task_id="judge", summary=summary).execute({})


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"max_rejected_rows": 0}, "max_rejected_rows: what the group has itself"),
        ({"tags": ["a"], "claim_file": "x"}, "claim_file, tags: what the group has itself"),
        ({"do_xcom_push": False}, "do_xcom_push=False"),
        ({"wait_for_completion": False}, "wait_for_completion=False"),
    ],
)
def test_a_group_refuses_what_would_keep_its_tasks_from_their_work(arguments, words):
    with pytest.raises(ArgumentError, match=f"claim_arguments of 'claim_and_tag' has {words}"):
        claim_and_tag(claim_file="shift.csv", claim_arguments=arguments)


def test_a_group_that_would_take_all_tags_away_is_refused():
    with pytest.raises(ArgumentError, match="remove all tags"):
        claim_and_tag(claim_file="shift.csv", mode="replace")
