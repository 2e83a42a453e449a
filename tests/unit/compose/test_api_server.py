"""The program that starts the API server of docker-compose.yaml."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from pathlib import Path

PROGRAM = Path(__file__).resolve().parents[3] / "docker" / "api_server.py"


def start(folder, **env):
    airflow = folder / "airflow"
    airflow.write_text('#!/bin/sh\necho "$0 $*"\nenv | grep -c ADMIN_PASSWORD\n')
    airflow.chmod(0o755)
    return subprocess.run(
        [sys.executable, str(PROGRAM)],
        env={
            "PATH": f"{folder}:{os.environ['PATH']}",
            "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(folder / "passwords.json"),
            **env,
        },
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


def test_it_becomes_the_api_server_with_the_password_in_a_file_and_no_longer_in_the_environment(tmp_path):
    (tmp_path / "passwords.json").write_text('{"admin": "the old one"}')
    started = start(tmp_path, AIRFLOW_ADMIN_PASSWORD="the new one")
    assert started.stdout == f"{tmp_path / 'airflow'} api-server\n0\n"
    passwords = tmp_path / "passwords.json"
    assert json.loads(passwords.read_text()) == {"admin": "the new one"}
    assert stat.S_IMODE(passwords.stat().st_mode) == 0o600


def test_without_a_password_it_says_so_and_starts_nothing(tmp_path):
    started = start(tmp_path)
    assert (started.returncode, started.stdout) == (1, "")
    assert "make env" in started.stderr
