"""The page Device claims: which files it reads, and what it costs if one is not as it should be."""

from __future__ import annotations

import asyncio
import csv
import json
import os
import threading
import time
from pathlib import Path

import pytest
from airflow.providers.common.compat.sdk import BaseOperator, task

from airflow_provider_nrfprov.operators.bulk_claim import NrfProvBulkClaimOperator
from tests.integration.dag_runs import new_dag, only_run, run
from tests.integration.device_claims.pages import COOKIE, DEVICE, ask, needs_the_page, of

pytestmark = [pytest.mark.filterwarnings("ignore"), pytest.mark.slow, needs_the_page]
HEADER = "device_id,outcome,status,message\n"


@pytest.fixture
def named_by_a_task(browser):
    """Return what the routes answer if a task had named this file in its XCom, and the summary beside it said that it is its own."""

    def answers(report: object, **said: object) -> list:
        @task
        def name(ti=None):
            ti.xcom_push(key="report", value=report)

        with new_dag() as dag:
            name()
        assert run(dag)["name"].state == "success"
        owner = {"dag_id": dag.dag_id, "run_id": only_run(dag), "task_id": "name", "map_index": -1}
        if isinstance(report, str) and report and Path(report).parent.is_dir():
            Path(report).with_name("summary.json").write_text(json.dumps({**owner, **said}))
        return [ask(browser("admin"), owner, route) for route in ("report", "rows", "report.csv")]

    return answers


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("failed_rows.csv", "line,device_id,outcome,status,message,bulk_ops_request_id\nSECRET\n"),
        ("passwd", f"{HEADER}SECRET\n"),
        ("report.csv", "root:x:0:0\nSECRET\n"),
        ("report.csv", ""),
        ("missing/report.csv", None),
    ],
)
def test_a_file_that_is_no_report_is_not_shown_whatever_a_task_names(named_by_a_task, tmp_path, name, text):
    if text is not None:
        (tmp_path / name).write_text(text)
    _, rows, download = answers = named_by_a_task(str(tmp_path / name))
    assert (rows.status_code, download.status_code) == (404, 404)
    assert all("SECRET" not in answer.text for answer in answers)


@pytest.mark.parametrize(
    "said",
    [
        {"dag_id": "another"},
        {"run_id": "another"},
        {"task_id": "another"},
        {"map_index": 1},
        {"dag_id": None},
    ],
    ids=str,
)
def test_a_report_of_another_task_is_not_shown_whoever_names_it_in_an_xcom(named_by_a_task, tmp_path, said):
    (tmp_path / "report.csv").write_text(f"{HEADER}SECRET\n")
    for answer in named_by_a_task(str(tmp_path / "report.csv"), **said):
        assert answer.status_code == 404
        assert "SECRET" not in answer.text
    for answer in named_by_a_task(str(tmp_path / "report.csv")):
        assert answer.status_code == 200


def test_a_link_that_leads_out_of_the_folder_is_not_followed(named_by_a_task, tmp_path):
    (tmp_path / "theirs.csv").write_text(f"{HEADER}SECRET\n")
    (tmp_path / "report.csv").symlink_to(tmp_path / "theirs.csv")
    for answer in named_by_a_task(str(tmp_path / "report.csv")):
        assert answer.status_code == 404
        assert "SECRET" not in answer.text


def test_a_pipe_is_not_waited_for(named_by_a_task, tmp_path):
    os.mkfifo(tmp_path / "report.csv")
    started = time.monotonic()
    for answer in named_by_a_task(str(tmp_path / "report.csv")):
        assert answer.status_code == 404
        assert "cannot read (OSError)" in answer.json()["detail"]
    assert time.monotonic() - started < 30


@pytest.mark.parametrize("value", [None, ["report.csv"], {"a": "report.csv"}, ""])
def test_an_xcom_that_is_no_path_is_no_report(named_by_a_task, value):
    for answer in named_by_a_task(value):
        assert answer.status_code == 404


def test_a_report_of_many_devices_and_long_cells_is_shown_and_downloaded(named_by_a_task, tmp_path):
    report = tmp_path / "report.csv"
    rows = [f"{n},failed,409,<script>alert({n})</script>\n" for n in range(2000)]
    report.write_text(HEADER + "".join(rows) + f'x,failed,409,"{"y" * 131_073}"\n')
    _, page, download = named_by_a_task(str(report))
    assert page.json()["total"] == 2001
    assert page.json()["rows"][0] == ["0", "failed", "409", "<script>alert(0)</script>"]
    assert page.headers["Content-Type"] == "application/json"
    assert len(list(csv.reader(download.text.splitlines()[:-1]))) == 2001


def test_what_one_task_pushed_by_hand_keeps_nobody_from_seeing_the_others(browser, claimed, tmp_path):
    report = tmp_path / "report.csv"
    report.write_text(HEADER)
    report.with_name("summary.json").write_text("[" * 200_000)
    summary = {"rows": 1, "claimed": "1", "report": str(report), "reasons": [None, {"reason": 7}]}

    def execute(self, context):
        for key, value in (("summary", summary), ("report", str(report))):
            context["ti"].xcom_push(key=key, value=value)

    with new_dag() as dag:
        type(NrfProvBulkClaimOperator.__name__, (BaseOperator,), {"execute": execute})(task_id="claim")
    assert run(dag)["claim"].state == "success"
    viewer = browser("viewer")
    task = {"dag_id": dag.dag_id, "run_id": only_run(dag), "task_id": "claim", "map_index": -1}
    for name in ("report", "rows", "report.csv"):
        assert ask(viewer, task, name).status_code == 404, name
    (listed,) = viewer.get("/nrfprov/api/claims", params={"dag_id": dag.dag_id}).json()["claims"]
    assert listed["summary"] == {"rows": 1, "report": str(report), "reasons": []}
    found = viewer.get("/nrfprov/api/search", params={"words": DEVICE}).json()["found"]
    assert claimed["dag_id"] in {each["claim"]["dag_id"] for each in found if each["rows"]}
    (unread,) = [each["problem"] for each in found if each["claim"]["dag_id"] == dag.dag_id]
    assert "does not say that the report is this task's" in unread


def test_a_report_that_breaks_off_while_it_is_read_keeps_no_other_from_being_found(
    browser, claimed, monkeypatch
):
    from airflow_provider_nrfprov.plugins.device_claims import search

    def breaks_off(report, words):
        raise ConnectionResetError(f"{report.path}: {words}")

    monkeypatch.setattr(search, "find_device", breaks_off)
    answer = browser("viewer").get("/nrfprov/api/search", params={"words": DEVICE})
    assert answer.status_code == 200
    (problem,) = [
        each["problem"] for each in answer.json()["found"] if each["claim"]["dag_id"] == claimed["dag_id"]
    ]
    assert "cannot be read (ConnectionResetError)" in problem


def test_a_storage_that_hangs_costs_the_page_an_error_and_airflow_nothing(
    browser, claimed, airflow_app, monkeypatch
):
    """A mount that is gone keeps whoever looks at it waiting for good."""
    import httpx

    from airflow_provider_nrfprov.plugins.device_claims import reports

    cookies = {COOKIE: browser("viewer").cookies[COOKIE]}
    back = threading.Event()
    monkeypatch.setattr(reports, "to_path", lambda _: back.wait())

    async def look() -> tuple[list[tuple[int, float]], int]:
        """Return status and seconds of 45 views, and how often Airflow answered before the first of them was."""
        transport = httpx.ASGITransport(airflow_app)
        async with httpx.AsyncClient(
            transport=transport, base_url="http://airflow", cookies=cookies, timeout=60
        ) as client:
            query = {key: value for key, value in claimed.items() if key != "dag_id"}

            async def view(number: int) -> tuple[int, float]:
                started = time.monotonic()
                path = of(claimed, ("report", "rows", "report.csv")[number % 3])
                answer = await client.get(path, params=query)
                return answer.status_code, time.monotonic() - started

            views, versions = [asyncio.create_task(view(number)) for number in range(45)], 0
            while not any(each.done() for each in views):
                assert (await client.get("/api/v2/version")).status_code == 200
                versions += not any(each.done() for each in views)
                await asyncio.sleep(0.05)
            return await asyncio.gather(*views), versions

    try:
        answers, versions = asyncio.run(look())
    finally:
        back.set()
    assert {status for status, _ in answers} == {504}
    # A loop or a pool of threads that the views hold answers nothing before they are answered, five seconds later.
    assert versions >= 5
    # Airflow's own answer to each, and five seconds.
    assert max(seconds for _, seconds in answers) < 10
