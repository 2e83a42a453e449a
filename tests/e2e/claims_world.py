"""What the tests of Device claims look at: an Airflow with teams, three shifts that were claimed, and a person of each kind."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import requests

from demo.claim_file import write_shifts
from harness.airflow_api import ENDED
from harness.local_airflow import USER, LocalAirflow
from harness.local_emulator import LocalEmulator
from harness.ports import free_port
from harness.processes import require_stopped
from tests.e2e.conftest import environment, running_emulator

ROOT = Path(__file__).resolve().parents[2]
CLAIM = "nrfprov_claim_from_csv"
TEAM, OTHER_TEAM = "red", "blue"
VIEWER, PERSON, STRANGER = "vera", "uwe", "tom"
"""A viewer and a user of the team that has the DAG, and a user of the other one."""
PASSWORD = "for a test only"
ROLES = {USER: "admin", VIEWER: f"viewer:{TEAM}", PERSON: f"user:{TEAM}", STRANGER: f"user:{OTHER_TEAM}"}


class TeamAirflow(LocalAirflow):
    """One Airflow whose DAGs belong to a team, with a person of each kind."""

    def __init__(self, home: Path, dags_folder: Path, *, port: int, env: Mapping[str, str]) -> None:
        bundle = {
            "name": "dags-folder",
            "classpath": "airflow.dag_processing.bundles.local.LocalDagBundle",
            "kwargs": {},
            "team_name": TEAM,
        }
        settings = {
            "AIRFLOW__CORE__MULTI_TEAM": "True",
            "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": ",".join(
                f"{name}:{role}" for name, role in ROLES.items()
            ),
            "AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST": json.dumps([bundle]),
        }
        super().__init__(home, dags_folder, port=port, env={**env, **settings})

    def start(self) -> None:
        """Make the database and the teams, then start all parts."""
        self._prepare_home()
        self._passwords_file.write_text(json.dumps(dict.fromkeys(ROLES, PASSWORD)))
        for words in (("db", "migrate"), ("teams", "create", TEAM), ("teams", "create", OTHER_TEAM)):
            subprocess.run(
                [sys.executable, "-m", "airflow", *words],
                env=self._environment(),
                cwd=self.home,
                check=True,
                timeout=300,
                capture_output=True,
            )
        super().start()


@dataclass
class World:
    """What runs, and what has been claimed."""

    airflow: TeamAirflow
    emulator: LocalEmulator
    folder: Path
    program: Any
    """Playwright's browser."""
    runs: dict[str, str] = field(default_factory=dict)
    """Run ids by the name of the claim file."""

    def wait(self, run_id: str) -> None:
        """Wait until a run of the claim has ended."""
        end = time.monotonic() + 300
        while (state := self.airflow.api.run_state(CLAIM, run_id)) not in ENDED:
            assert time.monotonic() < end, f"{run_id} is {state}"
            time.sleep(0.5)

    @contextmanager
    def page(self, user: str | None, *, width: int = 1400, dark: bool = False) -> Iterator[Any]:
        """Yield a page of a browser of its own, in which somebody is logged in."""
        size = {"width": width, "height": 900}
        context = self.program.new_context(
            viewport=size,
            reduced_motion="reduce",
            timezone_id="UTC",
            color_scheme="dark" if dark else "light",
        )
        try:
            page = context.new_page()
            page.set_default_timeout(90_000)
            if user:
                token = self.session(user).cookies["_token"]
                context.add_cookies([{"name": "_token", "value": token, "url": self.airflow.url}])
                if dark:
                    context.add_init_script("localStorage.setItem('theme', 'dark')")
            yield page
        finally:
            context.close()

    def session(self, user: str) -> requests.Session:
        """Return a session in which a person is logged in."""
        session = requests.Session()
        session.trust_env = False
        answer = session.post(
            f"{self.airflow.url}/auth/token", json={"username": user, "password": PASSWORD}, timeout=30
        )
        session.cookies.set("_token", answer.json()["access_token"])
        return session


def build(stack: ExitStack, folder: Path, program: Any) -> World:
    """Start emulator and Airflow, claim three shifts, and return all of it; the stack ends it."""
    emulator = running_emulator(stack, folder)
    dags = folder / "dags"
    dags.mkdir()
    shutil.copy(ROOT / "dags" / f"{CLAIM}.py", dags)
    # The values of XComs are elsewhere, so that what Airflow's API has of them is where.
    xcoms = {
        "AIRFLOW__CORE__XCOM_BACKEND": "airflow.providers.common.io.xcom.backend.XComObjectStorageBackend",
        "AIRFLOW__COMMON_IO__XCOM_OBJECTSTORAGE_PATH": f"file://{folder}/xcoms",
        "AIRFLOW__COMMON_IO__XCOM_OBJECTSTORAGE_THRESHOLD": "0",
    }
    env = {**environment(emulator), **xcoms}
    airflow = TeamAirflow(folder / "airflow", dags, port=free_port(), env=env)
    stack.callback(require_stopped, airflow.stop)
    airflow.start()
    airflow.wait_until_healthy(300)
    airflow.wait_for_dag(CLAIM, 120)
    world = World(airflow, emulator, folder, program)
    for shift in write_shifts(folder / "factory", emulator):
        conf = {"claim_file": str(shift.path), "tags": ["line=1"], "max_failed_rows": shift.max_failed_rows}
        world.runs[shift.path.name] = airflow.api.trigger(CLAIM, conf)
        world.wait(world.runs[shift.path.name])
    return world
