"""Device claims in a browser, given answers that an Airflow seldom has."""

from __future__ import annotations

import pytest

from tests.e2e.page_alone import CLAIMS, COLUMNS, PAGE, REPORT, ROWS, SEARCH, claim, rows, serve, text_of

OF_CLAIM = f"{PAGE}#/run?dag=factory&run=night&task=claim&map=-1"


@pytest.fixture(scope="module")
def window(chromium):
    """Return what opens a page of a browser of its own at an address, given the answers that it gets."""
    contexts = []

    def opened(address, answers, *, width=1400, zone="UTC", storage=None, scheme="light"):
        context = chromium.new_context(
            viewport={"width": width, "height": 900},
            timezone_id=zone,
            reduced_motion="reduce",
            color_scheme=scheme,
        )
        contexts.append(context)
        for name, value in (storage or {}).items():
            context.add_init_script(f"localStorage.setItem({name!r}, {value!r})")
        page = context.new_page()
        page.set_default_timeout(10_000)
        page.asked = serve(page, answers)
        page.goto(address)
        page.locator("main > div > *:not(:text-is('Loading…'))").first.wait_for()
        return page

    yield opened
    for context in contexts:
        context.close()


def test_a_search_that_shows_some_of_many_rows_says_so_and_leads_to_all_of_them(window):
    row = {"line": "2", "device_id": "", "outcome": "rejected", "message": "", "serial": "N91-1"}
    found = [
        {"claim": claim(), "rows": [row] * 20, "more": True, "problem": None},
        {"claim": claim(run_id="early"), "rows": [row], "more": False, "problem": None},
    ]
    answer = {"found": found, "searched": 2, "of": 2, "more": False}
    page = window(f"{PAGE}#/find?words=N91-", {SEARCH: answer})
    page.locator("main").get_by_text("More than 21 rows found; searched 2 of 2 claims.").wait_for()
    link = page.get_by_role("link", name="all rows of shift.csv with “N91-”")
    assert link.count() == 1
    assert "run=night" in link.get_attribute("href")
    assert "words=N91-" in link.get_attribute("href")


@pytest.mark.parametrize("words", ["a    ", "   ", "abc"])
def test_a_device_is_not_looked_for_by_less_than_four_characters(window, words):
    page = window(f"{PAGE}#/find", {})
    field = page.get_by_label("IMEI, serial number or device id")
    field.fill(words)
    field.press("Enter")
    assert field.evaluate("field => field.validity.valid") is False
    assert SEARCH not in [path for path, _ in page.asked]
    field.fill("abcd ")
    field.press("Enter")
    page.wait_for_url("**words=abcd")


def test_no_more_can_be_typed_than_is_taken(window):
    answers = {REPORT: {"summary": claim()["summary"], "path": "/out/report.csv"}, ROWS: rows()}
    page = window(OF_CLAIM, answers)
    page.get_by_label("Search").fill("x" * 300)
    assert len(page.get_by_label("Search").input_value()) == 200
    page.goto(f"{PAGE}#/find")
    field = page.get_by_label("IMEI, serial number or device id")
    field.fill("x" * 300)
    assert len(field.input_value()) == 100


INSTANCE = "/api/v2/dags/factory/dagRuns/night/taskInstances/claim"
RUN = "/api/v2/dags/factory/dagRuns/night"
STATES = {
    "failed": "It ended without a report: its log says why.",
    "upstream_failed": "It did not start, since a task before it failed: the run shows which.",
    "skipped": "It was skipped, so nothing was claimed.",
    "running": "No report yet.",
    "success": "This task has named no report",
}


@pytest.mark.parametrize(("state", "words"), STATES.items())
def test_a_claim_without_a_report_leads_to_its_log_its_run_and_the_others(window, state, words):
    answers = {
        INSTANCE: {"state": state, "start_date": "2026-11-26T22:30:00Z", "duration": 0.0},
        RUN: {"state": "failed", "triggering_user_name": "Uwe"},
        CLAIMS: {"claims": [claim(state=state, duration=0.0) | {"summary": None}], "more": False},
        REPORT: (404, {"detail": "This task has named no report, in its last try at least."}),
    }
    page = window(OF_CLAIM, answers)
    assert words in text_of(page)
    assert "took" not in text_of(page)
    assert page.get_by_role("heading", name="claim", exact=True).count() == 1
    for name, address in (
        ("Log", "/dags/factory/runs/night/tasks/claim"),
        ("Run", "/dags/factory/runs/night"),
    ):
        link = page.get_by_role("link", name=name, exact=True)
        assert link.get_attribute("href").endswith(address)
    page.get_by_role("link", name="All claims").click()
    page.locator(".card").wait_for()
    if state != "success":
        assert words in page.locator(".card").inner_text()
    assert "took" not in page.locator(".card").inner_text()


def test_a_claim_whose_report_was_removed_has_its_counts(window):
    answers = {
        INSTANCE: {"state": "success", "start_date": "2026-11-26T22:30:00Z", "duration": 60.0},
        CLAIMS: {"claims": [claim(task_id="another"), claim()], "more": False},
        REPORT: (404, {"detail": "/claims/out/report.csv is not there."}),
    }
    page = window(OF_CLAIM, answers)
    page.get_by_role("heading", name="shift.csv").wait_for()
    shown = text_of(page)
    assert "3 rows Claimed 2 66.6 % Refused 1 33.3 %" in shown
    assert "/claims/out/report.csv is not there." in shown
    assert "took 1 min 0 s" in shown


def test_of_a_claim_that_may_not_be_seen_nothing_is_said(window):
    page = window(OF_CLAIM, {REPORT: 403, INSTANCE: 403, RUN: 403})
    assert text_of(page) == "You may not see this in Airflow."


def many(count):
    return [
        claim(run_id=f"run {number}", summary={"claim_file": f"/x/shift-{number}.csv"})
        for number in range(count)
    ]


def cards(page):
    return page.locator(".card h2").all_inner_texts()


def test_filters_of_the_list_outlast_a_look_at_a_claim_and_a_reload(window):
    listed = [*many(50), claim(dag_id="other", summary={"claim_file": "/x/one.csv"})]
    answers = {CLAIMS: {"claims": listed, "more": False}, REPORT: 403, INSTANCE: 403, RUN: 403}
    page = window(PAGE, answers)
    page.get_by_label("DAG").select_option("factory")
    page.get_by_label("Result").select_option("has “Refused”")
    page.get_by_label("Text").fill("SHIFT csv ")
    page.get_by_label("Period").select_option("the last 30 days")
    page.get_by_role("button", name="Last page").click()
    page.get_by_text("41 to 50 of 50").wait_for()
    seen = cards(page)

    def require_the_same():
        page.get_by_text("41 to 50 of 50").wait_for()
        assert cards(page) == seen
        shown = [page.get_by_label(name).input_value() for name in ("Period", "DAG", "Result", "Text")]
        assert shown == [str(30 * 86400), "factory", "failed", "SHIFT csv"]

    page.locator(".card h2 a").first.click()
    page.get_by_text("You may not see this in Airflow.").wait_for()
    page.go_back()
    require_the_same()
    page.reload()
    require_the_same()
    answers[REPORT] = {"summary": claim()["summary"], "path": "/x/report.csv"}
    answers[ROWS] = rows()
    page.locator(".card h2 a").first.click()
    page.get_by_role("link", name="All claims").click()
    require_the_same()
    page.get_by_role("link", name="Claims", exact=True).click()
    page.get_by_text("1 to 20 of 51").wait_for()


def test_a_list_that_cannot_be_loaded_anew_says_why(window):
    answers = {CLAIMS: {"claims": many(1), "more": False}}
    page = window(PAGE, answers)
    page.locator(".card").wait_for()
    answers[CLAIMS] = 401
    page.get_by_role("button", name="Refresh").click()
    page.get_by_text("Your session has ended").wait_for()
    assert "Loading" not in text_of(page)
    answers[CLAIMS] = {"claims": many(2), "more": False}
    page.get_by_role("button", name="Refresh").click()
    page.locator(".card").nth(1).wait_for()


def test_the_many_claims_of_one_run_are_paged(window):
    page = window(f"{PAGE}?dag_id=factory&run_id=night", {CLAIMS: {"claims": many(45), "more": False}})
    page.get_by_text("1 to 20 of 45").wait_for()
    assert len(cards(page)) == 20
    page.get_by_role("button", name="Last page").click()
    page.get_by_text("41 to 45 of 45").wait_for()
    assert len(cards(page)) == 5


def of_claim(table, **summary):
    """Return the answers about a claim with these rows."""
    said = claim(summary=summary)["summary"]
    return {
        INSTANCE: {"state": "success", "start_date": "2026-11-26T22:30:00Z", "duration": 119.7},
        RUN: {"state": "success", "conf": {}},
        REPORT: {"summary": said, "path": "/claims/out/report.csv"},
        ROWS: table,
    }


DEVICE = "9410ed4f-ca47-4245-9e6d-126b4e2c5042"


def test_columns_keep_their_names_and_cells_however_a_file_calls_them(window):
    names = ["serial", "__proto__", "constructor", "serial"]
    row = [2, DEVICE, "toString", "", "", "", "first", "second", "third", "fourth"]
    page = window(OF_CLAIM, of_claim(rows(row, columns=COLUMNS + names, total=3)))
    page.locator(".rows td").first.wait_for()
    shown = page.locator(".rows th").all_inner_texts()
    assert [name.strip(" ▲\n") for name in shown] == ["Line", "Device", *names, "Outcome"]
    cells = page.locator(".rows tbody td").all_inner_texts()
    assert cells[2:] == ["first", "second", "third", "fourth", "toString"]


@pytest.mark.parametrize(
    ("count", "words"),
    [
        (0, "The claim had 3 rows, and its report has 0: a part of it is missing. The report has no rows."),
        (1, "The claim had 3 rows, and its report has 1: a part of it is missing."),
        (4, "The claim had 3 rows, and its report has 4: it was changed."),
    ],
)
def test_a_report_of_more_or_fewer_rows_than_the_claim_had_says_so(window, count, words):
    table = rows(*[[number, DEVICE, "claimed", "", "", ""] for number in range(2, 2 + count)])
    page = window(OF_CLAIM, of_claim(table))
    page.locator(".rows:not([aria-busy]) .note").wait_for()
    assert words in text_of(page)
    page.get_by_role("combobox", name="Outcome").select_option("claimed")
    page.locator(".rows:not([aria-busy]):not(:has(.note))").wait_for()


def test_small_shares_are_not_nothing_and_seconds_not_sixty(window):
    page = window(OF_CLAIM, of_claim(rows(), rows=2_500_000, claimed=2_499_999, failed=1))
    shown = text_of(page)
    assert "Claimed 2,499,999 99.9 % Refused 1 under 0.1 %" in shown
    assert "took 2 min 0 s" in shown


def test_the_question_whether_to_claim_again_is_gone_with_its_claim(window):
    answers = of_claim(rows(), failed_rows="/claims/out/failed_rows.csv")
    page = window(f"{PAGE}#/find", {**answers, CLAIMS: {"claims": [], "more": False}})
    page.evaluate(f"location.hash = {OF_CLAIM.split('claims/')[1]!r}")
    page.get_by_role("button", name="Claim these again (1 row)").click()
    page.get_by_role("dialog").wait_for()
    page.go_back()
    page.get_by_label("IMEI, serial number or device id").wait_for()
    assert page.locator("dialog").count() == 0


@pytest.mark.parametrize(
    "query", ["dag_id=factory&run_id=100%&task_id=claim", "dag_id=factory&run_id=a=b&task_id=claim"]
)
def test_an_id_with_a_sign_of_addresses_in_it_is_an_id(window, query):
    page = window(f"{PAGE}?{query}", {})
    assert text_of(page) == "Airflow answered 404."
    run_id = {parameters["run_id"] for path, parameters in page.asked if path == REPORT}
    assert run_id == {query.split("&")[1].removeprefix("run_id=")}


def test_what_was_said_of_a_file_is_gone_once_another_is_chosen(window):
    inbox = "/nrfprov/api/inbox"
    reason = {"outcome": "x", "reason": "no token"}
    checked = {
        "rows": 6,
        "sendable": 1,
        "rejected": 5,
        "reasons": [{**reason, "count": 4, "lines": [2, 3, 4, 5]}, {**reason, "count": 1, "lines": [6]}],
    }
    answers = {
        inbox: {"dags": ["factory", "other"], "most_bytes": 1000},
        "/nrfprov/api/dags/factory/inbox": checked,
    }
    page = window(f"{PAGE}#/send", answers)

    def choose_and_check(name):
        page.locator("input[type=file]").set_input_files(
            {"name": name, "mimeType": "text/csv", "buffer": b"x"}
        )
        page.get_by_role("button", name="Check the file").click()
        page.get_by_role("button", name="Claim 1 row").wait_for()

    choose_and_check("one.csv")
    assert "no token lines 2, 3, 4, 5" in text_of(page)
    assert "no token line 6" in text_of(page)
    page.locator("input[type=file]").set_input_files(
        {"name": "two.csv", "mimeType": "text/csv", "buffer": b"y"}
    )
    assert page.get_by_role("button", name="Claim 1 row").count() == 0
    choose_and_check("one.csv")
    page.get_by_label("DAG").select_option("other")
    assert page.get_by_role("button", name="Claim 1 row").count() == 0


@pytest.mark.parametrize(
    ("storage", "began", "days"),
    [
        ({"timezone": '"Europe/Berlin"'}, "23:30", ["26 Nov", "27 Nov"]),
        ({"timezone": '"UTC"'}, "22:30", ["26 Nov"]),
        ({}, "07:30", ["27 Nov"]),
        ({"timezone": "rubbish"}, "07:30", ["27 Nov"]),
        ({"timezone": '"Nowhere/None"'}, "07:30", ["27 Nov"]),
    ],
    ids=str,
)
def test_times_are_those_of_the_time_zone_that_was_chosen_in_airflow(window, storage, began, days):
    listed = [claim(), claim(run_id="late", start_date="2026-11-26T23:30:00Z")]
    answers = {CLAIMS: {"claims": listed, "more": False}}
    page = window(PAGE, answers, zone="Asia/Tokyo", storage=storage)
    assert began in page.locator(".card").first.inner_text()
    page = window(f"{PAGE}#/time", answers, zone="Asia/Tokyo", storage=storage)
    page.get_by_text("The same as a table").click()
    assert page.locator("table.plain tbody th").all_inner_texts() == days


def test_a_day_of_25_hours_is_one_day(window):
    starts = ("2026-10-23T22:30:00Z", "2026-10-25T22:30:00Z", "2026-10-27T12:00:00Z")
    listed = [claim(start_date=start) for start in starts]
    page = window(f"{PAGE}#/time", {CLAIMS: {"claims": listed, "more": False}}, zone="Europe/Berlin")
    days = page.locator("svg.plot g title").all_text_contents()
    assert [day.split(":")[0] for day in days] == ["24 Oct", "25 Oct", "26 Oct", "27 Oct"]


@pytest.mark.parametrize("width", [360, 420, 1400, 2560])
@pytest.mark.parametrize("count", [1, 7, 31, 90])
def test_words_of_the_plot_can_be_read_and_stand_apart(window, width, count):
    listed = [
        claim(
            start_date=f"2026-{8 + day // 28:02}-{1 + day % 28:02}T12:00:00Z", summary={"claimed": 1_234_567}
        )
        for day in range(count)
    ]
    page = window(f"{PAGE}#/time?period=0", {CLAIMS: {"claims": listed, "more": False}}, width=width)
    page.locator("svg.plot").wait_for()
    boxes = page.locator("svg.plot text").evaluate_all(
        "texts => texts.map((text) => text.getBoundingClientRect()).map(({ x, y, width, height }) => [x, y, width, height])"
    )
    assert min(height for *_, height in boxes) >= 13
    plot = page.locator("svg.plot").bounding_box()
    assert min(x for x, *_ in boxes) >= plot["x"]
    assert max(x + length for x, _, length, _ in boxes) <= plot["x"] + plot["width"]
    shares = page.locator("svg.plot text.share").count()
    assert shares in {0, count}
    assert ("above each, the share that is yours" in text_of(page)) is (shares > 0)
    for number, (x, y, length, height) in enumerate(boxes):
        for x2, y2, length2, height2 in boxes[number + 1 :]:
            apart = x + length <= x2 or x2 + length2 <= x or y + height <= y2 or y2 + height2 <= y
            assert apart, (boxes[number], (x2, y2, length2, height2))
    assert page.evaluate("document.documentElement.scrollWidth") <= width


NO_REPORT = {INSTANCE: {"state": "failed"}, RUN: {"state": "failed"}, CLAIMS: {"claims": [], "more": False}}
ONE_OF_MORE = {"claim": claim(), "rows": [{"line": "2", "outcome": "failed"}], "more": True, "problem": None}
SELDOM_SEEN = {
    "no report": (OF_CLAIM, NO_REPORT),
    "a report cut short": (OF_CLAIM, of_claim(rows([2, DEVICE, "claimed", "", "", ""]))),
    "more rows": (
        f"{PAGE}#/find?words=N91-",
        {SEARCH: {"found": [ONE_OF_MORE], "searched": 1, "of": 1, "more": False}},
    ),
    "too few characters": (f"{PAGE}#/find", {}),
    "no claims": (PAGE, {CLAIMS: {"claims": [], "more": False}}),
}


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(("address", "answers"), SELDOM_SEEN.values(), ids=SELDOM_SEEN)
def test_what_is_seldom_seen_has_no_fault_that_axe_finds_and_fits_a_phone(window, address, answers, scheme):
    from axe_playwright_python.sync_playwright import Axe

    page = window(address, answers, width=360, scheme=scheme)
    page.wait_for_load_state("networkidle")
    found = Axe().run(page)
    assert found.violations_count == 0, found.generate_report()
    assert page.evaluate("document.documentElement.scrollWidth") <= 360


def test_a_dag_that_takes_no_file_is_known_before_the_claim_is_started(window):
    answers = of_claim(rows(), failed_rows="/claims/out/failed_rows.csv")
    details = "/api/v2/dags/factory/details"
    page = window(OF_CLAIM, {**answers, details: {"params": {"line": {}}}})
    page.get_by_role("button", name="Claim these again (1 row)").click()
    page.get_by_text("The DAG factory has no parameter claim_file").wait_for()
    assert page.get_by_role("button", name="Start the claim").is_disabled()
    assert not [path for path, _ in page.asked if path.endswith("/dagRuns")]


@pytest.mark.parametrize(
    ("words", "more"),
    [("refused ", " Rows that ended as “Refused” are found by the choice Outcome."), ("refus", "")],
)
def test_who_searches_for_an_outcome_is_told_where_it_is_chosen(window, words, more):
    table = rows([2, DEVICE, "failed", "", "", ""], total=3)
    page = window(OF_CLAIM, {**of_claim(table), ROWS: lambda query: rows() if "words" in query else table})
    page.get_by_label("Search").fill(words)
    page.locator(".rows .nothing").wait_for()
    assert page.locator(".rows .nothing").inner_text() == f"No row matches.{more}"
