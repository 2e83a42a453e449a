"""The command that writes the .env of docker-compose.yaml."""

from __future__ import annotations

import json
import re
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from cryptography.fernet import Fernet

ROOT = Path(__file__).resolve().parents[3]


def make_env(path, *arguments, answers=""):
    command = [sys.executable, str(ROOT / "docker" / "make_env.py"), "--file", str(path), *arguments]
    return subprocess.run(command, input=answers, capture_output=True, text=True, timeout=30, check=False)


def variables(path):
    return dict(re.findall(r"^(\w+)='(.*)'$", path.read_text(), flags=re.MULTILINE))


@pytest.fixture
def path(tmp_path):
    return tmp_path / ".env"


def test_it_is_for_its_owner_only_and_so_is_the_folder_of_claim_files(path):
    done = make_env(path)
    assert (done.returncode, done.stderr) == (0, "")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    folder = path.with_name("data")
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert str(folder.stat().st_uid) == variables(path)["AIRFLOW_UID"]


def test_every_secret_is_new_and_long_enough_for_its_use(tmp_path):
    (tmp_path / "other").mkdir()
    paths = [tmp_path / ".env", tmp_path / "other" / ".env"]
    for path in paths:
        make_env(path)
    one, other = map(variables, paths)
    secret = [name for name in one if re.search("PASSWORD|SECRET|KEY", name)]
    assert len(secret) == 6
    assert all(one[name] != other[name] for name in secret)
    Fernet(one["AIRFLOW_FERNET_KEY"])
    assert len(one["AIRFLOW_JWT_SECRET"]) >= 64
    # These are part of URLs.
    assert all(re.fullmatch(r"\w{48}", one[f"{name}_PASSWORD"]) for name in ("POSTGRES", "REDIS"))


def test_it_shows_no_secret(path):
    done = make_env(path)
    assert not [
        value
        for name, value in variables(path).items()
        if re.search("PASSW|SECR|KEY", name) and value in done.stdout
    ]


def test_a_file_that_is_there_is_never_changed(path):
    make_env(path)
    before = path.read_bytes()
    again = make_env(path)
    assert (again.returncode, again.stderr) == (0, "")
    assert "was not changed" in again.stdout
    assert path.read_bytes() == before


def test_it_says_what_a_file_that_is_there_lacks(path):
    path.write_text("POSTGRES_PASSWORD=mine\n")
    done = make_env(path)
    assert done.returncode == 1
    assert "AIRFLOW_FERNET_KEY" in done.stderr
    assert "POSTGRES_PASSWORD" not in done.stderr
    assert path.read_text() == "POSTGRES_PASSWORD=mine\n"


def test_for_nrf_cloud_it_reads_the_key_without_showing_it(path):
    done = make_env(path, "--nrf-cloud", answers="a-key-of-the-team\n")
    assert done.returncode == 0
    assert "a-key-of-the-team" not in done.stdout + done.stderr
    made = variables(path)
    assert made["COMPOSE_PROFILES"] == ""
    assert json.loads(made["AIRFLOW_CONN_NRFPROV_DEFAULT"]) == {
        "conn_type": "nrfprov",
        "password": "a-key-of-the-team",
    }


@pytest.mark.parametrize("answer", ["", "two words", "it's"])
def test_what_is_no_key_writes_nothing(path, answer):
    done = make_env(path, "--nrf-cloud", answers=answer)
    assert done.returncode == 1
    assert "no API key" in done.stderr
    assert not path.exists()
