"""The operators as parts of larger pipelines: outputs, mapping, task groups, setup and teardown, asset events."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from airflow.providers.common.compat.sdk import Asset, task, task_group

from airflow_provider_nrfprov.emulator.mint import mint_devices
from airflow_provider_nrfprov.hooks.nrfprov import NrfProvHook
from airflow_provider_nrfprov.operators.bulk_claim import (
    NrfProvBulkClaimOperator,
    NrfProvBulkClaimReportOperator,
)
from airflow_provider_nrfprov.operators.unclaim_devices import NrfProvUnclaimDevicesOperator
from airflow_provider_nrfprov.sensors.bulk_ops import NrfProvBulkOpsSensor
from airflow_provider_nrfprov.task_groups import claim_and_tag
from airflow_provider_nrfprov.version_compat import AIRFLOW_V_3_0_PLUS, AIRFLOW_V_3_1_PLUS
from tests.integration.dag_runs import found, links, new_dag, only_run, run, run_example
from tests.traffic import claimed_by_another_team

pytestmark = [pytest.mark.filterwarnings("ignore"), pytest.mark.slow]


@pytest.fixture
def two_files(tmp_path, load_dag) -> list[str]:
    """Claim files of three and of two devices."""
    devices = list(mint_devices(5, seed="two files"))
    paths = [tmp_path / "early.csv", tmp_path / "late.csv"]
    for path, part in zip(paths, (devices[:3], devices[3:]), strict=True):
        path.write_text("\n".join(device.token for device in part))
    return [str(path) for path in paths]


def tags_of(emulator) -> list[tuple[str, ...]]:
    return sorted(tuple(sorted(device.tags)) for device in emulator.service.claimed_devices())


def states(dag) -> dict[tuple[str, int], str]:
    rows = found("select task_id, map_index, state from task_instance where dag_id = ?", dag.dag_id)
    return {(task_id, map_index): state for task_id, map_index, state in rows}


def test_claim_and_tag_is_mapped_over_two_files_and_its_outputs_feed_what_follows(
    nrfcloud, two_files, tmp_path
):
    first = (tmp_path / "early.csv").read_text().splitlines()[0]
    NrfProvHook().claim_device(first)  # ours before, without tags
    totals = tmp_path / "totals.json"

    @task
    def files() -> list[str]:
        return two_files

    @task
    def total(summaries, reports) -> None:
        totals.write_text(json.dumps([[s["rows"] for s in summaries], list(reports)]))

    @task_group
    def shift(claim_file):
        group = claim_and_tag(claim_file=claim_file, tags=["line=1"], claim_arguments={"deferrable": True})
        return {"summary": group.summary, "report": group.report}

    with new_dag() as dag:
        outputs = shift.expand(claim_file=files())
        total(outputs["summary"], outputs["report"])
    run(dag)
    assert json.loads(totals.read_text())[0] == [3, 2]
    ended = states(dag)
    assert set(ended.values()) == {"success"}, ended
    assert {index for name, index in ended if name == "shift.claim_and_tag.tag_devices"} == {0, 1}
    assert tags_of(nrfcloud) == [("line=1",)] * 5


def test_outputs_of_a_group_feed_what_follows(nrfcloud, two_files, tmp_path):
    seen = tmp_path / "seen.json"

    @task
    def name_file() -> str:
        return two_files[0]

    @task
    def look(summary, report) -> None:
        seen.write_text(json.dumps([summary["claimed"], report]))

    with new_dag() as dag:
        group = claim_and_tag(claim_file=name_file(), tags=["a"], group_id="early")
        look(group.summary, group.report)
    ends = run(dag)
    assert {end.state for end in ends.values()} == {"success"}
    run_folder = ends["early.claim"].xcoms["report_dir"]
    assert json.loads(seen.read_text()) == [3, f"{run_folder}/report.csv"]


def test_a_group_fails_at_its_end_when_what_is_ours_is_tagged(nrfcloud, two_files, tmp_path):
    claimed_by_another_team(nrfcloud, (tmp_path / "early.csv").read_text().splitlines()[0])
    with new_dag() as dag:
        claim_and_tag(claim_file=two_files[0], tags=["a"])
        claim_and_tag(claim_file=two_files[0], tags=["a"], group_id="lenient", max_failed_ratio=0.5)
    ends = run(dag)
    assert {name: end.state for name, end in ends.items()} == {
        "claim_and_tag.claim": "success",
        "claim_and_tag.tag_devices": "success",
        "claim_and_tag.judge_outcome": "failed",
        "lenient.claim": "success",
        "lenient.tag_devices": "success",
        "lenient.judge_outcome": "success",
    }
    assert "1 row failed" in str(ends["claim_and_tag.judge_outcome"].error)
    assert tags_of(nrfcloud).count(("a",)) == 2


def test_the_operator_itself_is_mapped_over_files(nrfcloud, two_files, tmp_path):
    seen = tmp_path / "seen.json"

    @task
    def folders(report_dirs) -> None:
        seen.write_text(json.dumps(list(report_dirs)))

    @task
    def files() -> list[str]:
        return two_files

    with new_dag() as dag:
        claim = NrfProvBulkClaimOperator.partial(task_id="claim", deferrable=True).expand(claim_file=files())
        folders(claim.output["report_dir"])
    run(dag)
    ended = states(dag)
    assert {key for key, state in ended.items() if state == "success"} == {
        ("files", -1),
        ("claim", 0),
        ("claim", 1),
        ("folders", -1),
    }, ended
    beside = [Path(each).relative_to(tmp_path).parts for each in json.loads(seen.read_text())]
    assert [(parts[0], parts[-1]) for parts in beside] == [
        ("early.csv-reports", "0"),
        ("late.csv-reports", "1"),
    ]
    assert len(nrfcloud.service.claimed_ids()) == 5
    if AIRFLOW_V_3_1_PLUS:
        assert "&map_index=1" in links(dag, "claim", only_run(dag), 1)["Report"]


def test_devices_that_a_setup_claimed_are_given_up_by_the_teardown_though_the_work_failed(
    nrfcloud, two_files, tmp_path
):
    seen = tmp_path / "seen"

    @task
    def work() -> None:
        seen.write_text(str(len(list(NrfProvHook().list_claimed_devices()))))
        raise ValueError("the test rig is broken")

    with new_dag() as dag:
        claim = NrfProvBulkClaimOperator(task_id="claim", claim_file=two_files[0]).as_setup()
        unclaim = NrfProvUnclaimDevicesOperator(task_id="unclaim", report=claim.output["report"])
        claim >> work() >> unclaim.as_teardown(setups=claim)
    ends = run(dag)
    assert {name: end.state for name, end in ends.items()} == {
        "claim": "success",
        "work": "failed",
        "unclaim": "success",
    }
    assert (seen.read_text(), nrfcloud.service.claimed_ids()) == ("3", set())


emits_events = pytest.mark.skipif(
    not AIRFLOW_V_3_0_PLUS,
    reason="dag.test() of Airflow 2 emits no events of datasets; test_asset_events.py looks at them",
)


def events_of(asset: Asset) -> list[dict]:
    """Read what Airflow keeps of an asset's events, oldest first."""
    query = (
        "select e.extra from asset_event e join asset a on a.id = e.asset_id where a.uri = ? order by e.id"
    )
    return [json.loads(extra) for (extra,) in found(query, asset.uri)]


@emits_events
@pytest.mark.parametrize("deferrable", [False, True])
@pytest.mark.parametrize("contract", ["async", "sync"])
def test_an_asset_event_says_what_was_claimed_and_where_the_report_is(
    nrfcloud, two_files, tmp_path, deferrable, contract
):
    asset = Asset(f"claimed-{contract}-{deferrable}-{tmp_path.name}")
    nrfcloud.reset(contract=contract, bulk_seconds=0.5)
    with new_dag() as dag:
        NrfProvBulkClaimOperator(
            task_id="claim",
            claim_file=two_files[0],
            report_dir=str(tmp_path / "out"),
            rows_per_request=2,
            deferrable=deferrable,
            poll_interval=0.2,
            outlets=[asset],
        )
    ends = run(dag)
    assert ends["claim"].state == "success"
    ids = ends["claim"].xcoms["bulk_ops_request_ids"]
    assert len(ids) == (2 if contract == "async" else 0)
    assert events_of(asset) == [
        {
            **ends["claim"].xcoms["return_value"],
            "claim_file": two_files[0],
            "report_dir": str(tmp_path / "out"),
            "job": ends["claim"].xcoms["job"],
            "bulk_ops_request_ids": ids,
        }
    ]
    assert events_of(asset)[0]["claimed"] == 3


@emits_events
def test_a_claim_that_fails_is_no_event_and_one_sent_without_waiting_is_one_of_its_own_kind(
    nrfcloud, two_files, tmp_path
):
    assets = {name: Asset(f"{name}-{tmp_path.name}") for name in ("failed", "sent", "reported")}
    nrfcloud.reset(contract="async", bulk_seconds=0)
    with new_dag() as dag:
        NrfProvBulkClaimOperator(task_id="failed", claim_file="/nowhere.csv", outlets=[assets["failed"]])
        sent = NrfProvBulkClaimOperator(
            task_id="sent", claim_file=two_files[1], wait_for_completion=False, outlets=[assets["sent"]]
        )
        wait = NrfProvBulkOpsSensor(
            task_id="wait", bulk_ops_request_ids=sent.output["bulk_ops_request_ids"], poke_interval=0.2
        )
        wait >> NrfProvBulkClaimReportOperator(
            task_id="reported", report_dir=sent.output["report_dir"], outlets=[assets["reported"]]
        )
    ends = run(dag)
    assert (ends["failed"].state, ends["reported"].state) == ("failed", "success")
    assert events_of(assets["failed"]) == []
    (of_sent,), (of_reported,) = events_of(assets["sent"]), events_of(assets["reported"])
    assert of_sent["bulk_operations"] == len(of_sent["bulk_ops_request_ids"]) == 1
    assert of_reported["claimed"] == 2
    assert only_run(dag)


def test_a_run_by_hand_claims_the_file_that_the_form_names_and_is_an_event(load_dag, nrfcloud, two_files):
    asset = Asset("nrfprov_claimed_devices")
    before = len(events_of(asset)) if AIRFLOW_V_3_0_PLUS else 0
    state, tasks = run_example(
        load_dag("nrfprov_claim_on_arrival"), {"claim_file": two_files[0], "tags": ["x"]}
    )
    assert state == "success", tasks
    assert tags_of(nrfcloud) == [("x",)] * 3
    if AIRFLOW_V_3_0_PLUS:
        assert [event["claimed"] for event in events_of(asset)[before:]] == [3]
    state, tasks = run_example(load_dag("nrfprov_claim_on_arrival"), {"claim_file": None})
    assert (state, tasks["landed"]) == ("failed", "failed")
