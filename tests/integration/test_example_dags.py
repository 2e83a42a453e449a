"""The example DAGs: they parse without a connection, and run to their end against the emulator."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from airflow_provider_nrfprov.emulator.mint import mint_devices
from airflow_provider_nrfprov.hooks.nrfprov import NrfProvHook
from airflow_provider_nrfprov.version_compat import AIRFLOW_V_3_3_PLUS
from reliability.judge import read_report
from tests.integration.dag_runs import run_example as run
from tests.integration.dag_runs import why_nobody_can_be_asked
from tests.integration.leaks import Secrets, folder, written_by_airflow
from tests.traffic import claimed, claimed_by_another_team, statuses

DAGS = sorted((Path(__file__).parents[2] / "dags").glob("*.py"))
# This one alone is not started by hand only, and that one wants what Airflow has since 3.1.
STARTED_BY_AN_EVENT = "nrfprov_claim_on_arrival"
ASKS_A_PERSON = "nrfprov_unclaim_with_approval"
# dag.test() runs Airflow's own code, whose warnings are not ours to mend.
pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.mark.parametrize("file", DAGS, ids=lambda file: file.stem)
def test_an_example_is_parsed_without_connection_network_or_warning(file, tmp_path):
    environment = {
        **os.environ,
        "AIRFLOW_HOME": str(tmp_path),
        "no_proxy": "*",
        "https_proxy": "http://127.0.0.1:9",
    }
    code = (
        "import runpy, warnings;"
        "warnings.filterwarnings('error', category=DeprecationWarning, module='<run_path>|airflow_provider_nrfprov');"
        f"names = runpy.run_path({str(file)!r}); dag = names.get('dag');"
        f"assert dag is not None or ({file.stem!r} == {ASKS_A_PERSON!r} and {bool(why_nobody_can_be_asked())});"
        f"by_hand = dag is None or type(dag.timetable).__name__ == 'NullTimetable';"
        f"assert by_hand != ({file.stem!r} == {STARTED_BY_AN_EVENT!r});"
        "assert dag is None or not dag.catchup"
    )
    result = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr[-2000:]


def test_every_example_is_named_after_its_file(load_dag):
    for file in DAGS:
        if not why_nobody_can_be_asked() or file.stem != ASKS_A_PERSON:
            assert load_dag(file.stem).dag_id == file.stem


@pytest.mark.slow
@pytest.mark.parametrize("contract", ["async", "sync"])
def test_claims_a_file_from_check_to_tags(load_dag, nrfcloud, tmp_path, claim_file, contract, capfd):
    devices = list(mint_devices(1200, seed="dag"))
    rows = [device.token for device in devices]
    claim_file.write_text("\n".join([*rows[:600], rows[0], "rubbish", *rows[600:]]))
    nrfcloud.reset(contract=contract, bulk_seconds=1)
    NrfProvHook().claim_device(devices[7].token)  # ours before, without the tag
    conf = {"claim_file": str(claim_file), "tags": ["line=1"], "report_dir": str(tmp_path / "out")}
    state, tasks = run(load_dag("nrfprov_claim_from_csv"), conf)
    assert state == "success", tasks
    assert nrfcloud.service.claimed_ids() == {device.device_id for device in devices}
    assert {tuple(device.tags) for device in nrfcloud.service.claimed_devices()} == {("line=1",)}
    assert set(nrfcloud.service.claim_counts().values()) == {1}
    outcomes = Counter(row["outcome"] for row in read_report(tmp_path / "out"))
    assert outcomes == {"claimed": 1199, "already_claimed": 1, "rejected": 2}
    written = "".join(capfd.readouterr())
    assert "1202 rows" in written.replace(",", "")  # the log was looked at, not missed
    secrets = Secrets(rows, ["emulator-key"])
    places = {
        "log": written,
        **written_by_airflow(),
        **folder(tmp_path / "out", apart_from=["failed_rows.csv"]),
    }
    assert secrets.found_in_places(places) == {}


@pytest.mark.slow
def test_a_row_that_fails_fails_the_run_after_the_others_are_claimed_tagged_and_reported(
    load_dag, nrfcloud, tmp_path, claim_file, tokens
):
    claimed_by_another_team(nrfcloud, tokens[0])
    conf = {"claim_file": str(claim_file), "tags": ["line=1"], "report_dir": str(tmp_path / "out")}
    state, tasks = run(load_dag("nrfprov_claim_from_csv"), conf)
    assert (state, tasks["tag_devices"], tasks["judge_outcome"]) == ("failed", "success", "failed")
    assert len(nrfcloud.service.claimed_ids()) == 5
    state, _ = run(load_dag("nrfprov_claim_from_csv"), {**conf, "max_failed_rows": 1})
    assert state == "success"


@pytest.mark.slow
def test_claims_one_device_and_gives_it_up(load_dag, nrfcloud, tokens):
    state, _ = run(load_dag("nrfprov_claim_one_device"), {"claim_token": tokens[0], "tags": ["a", "b"]})
    assert state == "success"
    (device,) = nrfcloud.service.claimed_devices()
    assert device.tags == ["a", "b"]
    state, _ = run(load_dag("nrfprov_unclaim"), {"device_ids": [device.id]})
    assert state == "success"
    assert not nrfcloud.service.claimed_devices()


@pytest.mark.slow
@pytest.mark.skipif(not AIRFLOW_V_3_3_PLUS, reason="Airflow has retry policies since 3.3")
def test_a_wrong_key_is_not_tried_again_though_the_task_has_retries(
    load_dag, connect, emulator, tmp_path, claim_file
):
    connect(emulator.url, "wrong-key")
    dag = load_dag("nrfprov_claim_from_csv")
    assert dag.get_task("claim").retries == 2
    state, tasks = run(dag, {"claim_file": str(claim_file), "report_dir": str(tmp_path / "out")})
    assert (state, tasks["claim"]) == ("failed", "failed")
    # The first request is refused, and no other is made.
    assert sum(emulator.service.request_counts().values()) <= 3, emulator.service.request_counts()


@pytest.mark.slow
def test_blocks_and_marks_a_lot_and_nothing_else_and_may_be_run_again(load_dag, nrfcloud, tmp_path, caplog):
    # Airflow's own level; making its database, Airflow 2 leaves another one behind.
    caplog.set_level(logging.INFO)
    lot = claimed(nrfcloud, 120, tags=("lot=7",), seed="lot")
    claimed(nrfcloud, 30, tags=("lot=77",), seed="others")
    conf = {"tag": "lot=7", "max_devices": 1000, "report_dir": str(tmp_path), "mark": "quarantine"}
    state, tasks = run(load_dag("nrfprov_quarantine"), conf)
    assert state == "success", tasks
    blocked = [device for device in nrfcloud.service.claimed_devices() if device.status == "BLOCKED"]
    assert {device.id for device in blocked} == set(lot)
    assert {tuple(device.tags) for device in blocked} == {("lot=7", "quarantine")}
    (report,) = tmp_path.glob("*/report.csv")
    rows = read_report(report.parent)
    assert [(row["device_id"], row["outcome"]) for row in rows] == [(i, "done") for i in lot]
    assert "block: 120 of 120 devices: 120 done, 0 unchanged, 0 failed" in caplog.text
    before = nrfcloud.service.request_counts()
    state, tasks = run(load_dag("nrfprov_quarantine"), {**conf, "mark": None})
    assert state == "success", tasks
    after = nrfcloud.service.request_counts()
    assert after["BlockClaimedDevice"] == before["BlockClaimedDevice"] == 120
    assert after["UpdateClaimedDevice"] == before["UpdateClaimedDevice"] == 120


@pytest.mark.slow
@pytest.mark.parametrize(
    ("tag", "max_devices"), [("lot=8", 1000), ("line=1", 2)], ids=["unknown", "the fleet"]
)
def test_a_tag_that_is_not_that_of_a_lot_blocks_nothing(load_dag, nrfcloud, tmp_path, tag, max_devices):
    claimed(nrfcloud, 3, tags=("lot=7", "line=1"))
    dag = load_dag("nrfprov_quarantine")
    for each in dag.tasks:
        each.retries = 0
    conf = {"tag": tag, "max_devices": max_devices, "report_dir": str(tmp_path), "mark": "quarantine"}
    state, tasks = run(dag, conf)
    assert (state, tasks["block"]) == ("failed", "failed")
    assert statuses(nrfcloud) == {"READY": 3}
    assert not list(tmp_path.iterdir())
