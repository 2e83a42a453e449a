"""The page Device claims: what its routes answer, to whom, and what they never show."""

from __future__ import annotations

import asyncio
import csv
import json
import os
import sqlite3
import threading
import time
from contextlib import closing
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import airflow
import pytest
from packaging.version import Version

from airflow_provider_nrfprov.emulator.mint import mint_devices
from airflow_provider_nrfprov.operators.bulk_claim import NrfProvBulkClaimOperator
from airflow_provider_nrfprov.plugins.device_claims import plugin
from airflow_provider_nrfprov.version_compat import AIRFLOW_V_3_1_7_PLUS
from tests.integration.dag_runs import database, new_dag, run
from tests.integration.test_links import links, only_run

pytestmark = pytest.mark.filterwarnings("ignore")
needs_the_page = pytest.mark.skipif(
    not AIRFLOW_V_3_1_7_PLUS,
    reason="before Airflow 3.1.7 it is not asked who may see the DAG of a plugin's page",
)
needs_teams = pytest.mark.skipif(
    Version(airflow.__version__) < Version("3.2"), reason="teams are kept in another way before Airflow 3.2"
)
COOKIE = "_token"
DEVICE = next(iter(mint_devices(1, seed=1))).device_id
"""Of the first of the tokens."""
HEADER = "device_id,outcome,status,message\n"


def test_the_plugin_is_an_entry_point_that_airflow_takes():
    from airflow.plugins_manager import ensure_plugins_loaded, is_valid_plugin

    pyproject = (Path(__file__).parents[2] / "pyproject.toml").read_text()
    _, section = pyproject.split('[project.entry-points."airflow.plugins"]\n')
    path = f"{plugin.__name__}:{plugin.NrfProvDeviceClaimsPlugin.__name__}"
    assert f'nrfprov_device_claims = "{path}"\n' in section.split("\n[")[0]
    ensure_plugins_loaded()  # Airflow 2 compares with what it has
    assert is_valid_plugin(plugin.NrfProvDeviceClaimsPlugin)


@pytest.fixture(scope="module")
def airflow_app(load_dag):
    """Airflow's own web application, with the plugin as Airflow mounts it."""
    from airflow.api_fastapi.app import create_app

    app = create_app()
    mounted = [route for route in app.routes if getattr(route, "path", "") == plugin.URL_PREFIX]
    assert len(mounted) == 1
    return app


@pytest.fixture
def browser(airflow_app):
    """Return a browser of a person with a role, in teams."""
    from airflow.api_fastapi.app import get_auth_manager
    from airflow.api_fastapi.auth.managers.simple.user import SimpleAuthManagerUser
    from fastapi.testclient import TestClient

    def sign_in(role: str | None, **teams: list[str]) -> TestClient:
        client = TestClient(airflow_app)
        user = SimpleAuthManagerUser(username="someone", role=role, **teams)
        client.cookies.set(COOKIE, get_auth_manager().generate_jwt(user))
        return client

    return sign_in


@pytest.fixture
def anonymous(airflow_app):
    from fastapi.testclient import TestClient

    return TestClient(airflow_app)


@pytest.fixture
def claimed(load_dag, connect, emulator, tokens, tmp_path, claim_file):
    """A run of a claim, one of whose rows cannot be one; return the query that names its task."""
    connect(emulator.url, device_url=f"{emulator.url}/emulator/devices/{{device_id}}")
    claim_file.write_text("\n".join([*tokens, "<script>alert(1)</script>"]))
    with new_dag() as dag:
        NrfProvBulkClaimOperator(
            task_id="claim", claim_file=str(claim_file), report_dir=str(tmp_path / "out")
        )
    assert run(dag)["claim"].state == "success"
    parts = urlsplit(links(dag, "claim", only_run(dag))["Report"])
    assert parts.path == "/nrfprov/claims/"
    return {name: value for name, (value,) in parse_qs(parts.query).items()}


def of(task, name):
    return f"/nrfprov/api/dags/{task['dag_id']}/{name}"


def ask(client, task, name, **more):
    query = {key: value for key, value in task.items() if key != "dag_id"}
    return client.get(of(task, name), params={**query, **more})


def every_route(task):
    """Return each route of data with a query that it answers."""
    query = {key: value for key, value in task.items() if key != "dag_id"}
    return [
        ("/nrfprov/api/claims", {}),
        ("/nrfprov/api/search", {"words": DEVICE}),
        *((of(task, name), query) for name in ("report", "rows", "report.csv")),
    ]


@pytest.mark.slow
@needs_the_page
def test_a_viewer_sees_the_claim_its_counts_its_rows_and_its_file(
    browser, claimed, emulator, tokens, tmp_path
):
    viewer = browser("viewer")
    (claim,) = viewer.get("/nrfprov/api/claims", params={"dag_id": claimed["dag_id"]}).json()["claims"]
    assert {name: str(claim[name]) for name in claimed} == claimed
    assert claim["state"] == "success"
    assert claim["summary"]["claim_file"] == str(tmp_path / "shift.csv")
    assert [claim["summary"][name] for name in ("rows", "claimed", "rejected")] == [6, 5, 1]
    assert [each["outcome"] for each in claim["summary"]["reasons"]] == ["rejected"]

    report = ask(viewer, claimed, "report").json()
    assert report["summary"]["reasons"][0]["count"] == 1
    assert report["path"] == str(tmp_path / "out" / "report.csv")
    for summary in (claim["summary"], report["summary"]):
        assert summary["service"] == [f"{emulator.url}/v1"]
        assert summary["connection"] == "nrfprov_default"
        assert summary["device_url"] == f"{emulator.url}/emulator/devices/{{device_id}}"

    rows = ask(viewer, claimed, "rows", sort="outcome", descending=True).json()
    assert (rows["total"], len(rows["rows"])) == (6, 6)
    outcome = rows["columns"].index("outcome")
    assert [row[outcome] for row in rows["rows"]] == ["rejected", *["claimed"] * 5]

    download = ask(viewer, claimed, "report.csv")
    assert download.text == (tmp_path / "out" / "report.csv").read_text()
    assert download.headers["Content-Disposition"] == 'attachment; filename="report.csv"'

    device = rows["rows"][1][rows["columns"].index("device_id")]
    everywhere = viewer.get("/nrfprov/api/search", params={"words": device}).json()["found"]
    # Other tests claim the same devices.
    (found,) = [each for each in everywhere if each["claim"]["dag_id"] == claimed["dag_id"]]
    assert found["claim"]["run_id"] == claimed["run_id"]
    assert [row["device_id"] for row in found["rows"]] == [device]
    answers = [viewer.get(path, params=query).text for path, query in every_route(claimed)]
    assert not any(token in answer for token in tokens for answer in answers)


@pytest.mark.slow
@needs_the_page
def test_nobody_without_a_session_or_a_role_gets_any_data(browser, anonymous, claimed):
    for path, query in every_route(claimed):
        assert anonymous.get(path, params=query).status_code == 401, path
        assert browser(None).get(path, params=query).status_code == 403, path
        forged = browser("viewer")
        forged.cookies.set(COOKIE, "rubbish")
        assert forged.get(path, params=query).status_code in {401, 403}, path


@pytest.mark.slow
@needs_the_page
def test_the_page_itself_is_for_everybody_and_holds_no_data(anonymous):
    page = anonymous.get("/nrfprov/claims/")
    assert page.status_code == 200
    policy = page.headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self';")
    assert "unsafe" not in policy
    assert "<style" not in page.text
    assert " style=" not in page.text
    assert "<script>" not in page.text
    for name in ("main.js", "page.css", "icon.svg"):
        assert anonymous.get(f"/nrfprov/claims/{name}").status_code == 200
    for outside in ("../plugin.py", "%2e%2e/plugin.py", "..%2fplugin.py"):
        assert anonymous.get(f"/nrfprov/claims/{outside}").status_code == 404


@pytest.mark.slow
@needs_the_page
def test_a_bearer_token_is_as_good_as_a_session(browser, anonymous, claimed):
    token = browser("viewer").cookies[COOKIE]
    for path, query in every_route(claimed):
        answer = anonymous.get(path, params=query, headers={"Authorization": f"Bearer {token}"})
        assert answer.status_code == 200, path


@pytest.fixture
def of_team_red(claimed):
    """Make the DAG that of a team."""

    def tell(*statements: tuple[str, tuple[str, ...]]) -> None:
        with closing(sqlite3.connect(database(), timeout=30)) as connection, connection:
            for statement in statements:
                connection.execute(*statement)

    bundle = ("built-by-tests",)
    tell(
        ("insert into team (name) values (?)", ("red",)),
        ("insert into dag_bundle_team (dag_bundle_name, team_name) values (?, 'red')", bundle),
    )
    yield claimed
    tell(
        ("delete from dag_bundle_team where dag_bundle_name = ?", bundle),
        ("delete from team where name = ?", ("red",)),
    )


@pytest.mark.slow
@needs_the_page
@needs_teams
def test_a_user_of_another_team_sees_neither_claim_nor_report(browser, of_team_red):
    task = of_team_red
    ours, theirs = browser("user", teams=["red"]), browser("user", teams=["blue"])
    for path, query in every_route(task):
        mine, other = ours.get(path, params=query), theirs.get(path, params=query)
        assert mine.status_code == 200
        assert task["run_id"] in mine.text or "device_id" in mine.text
        if task["dag_id"] in path:
            assert other.status_code == 403, path
        else:
            # A list has what Airflow lets this person read.
            assert other.status_code == 200
            assert task["dag_id"] not in other.text
    named = theirs.get("/nrfprov/api/claims", params={"dag_id": task["dag_id"]})
    assert named.status_code == 403


@pytest.mark.slow
@needs_the_page
def test_the_dag_in_the_path_decides_whatever_the_query_says(browser, claimed):
    query = {key: value for key, value in claimed.items() if key != "dag_id"}
    for name in ("report", "rows", "report.csv"):
        for dag_id in ("another_dag", "~", "%7E", "."):
            address = f"/nrfprov/api/dags/{dag_id}/{name}"
            for more in ({}, {"dag_id": claimed["dag_id"]}):
                assert browser("admin").get(address, params={**query, **more}).status_code == 404
        for task_id in ("claim/../claim", "..", "claim/xcomEntries/report?", ""):
            answer = browser("admin").get(of(claimed, name), params={**query, "task_id": task_id})
            assert answer.status_code == 404


@pytest.fixture
def named_by_a_task(browser):
    """Return what the routes answer if a task had named this file in its XCom, and the summary beside it said that it is its own."""
    from airflow.providers.common.compat.sdk import BaseOperator

    class Naming(BaseOperator):
        def __init__(self, *, report, **kwargs):
            super().__init__(**kwargs)
            self.report = report

        def execute(self, context):
            context["ti"].xcom_push(key="report", value=self.report)

    def answers(report: object, **said: object) -> list:
        with new_dag() as dag:
            Naming(task_id="name", report=report)
        assert run(dag)["name"].state == "success"
        task = {"dag_id": dag.dag_id, "run_id": only_run(dag), "task_id": "name", "map_index": -1}
        if isinstance(report, str) and report and Path(report).parent.is_dir():
            Path(report).with_name("summary.json").write_text(json.dumps({**task, **said}))
        return [ask(browser("admin"), task, name) for name in ("report", "rows", "report.csv")]

    return answers


@pytest.mark.slow
@needs_the_page
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


@pytest.mark.slow
@needs_the_page
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


@pytest.mark.slow
@needs_the_page
def test_a_link_that_leads_out_of_the_folder_is_not_followed(named_by_a_task, tmp_path):
    (tmp_path / "theirs.csv").write_text(f"{HEADER}SECRET\n")
    (tmp_path / "report.csv").symlink_to(tmp_path / "theirs.csv")
    for answer in named_by_a_task(str(tmp_path / "report.csv")):
        assert answer.status_code == 404
        assert "SECRET" not in answer.text


@pytest.mark.slow
@needs_the_page
def test_a_pipe_is_not_waited_for(named_by_a_task, tmp_path):
    os.mkfifo(tmp_path / "report.csv")
    started = time.monotonic()
    for answer in named_by_a_task(str(tmp_path / "report.csv")):
        assert answer.status_code == 404
        assert "cannot read (OSError)" in answer.json()["detail"]
    assert time.monotonic() - started < 30


@pytest.mark.slow
@needs_the_page
@pytest.mark.parametrize("value", [None, ["report.csv"], {"a": "report.csv"}, ""])
def test_an_xcom_that_is_no_path_is_no_report(named_by_a_task, value):
    for answer in named_by_a_task(value):
        assert answer.status_code == 404


@pytest.mark.slow
@needs_the_page
def test_a_report_of_many_devices_and_long_cells_is_shown_and_downloaded(named_by_a_task, tmp_path):
    report = tmp_path / "report.csv"
    rows = [f"{n},failed,409,<script>alert({n})</script>\n" for n in range(2000)]
    report.write_text(HEADER + "".join(rows) + f'x,failed,409,"{"y" * 131_073}"\n')
    _, page, download = named_by_a_task(str(report))
    assert page.json()["total"] == 2001
    assert page.json()["rows"][0] == ["0", "failed", "409", "<script>alert(0)</script>"]
    assert page.headers["Content-Type"] == "application/json"
    assert len(list(csv.reader(download.text.splitlines()[:-1]))) == 2001


@pytest.mark.slow
@needs_the_page
def test_what_one_task_pushed_by_hand_keeps_nobody_from_seeing_the_others(browser, claimed, tmp_path):
    from airflow.providers.common.compat.sdk import BaseOperator

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


@pytest.mark.slow
@needs_the_page
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


@pytest.mark.slow
@needs_the_page
def test_a_query_that_airflow_or_a_database_cannot_take_is_refused_here(browser, claimed):
    viewer = browser("viewer")
    for more in ({"offset": 10**30}, {"offset": -1}, {"map_index": 10**40}, {"map_index": -2}):
        assert ask(viewer, claimed, "rows", **more).status_code == 422, more
    for words in ("abc", "a    ", "   ", "x" * 101):
        assert viewer.get("/nrfprov/api/search", params={"words": words}).status_code == 422, words
    for since in ("yesterday", "2026-01-01", "2026-01-01T00:00:00"):
        assert viewer.get("/nrfprov/api/claims", params={"since": since}).status_code == 422, since
    for since in ("2026-01-01T00:00:00.000Z", "2026-01-01T00:00:00+09:00"):
        answer = viewer.get("/nrfprov/api/claims", params={"since": since, "dag_id": claimed["dag_id"]})
        assert answer.status_code == 200, since


@pytest.mark.slow
@needs_the_page
def test_a_store_of_xcoms_that_cannot_be_read_costs_the_counts_and_not_the_list(
    browser, claimed, monkeypatch
):
    from airflow_provider_nrfprov.plugins.device_claims import claims

    def gone(value: object) -> object:
        raise ConnectionRefusedError(f"no store for {value}")

    async def reference(*_: object) -> str:
        return "s3://xcoms/1.json"

    monkeypatch.setattr(claims, "plain", gone)
    monkeypatch.setattr(claims.Airflow, "xcom", reference)
    answer = ask(browser("viewer"), claimed, "report")
    assert (answer.status_code, answer.json()["detail"]) == (
        502,
        "Airflow's XCom backend cannot be read by this web server (ConnectionRefusedError).",
    )
    listed = browser("viewer").get("/nrfprov/api/claims", params={"dag_id": claimed["dag_id"]})
    assert listed.status_code == 200


@pytest.mark.slow
@needs_the_page
def test_a_storage_that_hangs_costs_the_page_an_error_and_airflow_nothing(
    browser, claimed, airflow_app, monkeypatch
):
    """A mount that is gone keeps whoever looks at it waiting for good."""
    import httpx

    from airflow_provider_nrfprov.plugins.device_claims import reports

    cookies = {COOKIE: browser("viewer").cookies[COOKIE]}
    back = threading.Event()
    monkeypatch.setattr(reports, "to_path", lambda _: back.wait())

    async def look() -> tuple[list[tuple[int, float]], float]:
        transport = httpx.ASGITransport(airflow_app)
        async with httpx.AsyncClient(
            transport=transport, base_url="http://airflow", cookies=cookies, timeout=60
        ) as client:
            query = {key: value for key, value in claimed.items() if key != "dag_id"}

            async def timed(path: str) -> tuple[int, float]:
                started = time.monotonic()
                answer = await client.get(path, params=query)
                return answer.status_code, time.monotonic() - started

            async def slowest_beside(paths: list[str]) -> tuple[list[tuple[int, float]], float]:
                """Ask for all of these at once, and for Airflow's version as long as one is under way."""
                asked, slowest = [asyncio.create_task(timed(path)) for path in paths], 0.0
                while not all(each.done() for each in asked):
                    status, seconds = await timed("/api/v2/version")
                    assert status == 200
                    slowest = max(slowest, seconds)
                    await asyncio.sleep(0.05)
                return [each.result() for each in asked], slowest

            # What it takes on this machine at this moment, where nobody looks.
            usual = max([(await timed("/api/v2/version"))[1] for _ in range(100)])
            views = [of(claimed, ("report", "rows", "report.csv")[number % 3]) for number in range(45)]
            answers, slowest = await slowest_beside(views)
            return answers, slowest - usual

    try:
        answers, slower = asyncio.run(look())
    finally:
        back.set()
    assert {status for status, _ in answers} == {504}
    assert slower < 1
    # Airflow's own answer to each, and five seconds.
    assert max(seconds for _, seconds in answers) < 10


@needs_the_page
def test_every_route_asks_airflow_as_the_person_who_asks_and_only_one_writes():
    from fastapi.routing import APIRoute

    from airflow_provider_nrfprov.plugins.device_claims import app, inbox
    from airflow_provider_nrfprov.plugins.device_claims.airflow_api import as_the_caller

    routes = [*app.build_app().routes, *inbox.router.routes]
    writing = set()
    asked = {}
    for route in (each for each in routes if isinstance(each, APIRoute)):
        calls = [each.call for each in route.dependant.dependencies]
        asked[route.path] = calls
        assert as_the_caller in calls or inbox.may_start.dependency in calls, route.path
        if route.methods != {"GET"}:
            writing.add(route.path)
            assert inbox.own_pages_only in calls
    assert writing == {"/api/dags/{dag_id}/inbox"}
    assert len(asked) == 7


@needs_the_page
def test_a_worker_that_loads_the_plugin_does_not_load_the_web_application():
    import subprocess
    import sys

    code = (
        "import sys, json; import airflow_provider_nrfprov.plugins.device_claims.plugin;"
        "print(json.dumps([m for m in sys.modules if m.split('.')[-1] in ('fastapi', 'sqlite3') or 'claims.app' in m]))"
    )
    result = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, check=True
    )
    loaded = json.loads(result.stdout.strip().splitlines()[-1])
    assert [name for name in loaded if "fastapi" in name or "claims.app" in name] == []


@needs_the_page
def test_the_views_are_those_that_this_airflow_shows():
    from airflow.api_fastapi.core_api.datamodels.plugins import ExternalViewResponse

    views = plugin.NrfProvDeviceClaimsPlugin.external_views
    assert [ExternalViewResponse.model_validate(each).destination for each in views] == [
        "nav",
        "dag_run",
        "task_instance",
    ]
    routes = [each["url_route"] for each in views]
    assert len(set(routes)) == 3
    assert not any(route.startswith("/") for route in routes)
