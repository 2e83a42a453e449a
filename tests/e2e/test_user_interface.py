"""What a person sees: the connection form and its Test, the trigger forms, a run, its log, its links."""

from __future__ import annotations

import json
import re
import tempfile
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from airflow_provider_nrfprov.emulator.accounts import VIEWER_KEY
from airflow_provider_nrfprov.emulator.mint import mint_devices
from reliability.judge import read_report
from tests.e2e.browser import TABS
from tests.integration.leaks import Secrets

ONE = "nrfprov_claim_one_device"
FILE = "nrfprov_claim_from_csv"
ROWS = 12

pytestmark = pytest.mark.slow


@pytest.fixture
def folder():
    """A folder with a short name: pictures show it."""
    with tempfile.TemporaryDirectory(prefix="nrfprov-") as name:
        yield Path(name)


@pytest.fixture
def browser(stack):
    return stack.browser


def address(stack, name):
    """Return the base URL and the port of a host that a connection may lead to."""
    port = {
        "the emulator": urlsplit(stack.emulator.url).port,
        "nobody": 9,
        "another service": urlsplit(stack.airflow.url).port,
    }[name]
    scheme = "https" if name == "the emulator" else "http"
    return f"{scheme}://127.0.0.1", port


def test_the_connection_form_has_our_fields_and_its_test_says_that_the_service_answered(stack, browser):
    form = browser.connection_form("nrfprov_e2e")
    browser.picture("2-connection-form-empty")
    for label, placeholder in {
        "Base URL": "https://api.provisioning.nrfcloud.com",
        "API key": "of the team in the legacy app: User Account > Current Team Details",
        "Port": "443; without it Airflow 3.3.1 and 3.3.2 cannot test",
    }.items():
        assert form.get_by_label(label, exact=True).get_attribute("placeholder") == placeholder
    for hidden in ("Host", "Password", "Login", "Schema"):
        assert form.get_by_label(hidden, exact=True).count() == 0

    host, port = address(stack, "the emulator")
    form.get_by_label("Base URL").fill(host)
    form.get_by_label("API key", exact=True).fill(stack.emulator.api_key)
    form.get_by_label("Port").fill(str(port))
    browser.picture("2-connection-form")
    form.get_by_role("button", name="Extra Fields", exact=True).click()
    for label in (
        "Bulk claim contract",
        "URL of bulk operations",
        "Page of claimed devices",
        "Connect timeout (s)",
        "Read timeout (s)",
        "Retry for (s)",
        "Longest wait (s)",
        "CA bundle",
        "Endpoints",
    ):
        form.get_by_text(label, exact=True).first.wait_for()
    browser.fill_in(form, {"verify": stack.emulator.ca_file})
    browser.picture("2-connection-form-extra-fields")
    browser.save_connection(form)

    shown = browser.press_test("nrfprov_e2e")
    browser.picture("2-connection-test")
    assert "Test Connection Successful" in shown
    assert (
        "claimed devices and bulk operations can be listed, and the service does not refuse a claim because of the key's role"
        in shown
    )
    stored = json.loads(browser.ask("connections/nrfprov_e2e"))
    assert json.loads(stored["extra"])["bulk_contract"] == "auto"


@pytest.mark.parametrize(
    ("name", "host", "api_key", "words"),
    [
        ("wrong_key", "the emulator", "not-the-key", "the team's API key of the legacy nRF Cloud app"),
        ("no_key", "the emulator", None, "no API key"),
        ("viewer", "the emulator", VIEWER_KEY, "its role is too low to claim them (403)"),
        ("unreachable", "nobody", "not-the-key", "did not answer: Failed to establish a new connection"),
        (
            "other_service",
            "another service",
            "not-the-key",
            "answers, but not as nRF Cloud does",
        ),
    ],
    ids=["wrong key", "no key", "role too low", "unreachable", "another service"],
)
def test_the_test_button_says_in_a_sentence_what_is_wrong(stack, browser, name, host, api_key, words):
    url, port = address(stack, host)
    body = {"connection_id": name, "conn_type": "nrfprov", "host": url, "port": port, "password": api_key}
    if host == "the emulator":
        body["extra"] = json.dumps({"verify": stack.emulator.ca_file})
    assert browser.page.request.post(f"{browser.url}/api/v2/connections", data=body).ok
    shown = browser.press_test(name)
    browser.picture(f"3-connection-test-{name}")
    assert "Test Connection Failed" in shown
    assert words in shown
    assert not api_key or api_key not in shown


def test_one_device_is_claimed_from_the_form_and_its_token_is_shown_nowhere_but_in_what_was_typed(
    stack, browser
):
    (device,) = mint_devices(1, seed="end to end, one")
    form = browser.trigger_form(ONE)
    assert "180 characters with a dot" in form.inner_text()
    browser.fill_in(form, {"claim_token": device.token, "tags": "line=e2e\nlot=42"})
    browser.picture("4-trigger-form-one-device")
    run_id = browser.press_trigger(form)
    browser.follow_to_success()
    browser.picture("4-run-one-device")

    (claimed,) = [each for each in stack.emulator.devices() if each["id"] == device.device_id]
    assert set(claimed["tags"]) == {"line=e2e", "lot=42"}

    shown = {"the run": browser.page.locator("body").inner_text()}
    for tab in TABS:
        shown[tab] = browser.open_task(ONE, run_id, "claim_device", tab)
        browser.picture(f"4-task-{tab.replace(' ', '-')}")
    # What a page shows little by little, or folded up, as the page asks for it.
    task = f"dags/{ONE}/dagRuns/{run_id}/taskInstances/claim_device"
    for path in (task, f"{task}/logs/1", f"{task}/xcomEntries/return_value", f"eventLogs?dag_id={ONE}"):
        shown[path] = browser.ask(path)
    assert device.device_id in shown["logs"]
    assert device.device_id in shown[f"{task}/xcomEntries/return_value"]
    assert "nrfprov_default" in shown["rendered templates"]
    secrets = Secrets([device.token], [stack.emulator.api_key])
    assert secrets.found_in_places(shown) == {}
    # As the form says beside the field.
    assert json.loads(browser.ask(f"dags/{ONE}/dagRuns/{run_id}"))["conf"]["claim_token"] == device.token


def test_a_claim_file_is_claimed_from_the_form_and_report_and_links_say_what_became_of_it(
    stack, browser, folder
):
    devices = list(mint_devices(ROWS, seed="end to end, a file"))
    claim_file = folder / "shift.csv"
    lines = [f'{device.token},"lot=42"\n' for device in devices]
    claim_file.write_text("".join([*lines, f"{devices[0].token[:100]}\n"]))
    form = browser.trigger_form(FILE)
    values = {"claim_file": str(claim_file), "tags": "line=e2e", "report_dir": str(folder / "reports")}
    browser.fill_in(form, values)
    browser.picture("5-trigger-form-claim-file")
    run_id = browser.press_trigger(form)
    browser.picture("5-run-started")
    browser.follow_to_success()
    browser.picture("5-run")

    ours = {each["id"]: each for each in stack.emulator.devices() if each["team"] == stack.emulator.team}
    report = read_report(folder / "reports")
    assert [row["outcome"] for row in report] == ["claimed"] * ROWS + ["rejected"]
    assert {row["device_id"] for row in report[:ROWS]} == {device.device_id for device in devices}
    for device in devices:
        assert set(ours[device.device_id]["tags"]) == {"line=e2e", "lot=42"}
        assert ours[device.device_id]["claimCount"] == 1

    browser.open_task(FILE, run_id, "claim")
    log = browser.wait_for_log("12 rows sent so far")
    browser.picture("5-log-claim")
    story = [line.partition(" - ")[2] for line in log.splitlines() if " - " in line]
    assert re.fullmatch(rf"{re.escape(str(claim_file))}: a new job [0-9a-f]{{16}}", story[0])
    assert story[1].startswith("chunk 1: 12 rows, bulk operation ")
    browser.open_task(FILE, run_id, "claim")
    browser.wait_for_log("13 rows: 12 claimed, 0 already claimed, 1 rejected, 0 failed, 0 unknown")
    browser.picture("5-log-report")
    browser.open_task(FILE, run_id, "claim", "xcom")
    browser.page.get_by_text(str(folder / "reports" / "report.csv"), exact=True).first.wait_for()
    browser.picture("5-xcom-report")
    assert_links_lead_to_report_and_portal(browser, run_id, ours)
    secrets = Secrets([device.token for device in devices], [stack.emulator.api_key])
    assert secrets.found_in(log) == []


def assert_links_lead_to_report_and_portal(browser, run_id, ours):
    browser.open_task(FILE, run_id, "claim", "details")
    link = browser.page.get_by_role("link", name="nRF Cloud", exact=True)
    link.wait_for()
    browser.picture("6-links")
    with browser.page.expect_popup() as popup:
        link.click()
    # The connection's "Page of claimed devices" is the emulator's list here.
    listed = popup.value.locator("body")
    listed.wait_for()
    assert all(device_id in listed.inner_text() for device_id in ours)
    popup.value.close()
    browser.page.get_by_role("link", name="Report", exact=True).click()
    browser.page.get_by_role("heading", name="shift.csv").wait_for()
    counts = browser.page.locator(".legend").first
    counts.wait_for()
    browser.picture("6-report")
    assert [row.split("\n")[:2] for row in counts.get_by_role("listitem").all_inner_texts()] == [
        ["Claimed", "12"],
        ["Bad row", "1"],
    ]
    browser.page.locator(".rows td", has_text="was it cut short?").wait_for()


def test_the_form_wants_what_it_needs_and_nothing_else(browser):
    form = browser.trigger_form(FILE)
    button = form.get_by_role("button", name="Trigger")
    form.get_by_text("This field is required").wait_for()
    browser.picture("7-claim-file-is-required")
    assert form.get_by_text("This field is required").count() == 1
    assert button.is_disabled()
    # A tag that was typed and taken away again leaves a form that can be sent.
    browser.fill_in(form, {"claim_file": "/data/shift.csv", "tags": "line=e2e"})
    browser.fill_in(form, {"tags": ""})
    form.get_by_text("This field is required").wait_for(state="hidden")
    assert button.is_enabled()


def test_a_wrong_value_is_refused_with_a_message_and_nothing_is_run(browser):
    runs_before = json.loads(browser.ask(f"dags/{FILE}/dagRuns"))["total_entries"]
    form = browser.trigger_form(FILE)
    browser.fill_in(form, {"claim_file": "/data/shift.csv", "tags": "x" * 101})
    form.get_by_role("button", name="Trigger").click()
    refusal = form.get_by_text("Invalid input for param tags")
    refusal.wait_for()
    browser.picture("7-tag-is-too-long")
    assert "is too long" in refusal.inner_text()
    assert form.is_visible()
    assert json.loads(browser.ask(f"dags/{FILE}/dagRuns"))["total_entries"] == runs_before
