"""The page that shows a report: what it shows, to whom, and what it does not."""

from __future__ import annotations

import csv
import json
import os
from pathlib import Path

import pytest

from airflow_provider_nrfprov.operators.bulk_claim import NrfProvBulkClaimOperator
from airflow_provider_nrfprov.plugins import report_page
from airflow_provider_nrfprov.version_compat import AIRFLOW_V_3_1_7_PLUS
from tests.integration.dag_runs import new_dag, run
from tests.integration.test_links import links, only_run

pytestmark = pytest.mark.filterwarnings("ignore")
needs_a_session = pytest.mark.skipif(
    not AIRFLOW_V_3_1_7_PLUS,
    reason="before Airflow 3.1.7 it is not asked who may see the DAG of a plugin's page",
)
COOKIE = "_token"


def test_the_plugin_is_an_entry_point_that_airflow_takes():
    from airflow.plugins_manager import ensure_plugins_loaded, is_valid_plugin

    pyproject = (Path(__file__).parents[2] / "pyproject.toml").read_text()
    _, section = pyproject.split('[project.entry-points."airflow.plugins"]\n')
    path = f"{report_page.__name__}:{report_page.NrfProvReportPagePlugin.__name__}"
    assert f'nrfprov_report_page = "{path}"\n' in section.split("\n[")[0]
    ensure_plugins_loaded()  # Airflow 2 compares with what it has
    assert is_valid_plugin(report_page.NrfProvReportPagePlugin)


@pytest.fixture
def browser(load_dag):
    """Return a browser of a person with a role, at a server with Airflow's own sign-in and the plugin."""
    from airflow.api_fastapi.app import init_auth_manager
    from airflow.api_fastapi.auth.managers.simple.user import SimpleAuthManagerUser
    from fastapi import FastAPI
    from fastapi.testclient import TestClient

    app = FastAPI()
    for each in report_page.NrfProvReportPagePlugin.fastapi_apps:
        app.mount(each["url_prefix"], each["app"])
    manager = init_auth_manager(app)

    def sign_in(role: str | None) -> TestClient:
        client = TestClient(app)
        token = manager.generate_jwt(SimpleAuthManagerUser(username="someone", role=role))
        client.cookies.set(COOKIE, token)
        return client

    return sign_in


@pytest.fixture
def claimed(load_dag, connect, emulator, tokens, tmp_path):
    """A run of a claim, one of whose rows cannot be one; give the address of its report."""
    connect(emulator.url)
    claim_file = tmp_path / "shift.csv"
    claim_file.write_text("\n".join([*tokens, "<script>alert(1)</script>"]))
    with new_dag() as dag:
        NrfProvBulkClaimOperator(
            task_id="claim", claim_file=str(claim_file), report_dir=str(tmp_path / "out")
        )
    assert run(dag)["claim"].state == "success"
    return links(dag, "claim", only_run(dag))["Report"]


@pytest.mark.slow
@needs_a_session
def test_whoever_may_read_xcoms_sees_the_counts_and_can_download_the_rows(browser, claimed, tokens, tmp_path):
    answer = browser("viewer").get(claimed)
    assert answer.status_code == 200
    assert "<td>claimed</td><td>5</td>" in answer.text
    assert "<td>rejected</td><td>1</td>" in answer.text
    assert "1 to look at" in answer.text
    assert answer.headers["Content-Security-Policy"].startswith("default-src 'none'")
    download = browser("viewer").get(claimed.replace("?", "/report.csv?"))
    assert download.text == (tmp_path / "out" / "report.csv").read_text()
    assert len(list(csv.DictReader(download.text.splitlines()))) == 6
    assert not any(token in answer.text + download.text for token in tokens)


@pytest.mark.slow
@needs_a_session
def test_nobody_else_sees_it(browser, claimed):
    for address in (claimed, claimed.replace("?", "/report.csv?")):
        assert browser(None).get(address).status_code == 403
        stranger = browser(None)
        stranger.cookies.clear()
        assert stranger.get(address).status_code == 401
        stranger.cookies.set(COOKIE, "rubbish")
        assert stranger.get(address).status_code == 403


@pytest.fixture
def named_by_a_task(browser):
    """Return what the page answers if a task had named this file in its XCom, and the summary beside it said that it is its own."""
    from airflow.providers.common.compat.sdk import BaseOperator

    class Naming(BaseOperator):
        def __init__(self, *, report, **kwargs):
            super().__init__(**kwargs)
            self.report = report

        def execute(self, context):
            context["ti"].xcom_push(key="report", value=self.report)

    def ask(report: object, **said: object) -> list:
        with new_dag() as dag:
            Naming(task_id="name", report=report)
        assert run(dag)["name"].state == "success"
        run_id = only_run(dag)
        owner = {"dag_id": dag.dag_id, "run_id": run_id, "task_id": "name", "map_index": -1}
        if isinstance(report, str) and report and Path(report).parent.is_dir():
            Path(report).with_name("summary.json").write_text(json.dumps({**owner, **said}))
        address = f"/nrfprov/report/{dag.dag_id}"
        query = f"run_id={run_id.replace('+', '%2B')}&task_id=name"
        return [browser("admin").get(f"{address}{page}?{query}") for page in ("", "/report.csv")]

    return ask


@pytest.mark.slow
@needs_a_session
@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("failed_rows.csv", "line,device_id,outcome,status,message,bulk_ops_request_id\nSECRET\n"),
        ("passwd", "device_id,outcome,status,message\nSECRET\n"),
        ("report.csv", "root:x:0:0\nSECRET\n"),
        ("report.csv", ""),
        ("missing/report.csv", None),
    ],
)
def test_a_file_that_is_no_report_is_not_shown_whatever_a_task_names(named_by_a_task, tmp_path, name, text):
    if text is not None:
        (tmp_path / name).write_text(text)
    for answer in named_by_a_task(str(tmp_path / name)):
        assert answer.status_code == 404
        assert "SECRET" not in answer.text


@pytest.mark.slow
@needs_a_session
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
    (tmp_path / "report.csv").write_text("device_id,outcome,status,message\nSECRET\n")
    for answer in named_by_a_task(str(tmp_path / "report.csv"), **said):
        assert answer.status_code == 404
        assert "SECRET" not in answer.text
    for answer in named_by_a_task(str(tmp_path / "report.csv")):
        assert answer.status_code == 200


@pytest.mark.slow
@needs_a_session
def test_a_pipe_is_not_waited_for_and_a_huge_file_is_not_read(named_by_a_task, tmp_path, monkeypatch):
    os.mkfifo(tmp_path / "report.csv")
    for answer in named_by_a_task(str(tmp_path / "report.csv")):
        assert answer.status_code == 404
    (tmp_path / "report.csv").unlink()
    (tmp_path / "report.csv").write_text("device_id,outcome,status,message\n" + "x" * 100)
    monkeypatch.setattr("airflow_provider_nrfprov.plugins.report_file._MOST_BYTES", 100)
    for answer in named_by_a_task(str(tmp_path / "report.csv")):
        assert (answer.status_code, "more than the 100" in answer.text) == (404, True)


@needs_a_session
def test_every_route_has_the_dag_in_its_path_and_asks_who_may_see_it():
    from airflow_provider_nrfprov.plugins.report_app import build_app

    routes = [route for route in build_app().routes if hasattr(route, "dependant")]
    assert len(routes) == 2
    for route in routes:
        assert "{dag_id}" in route.path
        assert "requires_access_dag" in str([each.call for each in route.dependant.dependencies])


@pytest.mark.slow
@needs_a_session
def test_the_dag_in_the_path_decides_whatever_the_query_says(browser, claimed):
    foreign = claimed.split("?")[0].rpartition("/")[0] + "/another_dag?" + claimed.split("?")[1]
    own = claimed.split("?")[0].rpartition("/")[2]
    for address in (foreign, f"{foreign}&dag_id={own}", foreign.replace("another_dag", "~")):
        assert browser("admin").get(address).status_code == 404


@pytest.mark.slow
@needs_a_session
@pytest.mark.parametrize("value", [None, ["report.csv"], {"a": "report.csv"}, ""])
def test_an_xcom_that_is_no_path_is_no_report(named_by_a_task, value):
    for answer in named_by_a_task(value):
        assert answer.status_code == 404


@pytest.mark.slow
@needs_a_session
def test_what_a_report_holds_is_shown_as_text_and_a_long_list_is_cut(named_by_a_task, tmp_path):
    report = tmp_path / "report.csv"
    rows = [f"{n},failed,409,<script>alert({n})</script>\n" for n in range(2000)]
    report.write_text("device_id,outcome,status,message\n" + "".join(rows))
    page, download = named_by_a_task(str(report))
    assert "<script>" not in page.text
    assert "&lt;script&gt;alert(499)&lt;/script&gt;" in page.text
    assert "alert(500)" not in page.text
    assert "2,000 to look at, the first 500 of them" in page.text
    assert download.text == report.read_text()
    assert download.headers["Content-Disposition"] == 'attachment; filename="report.csv"'


@needs_a_session
def test_a_worker_that_loads_the_plugin_does_not_load_the_web_application():
    import subprocess
    import sys

    code = (
        "import sys, json; import airflow_provider_nrfprov.plugins.report_page;"
        "print(json.dumps([m for m in sys.modules if m.split('.')[-1] in ('fastapi', 'report_app')]))"
    )
    result = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, check=True
    )
    assert json.loads(result.stdout.strip().splitlines()[-1]) == []
