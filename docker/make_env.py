"""Writes the ``.env`` of docker-compose.yaml: new secrets, and the connection to the emulator or to nRF Cloud.

Run by whatever ``python3`` is there, so it imports nothing that has to be installed. It never changes an ``.env``
that is there: PostgreSQL keeps the password that it was first started with.
"""

from __future__ import annotations

import argparse
import base64
import getpass
import json
import os
import re
import secrets
import sys
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
EMULATOR_URL = "http://emulator:8099"
EMULATOR_KEY = "emulator-key"
"""No secret: the emulator's own default, and it holds invented devices only."""

_USER_OF_THE_IMAGE = 50000

_HEAD = """\
# Read by docker compose, never by git. Made by `make env`, which does not change it again.
# The password of the user admin is AIRFLOW_ADMIN_PASSWORD.

# Started beside Airflow: emulator, or nothing.
"""
_CONNECTION = """
# The connection nrfprov_default. To nRF Cloud it is, with COMPOSE_PROFILES= above:
# AIRFLOW_CONN_NRFPROV_DEFAULT='{"conn_type": "nrfprov", "password": "YOUR-API-KEY"}'
"""
_OWNER = """
# The user of the host that owns ./data; Airflow's containers run as the same.
"""
_SECRETS = """
# What is encrypted with the Fernet key cannot be read with another; the passwords of PostgreSQL and Redis go into
# URLs: letters and digits only.
"""


class Problem(Exception):
    """Ends the program with a sentence."""


def variables(api_key: str | None) -> dict[str, str]:
    """Make all variables of an ``.env``, with new secrets.

    :param api_key: of nRF Cloud; ``None`` for the emulator.
    """
    access = {"host": EMULATOR_URL, "password": EMULATOR_KEY} if api_key is None else {"password": api_key}
    return {
        "COMPOSE_PROFILES": "emulator" if api_key is None else "",
        "AIRFLOW_CONN_NRFPROV_DEFAULT": json.dumps({"conn_type": "nrfprov", **access}),
        # As root there is no user to be the same as.
        "AIRFLOW_UID": str(os.getuid() or _USER_OF_THE_IMAGE),
        "AIRFLOW_ADMIN_PASSWORD": secrets.token_hex(12),
        "AIRFLOW_API_SECRET_KEY": secrets.token_hex(32),
        # Fernet takes 32 bytes in this form; Airflow's JWTs want a key of 64 bytes.
        "AIRFLOW_FERNET_KEY": base64.urlsafe_b64encode(secrets.token_bytes(32)).decode(),
        "AIRFLOW_JWT_SECRET": secrets.token_hex(64),
        "POSTGRES_PASSWORD": secrets.token_hex(24),
        "REDIS_PASSWORD": secrets.token_hex(24),
    }


def text_of(values: Mapping[str, str]) -> str:
    """Write variables as an ``.env``; quoted, so that compose takes them as they are."""
    heads = {
        "COMPOSE_PROFILES": _HEAD,
        "AIRFLOW_CONN_NRFPROV_DEFAULT": _CONNECTION,
        "AIRFLOW_UID": _OWNER,
        "AIRFLOW_ADMIN_PASSWORD": _SECRETS,
    }
    return "".join(f"{heads.get(name, '')}{name}='{value}'\n" for name, value in values.items())


def write_new(path: Path, text: str) -> None:
    """Write a file that only its owner may read; it must not be there yet."""
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as stream:
        stream.write(text)


def missing_variables(text: str) -> list[str]:
    """Return the variables that an ``.env`` of today has and this one has not."""
    there = set(re.findall(r"^\s*(?:export\s+)?(\w+)\s*=", text, flags=re.MULTILINE))
    return sorted(variables(None).keys() - there)


def make_data_folder(folder: Path, user: int) -> None:
    """Make the folder of claim files and reports: docker would make it as root, and nobody could write to it."""
    if folder.exists():
        return
    folder.mkdir(mode=0o700)
    if os.getuid() == 0:
        os.chown(folder, user, 0)


def read_api_key() -> str:
    """Ask for the API key without showing it, or read it from standard input."""
    if sys.stdin.isatty():
        key = getpass.getpass("API key of your nRF Cloud team (User Account > Current Team Details): ")
    else:
        key = sys.stdin.readline()
    key = key.strip()
    if not re.fullmatch(r"[\x21-\x26\x28-\x7e]+", key):
        raise Problem("That is no API key; it has to be one word, without quotes.")
    return key


def _make(path: Path, *, nrf_cloud: bool) -> str:
    if path.exists():
        if missing := missing_variables(path.read_text()):
            raise Problem(f"{path.name} is there and was not changed, but it lacks {', '.join(missing)}.")
        return f"{path.name} is there and complete; it was not changed."
    values = variables(read_api_key() if nrf_cloud else None)
    write_new(path, text_of(values))
    make_data_folder(path.parent / "data", int(values["AIRFLOW_UID"]))
    return (
        f"{path.name} is written, for {'nRF Cloud' if nrf_cloud else 'the emulator'}. Next: docker compose up -d --build\n"
        "Then http://localhost:8080, user admin; the password is AIRFLOW_ADMIN_PASSWORD in it."
    )


def main(arguments: list[str] | None = None) -> int:
    """Write the file; 0 if a complete one is there afterwards, 1 after a sentence that says why not."""
    parser = argparse.ArgumentParser(description="Writes the .env of docker-compose.yaml, once.")
    parser.add_argument("--file", type=Path, default=ROOT / ".env", help="which file; beside it lies data/")
    parser.add_argument(
        "--nrf-cloud",
        action="store_true",
        help="connect to nRF Cloud instead of the emulator; asks for the API key, or reads it from standard input",
    )
    options = parser.parse_args(arguments)
    try:
        sys.stdout.write(_make(options.file.resolve(), nrf_cloud=options.nrf_cloud) + "\n")
    except (Problem, OSError) as problem:
        sys.stderr.write(f"{problem}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
