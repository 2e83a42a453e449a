"""A real Airflow with teams: who sees what is not the same for everybody."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from harness.local_airflow import USER, LocalAirflow

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
