"""Device claims as people see it: a viewer, a user, a user of another team, and somebody without a session."""

from __future__ import annotations

import json
import re
import tempfile
from collections import Counter
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
import requests

from airflow_provider_nrfprov.emulator.mint import mint_devices
from harness.local_airflow import USER
from tests.e2e.claims_view import (
    address,
    claim_view,
    picture,
    require_that_axe_finds_nothing,
    rows,
    summary_of,
    wait_for_rows,
)
from tests.e2e.claims_world import CLAIM, PERSON, STRANGER, VIEWER, build
from tests.e2e.conftest import PICTURES

pytestmark = pytest.mark.slow
EARLY, LATE, NIGHT = "line-1-early.csv", "line-1-late.csv", "line-1-night.csv"


@pytest.fixture(scope="module")
def world(chromium):
    """Start all of it; three shifts are claimed."""
    PICTURES.mkdir(parents=True, exist_ok=True)
    (PICTURES / "axe-core.txt").write_text("")
    with ExitStack() as stack:
        # A short name: pictures show it.
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="nrfprov-")))
        yield build(stack, folder, chromium)


@pytest.fixture
def page(world):
    """A page of a viewer's browser."""
    with world.page(VIEWER) as shown:
        yield shown


def test_a_viewer_finds_the_page_in_airflows_menu_and_it_takes_on_airflows_theme(world):
    for dark in (False, True):
        with world.page(VIEWER, dark=dark) as page:
            page.goto(f"{world.airflow.url}/")
            page.get_by_role("button", name="Browse").click()
            page.get_by_role("menuitem", name="Device claims").click()
            frame = page.frame_locator("iframe")
            frame.locator(".card").first.wait_for()
            # Other tests claim more.
            shown = [
                name for name in frame.locator(".card h2").all_inner_texts() if name in {NIGHT, LATE, EARLY}
            ]
            assert shown == [NIGHT, LATE, EARLY]
            night = frame.locator(".card").filter(has_text=NIGHT)
            night.get_by_text("Run failed", exact=True).wait_for()
            dark_inside = frame.locator("html").evaluate("html => html.classList.contains('dark')")
            assert dark_inside is dark
            picture(page, f"8-claims-in-airflow-{'dark' if dark else 'light'}")


@pytest.mark.parametrize(("width", "dark"), [(1400, False), (1400, True), (420, False), (420, True)])
def test_each_view_fits_its_window_and_has_no_fault_that_axe_finds(world, width, dark):
    kind = f"{width}-{'dark' if dark else 'light'}"
    views = {
        "claims": (address(world), ".card >> nth=2"),
        "claim": (claim_view(world, LATE), ".rows td >> nth=1"),
        "over-time": (address(world, "#/time"), "svg.plot"),
        "find": (address(world, "#/find?words=N91-300012"), ".card"),
    }
    with world.page(VIEWER, width=width, dark=dark) as page:
        for name, (url, ready) in views.items():
            page.goto("about:blank")
            page.goto(url)
            page.locator(ready).first.wait_for()
            picture(page, f"8-{name}-{kind}")
            assert page.evaluate("document.documentElement.scrollWidth") <= width
            require_that_axe_finds_nothing(page, f"{name}-{kind}")
        page.set_viewport_size({"width": 360 if width == 420 else 2560, "height": 900})
        assert page.evaluate("document.documentElement.scrollWidth") <= page.viewport_size["width"]


def test_a_claim_opens_by_its_reasons_and_its_rows_are_sorted_filtered_searched_and_paged(world, page):
    page.goto(claim_view(world, LATE))
    assert len(rows(page)) == 50
    page.get_by_role("button", name="Next page").click()
    page.get_by_text("51 to 100 of 160").wait_for()
    assert rows(page)[0]["Line"] == "52"
    page.get_by_role("button", name="Refused 4").click()
    page.get_by_text("Only rows with the reason").wait_for()
    wait_for_rows(page, 4)
    assert [row["serial"] for row in rows(page)] == [f"N91-2{number:05d}" for number in range(151, 155)]
    assert "another team has it" in rows(page)[0]["What happened"]
    page.get_by_role("button", name="Show all rows").click()
    page.get_by_text("1 to 50 of 160").wait_for()
    page.get_by_role("columnheader", name="serial").get_by_role("button").click()
    page.get_by_role("columnheader", name="serial").get_by_role("button").click()
    page.locator(".rows tbody tr:first-child td:first-child", has_text="161").wait_for()
    assert page.get_by_role("columnheader", name="serial").get_attribute("aria-sort") == "descending"
    page.get_by_label("Search").fill("200012")
    wait_for_rows(page, 1)
    (row,) = rows(page)
    assert (row["Line"], row["imei"]) == ("13", "351656020000012")
    page.get_by_label("Search").fill("nothing like this")
    page.get_by_text("No row matches.").wait_for()


def test_the_list_says_where_claims_went_and_leads_to_dag_and_run(world, page):
    service = urlsplit(world.emulator.url).netloc
    xcom = world.airflow.api.xcom(CLAIM, world.runs[LATE], "claim", "summary")
    assert "claimed" not in xcom  # a backend has it
    page.goto(address(world))
    card = page.locator(".card", has=page.get_by_role("link", name=LATE))
    card.wait_for()
    assert f"sent to {service}" in card.inner_text()
    assert "connection nrfprov_default" in card.inner_text()
    of_dag = f"{world.airflow.url}/dags/{CLAIM}"
    assert card.get_by_role("link", name=CLAIM).get_attribute("href") == of_dag
    of_run = card.get_by_role("link", name="manual__").get_attribute("href")
    assert unquote(of_run) == f"{of_dag}/runs/{world.runs[LATE]}"
    page.get_by_label("Text").fill("no such connection")
    page.get_by_text("No claim matches these filters.").wait_for()
    page.get_by_label("Text").fill("nrfprov_default")
    card.wait_for()


def test_a_device_that_is_ours_leads_to_its_page_and_no_other_does(world, page):
    page_of = f"{world.emulator.url}/emulator/devices"
    page.goto(claim_view(world, LATE))
    first = rows(page)[0]["Device"].split()[0]
    link = page.locator(".rows tbody tr:first-child .of-device_id a")
    assert link.get_attribute("href") == f"{page_of}/{first}"
    page.get_by_role("combobox", name="Outcome").select_option("failed")
    wait_for_rows(page, 4)
    assert page.locator(".rows .of-device_id code").count() == 4
    assert page.locator(".rows .of-device_id a").count() == 0
    page.goto(address(world, f"#/find?words={first}"))
    assert page.locator(".card h2 a").first.get_attribute("href") == f"{page_of}/{first}"


def test_no_address_that_a_task_names_leads_elsewhere_than_https_or_its_own_service(world, page):
    page.goto(address(world))
    found = page.evaluate(
        """async (addresses) => {
            const { devicePage } = await import("./parts.js");
            const service = ["http://127.0.0.1:8099/v1"];
            return addresses.map((device_url) => devicePage({ device_url, service }, "a/b", "claimed"));
        }""",
        [
            "https://portal.example.org/{device_id}",
            "http://127.0.0.1:8099/emulator/devices/{device_id}",
            "http://portal.example.org/{device_id}",
            "javascript:alert('{device_id}')",
            "https://portal.example.org/",
            7,
        ],
    )
    assert found == [
        "https://portal.example.org/a%2Fb",
        "http://127.0.0.1:8099/emulator/devices/a%2Fb",
        *[None] * 4,
    ]


def test_the_download_is_the_report_and_the_tokens_are_nowhere(world, page):
    report = world.folder / "factory" / f"{LATE}-reports"
    (file,) = report.rglob("report.csv")
    tokens = re.findall(r"2dn3[\w.-]{60,}", (world.folder / "factory" / LATE).read_text())
    assert len(tokens) > 100
    page.goto(claim_view(world, LATE))
    rows(page)
    with page.expect_download() as download:
        page.get_by_role("link", name="Download report.csv").click()
    assert Path(download.value.path()).read_text() == file.read_text()
    shown = page.content()
    assert not [token for token in tokens if token in shown]


def test_run_and_task_instance_have_a_tab_that_shows_their_claim(world):
    run_page = f"{world.airflow.url}/dags/{CLAIM}/runs/{world.runs[EARLY]}"
    for name, where in {"run": run_page, "task": f"{run_page}/tasks/claim"}.items():
        with world.page(VIEWER) as page:
            page.goto(where)
            page.get_by_role("link", name="Device claims").click()
            frame = page.frame_locator("iframe")
            frame.get_by_role("heading", name=EARLY).wait_for()
            frame.get_by_text("1 to 50 of 240").wait_for()
            picture(page, f"8-tab-of-{name}")
            # Out of the frame, which Airflow's sandbox does not allow the page itself.
            frame.get_by_role("link", name="Log", exact=True).click()
            page.wait_for_url(lambda url: f"/runs/{world.runs[EARLY]}/tasks/claim" in unquote(url))
            page.get_by_test_id("state-badge").first.wait_for()


def test_a_task_that_claims_nothing_says_so_in_its_tab(world, page):
    where = f"?dag_id={CLAIM}&run_id={world.runs[EARLY]}&task_id=check_claim_file&map_index={{MAP_INDEX}}"
    page.goto(address(world, where))
    page.get_by_text("This task has written no report").wait_for()


def test_it_is_used_by_keyboard_alone(world, page):
    page.goto(address(world))
    page.locator(".card").first.wait_for()

    def tab_to(words: str) -> None:
        for _ in range(80):
            page.keyboard.press("Tab")
            # In one step: what has the focus may be drawn anew a moment later.
            if words in page.evaluate("document.querySelector('a:focus, button:focus')?.innerText ?? ''"):
                return
        pytest.fail(f"the keyboard does not reach {words}")

    tab_to(LATE)
    page.keyboard.press("Enter")
    page.locator(".reason").first.wait_for()
    tab_to("the token is empty")
    page.keyboard.press("Enter")
    page.get_by_text("Only rows with the reason").wait_for()
    wait_for_rows(page, 1)
    assert rows(page)[0]["Line"] == "97"
    tab_to("All claims")
    page.keyboard.press("Enter")
    page.locator(".card").first.wait_for()


def test_a_device_is_found_in_whatever_claim_it_was(world, page):
    page.goto(address(world))
    page.get_by_role("link", name="Where is this device?").click()
    page.get_by_label("IMEI, serial number or device id").fill("351656010000012")
    page.keyboard.press("Enter")
    page.locator(".note", has_text=re.compile(r"^1 row found; searched (\d+) of \1 claims\.$")).wait_for()
    card = page.locator(".card")
    assert "Claimed" in card.inner_text()
    card.get_by_role("link", name=EARLY).click()
    assert [row["serial"] for row in rows(page)] == ["N91-100012"]
    page.goto(address(world, "#/find?words=990000000000000"))
    page.get_by_text("This device is in no report that you may see.").wait_for()


def test_over_time_says_how_many_and_what_was_wrong(world, page):
    page.goto(address(world, "#/time"))
    page.locator("svg.plot rect").first.wait_for()
    shown = page.locator("main").inner_text()
    claims = page.request.get(f"{world.airflow.url}/nrfprov/api/claims").json()["claims"]
    sums = Counter()
    for claim in claims:
        sums.update(
            {name: claim["summary"][name] for name in ("rows", "claimed", "already_claimed", "failed")}
        )
    assert sums["rows"] >= 460
    assert f"of {sums['rows']:,} rows are yours" in shown
    assert "another team has it" in shown
    page.get_by_text("The same as a table").click()
    table = page.locator("table.plain")
    names = [name for name in table.locator("thead th").all_inner_texts() if name != "When"]
    cells = dict(zip(names, table.locator("tbody td").all_inner_texts(), strict=True))
    assert [cells[name] for name in ("Claimed", "Already yours", "Refused")] == [
        str(sums[name]) for name in ("claimed", "already_claimed", "failed")
    ]


def test_a_user_claims_again_what_was_refused_and_the_new_run_names_the_old_one(world):
    (failed_rows,) = (world.folder / "factory" / f"{NIGHT}-reports").rglob("failed_rows.csv")
    before = set(world.airflow.api.run_states(CLAIM))
    with world.page(VIEWER) as page:
        page.goto(claim_view(world, NIGHT))
        page.get_by_role("button", name="Claim these again (45 rows)").click()
        page.get_by_role("button", name="Start the claim").click()
        page.get_by_text(f"You may not start the DAG {CLAIM}").wait_for()
    assert set(world.airflow.api.run_states(CLAIM)) == before
    with world.page(PERSON) as page:
        page.goto(claim_view(world, NIGHT))
        page.get_by_role("button", name="Claim these again (45 rows)").click()
        picture(page, "8-claim-again")
        page.get_by_role("button", name="Start the claim").click()
        page.get_by_text("Started:").wait_for()
        shown = page.content()
    (run_id,) = set(world.airflow.api.run_states(CLAIM)) - before
    run = world.airflow.api.dag_run(CLAIM, run_id)
    assert run["conf"]["claim_file"] == str(failed_rows)
    assert run["conf"]["tags"] == ["line=1"]
    assert world.runs[NIGHT] in run["note"]
    assert run["triggering_user_name"] == PERSON
    assert "2dn3" not in shown
    world.wait(run_id)
    assert summary_of(world, run_id)["rows"] == 45


def test_a_user_sends_a_file_which_is_checked_stored_and_claimed(world):
    inbox = world.folder / "inbox"
    connection = {
        "connection_id": "factory",
        "conn_type": "nrfprov",
        "host": world.emulator.url,
        "password": world.emulator.api_key,
        "extra": json.dumps({"inbox": str(inbox), "inbox_dags": [CLAIM], "verify": world.emulator.ca_file}),
    }
    with world.page(USER) as page:
        assert page.request.post(f"{world.airflow.url}/api/v2/connections", data=connection).ok
    devices = list(mint_devices(4, seed="sent from a browser"))
    lines = [device.token for device in devices]
    file = world.folder / "shift 7.csv"
    file.write_text("\n".join([*lines, lines[0][:100]]))

    with world.page(VIEWER) as page:
        page.goto(address(world, "#/send?conn=factory"))
        page.locator("input[type=file]").set_input_files(file)
        page.get_by_role("button", name="Check the file").click()
        page.get_by_text(f"You may not start the DAG {CLAIM}").wait_for()
    assert not inbox.exists()

    before = set(world.airflow.api.run_states(CLAIM))
    with world.page(PERSON) as page:
        page.goto(address(world))
        page.locator(".card").first.wait_for()
        assert page.get_by_role("link", name="Send a file").count() == 0
        page.goto(address(world, "#/send?conn=factory"))
        page.locator("input[type=file]").set_input_files(file)
        page.get_by_role("button", name="Check the file").click()
        page.get_by_text("5 rows: 4 can be sent, 1 cannot").wait_for()
        assert not inbox.exists()
        picture(page, "8-send-a-file")
        require_that_axe_finds_nothing(page, "send-a-file")
        page.get_by_role("button", name="Claim 4 rows").click()
        page.get_by_text("Started:").wait_for()
    (run_id,) = set(world.airflow.api.run_states(CLAIM)) - before
    (stored,) = inbox.iterdir()
    assert stored.name.endswith("-shift_7.csv")
    assert stored.stat().st_mode & 0o777 == 0o600
    assert world.airflow.api.dag_run(CLAIM, run_id)["conf"]["claim_file"] == str(stored)
    world.wait(run_id)
    assert summary_of(world, run_id)["claimed"] == 4


def test_a_user_of_another_team_and_somebody_without_a_session_see_nothing(world):
    with world.page(STRANGER) as page:
        page.goto(address(world))
        page.get_by_text("No file was claimed in this period by a DAG that you may see.").wait_for()
        picture(page, "8-claims-of-another-team")
        page.goto(claim_view(world, LATE))
        page.get_by_text("You may not see this in Airflow.").wait_for()
        assert "line-1" not in page.locator("main").inner_text()
    with world.page(None) as page:
        page.goto(address(world))
        page.get_by_text("Your session has ended. Sign in to Airflow again").wait_for()


@pytest.mark.parametrize(
    ("user", "lists", "report", "checks", "checks_for_a_foreign_page"),
    [
        (None, 401, 401, 401, 401),
        (VIEWER, 200, 200, 403, 403),
        (PERSON, 200, 200, 404, 403),
        (STRANGER, 200, 403, 403, 403),
    ],
    ids=["nobody", "a viewer", "a user", "a user of another team"],
)
def test_each_route_answers_each_person_as_airflow_would(
    world, user, lists, report, checks, checks_for_a_foreign_page
):
    session = world.session(user) if user else requests.Session()
    session.trust_env = False
    base = f"{world.airflow.url}/nrfprov/api"
    of_claim = {"run_id": world.runs[LATE], "task_id": "claim", "map_index": -1}

    def status(path: str, **query: object) -> int:
        return session.get(f"{base}/{path}", params=query, timeout=60).status_code

    def sent_from(origin: str) -> int:
        headers = {"X-Nrfprov-Upload": "1", "Origin": origin}
        query = {"conn_id": "has_no_inbox", "name": "shift.csv"}
        address = f"{base}/dags/{CLAIM}/inbox"
        return session.post(address, params=query, headers=headers, data=b"x", timeout=60).status_code

    assert status("claims") == lists
    assert status("search", words="N91-2000") == lists
    assert status("inbox", conn_id="has_no_inbox") == lists
    for name in ("report", "rows", "report.csv"):
        assert status(f"dags/{CLAIM}/{name}", **of_claim) == report, name
    # 404: whoever may start the DAG is told that this connection has no inbox.
    assert sent_from(world.airflow.url) == checks
    assert sent_from("https://portal.example.org") == checks_for_a_foreign_page
