"""The operators through the wire to the emulator, as Airflow calls them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException, AirflowNotFoundException

from airflow_provider_nrfprov.api.errors import (
    ConflictError,
    NrfProvError,
    UnauthorizedError,
    UnreachableError,
)
from airflow_provider_nrfprov.arguments import ArgumentError
from airflow_provider_nrfprov.claiming.claim_file import ClaimFileError
from airflow_provider_nrfprov.claiming.file_copy import ClaimFileUnavailableError
from airflow_provider_nrfprov.claiming.reasons import Reason
from airflow_provider_nrfprov.claiming.report import Outcome, Summary
from airflow_provider_nrfprov.claiming.token import MalformedTokenError, decode
from airflow_provider_nrfprov.emulator.mint import mint_devices
from airflow_provider_nrfprov.exceptions import RowsFailedError, RowsRejectedError, RowsUnknownError
from airflow_provider_nrfprov.hooks.nrfprov import NrfProvHook
from airflow_provider_nrfprov.operators.bulk_claim import (
    NrfProvBulkClaimOperator,
    NrfProvBulkClaimReportOperator,
)
from airflow_provider_nrfprov.operators.claim_device import NrfProvClaimDeviceOperator
from airflow_provider_nrfprov.operators.claim_reporting import summary_in_xcom
from airflow_provider_nrfprov.operators.tag_devices import NrfProvTagDevicesOperator
from airflow_provider_nrfprov.operators.unclaim_devices import NrfProvUnclaimDevicesOperator
from tests.traffic import claimed_by_another_team
from tests.unit.airflow.running import both_modes, finish, outcomes


class StateStore(dict[str, str]):
    """Keeps what a task keeps in Airflow's state store."""

    set = dict.__setitem__


def bulk(claim_file: Path | str, **arguments: Any) -> NrfProvBulkClaimOperator:
    return NrfProvBulkClaimOperator(
        **{"task_id": "claim", "claim_file": str(claim_file), "poll_interval": 0.1, **arguments}
    )


@pytest.mark.parametrize("report_dir", ["None/again", "/factory/None", "s3://factory@claims/None/1"])
def test_a_path_of_which_a_part_renders_to_nothing_is_an_error(claim_file, report_dir):
    with pytest.raises(
        ArgumentError, match=r"report_dir of task 'claim' is .*, a part of which renders to nothing"
    ):
        bulk(claim_file, report_dir=report_dir)


@pytest.mark.parametrize("name", ["shift\0.csv", "Sch\udcf6n.csv"])
def test_a_path_that_is_none_is_an_error_that_names_the_argument(name):
    with pytest.raises(ArgumentError, match=r"claim_file of task 'claim' is .* give it another name"):
        bulk(name)


@both_modes
@pytest.mark.parametrize("contract", ["async", "sync"])
def test_claims_a_file_and_leaves_a_receipt(
    tmp_path, claim_file, nrfcloud, context, tokens, contract, deferrable
):
    claim_file.write_text("\n".join([*tokens, tokens[0]]))
    nrfcloud.reset(contract=contract, bulk_seconds=0.3)
    receipt = finish(bulk(claim_file, deferrable=deferrable, tags=["line=1"]), context)
    assert len(nrfcloud.service.claimed_ids()) == 5
    report = tmp_path / "shift.csv-reports" / "manual__2026-11-23T06_00_00_00_00" / "report.csv"
    assert receipt == {
        "rows": 6, "claimed": 5, "already_claimed": 0, "rejected": 1, "failed": 0, "unknown": 0,
        "repeated": 1, "report": str(report), "failed_rows": None,
    }  # fmt: skip
    assert context["ti"].pushed["report"] == str(report)
    assert len(context["ti"].pushed["bulk_ops_request_ids"]) == (0 if contract == "sync" else 1)


def test_the_receipt_stays_small_whatever_the_size_of_the_file(claim_file, context, nrfcloud):
    claim_file.write_text("\n".join(device.token for device in mint_devices(500, seed="many")))
    # 50 requests stand for 50,000 rows: what grows is the number of operations.
    receipt = finish(bulk(claim_file, wait_for_completion=False, rows_per_request=10), context)
    pushed = context["ti"].pushed["bulk_ops_request_ids"]
    assert receipt["bulk_operations"] == 50
    assert isinstance(pushed, str)
    assert len(Path(pushed).read_text().split()) == 50
    assert len(json.dumps([receipt, context["ti"].pushed])) < 2048


def test_without_waiting_the_report_is_written_by_its_own_operator(claim_file, context, nrfcloud):
    receipt = finish(bulk(claim_file, wait_for_completion=False), context)
    assert not (Path(receipt["report_dir"]) / "report.csv").exists()
    report = NrfProvBulkClaimReportOperator(task_id="report", report_dir=receipt["report_dir"])
    assert report.execute(context)["claimed"] == 5


def test_a_share_of_the_rows_may_fail(claim_file, context, tokens, nrfcloud):
    claimed_by_another_team(nrfcloud, tokens[2])
    assert bulk(claim_file, max_failed_ratio="0.2").execute(context)["failed"] == 1
    with pytest.raises(RowsFailedError, match="0 allowed"):
        bulk(claim_file, max_failed_ratio=0.19).execute(context)


def test_all_or_nothing_sends_nothing_where_a_row_is_bad(claim_file, context, tokens, nrfcloud):
    claim_file.write_text("\n".join([*tokens, "rubbish"]))
    with pytest.raises(RowsRejectedError, match=r"nothing was sent: 1 of 6 rows cannot be sent") as caught:
        bulk(claim_file, on_invalid_rows="fail").execute(context)
    assert "line 6: malformed_token" in str(caught.value)
    assert not nrfcloud.service.bulk_submissions()
    assert outcomes(context["ti"].pushed["report"]) == {"failed": 5, "rejected": 1}
    claim_file.write_text("\n".join(tokens))
    assert bulk(claim_file, on_invalid_rows="fail").execute(context)["claimed"] == 5


@pytest.mark.parametrize("contract", ["async", "sync"])
def test_a_dry_run_of_some_rows_stops_a_file_that_would_be_refused(
    claim_file, nrfcloud, context, tokens, contract
):
    nrfcloud.reset(contract=contract, bulk_seconds=0.0)
    claimed_by_another_team(nrfcloud, *tokens[:4])
    NrfProvHook().claim_device(tokens[4])
    with pytest.raises(RowsFailedError, match=r"would refuse [12] of 2 rows that it was asked about"):
        bulk(claim_file, dry_run_rows=2).execute(context)
    assert not nrfcloud.service.bulk_submissions()
    # More may fail than were refused, and what is ours is no refusal.
    assert bulk(claim_file, dry_run_rows=5, max_failed_rows=4).execute(context)["already_claimed"] == 1


def test_a_dry_run_is_for_a_new_job_only(claim_file, context, nrfcloud):
    for _ in range(2):
        assert bulk(claim_file, dry_run_rows=3).execute(context)["claimed"] == 5
    assert nrfcloud.service.request_counts()["ClaimDeviceOwnershipDryRun"] == 3


def test_a_task_on_another_worker_goes_on_from_the_state_store(
    tmp_path, claim_file, context, tokens, nrfcloud
):
    context["task_state_store"] = StateStore()
    for worker in "ab":
        receipt = bulk(claim_file, report_dir=str(tmp_path / worker), max_in_flight=3).execute(context)
        assert receipt["claimed"] == 5
    assert len(nrfcloud.service.bulk_submissions()) == 1
    assert not [value for value in context["task_state_store"].values() if any(t in value for t in tokens)]


def test_more_failed_rows_than_allowed_fail_the_task_after_the_report_is_written(
    tmp_path, claim_file, context, tokens, nrfcloud
):
    claimed_by_another_team(nrfcloud, tokens[2])
    with pytest.raises(RowsFailedError) as caught:
        finish(bulk(claim_file, report_dir=str(tmp_path / "out")), context)
    assert isinstance(caught.value, AirflowFailException)  # a retry would be refused again
    for words in (
        "1 row failed",
        "line 3",
        decode(tokens[2]).device_id,
        str(tmp_path / "out" / "report.csv"),
    ):
        assert words in str(caught.value)
    assert outcomes(tmp_path / "out" / "report.csv") == {"claimed": 4, "failed": 1}
    assert (
        finish(bulk(claim_file, report_dir=str(tmp_path / "out"), max_failed_rows="1"), context)["failed"]
        == 1
    )


def test_operations_that_do_not_end_in_time_leave_unknown_rows_and_a_task_that_may_be_retried(
    claim_file, nrfcloud, context
):
    nrfcloud.reset(contract="async", bulk_seconds=60)
    for deferrable in (False, True):
        with pytest.raises(RowsUnknownError, match="5 unknown"):
            finish(bulk(claim_file, timeout=0.2, deferrable=deferrable), context)
    assert len(nrfcloud.service.bulk_operations()) == 1


def test_a_revoked_key_fails_the_task_and_leaves_a_report(tmp_path, claim_file, connect, context, emulator):
    connect(emulator.url, "no-such-key")
    with pytest.raises(UnauthorizedError, match="legacy"):
        finish(bulk(claim_file, report_dir=str(tmp_path / "out")), context)
    assert (tmp_path / "out" / "report.csv").read_text().count("not_sent") == 5


def test_a_file_as_gather_attestation_tokens_writes_it_is_taken_unchanged(tmp_path, context, nrfcloud):
    """Written by Nordic's own function."""
    from tests.contract.nordic_client import nordic_client

    claim_file = tmp_path / "attestation_tokens.csv"
    devices = list(mint_devices(3, seed="gathered"))
    with nordic_client(nrfcloud.url) as nordic:
        for number, device in enumerate(devices):
            row = (f"35135881534051{number}", device.device_id, device.token)
            nordic.call("gather_attestation_tokens.save_attestation_csv", str(claim_file), True, True, *row)
    assert claim_file.read_text().count("\n") == 3
    assert finish(bulk(claim_file), context)["claimed"] == 3
    assert nrfcloud.service.claimed_ids() == {device.device_id for device in devices}


def test_files_and_reports_on_an_object_store(context, tokens, nrfcloud, object_store):
    from airflow.providers.common.compat.sdk import ObjectStoragePath

    with ObjectStoragePath(f"{object_store}/shift.csv").open("w") as stream:
        stream.write("\n".join([*tokens, "rubbish"]))
    receipt = finish(bulk(f"{object_store}/shift.csv"), context)
    assert (receipt["claimed"], receipt["rejected"]) == (5, 1)
    with ObjectStoragePath(receipt["report"]).open("r") as stream:
        assert len(stream.readlines()) == 7
    with ObjectStoragePath(receipt["failed_rows"]).open("r") as stream:
        assert stream.read() == "rubbish\n"
    assert finish(bulk(f"{object_store}/shift.csv"), context) == receipt
    assert len(nrfcloud.service.bulk_operations()) == 1


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "there is no claim file"),
        (b"", "empty"),
        (b"imei,uuid,token,time\n", "no rows"),
        (b"\x00\x01", "not a text file"),
    ],
)
def test_a_file_that_cannot_be_used_is_an_error_that_names_it(claim_file, context, nrfcloud, content, words):
    claim_file.unlink()
    if content is not None:
        claim_file.write_bytes(content)
    with pytest.raises((ClaimFileError, ClaimFileUnavailableError), match=words) as caught:
        finish(bulk(claim_file), context)
    assert "shift.csv" in str(caught.value)


def test_a_file_of_bad_rows_only_claims_nothing_and_says_why_of_each(claim_file, context, nrfcloud):
    claim_file.write_text("one\ntwo\n")
    with pytest.raises(RowsRejectedError, match="2 of 2 rows were rejected; none was sent") as caught:
        finish(bulk(claim_file), context)
    assert "lines 1, 2" in str(caught.value)
    pushed = context["ti"].pushed["summary"]
    assert pushed["rejected"] == 2
    assert pushed["claim_file"] == str(claim_file)
    assert (pushed["service"], pushed["connection"]) == ([f"{nrfcloud.url}/v1"], "nrfprov_default")
    assert "device_url" not in pushed
    assert [(each["outcome"], each["count"]) for each in pushed["reasons"]] == [("rejected", 2)]
    assert not nrfcloud.service.bulk_operations()


def test_a_summary_fits_into_an_xcom_however_many_and_long_its_reasons_are():
    reasons = tuple(Reason("failed", f"{number} {'ä' * 300}", 9) for number in range(200))
    summary = Summary(dict.fromkeys(Outcome, 1), "s3://bucket/report.csv", None, reasons=reasons)
    where = {"service": ["https://api.example.org/v1"], "connection": "factory"}
    pushed = summary_in_xcom(summary, "s3://bucket/shift.csv", where)
    assert pushed["claim_file"] == "s3://bucket/shift.csv"
    assert pushed["reasons"][0]["reason"].startswith("0 ä")
    assert len(json.dumps(pushed)) < 1_500


def test_a_service_that_cannot_be_reached_fails_the_task_in_words(claim_file, connect, context):
    connect("http://127.0.0.1:9")
    with pytest.raises(UnreachableError, match="could not be reached"):
        finish(bulk(claim_file), context)


def test_an_unknown_connection_is_named_and_nothing_is_on_record_as_sent(tmp_path, claim_file, context):
    with pytest.raises(AirflowNotFoundException, match="nowhere"):
        finish(bulk(claim_file, nrfprov_conn_id="nowhere", report_dir=str(tmp_path / "out")), context)
    assert not (tmp_path / "out").exists()


def test_a_token_in_a_template_is_rendered_but_is_no_template_field(context, tokens, nrfcloud):
    operator = NrfProvClaimDeviceOperator(task_id="one", claim_token="{{ params.claim_token }}")
    assert "claim_token" not in operator.template_fields
    context["params"] = {"claim_token": tokens[0]}
    assert operator.execute(context)["id"] == decode(tokens[0]).device_id


def test_a_device_of_another_team_is_a_conflict_in_the_services_words(context, tokens, nrfcloud):
    claimed_by_another_team(nrfcloud, tokens[0])
    with pytest.raises(ConflictError, match="409"):
        NrfProvClaimDeviceOperator(task_id="one", claim_token=tokens[0]).execute(context)


def test_a_damaged_token_is_refused_before_anything_is_sent(context, tokens, nrfcloud):
    with pytest.raises(MalformedTokenError, match="cut short"):
        NrfProvClaimDeviceOperator(task_id="one", claim_token=tokens[0][:90]).execute(context)
    assert not nrfcloud.service.request_counts()


@pytest.mark.parametrize(
    ("mode", "tags", "result"),
    [
        ("add", ["b", "c"], ("a", "b", "c")),
        ("remove", ["a", "x"], ("b",)),
        ("replace", ["z"], ("z",)),
        ("replace", [], ()),
    ],
)
def test_tags_devices_in_each_mode_and_a_second_time_without_a_change(
    context, tokens, nrfcloud, mode, tags, result
):
    ids = [NrfProvHook().claim_device(token, ["a", "b"]).id for token in tokens]
    operator = NrfProvTagDevicesOperator(task_id="tag", device_ids=ids, tags=tags, mode=mode)
    assert operator.execute(context) == {"changed": 5, "unchanged": 0, "failed": 0}
    assert {tuple(device.tags) for device in nrfcloud.service.claimed_devices()} == {result}
    assert operator.execute(context) == {"changed": 0, "unchanged": 5, "failed": 0}


def test_tags_are_created_first_where_the_service_wants_that(nrfcloud, context, tokens):
    nrfcloud.reset(unknown_tags="refused")
    ids = [NrfProvHook().claim_device(token).id for token in tokens]
    NrfProvTagDevicesOperator(task_id="tag", device_ids=ids, tags=["new"]).execute(context)
    assert {tuple(device.tags) for device in nrfcloud.service.claimed_devices()} == {("new",)}


def test_a_device_that_is_not_ours_fails_the_task_after_the_others_are_tagged(context, tokens, nrfcloud):
    ours = NrfProvHook().claim_device(tokens[0]).id
    theirs = decode(tokens[1]).device_id
    with pytest.raises(NrfProvError, match=f"1 of 2 devices.*\n{theirs}"):
        NrfProvTagDevicesOperator(task_id="tag", device_ids=[theirs, ours], tags=["x"]).execute(context)
    assert nrfcloud.service.claimed_devices()[0].tags == ["x"]


def test_unclaims_devices_and_a_device_that_is_not_ours_is_done(context, tokens, nrfcloud):
    ids = [NrfProvHook().claim_device(token).id for token in tokens[:2]]
    operator = NrfProvUnclaimDevicesOperator(task_id="unclaim", device_ids=str(ids))
    assert operator.execute(context) == {"unclaimed": 2, "were_not_ours": 0, "failed": 0}
    assert not nrfcloud.service.claimed_ids()
    assert operator.execute(context) == {"unclaimed": 0, "were_not_ours": 2, "failed": 0}
