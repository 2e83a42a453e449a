"""A claim file that is sent from the browser: by whom, from where, how large, under which name, and what is stored of it."""

from __future__ import annotations

import pytest
from airflow.providers.common.compat.sdk import task

from tests.integration.dag_runs import new_dag, run
from tests.integration.device_claims.pages import needs_teams, needs_the_page

pytestmark = [pytest.mark.filterwarnings("ignore"), pytest.mark.slow, needs_the_page]
OWN_PAGE = {"Origin": "http://testserver", "X-Nrfprov-Upload": "1"}


@pytest.fixture
def claimed(load_dag):
    """A DAG that has run."""

    @task
    def nothing():
        pass

    with new_dag() as dag:
        nothing()
    run(dag)
    return {"dag_id": dag.dag_id}


@pytest.fixture
def inbox(connect, tmp_path, claimed):
    """The folder of the connection's inbox, for one DAG."""
    connect("http://127.0.0.1:9", inbox=str(tmp_path / "inbox"), inbox_dags=[claimed["dag_id"]])
    return tmp_path / "inbox"


def send(client, task, content: bytes, *, headers=OWN_PAGE, name="shift.csv", **query):
    query = {"conn_id": "nrfprov_default", "name": name, **query}
    path = f"/nrfprov/api/dags/{task['dag_id']}/inbox"
    return client.post(path, params=query, content=content, headers=headers)


@pytest.fixture
def good(tokens):
    return "".join(f"{token}\n" for token in tokens).encode()


def test_a_file_is_checked_first_and_nothing_is_stored(browser, claimed, inbox, good):
    answer = send(browser("user"), claimed, good + b"rubbish\n")
    assert answer.status_code == 200
    found = answer.json()
    assert [found[name] for name in ("file", "rows", "sendable", "rejected")] == ["shift.csv", 6, 5, 1]
    assert [(each["count"], each["lines"]) for each in found["reasons"]] == [(1, [6])]
    assert "path" not in found
    assert not inbox.exists()
    assert good.decode().split()[0] not in answer.text


def test_a_file_that_is_to_be_stored_goes_into_the_inbox_for_its_owner_alone(browser, claimed, inbox, good):
    paths = [send(browser("user"), claimed, good, store=True).json()["path"] for _ in range(2)]
    assert len(set(paths)) == 2
    assert {str(file) for file in inbox.iterdir()} == set(paths)
    for file in inbox.iterdir():
        assert file.name.endswith("-shift.csv")
        assert file.read_bytes() == good
        assert file.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("content", [b"", b"rubbish\n", b"\x00\xff" * 100, b"PK\x03\x04" + b"x" * 50])
def test_a_file_without_a_row_that_can_be_sent_is_not_stored(browser, claimed, inbox, content):
    answer = send(browser("user"), claimed, content, store=True)
    assert answer.status_code == 200
    assert answer.json().get("error") or answer.json()["sendable"] == 0
    assert not inbox.exists()


@pytest.mark.parametrize(
    "name", ["../../etc/cron.d/x", "/etc/passwd", "..", ".hidden", "a b;c\u202e.csv", "x" * 300, "", "-rf"]
)
def test_no_name_of_a_browser_leads_out_of_the_inbox(browser, claimed, inbox, good, name):
    answer = send(browser("user"), claimed, good, name=name, store=True)
    assert answer.status_code == 200
    (file,) = inbox.iterdir()
    assert answer.json()["path"] == str(file)
    assert len(file.name) < 120


def test_who_may_not_start_the_dag_may_not_send_it_a_file(browser, anonymous, claimed, inbox, good):
    assert send(anonymous, claimed, good, store=True).status_code == 401
    for role in (None, "viewer"):
        assert send(browser(role), claimed, good, store=True).status_code == 403
    assert not inbox.exists()


@needs_teams
def test_nor_may_a_user_of_another_team(browser, of_team_red, inbox, good):
    assert send(browser("user", teams=["blue"]), of_team_red, good, store=True).status_code == 403
    assert not inbox.exists()
    assert send(browser("user", teams=["red"]), of_team_red, good, store=True).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Origin": "http://testserver"},
        {"X-Nrfprov-Upload": "1"},
        {**OWN_PAGE, "Origin": "http://elsewhere"},
        {**OWN_PAGE, "Origin": "null"},
        {**OWN_PAGE, "Origin": "http://testserver.elsewhere"},
    ],
    ids=str,
)
def test_a_page_of_another_site_cannot_send_one(browser, claimed, inbox, good, headers):
    assert send(browser("user"), claimed, good, headers=headers, store=True).status_code == 403
    assert not inbox.exists()


def test_a_file_that_is_too_large_is_refused_before_it_is_kept(browser, claimed, inbox, monkeypatch):
    from airflow_provider_nrfprov.plugins.device_claims import inbox as module

    monkeypatch.setattr(module, "MOST_BYTES", 1_000)
    answer = send(browser("user"), claimed, b"x" * 1_001, store=True)
    assert (answer.status_code, "1,000 bytes" in answer.json()["detail"]) == (413, True)
    assert not inbox.exists()


def test_it_is_off_unless_the_connection_has_an_inbox_for_the_dag(browser, connect, claimed, good, tmp_path):
    folder = str(tmp_path / "inbox")
    for extra in (
        {},
        {"inbox": folder},
        {"inbox_dags": [claimed["dag_id"]]},
        {"inbox": folder, "inbox_dags": ["another"]},
    ):
        connect("http://127.0.0.1:9", **extra)
        assert send(browser("admin"), claimed, good, store=True).status_code == 404
        listed = browser("admin").get("/nrfprov/api/inbox", params={"conn_id": "nrfprov_default"}).json()
        assert claimed["dag_id"] not in listed["dags"]
    assert send(browser("admin"), claimed, good, store=True, conn_id="not_there").status_code == 404
    assert not (tmp_path / "inbox").exists()


def test_the_page_is_told_of_an_inbox_if_its_dag_may_be_seen(browser, anonymous, claimed, inbox):
    query = {"conn_id": "nrfprov_default"}
    listed = browser("viewer").get("/nrfprov/api/inbox", params=query)
    assert listed.json()["dags"] == [claimed["dag_id"]]
    assert str(inbox) not in listed.text
    assert anonymous.get("/nrfprov/api/inbox", params=query).status_code == 401


def test_the_check_leaves_nothing_behind(browser, claimed, inbox, good, tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    (tmp_path / "temporary").mkdir()
    send(browser("user"), claimed, good)
    assert list((tmp_path / "temporary").iterdir()) == []
