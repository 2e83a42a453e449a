"""The commands, the JSON and the emulator's Python in README.md and docs/ run as printed; only ports are other ones.

What no test can run is in ``NOT_RUN``, with the reason. A block that nobody runs fails.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shlex
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from airflow_provider_nrfprov.emulator.mint import mint_devices
from airflow_provider_nrfprov.hooks.connection import inbox_of
from airflow_provider_nrfprov.hooks.nrfprov import NrfProvHook
from airflow_provider_nrfprov.version_compat import AIRFLOW_V_3_0_PLUS
from harness.ports import free_port
from tests.integration.dag_runs import database, found
from tests.integration.docs_blocks import BLOCKS, ROOT, Block
from tests.traffic import watched_emulator

pytestmark = [pytest.mark.filterwarnings("ignore"), pytest.mark.slow, pytest.mark.airflow_independent]
INSTALLS = "wants a package index; tests/packaging builds, installs and lists the distribution"
ENGINE = (
    "wants a container engine; tests/unit/compose and tests/system/test_compose_commands.py run what can be"
)
NOT_RUN = {
    "README, See it work": "makes environments and runs for minutes; .ci/run does both",
    "README, Install": INSTALLS,
    "emulator, Start it": INSTALLS,
    "tutorial, 1. Install": INSTALLS,
    "CONTRIBUTING, Ten minutes to a first green test": "clones, and makes an environment; .ci/run lints",
    "example-dags, Copy one": "wants an installed wheel; tests/packaging runs it",
    "docker-compose, Start it": ENGINE,
    "docker-compose, With the emulator": ENGINE,
    "docker-compose, More workers": ENGINE,
    "architecture, The rooms": "is a tree of folders, not code",
}
SETTINGS = [
    "README, Install (2)",
    "connection, Define it",
    "connection, Define it (2)",
    "docker-compose, With nRF Cloud",
]
COMMANDS = "connection, Define it (3)"
BACKEND, BACKEND_FILE = "connection, Define it (4)", "connection, Define it (5)"
PROJECTS = {
    "new-api, The connection": "https://api.nrfcloud.com",
    "new-api, Moving a DAG (2)": "http://127.0.0.1:8099",
}
INBOX = "user-interface, Send a file"
TUTORIAL = [block for block in BLOCKS.values() if block.page == "tutorial" and block.name not in NOT_RUN]
SERVERS = {
    "emulator, Start it (2)": "emulator, Start it (3)",
    "emulator, TLS": "emulator, TLS (2)",
    "emulator, Faults on request (3)": "emulator, Faults on request (4)",
}
"""What starts the emulator, and what is for the other terminal."""
CHECK = "operators, Claim files"
ENDPOINTS = "connection, Endpoints"
EVENT = "recipes, Claim on arrival"
SHOWN_ELSEWHERE = {"operators, Links, assets, lineage, task groups"}
"""What an event holds: tests/integration/test_docs_run.py."""
EMULATOR = [block for block in BLOCKS.values() if block.page == "emulator" and block.language == "python"]


def test_every_block_is_run_or_has_a_reason_why_not():
    python = {block.name for block in BLOCKS.values() if block.language == "python"}
    run_here = {
        *SETTINGS, *SERVERS, *SERVERS.values(), CHECK, ENDPOINTS, EVENT, *SHOWN_ELSEWHERE,
        COMMANDS, BACKEND, BACKEND_FILE, *PROJECTS, INBOX, *(block.name for block in TUTORIAL),
    }  # fmt: skip
    assert python | run_here | set(NOT_RUN) == set(BLOCKS)
    assert not run_here & set(NOT_RUN)


def environment(**others: str) -> dict[str, str]:
    """Return one in which ``python``, ``nrfprov`` and ``airflow`` are those of this test."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return {**os.environ, "PATH": path, "PYTHONPATH": str(ROOT), **others}


def bash(text: str, folder: Path, *, seconds: int = 60, **others: str) -> subprocess.CompletedProcess[str]:
    """Run commands; the first that fails ends them, a refused request of curl, too."""
    start = 'set -euo pipefail; curl() { command curl --fail-with-body -sS "$@"; }\n'
    return subprocess.run(
        ["bash", "-c", start + text],
        cwd=folder,
        env=environment(**others),
        capture_output=True,
        text=True,
        timeout=seconds,
        check=False,
    )


@pytest.mark.parametrize("name", SETTINGS)
def test_a_connection_in_the_environment_is_one_that_the_hook_takes(name, monkeypatch, tmp_path):
    lines = BLOCKS[name].text.splitlines()
    connections = [line for line in lines if line.startswith("AIRFLOW_CONN")]
    assert connections
    for line in connections:
        result = bash(f'set -a\n{line}\nprintf %s "$AIRFLOW_CONN_NRFPROV_DEFAULT"', tmp_path)
        monkeypatch.setenv("AIRFLOW_CONN_NRFPROV_DEFAULT", result.stdout)
        hook = NrfProvHook()
        connection = hook.get_connection("nrfprov_default")
        if "127.0.0.1" in line:
            assert hook.urls[0] == "http://127.0.0.1:8099/v1"
            assert connection.password == "emulator-key"
        else:
            assert hook.urls[0] == "https://api.provisioning.nrfcloud.com/v1"
            assert connection.password in {"KEY", "YOUR-API-KEY"}
        wanted = {"bulk_contract": "sync"} if "bulk_contract" in line else {}
        assert connection.extra_dejson == wanted


@pytest.mark.parametrize("name", PROJECTS)
def test_a_connection_of_a_project_is_one_that_the_hook_takes(name, monkeypatch, tmp_path):
    result = bash(f'set -a\n{BLOCKS[name].text}\nprintf %s "$AIRFLOW_CONN_NRFPROV_PROJECT"', tmp_path)
    monkeypatch.setenv("AIRFLOW_CONN_NRFPROV_PROJECT", result.stdout)
    hook = NrfProvHook("nrfprov_project")
    assert hook.urls[0] == f"{PROJECTS[name]}/v1/organizations/acme-inc/projects/smart-sink"


def test_an_inbox_as_shown_is_one_that_the_page_takes(connect):
    connect("http://127.0.0.1:9", **json.loads(BLOCKS[INBOX].text))
    inbox = inbox_of(NrfProvHook().get_connection("nrfprov_default"))
    assert inbox is not None
    assert inbox.dags == ("nrfprov_claim_from_csv",)


def test_connections_are_added_by_the_command_line(load_dag, tmp_path):
    copy = tmp_path / "airflow.db"
    with closing(sqlite3.connect(database())) as source, closing(sqlite3.connect(copy)) as target:
        source.backup(target)
    result = bash(BLOCKS[COMMANDS].text, tmp_path, AIRFLOW__DATABASE__SQL_ALCHEMY_CONN=f"sqlite:///{copy}")
    assert result.returncode == 0, result.stderr + result.stdout
    assert "nrfprov_default" in result.stdout


def test_connections_come_from_the_file_of_a_secrets_backend(tmp_path):
    file = tmp_path / "connections.json"
    file.write_text(BLOCKS[BACKEND_FILE].text)
    settings = BLOCKS[BACKEND].text.replace("/factory/secrets/connections.json", str(file))
    ask = "from airflow_provider_nrfprov.hooks.nrfprov import NrfProvHook as H; print(*H().urls[:1], *H('nrfprov_emulator').urls)"
    result = bash(f'{settings}\npython -c "{ask}"', tmp_path)
    assert result.returncode == 0, result.stderr
    assert result.stdout.split()[-2:] == [
        "https://api.provisioning.nrfcloud.com/v1",
        "http://127.0.0.1:8099/v1",
    ]


@pytest.mark.skipif(shutil.which("curl") is None, reason="there is no curl here")
def test_the_tutorial_leads_to_a_claimed_file(tmp_path):
    port = free_port()
    # An Airflow of the reader's own, not that of these tests.
    commands = ["unset ${!AIRFLOW__*}"]
    server, *others = TUTORIAL
    for block in others:
        if block.language == "python":
            commands.append(f"cat > airflow/dags/first_claim.py <<'END'\n{block.text}END")
        elif block.language == "bash":
            commands.append(block.text.replace("8099", str(port)))
    (shown,) = [block.text for block in others if block.language == "text"]
    with serving(server, port, tmp_path):
        result = bash("\n".join(commands), tmp_path, seconds=300)
    assert result.returncode == 0, result.stdout[-3000:] + result.stderr[-3000:]
    assert shown in result.stdout
    first = json.loads((tmp_path / "report" / "summary.json").read_text())
    assert (first["rows"], first["claimed"], first["rejected"]) == (21, 20, 1)
    (again,) = (tmp_path / "report").glob("*/summary.json")
    second = json.loads(again.read_text())
    assert (second["rows"], second["already_claimed"], second["rejected"]) == (21, 20, 1)


@contextlib.contextmanager
def serving(block: Block, port: int, folder: Path) -> Iterator[list[str]]:
    """Run what starts the emulator; return the lines that it prints as it is up."""
    (command,) = block.text.splitlines()
    if "--port" in command:
        command = command.replace("8099", str(port))
    else:
        command += f" --port {port}"
    wanted = 2 if "--tls" in command else 1
    process = subprocess.Popen(
        ["bash", "-c", f"exec {command}"], cwd=folder, env=environment(), stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        yield [process.stdout.readline().rstrip("\n") for _ in range(wanted)]
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(10)


@pytest.mark.skipif(shutil.which("curl") is None, reason="there is no curl here")
@pytest.mark.parametrize("name", SERVERS)
def test_what_is_for_another_terminal_works_beside_the_emulator(name, tmp_path):
    port = free_port()
    with serving(BLOCKS[name], port, tmp_path) as lines:
        assert lines[0].endswith(
            f"on {'https' if '--tls' in BLOCKS[name].text else 'http'}://127.0.0.1:{port}"
        )
        ca = lines[1].rpartition(" ")[2] if len(lines) > 1 else ""
        result = bash(BLOCKS[SERVERS[name]].text.replace("8099", str(port)), tmp_path, CA=ca)
        assert result.returncode == 0, result.stderr + result.stdout
        door = f"curl http://127.0.0.1:{port}/emulator"
        if "mint" in BLOCKS[SERVERS[name]].text:
            (operation,) = json.loads(bash(f"{door}/operations", tmp_path).stdout)["items"]
            assert operation["rows"] == 500
        if "DropAfter" in BLOCKS[SERVERS[name]].text:
            faults = json.loads(bash(f"{door}/faults", tmp_path).stdout)
            assert "DropAfter" in json.dumps(faults)
            assert '"Refuse"' in json.dumps(faults)


def test_the_check_of_a_file_prints_what_the_page_shows(tmp_path):
    tokens = [device.token for device in mint_devices(2500, seed="check")]
    rows = iter(tokens)
    lines = [""] * 2506
    for line in range(1, 2507):
        if line in {7, 90, 300, 301, 302}:
            lines[line - 1] = tokens[0][:60]
        else:
            lines[line - 1] = tokens[10] if line == 2400 else next(rows)
    (tmp_path / "shift.csv").write_text("\n".join(lines))
    command, *shown = BLOCKS[CHECK].text.splitlines()
    result = bash(command.removeprefix("$ "), tmp_path)
    assert result.returncode == 1
    for line, pattern in zip(result.stdout.splitlines(), shown, strict=True):
        assert re.fullmatch(re.escape(pattern).replace("…", r"\S+"), line), line


def test_endpoints_as_shown_are_those_that_are_asked(connect, tokens):
    asked = []
    with watched_emulator() as (emulator, traffic):
        traffic.meddle = lambda request: asked.append((request["method"], request["path"]))
        connect(emulator.url, **json.loads(BLOCKS[ENDPOINTS].text))
        device = NrfProvHook().claim_device(tokens[0])
        NrfProvHook().set_device_tags(device.id, ["a"])
    assert ("PUT", f"/v1/claimed-devices/{device.id}") in asked


def test_the_emulators_python_runs_as_a_readers_tests(tmp_path):
    for number, block in enumerate(EMULATOR):
        if "@pytest.fixture" in block.text:
            name = "conftest.py"
        elif "def test_" in block.text:
            name = f"test_{number}.py"
        else:
            name = f"script_{number}.py"
        assert not (tmp_path / name).exists()
        (tmp_path / name).write_text(block.text)
    home = tempfile.mkdtemp(dir=tmp_path)
    for script in sorted(tmp_path.glob("script_*.py")):
        result = bash(f"python {script.name}", tmp_path, AIRFLOW_HOME=home)
        assert result.returncode == 0, result.stderr
    result = bash("python -m pytest -q -p no:cacheprovider", tmp_path, AIRFLOW_HOME=home)
    assert re.search(r"^5 passed", result.stdout, re.MULTILINE), result.stdout


@pytest.mark.skipif(not AIRFLOW_V_3_0_PLUS, reason="the request is of Airflow 3's API")
def test_an_event_by_the_api_is_one_that_airflow_takes(load_dag):
    from airflow.api_fastapi.app import create_app, get_auth_manager
    from airflow.api_fastapi.auth.managers.simple.user import SimpleAuthManagerUser
    from fastapi.testclient import TestClient

    words = shlex.split(BLOCKS[EVENT].text.replace("\\\n", ""))
    assert words[:4] == ["curl", "-X", "POST", "http://localhost:8080/api/v2/assets/events"]
    body = json.loads(words[words.index("-d") + 1])
    with TestClient(create_app(apps="core"), base_url="http://localhost:8080") as client:
        user = SimpleAuthManagerUser(username="factory", role="admin")
        token = get_auth_manager().generate_jwt(user)
        headers = dict(
            word.replace("$TOKEN", token).split(": ", 1)
            for word in words
            if ": " in word and word != words[-1]
        )
        answer = client.post(words[3], headers=headers, json=body)
    assert answer.status_code == 200, answer.text
    ((extra, name),) = found(
        "select asset_event.extra, name from asset_event join asset on asset.id = asset_id order by asset_event.id desc limit 1"
    )
    assert json.loads(extra)["claim_file"] == "s3://factory@claims/shift.csv"
    assert name == "nrfprov_claim_files"
