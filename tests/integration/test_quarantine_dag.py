"""The example DAG that quarantines a lot, to its end against the emulator."""

from __future__ import annotations

import logging

import pytest

from reliability.judge import read_report
from tests.integration.dag_runs import run_example as run
from tests.traffic import claimed, statuses

# dag.test() runs Airflow's own code, whose warnings are not ours to mend.
pytestmark = [pytest.mark.filterwarnings("ignore"), pytest.mark.slow]


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


@pytest.mark.parametrize(
    "conf", [{"tag": ""}, {"tag": " lot=7"}, {"tag": "x" * 101}, {"max_devices": 0}], ids=str
)
def test_the_form_refuses_what_cannot_be(load_dag, nrfcloud, tmp_path, conf):
    dag = load_dag("nrfprov_quarantine")
    good = {"tag": "lot=7", "max_devices": 10, "report_dir": str(tmp_path), "mark": None}
    with pytest.raises(Exception, match=r"Invalid input for param"):
        run(dag, {**good, **conf})
    assert not nrfcloud.service.request_counts()
