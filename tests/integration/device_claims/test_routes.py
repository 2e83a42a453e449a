"""The page Device claims: what its routes answer, to whom, and what they never show."""

from __future__ import annotations

import pytest

from tests.integration.device_claims.pages import COOKIE, ask, every_route, needs_teams, needs_the_page, of

pytestmark = [pytest.mark.filterwarnings("ignore"), pytest.mark.slow, needs_the_page]


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


def test_nobody_without_a_session_or_a_role_gets_any_data(browser, anonymous, claimed):
    for path, query in every_route(claimed):
        assert anonymous.get(path, params=query).status_code == 401, path
        assert browser(None).get(path, params=query).status_code == 403, path
        forged = browser("viewer")
        forged.cookies.set(COOKIE, "rubbish")
        assert forged.get(path, params=query).status_code in {401, 403}, path


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


def test_a_bearer_token_is_as_good_as_a_session(browser, anonymous, claimed):
    token = browser("viewer").cookies[COOKIE]
    for path, query in every_route(claimed):
        answer = anonymous.get(path, params=query, headers={"Authorization": f"Bearer {token}"})
        assert answer.status_code == 200, path


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
