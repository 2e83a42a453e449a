"""A whole Airflow 3 on this machine, on SQLite: started, waited for, ended without a trace.

The four parts of Airflow are started one by one instead of by ``airflow standalone``, which runs the same four
but does not notice when one dies, leaves them behind when it is ended in most ways, and cannot keep their two
log servers from listening on every network interface.
"""

from __future__ import annotations

import json
import os
import secrets
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from harness import processes
from harness.airflow_api import AirflowApi
from harness.ports import HOST
from harness.processes import Program, write_secret

USER = "admin"

PARTS: Mapping[str, Sequence[str]] = {
    "api-server": ("api-server",),
    # Logs are read from the disk; without this, anybody on the network may ask for them on 8793 and 8794.
    "scheduler": ("scheduler", "--skip-serve-logs"),
    "triggerer": ("triggerer", "--skip-serve-logs"),
    "dag-processor": ("dag-processor",),
}
"""The programs that one Airflow consists of, by name: the words after ``airflow``."""


class AirflowDiedError(Exception):
    """A part of Airflow ended by itself, or never became healthy; holds the end of its log."""


class LocalAirflow:
    """One Airflow with everything that it keeps in one folder.

    :param home: its AIRFLOW_HOME; made if it is not there, gone on with if it is.
    :param dags_folder: where its DAG files lie.
    :param port: of its user interface and REST API, on 127.0.0.1.
    :param env: added to the environment of all its processes: connections, settings. Wins over the
        settings made here.
    :param parts: what it consists of, in the form of ``PARTS``; another executor needs more.
    """

    def __init__(
        self,
        home: Path,
        dags_folder: Path,
        *,
        port: int = 8080,
        env: Mapping[str, str] | None = None,
        parts: Mapping[str, Sequence[str]] = PARTS,
    ) -> None:
        self.home = home.resolve()
        self.dags_folder = dags_folder.resolve()
        self.url = f"http://{HOST}:{port}"
        self.logs = self.home / "process-logs"
        self._passwords_file = self.home / "passwords.json"
        self._port = port
        self._extra_env = dict(env or {})
        self._parts = dict(parts)
        self._programs: dict[str, Program] = {}
        # Those that were started again are in here twice: what they left behind has to be ended, too.
        self._ever_started: list[Program] = []
        self._api: AirflowApi | None = None

    @property
    def password(self) -> str:
        """The password of the user ``admin``, made when Airflow was first started in this home."""
        return str(json.loads(self._passwords_file.read_text())[USER])

    @property
    def api(self) -> AirflowApi:
        """Its REST API."""
        if self._api is None:
            self._api = AirflowApi(self.url, USER, self.password)
        return self._api

    @property
    def pids(self) -> dict[str, int]:
        """The process ids of its parts, by name: ``scheduler``, ``triggerer`` and so on."""
        return {name: program.pid for name, program in self._programs.items()}

    def all_pids(self) -> list[int]:
        """Return the ids of all its processes, the workers and the running tasks among them."""
        return processes.pids_of_sessions({program.pid for program in self._ever_started})

    def start(self) -> None:
        """Make the database, then start all parts; they need some seconds more to be healthy.

        :raises AirflowDiedError: if the database cannot be made.
        """
        self._prepare_home()
        migration = self._start("migration", "db", "migrate")
        while migration.is_running:
            time.sleep(0.1)
        if migration.process.returncode != 0:
            raise AirflowDiedError(_death(migration, "could not make its database"))
        del self._programs[migration.name]
        for name in self._parts:
            self.start_part(name)

    def start_part(self, name: str) -> None:
        """Start one part: at first, or again after it was killed."""
        self._start(name, *self._parts[name])

    def kill_part(self, name: str) -> list[int]:
        """Kill one part with all that it has started, as if its machine were gone; it is no part from then on.

        Return the ids of processes that are there even then: none, as far as anybody knows.
        """
        program = self._programs.pop(name)
        return processes.kill(processes.pids_of_sessions({program.pid}), [program])

    def wait_until_healthy(self, seconds: float = 120) -> None:
        """Wait until all parts say that they are healthy.

        :raises AirflowDiedError: if one of them ends, or time runs out.
        """
        end = time.monotonic() + seconds
        while unhealthy := self.api.unhealthy():
            self.require_running()
            if time.monotonic() > end:
                raise AirflowDiedError(
                    f"Airflow is not healthy after {seconds:.0f} s: {', '.join(unhealthy)}; its logs are in {self.logs}."
                )
            time.sleep(0.25)

    def wait_for_dag(self, dag_id: str, seconds: float = 60) -> None:
        """Wait until a DAG has been read.

        :raises AirflowDiedError: if it is not there after that time; with the files that cannot be read.
        """
        end = time.monotonic() + seconds
        while not self.api.has_dag(dag_id):
            self.require_running()
            broken = self.api.import_errors()
            if broken or time.monotonic() > end:
                raise AirflowDiedError("\n".join([f"Airflow has no DAG {dag_id}.", *broken]))
            time.sleep(0.25)

    def require_running(self) -> None:
        """Raise ``AirflowDiedError`` if a part has ended by itself: Airflow would just hang."""
        for program in self._programs.values():
            if not program.is_running:
                raise AirflowDiedError(_death(program, f"ended with code {program.process.returncode}"))

    def stop(self, seconds: float = 10) -> list[int]:
        """End all parts, and kill what is left of them after some seconds.

        Return the ids of processes that nothing could end: none, as far as anybody knows.
        """
        if self._api is not None:
            self._api.close()
        left = processes.stop(self._ever_started, seconds)
        # Whatever made a session of its own still has this home in its environment.
        left += processes.kill(processes.pids_with_variable("AIRFLOW_HOME", str(self.home)))
        self._programs.clear()
        self._ever_started.clear()
        return left

    def _start(self, name: str, *arguments: str) -> Program:
        program = processes.start(
            name,
            [sys.executable, "-m", "airflow", *arguments],
            env=self._environment(),
            folder=self.home,
            log=self.logs / f"{name}.log",
        )
        self._programs[name] = program
        self._ever_started.append(program)
        return program

    def _prepare_home(self) -> None:
        self.home.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.logs.mkdir(exist_ok=True)
        # Gone on with if they are there.
        with suppress(FileExistsError):
            write_secret(self._passwords_file, json.dumps({USER: secrets.token_urlsafe(9)}))
        with suppress(FileExistsError):
            write_secret(self.home / "jwt_secret", secrets.token_hex(64))

    def _environment(self) -> dict[str, str]:
        # What the user has set for an Airflow of theirs is not meant for this one.
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW_")}
        unproxied = ",".join(filter(None, (inherited.get("no_proxy") or inherited.get("NO_PROXY"), HOST)))
        settings = {
            "core__dags_folder": str(self.dags_folder),
            "core__load_examples": "False",
            "core__dags_are_paused_at_creation": "False",
            "core__executor": "LocalExecutor",
            # SQLite takes one writer at a time: more workers, or less patience, and Airflow dies of its locks.
            "core__parallelism": "4",
            "database__sql_alchemy_conn": f"sqlite:///{self.home / 'airflow.db'}?timeout=60",
            "core__execution_api_server_url": f"{self.url}/execution/",
            "core__simple_auth_manager_passwords_file": str(self._passwords_file),
            "core__test_connection": "Enabled",
            # The default asks the name service, which may take its time or not be there.
            "core__hostname_callable": "socket.gethostname",
            "api__host": HOST,
            "api__port": str(self._port),
            "api__base_url": self.url,
            "api_auth__jwt_secret": (self.home / "jwt_secret").read_text(),
            "dag_processor__refresh_interval": "10",
            "logging__colored_console_log": "False",
        }
        return {
            **inherited,
            "AIRFLOW_HOME": str(self.home),
            **{f"AIRFLOW__{name.upper()}": value for name, value in settings.items()},
            "NO_PROXY": unproxied,
            "no_proxy": unproxied,
            "PYTHONWARNINGS": "ignore",
            **self._extra_env,
        }


def _death(program: Program, what: str) -> str:
    return f"Airflow's {program.name} {what}; the end of {program.log}:\n{program.last_lines()}"
