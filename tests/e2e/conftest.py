"""A real Airflow, the emulator and a Chromium, for as long as the tests of a module run."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from packaging.version import Version

from harness.local_airflow import USER, LocalAirflow
from harness.local_emulator import LocalEmulator
from harness.ports import free_port
from harness.processes import require_stopped
from tests.e2e.browser import Browser

ROOT = Path(__file__).resolve().parents[2]
DAGS = ("nrfprov_claim_from_csv.py", "nrfprov_claim_one_device.py")
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
PICTURES = Path(os.environ.get("NRFPROV_SCREENSHOTS") or ROOT / "build" / "screenshots")
WINDOW = {"width": 1280, "height": 800}


@dataclass(frozen=True)
class Stack:
    """What runs for the tests."""

    airflow: LocalAirflow
    emulator: LocalEmulator
    browser: Browser


def what_is_missing() -> str:
    """Return what keeps these tests from running; empty if nothing does."""
    from airflow import __version__

    if Version(__version__) < Version("3.3"):
        return f"the pages are those of Airflow 3.3, this is {__version__}"
    if not (find_spec("playwright") and find_spec("axe_playwright_python")):
        return "there is no playwright: pip install -c constraints/airflow-3.3.2.txt --group dev-newest"
    if not any(map(shutil.which, BROWSERS)):
        return "there is no Chromium; on Debian: apt-get install chromium"
    return ""


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory, chromium: Any) -> Iterator[Stack]:
    """Start all three; somebody is logged in."""
    PICTURES.mkdir(parents=True, exist_ok=True)
    folder = tmp_path_factory.mktemp("e2e")
    with ExitStack() as started:
        emulator = running_emulator(started, folder)
        # Only those that are used here: the others need not be read again and again.
        dags = folder / "dags"
        dags.mkdir()
        for name in DAGS:
            shutil.copy(ROOT / "dags" / name, dags)
        airflow = LocalAirflow(folder / "airflow", dags, port=free_port(), env=environment(emulator))
        started.callback(require_stopped, airflow.stop)
        airflow.start()
        airflow.wait_until_healthy(300)
        for name in DAGS:
            airflow.wait_for_dag(Path(name).stem, 120)
        context = chromium.new_context(
            viewport=WINDOW, reduced_motion="reduce", timezone_id="UTC", ignore_https_errors=True
        )
        started.callback(context.close)
        browser = Browser(context.new_page(), airflow.url, PICTURES)
        browser.log_in(USER, airflow.password)
        yield Stack(airflow, emulator, browser)


def running_emulator(started: ExitStack, folder: Path) -> LocalEmulator:
    """Start an emulator that speaks TLS; the stack ends it."""
    emulator = LocalEmulator(folder / "emulator.log", bulk_seconds=1, tls=True)
    started.callback(require_stopped, emulator.stop)
    emulator.start()
    return emulator


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    """Start Chromium; yield Playwright's browser.

    Not for the session: as long as Playwright runs, its event loop counts as running in this process, and no test of
    another module could call ``asyncio.run``.
    """
    if missing := what_is_missing():
        pytest.skip(f"no end-to-end test in a browser: {missing}")
    from playwright.sync_api import sync_playwright

    program = next(filter(None, map(shutil.which, BROWSERS)))
    # Without its sandbox, which root cannot have: it opens pages of this machine only.
    arguments = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=program, args=arguments, headless=True)
        yield started
        started.close()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    """Keep a picture of what the browser showed when a test failed."""
    report = yield
    stack = item.funcargs.get("stack")
    if report.when == "call" and report.failed and stack:
        stack.browser.picture(f"failed-{item.originalname}")
    return report


def environment(emulator: LocalEmulator) -> dict[str, str]:
    return {
        **emulator.connection(),
        # On a busy machine Airflow's own first answer to a task takes longer than the 5 s that it has for it.
        "AIRFLOW__WORKERS__EXECUTION_API_TIMEOUT": "60",
    }
