"""The operators over many devices through the wire to the emulator, as Airflow calls them."""

from __future__ import annotations

import copy
import csv
import json
import uuid
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException

from airflow_provider_nrfprov.api.errors import UnauthorizedError
from airflow_provider_nrfprov.api.redaction import redact
from airflow_provider_nrfprov.arguments import ArgumentError
from airflow_provider_nrfprov.emulator.faults import Refuse
from airflow_provider_nrfprov.emulator.mint import mint_devices
from airflow_provider_nrfprov.emulator.server import Emulator
from airflow_provider_nrfprov.exceptions import (
    DevicesFailedError,
    DevicesNotTriedError,
    DevicesRefusedError,
    UnclaimRefusedError,
)
from airflow_provider_nrfprov.fleet import record as device_record
from airflow_provider_nrfprov.operators.block_devices import (
    NrfProvBlockDevicesOperator,
    NrfProvUnblockDevicesOperator,
)
from airflow_provider_nrfprov.operators.bulk_claim import (
    NrfProvBulkClaimOperator,
    NrfProvBulkClaimReportOperator,
)
from airflow_provider_nrfprov.operators.tag_devices import NrfProvTagDevicesOperator
from airflow_provider_nrfprov.operators.unclaim_devices import NrfProvUnclaimDevicesOperator
from tests.traffic import claimed, slow, statuses, watched_emulator
from tests.unit.airflow.running import outcomes

LOT = "lot=7"


@pytest.fixture
def emulator(watched) -> Emulator:
    return watched[0]


def block(**arguments: Any) -> NrfProvBlockDevicesOperator:
    return NrfProvBlockDevicesOperator(**{"task_id": "block", **arguments})


def unclaim(**arguments: Any) -> NrfProvUnclaimDevicesOperator:
    return NrfProvUnclaimDevicesOperator(**{"task_id": "unclaim", **arguments})


@pytest.mark.parametrize("form", [list, str, ", ".join, lambda ids: json.dumps(ids).upper()])
def test_blocks_devices_whichever_way_they_are_listed_and_unblocks_them(nrfcloud, context, form):
    ids = claimed(nrfcloud, 12)
    assert block(device_ids=form(ids)).execute(context) == {"blocked": 12, "unchanged": 0, "failed": 0}
    assert statuses(nrfcloud) == {"BLOCKED": 12}
    assert block(device_ids=form(ids)).execute(context) == {"blocked": 0, "unchanged": 12, "failed": 0}
    unblock = NrfProvUnblockDevicesOperator(task_id="unblock", device_ids=form(ids))
    assert unblock.execute(context) == {"unblocked": 12, "unchanged": 0, "failed": 0}
    assert statuses(nrfcloud) == {"READY": 12}


def test_blocks_a_lot_by_its_tag_and_nothing_else(nrfcloud, context):
    lot = claimed(nrfcloud, 130, tags=(LOT, "line=1"), seed="lot")
    claimed(nrfcloud, 20, tags=("lot=77",), seed="others")
    assert block(tag=LOT).execute(context) == {"blocked": 130, "unchanged": 0, "failed": 0}
    assert {d.id for d in nrfcloud.service.claimed_devices() if d.status == "BLOCKED"} == set(lot)
    assert nrfcloud.service.request_counts() == {
        "ListClaimedDevices": 2, "FetchClaimedDevice": 130, "BlockClaimedDevice": 130,
    }  # fmt: skip


def test_a_service_that_does_not_know_the_filter_does_not_get_the_whole_fleet_blocked(
    nrfcloud, traffic, context
):
    claimed(nrfcloud, 10, tags=(LOT,), seed="lot")
    claimed(nrfcloud, 200, seed="others")

    def without_the_filter(scope: dict[str, Any]) -> None:
        query = scope["query_string"].split(b"&")
        scope["query_string"] = b"&".join(part for part in query if not part.startswith(b"tag="))

    traffic.meddle = without_the_filter
    assert block(tag=LOT).execute(context)["blocked"] == 10
    assert statuses(nrfcloud) == {"BLOCKED": 10, "READY": 200}


@pytest.mark.parametrize(
    ("argument", "where"),
    [
        ("report_dir", "a file"),
        ("report_dir", "a file/below"),
        ("report_dir", "x" * 300),
        ("report_dir", "a/" * 3000),
        ("device_file", "nothing"),
        ("device_file", "a folder"),
        ("device_file", "a file/below"),
        ("device_file", "x" * 300),
        ("report", "nothing"),
        ("report", "a folder"),
    ],
)
def test_a_path_that_cannot_be_used_is_named_with_its_argument_and_what_to_do(
    nrfcloud, context, tmp_path, argument, where
):
    (tmp_path / "a folder").mkdir()
    (tmp_path / "a file").write_text("")
    arguments = {"device_ids": claimed(nrfcloud, 1)} if argument == "report_dir" else {}
    path = str(tmp_path / where)
    words = "a folder that the worker may" if argument == "report_dir" else "check the path"
    with pytest.raises(OSError, match=rf"{argument} of task 'block' is .*; .*{words}") as caught:
        block(**arguments, **{argument: path}).execute(context)
    assert path.rstrip("/") in str(caught.value)
    assert caught.value.errno
    assert not nrfcloud.service.request_counts()


def test_a_report_folder_of_a_claim_that_cannot_be_used_is_named_before_anything_is_sent(
    nrfcloud, context, tmp_path, claim_file
):
    claim_file.write_text(TOKEN)
    claim = NrfProvBulkClaimOperator(
        task_id="claim", claim_file=str(claim_file), report_dir=str(claim_file / "reports")
    )
    with pytest.raises(OSError, match=r"report_dir of task 'claim' is .*reports, .*; name a folder"):
        claim.execute(context)
    report = NrfProvBulkClaimReportOperator(task_id="report", report_dir=str(tmp_path / ("x" * 300)))
    with pytest.raises(OSError, match=r"report_dir of task 'report' is .*; check the path"):
        report.execute(context)
    assert not nrfcloud.service.request_counts()


def test_a_tag_that_no_device_has_is_an_error_to_who_blocks(nrfcloud, context):
    claimed(nrfcloud, 3, tags=(LOT,))
    with pytest.raises(ValueError, match=r"nothing was blocked: no claimed device has the tag 'lot=8'"):
        block(tag="lot=8").execute(context)
    with pytest.raises(ValueError, match="nothing was unblocked"):
        NrfProvUnblockDevicesOperator(task_id="unblock", tag="lot=8").execute(context)


def test_tags_a_lot_by_its_tag_even_if_it_loses_it(nrfcloud, context):
    claimed(nrfcloud, 130, tags=(LOT,))
    untag = NrfProvTagDevicesOperator(task_id="untag", tag=LOT, tags=[LOT], mode="remove")
    assert untag.execute(context) == {"changed": 130, "unchanged": 0, "failed": 0}
    assert untag.execute(context) == {"changed": 0, "unchanged": 0, "failed": 0}
    assert not any(device.tags for device in nrfcloud.service.claimed_devices())


def test_the_report_of_a_bulk_claim_selects_and_so_does_that_of_a_block(
    nrfcloud, context, tmp_path, claim_file
):
    devices = list(mint_devices(6, seed="reported"))
    claim_file.write_text("\n".join([*(device.token for device in devices), "rubbish"]))
    claim = NrfProvBulkClaimOperator(task_id="claim", claim_file=str(claim_file), poll_interval=0.1)
    claimed_report = claim.execute(context)["report"]
    receipt = block(report=claimed_report, report_dir=str(tmp_path / "blocked")).execute(context)
    assert receipt["blocked"] == 6
    tag = NrfProvTagDevicesOperator(task_id="tag", report=receipt["report"], tags=["quarantine"])
    assert tag.execute(context) == {"changed": 6, "unchanged": 0, "failed": 0}


def test_a_file_of_uuids_selects(nrfcloud, context, tmp_path):
    ids = claimed(nrfcloud, 4)
    device_file = tmp_path / "devices.txt"
    device_file.write_bytes(b"\xef\xbb\xbf" + "\r\n".join([*ids, "", ids[0].upper(), ""]).encode())
    assert block(device_file=str(device_file)).execute(context)["blocked"] == 4
    device_file.write_text(f"{ids[0]}\nimei\n")
    with pytest.raises(ValueError, match=r"devices.txt, line 2: 'imei' is not a device UUID"):
        block(device_file=str(device_file)).execute(context)
    with pytest.raises(FileNotFoundError, match="nowhere"):
        block(device_file=str(tmp_path / "nowhere.txt")).execute(context)


TOKEN = next(iter(mint_devices(1, seed="by mistake"))).token


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
@pytest.mark.parametrize(
    ("argument", "content"),
    [
        ("device_file", f"{TOKEN},lot=7\n"),
        ("device_file", f'"{TOKEN}"\n'),
        ("report", f"line,device_id,outcome\n1,{TOKEN},claimed\n"),
        ("report", f"line,device_id,outcome\n1,{uuid.UUID(int=1)},{TOKEN}\n"),
    ],
)
@pytest.mark.parametrize("make", [block, unclaim])
def test_a_claim_token_in_a_file_of_devices_is_in_no_error(
    nrfcloud, context, tmp_path, caplog, make, argument, content, encoding
):
    file = tmp_path / "wrong.csv"
    file.write_text(content, encoding=encoding)
    with pytest.raises((ValueError, UnclaimRefusedError)) as caught:
        make(**{argument: str(file)}).execute(context)
    told = repr(caught.value) + caplog.text
    assert "wrong.csv" in told
    for start in range(0, len(TOKEN) - 12):
        assert TOKEN[start : start + 12] not in told.replace("\\x00", "")
    if argument == "device_file":
        assert "looks like a claim file" in told
    assert not nrfcloud.service.request_counts()


def test_a_file_of_devices_that_is_not_utf_8_is_an_error_that_says_how_to_save_it(
    nrfcloud, context, tmp_path
):
    file = tmp_path / "devices.txt"
    file.write_text("4961c873-408c-45ce-b1ba-7c0d99d88179\n", encoding="utf-16")
    with pytest.raises(ValueError, match=r"devices\.txt, line 1: .* save that as UTF-8"):
        block(device_file=str(file)).execute(context)
    assert not nrfcloud.service.request_counts()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (
            f"line,device_id,outcome\n1,{uuid.UUID(int=1)},claimed\n2,,claimed\n",
            "line 3: the outcome is claimed, but",
        ),
        (f"device_id,outcome\n{uuid.UUID(int=1)},clamed\n", "line 2: 'clamed' is not an outcome"),
        (f"device_id,outcome\n{uuid.UUID(int=1)}\n", "line 2: None is not an outcome"),
        ("device_id,outcome\nimei,done\n", "line 2: 'imei' is not a device UUID"),
        ("imei\n1234\n", "this is not a report"),
        ("", "this is not a report"),
        ("\xff\xfe\x00", "this is not a report"),
        ("device_id,outcome\n" + "x" * 200_000, "field larger than"),
    ],
)
def test_a_report_that_is_none_or_has_a_row_without_a_device_is_named(
    nrfcloud, context, tmp_path, content, words
):
    report = tmp_path / "report.csv"
    report.write_bytes(content.encode("latin-1"))
    with pytest.raises(ValueError, match=rf"report\.csv, given as report: {words}"):
        block(report=str(report)).execute(context)
    assert not nrfcloud.service.request_counts()


def test_a_path_that_looks_somewhat_like_a_part_of_a_token_is_a_path(nrfcloud, context, tmp_path):
    folder = tmp_path / "aB3dE5gH7jK9mN1pQ3sT5vW7yZ9bC1eF3hJ5kM7nP9rS1uV3xY5"
    assert redact(str(folder)) != str(folder)
    assert block(device_ids=claimed(nrfcloud, 1), report_dir=str(folder)).execute(context)["blocked"] == 1


@pytest.mark.parametrize(
    "arguments",
    [
        {"device_ids": [TOKEN]},
        {"device_ids": f"[{TOKEN!r}]"},
        {"tag": TOKEN},
        {"device_file": TOKEN},
        {"device_file": f"{TOKEN},a\n"},
        {"report": TOKEN},
        {"report_dir": TOKEN},
        {"nrfprov_conn_id": TOKEN},
    ],
    ids=lambda arguments: next(iter(arguments)),
)
def test_a_claim_token_in_the_place_of_another_argument_is_in_no_error(arguments):
    with pytest.raises(ArgumentError, match=f"^{next(iter(arguments))} ") as caught:
        block(**arguments)
    assert TOKEN[:12] not in str(caught.value)


@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"device_ids": [], "tag": LOT},
        {"device_ids": "*"},
    ],
    ids=str,
)
def test_a_selection_that_is_none_is_refused_before_anything_is_sent(nrfcloud, context, arguments):
    claimed(nrfcloud, 3, tags=(LOT,))
    with pytest.raises(ValueError, match=r"give exactly one of|not a device UUID"):
        block(**arguments).execute(context)
    assert not nrfcloud.service.request_counts()


@pytest.mark.parametrize(
    ("rendered", "words"),
    [
        ("{'a': 1, 'b': 2}", "is not a list"),
        ("dict_keys(['a', 'b'])", "is not a list"),
        ("range(0, 2)", "is not a list"),
        ("<Task(EmptyOperator): a, b>", "is not a list"),
        ('"a, b"', "is not a list"),
        ("line=1,lot=None", "holds 'lot=None', whose value renders to nothing"),
        ("lot=", "holds 'lot=', whose value renders to nothing"),
    ],
)
def test_a_template_that_renders_no_tags_tags_nothing(nrfcloud, context, rendered, words):
    tag = NrfProvTagDevicesOperator(task_id="tag", device_ids=claimed(nrfcloud, 1), tags="{{ params.x }}")
    tag.tags = rendered
    with pytest.raises(ArgumentError, match=f"^tags of task 'tag' {words}"):
        tag.execute(context)
    assert not nrfcloud.service.request_counts()


def test_a_tag_whose_value_rendered_to_nothing_can_be_written_down_to_take_it_away(nrfcloud, context):
    ids = claimed(nrfcloud, 1, tags=("lot=None", LOT))
    NrfProvTagDevicesOperator(task_id="tag", device_ids=ids, tags=["lot=None"], mode="remove").execute(
        context
    )
    assert [list(device.tags) for device in nrfcloud.service.claimed_devices()] == [[LOT]]


@pytest.mark.parametrize("rendered", ["{}", "null", " nan", "undefined", "None", "{}, null"])
def test_a_template_that_renders_to_nothing_wipes_no_tags(nrfcloud, context, rendered):
    ids = claimed(nrfcloud, 2, tags=(LOT,))
    tag = NrfProvTagDevicesOperator(
        task_id="tag", device_ids=ids, tags="{{ params.tags }}", mode="replace", create_tags=False
    )
    context["params"]["tags"] = rendered
    tag.render_template_fields(context)
    with pytest.raises(ArgumentError, match=r"^tags of task 'tag' .*renders to nothing"):
        tag.execute(context)
    assert all(list(device.tags) == [LOT] for device in nrfcloud.service.claimed_devices())


def test_an_empty_list_is_no_error_to_who_blocks_or_tags(nrfcloud, context):
    assert block(device_ids="[]").execute(context) == {"blocked": 0, "unchanged": 0, "failed": 0}
    assert not nrfcloud.service.request_counts()


def test_a_report_without_devices_of_ours_is_no_error_but_the_log_says_so_and_unclaim_refuses(
    nrfcloud, context, tmp_path, caplog
):
    report = tmp_path / "report.csv"
    report.write_text("line,device_id,outcome\n1,,rejected\n2,,rejected\n")
    block(report=str(report)).execute(context)
    assert "names no device" in caplog.text
    with pytest.raises(UnclaimRefusedError, match="the selection of devices is empty"):
        unclaim(report=str(report)).execute(context)
    assert not nrfcloud.service.request_counts()


def test_the_receipt_is_small_whatever_the_number_of_devices(nrfcloud, context, tmp_path):
    ids = claimed(nrfcloud, 300)
    strangers = [str(uuid.uuid4()) for _ in range(50)]
    operator = block(device_ids=[*strangers, *ids], report_dir=str(tmp_path / "out"), max_failed_devices="50")
    receipt = operator.execute(context)
    assert receipt == {
        "blocked": 300, "unchanged": 0, "failed": 50,
        "report": str(tmp_path / "out" / "report.csv"),
        "failed_devices": str(tmp_path / "out" / "failed_devices.txt"),
    }  # fmt: skip
    assert context["ti"].pushed == {key: receipt[key] for key in ("report", "failed_devices")}
    assert len(json.dumps([receipt, context["ti"].pushed])) < 2048
    assert outcomes(receipt["report"]) == {"done": 300, "failed": 50}


@pytest.mark.parametrize("max_failed_devices", ["some", -1])
def test_a_number_of_failures_that_is_none_is_refused_before_anything_is_sent(
    nrfcloud, context, max_failed_devices
):
    ids = claimed(nrfcloud, 2)
    with pytest.raises(
        ValueError, match=r"max_failed_devices of task .* is .*; it must be a whole number of 0 or more"
    ):
        block(device_ids=ids, max_failed_devices=max_failed_devices).execute(context)
    assert not nrfcloud.service.request_counts()


def test_too_many_failures_fail_the_task_after_all_were_tried_and_ten_are_named(nrfcloud, context, tmp_path):
    ids = claimed(nrfcloud, 20)
    strangers = [str(uuid.uuid4()) for _ in range(12)]
    operator = block(device_ids=[*strangers, *ids], report_dir=str(tmp_path), max_failed_devices=11)
    with pytest.raises(DevicesRefusedError) as caught:
        operator.execute(context)
    assert isinstance(caught.value, AirflowFailException)  # a retry would be refused again
    head, *named = str(caught.value).splitlines()
    assert head == f"12 of 32 devices could not be blocked, 11 allowed. Report: {tmp_path / 'report.csv'}"
    assert context["ti"].pushed["failed_devices"] == str(tmp_path / "failed_devices.txt")
    assert named == [f"{each}: is not among our claimed devices" for each in strangers[:10]]
    assert statuses(nrfcloud) == {"BLOCKED": 20}


def test_failures_that_may_pass_are_retried_and_the_failed_devices_can_be_given_back(
    nrfcloud, context, tmp_path
):
    ids = claimed(nrfcloud, 20)
    nrfcloud.service.faults.plan("BlockClaimedDevice", Refuse(500), nth=5, times=3)
    operator = block(device_ids=ids, report_dir=str(tmp_path / "a"))
    with pytest.raises(DevicesFailedError) as caught:
        operator.execute(context)
    assert not isinstance(caught.value, AirflowFailException)
    failed_devices = tmp_path / "a" / "failed_devices.txt"
    assert len(failed_devices.read_text().split()) == 3
    rest = block(device_file=str(failed_devices), report_dir=str(tmp_path / "b"))
    assert rest.execute(context)["blocked"] == 3


def test_a_retry_in_the_same_run_goes_on_and_another_run_begins_anew(
    nrfcloud, context, tmp_path, monkeypatch
):
    monkeypatch.setattr(device_record, "_DEVICES", 10)
    ids = claimed(nrfcloud, 50)
    nrfcloud.service.faults.plan("BlockClaimedDevice", Refuse(500), nth=50)
    operator = block(device_ids=ids, report_dir=str(tmp_path))
    with pytest.raises(DevicesFailedError):
        operator.execute(context)
    nrfcloud.service.requests.clear()
    nrfcloud.service.unblock(nrfcloud.service.claimed_devices()[0])
    assert operator.execute(context)["blocked"] == 50
    # What failed, and what is not blocked any more.
    assert nrfcloud.service.request_counts()["BlockClaimedDevice"] == 2
    # A task that has succeeded and is cleared does it again, and so does another run.
    assert operator.execute(context) == {
        "blocked": 0, "unchanged": 50, "failed": 0,
        "report": str(tmp_path / "report.csv"), "failed_devices": None,
    }  # fmt: skip
    nrfcloud.service.requests.clear()
    assert operator.execute({**context, "run_id": "another"})["unchanged"] == 50


def test_what_an_earlier_try_did_stays_in_the_report_if_the_device_file_is_another_by_then(
    nrfcloud, context, tmp_path
):
    first, second, third = claimed(nrfcloud, 3)
    file = tmp_path / "devices.txt"
    file.write_text(f"{first}\n{second}\n")
    nrfcloud.service.faults.plan("BlockClaimedDevice", Refuse(500), nth=2)
    operator = block(device_file=str(file), report_dir=str(tmp_path / "report"), max_in_flight=1)
    with pytest.raises(DevicesFailedError):
        operator.execute(context)
    file.write_text(f"{second}\n{third}\n")
    assert operator.execute(context)["blocked"] == 3
    with (tmp_path / "report" / "report.csv").open(newline="") as stream:
        found = {row["device_id"]: row["outcome"] for row in csv.DictReader(stream)}
    assert found == {first: "done", second: "done", third: "done"}
    assert nrfcloud.service.request_counts()["BlockClaimedDevice"] == 2 + 2


def test_what_was_done_at_one_service_is_not_done_at_another_to_which_the_connection_leads_by_then(
    nrfcloud, context, connect, tmp_path
):
    ids = claimed(nrfcloud, 2)
    nrfcloud.service.faults.plan("BlockClaimedDevice", Refuse(500), nth=2)
    operator = {"device_ids": ids, "report_dir": str(tmp_path), "max_in_flight": 1}
    with pytest.raises(DevicesFailedError):
        block(**operator).execute(context)
    with watched_emulator(bulk_seconds=0) as (other, _):
        assert claimed(other, 2) == ids
        connect(other.url)
        assert block(**operator).execute(context)["blocked"] == 2
        assert other.service.request_counts()["BlockClaimedDevice"] == 2


def test_without_a_report_dir_nothing_is_written_and_a_retry_finds_what_is_done(
    nrfcloud, context, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    ids = claimed(nrfcloud, 50)
    nrfcloud.service.faults.plan("BlockClaimedDevice", Refuse(500), nth=50)
    with pytest.raises(DevicesFailedError):
        block(device_ids=ids).execute(context)
    assert block(device_ids=ids).execute(context) == {"blocked": 1, "unchanged": 49, "failed": 0}
    assert not list(tmp_path.iterdir())


def test_report_and_record_on_an_object_store(nrfcloud, context, object_store, monkeypatch):
    from airflow.providers.common.compat.sdk import ObjectStoragePath

    monkeypatch.setattr(device_record, "_DEVICES", 10)
    ids = claimed(nrfcloud, 50)
    nrfcloud.service.faults.plan("BlockClaimedDevice", Refuse(500), nth=50)
    operator = block(device_ids=ids, report_dir=object_store)
    with pytest.raises(DevicesFailedError):
        operator.execute(context)
    with ObjectStoragePath(f"{object_store}/failed_devices.txt").open("r") as stream:
        assert len(stream.read().split()) == 1
    nrfcloud.service.requests.clear()
    assert operator.execute(context)["blocked"] == 50
    assert nrfcloud.service.request_counts()["BlockClaimedDevice"] == 1
    rest = block(task_id="rest", device_file=f"{object_store}/failed_devices.txt")
    assert rest.execute(context) == {"blocked": 0, "unchanged": 0, "failed": 0}


def test_a_wrong_key_ends_the_task_early_with_a_report_of_what_was_not_tried(
    nrfcloud, connect, context, tmp_path
):
    ids = claimed(nrfcloud, 30)
    connect(nrfcloud.url, "no-such-key")
    with pytest.raises(UnauthorizedError, match="legacy"):
        block(device_ids=ids, report_dir=str(tmp_path)).execute(context)
    counts = outcomes(str(tmp_path / "report.csv"))
    assert 1 <= counts["failed"] <= 8
    assert counts["not_tried"] == 30 - counts["failed"]
    assert (tmp_path / "failed_devices.txt").read_text().split() == ids
    assert "no-such-key" not in (tmp_path / "summary.json").read_text()


def test_killing_the_task_finishes_what_is_in_flight_reports_it_and_fails(
    nrfcloud, traffic, context, tmp_path
):
    ids = claimed(nrfcloud, 100)
    operator = block(device_ids=ids, report_dir=str(tmp_path))

    def killed_at_the_thirtieth(scope: dict[str, Any]) -> None:
        if nrfcloud.service.request_counts().get("BlockClaimedDevice", 0) == 30:
            operator.on_kill()

    traffic.meddle = killed_at_the_thirtieth
    with pytest.raises(DevicesNotTriedError, match="asked to stop"):
        operator.execute(context)
    counted = outcomes(str(tmp_path / "report.csv"))
    assert counted["done"] == statuses(nrfcloud)["BLOCKED"] < 40
    assert counted["done"] + counted["not_tried"] == 100


def test_max_in_flight_is_kept_by_every_operator(nrfcloud, traffic, context):
    ids = claimed(nrfcloud, 30)
    slow(nrfcloud, 0.04)
    for operator in (
        block(device_ids=ids, max_in_flight=3),
        NrfProvTagDevicesOperator(
            task_id="tag", device_ids=ids, tags=["a"], create_tags=False, max_in_flight=3
        ),
        NrfProvUnblockDevicesOperator(task_id="unblock", device_ids=ids, max_in_flight=3),
        unclaim(device_ids=ids, max_devices=30, max_in_flight=3),
    ):
        traffic.forget()
        operator.execute(context)
        assert traffic.most_in_flight == 3, operator
    assert not nrfcloud.service.claimed_ids()


def test_unclaims_the_devices_of_a_file_or_report_too_and_reports_them(nrfcloud, context, tmp_path):
    ids = claimed(nrfcloud, 4)
    device_file = tmp_path / "devices.txt"
    device_file.write_text("\n".join([*ids, str(uuid.uuid4())]))
    operator = unclaim(device_file=str(device_file), report_dir=str(tmp_path / "out"))
    assert operator.execute(context) == {
        "unclaimed": 4, "were_not_ours": 1, "failed": 0,
        "report": str(tmp_path / "out" / "report.csv"), "failed_devices": None,
    }  # fmt: skip
    assert not nrfcloud.service.claimed_ids()


@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"device_ids": None},
        {"device_ids": []},
        {"device_ids": "lot=7"},
        {"device_ids": ["*"]},
        {"device_ids": "[]"},
        {"device_ids": str([str(uuid.UUID(int=number)) for number in range(11)])},
        {"device_ids": [str(uuid.UUID(int=number)) for number in range(3)], "max_devices": 2},
        {"device_ids": [str(uuid.UUID(int=1))], "report": "x"},
    ],
    ids=str,
)
def test_unclaiming_is_guarded(nrfcloud, context, arguments):
    claimed(nrfcloud, 3, tags=(LOT,))
    with pytest.raises((UnclaimRefusedError, ArgumentError), match=r"nothing was unclaimed|task 'unclaim'"):
        unclaim(**arguments).execute(context)
    assert not nrfcloud.service.request_counts()


def test_devices_cannot_be_unclaimed_by_a_tag():
    with pytest.raises(Exception, match="tag") as caught:
        unclaim(tag=LOT)
    assert type(caught.value).__name__ in {"TypeError", "AirflowException"}
    assert "tag" not in NrfProvUnclaimDevicesOperator.template_fields


@pytest.mark.parametrize(
    "operator",
    [
        NrfProvBlockDevicesOperator,
        NrfProvUnblockDevicesOperator,
        NrfProvTagDevicesOperator,
        NrfProvUnclaimDevicesOperator,
    ],
)
def test_an_operator_can_be_copied_after_it_ran(operator, nrfcloud, context):
    ids = claimed(nrfcloud, 2, tags=("a",))
    more = {"tags": ["a"]} if operator is NrfProvTagDevicesOperator else {}
    instance = operator(task_id="any", device_ids=ids, **more)
    instance.execute(context)
    assert copy.deepcopy(instance).device_ids == ids
