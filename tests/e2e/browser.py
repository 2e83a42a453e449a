"""Airflow's pages as a person uses them: log in, fill in a form, press a button, read what is shown."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

SECONDS = 90
"""For a page to show what is waited for. Far more than it takes; a machine may be busy."""
RUN_SECONDS = 300
TABS = {
    "logs": "",
    "rendered templates": "rendered_templates",
    "xcom": "xcom",
    "audit log": "events",
    "details": "details",
}


class Browser:
    """One page of Chromium, with a person in front of it who keeps a picture of each step.

    :param page: Playwright's page.
    :param url: of Airflow.
    :param pictures: folder that the pictures go to.
    """

    def __init__(self, page: Any, url: str, pictures: Path) -> None:
        self.page = page
        self.url = url
        self._pictures = pictures
        page.set_default_timeout(SECONDS * 1000)

    def picture(self, name: str) -> None:
        """Keep what the window shows now."""
        self.page.screenshot(path=self._pictures / f"{name}.png", animations="disabled")

    def open(self, path: str) -> None:
        self.page.goto(f"{self.url}{path}")

    def log_in(self, user: str, password: str) -> None:
        self.open("/")
        self.page.locator("input[name=username]").fill(user)
        self.page.locator("input[name=password]").fill(password)
        self.picture("1-log-in")
        self.page.locator("button[type=submit]").click()
        self.page.get_by_role("link", name="Dags", exact=True).wait_for()
        self.picture("1-logged-in")

    def ask(self, path: str) -> Any:
        """Ask Airflow's REST API as the person who is logged in; return the answer's text."""
        answer = self.page.request.get(f"{self.url}/api/v2/{path}")
        assert answer.ok, f"{answer.status} {answer.text()}"
        return answer.text()

    # The connection form.

    def connection_form(self, conn_id: str) -> Any:
        """Open the form of a new connection of our type; return the dialog."""
        self.open("/connections")
        self.page.get_by_role("button", name="Add Connection").click()
        form = self.page.get_by_role("dialog")
        form.get_by_label("Connection ID").fill(conn_id)
        kind = form.get_by_role("combobox", name="Connection Type")
        kind.click()
        kind.press_sequentially("nRF Cloud")
        self.page.get_by_role("option", name="nRF Cloud Provisioning").click()
        form.get_by_label("API key", exact=True).wait_for()
        return form

    def save_connection(self, form: Any) -> None:
        form.get_by_role("button", name="Save").click()
        form.wait_for(state="hidden")

    def press_test(self, conn_id: str) -> str:
        """Press the Test button of a connection in the list; return what is shown in the corner then."""
        self.open("/connections")
        row = self.page.get_by_role("row").filter(has=self.page.get_by_text(conn_id, exact=True))
        row.get_by_role("button", name="Test Connection").click()
        shown = self.page.get_by_role("status").filter(has_text="Test Connection")
        shown.wait_for()
        return str(shown.inner_text())

    # The trigger form.

    def trigger_form(self, dag_id: str) -> Any:
        """Open the trigger form of a DAG; return the dialog."""
        self.open(f"/dags/{dag_id}")
        self.page.get_by_role("button", name="Trigger Dag").click()
        form = self.page.get_by_role("dialog")
        form.get_by_text("Run Parameters").wait_for()
        return form

    def fill_in(self, form: Any, values: Mapping[str, str]) -> None:
        """Type values into the fields of params."""
        for name, value in values.items():
            form.locator(f"[name=element_{name}]").fill(value)

    def press_trigger(self, form: Any) -> str:
        """Press the form's button; return the id of the run, whose page is shown then."""
        form.get_by_role("button", name="Trigger").click()
        form.wait_for(state="hidden")
        self.page.wait_for_url("**/runs/**")
        found = re.search(r"/runs/([^/?]+)", self.page.url)
        assert found
        return found[1]

    # A run.

    def follow_to_success(self) -> None:
        """Watch the page of a run, which Airflow keeps up to date, until the run has ended."""
        state = self.page.get_by_test_id("state-badge").first
        ended = state.filter(has_text=re.compile("Success|Failed"))
        ended.wait_for(timeout=RUN_SECONDS * 1000)
        assert state.inner_text() == "Success"

    def open_task(self, dag_id: str, run_id: str, task_id: str, tab: str = "logs") -> str:
        """Open a tab of a task instance; return all that the page shows once it has its state."""
        self.open(f"/dags/{dag_id}/runs/{run_id}/tasks/{task_id}/{TABS[tab]}")
        self.page.get_by_test_id("state-badge").first.wait_for()
        self.page.wait_for_load_state("networkidle")
        return str(self.page.locator("body").inner_text())

    def wait_for_log(self, words: str) -> str:
        """Wait until the log that is open holds some words; return the page's text."""
        self.page.get_by_text(words).first.wait_for()
        return str(self.page.locator("body").inner_text())
