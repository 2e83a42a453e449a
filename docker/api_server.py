"""Starts Airflow's API server with the password of ``admin`` that the environment holds.

Airflow's simple auth manager reads passwords from a file only, one that it can also write to. So the file is made
here, at every start, and the API server then takes the place of this program.
"""

import json
import os
import sys
from pathlib import Path

USER = "admin"


def write_passwords(path: Path, password: str) -> None:
    """Write the file of passwords anew, for its owner only."""
    path.unlink(missing_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as stream:
        json.dump({USER: password}, stream)


def main() -> None:
    """Become ``airflow api-server``, without the password in the environment."""
    password = os.environ.pop("AIRFLOW_ADMIN_PASSWORD", "")
    if not password:
        sys.exit("AIRFLOW_ADMIN_PASSWORD is not set; `make env` writes one into .env.")
    write_passwords(Path(os.environ["AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE"]), password)
    os.execvp("airflow", ["airflow", "api-server"])  # noqa: S606, S607 - on the path of the image


if __name__ == "__main__":
    main()
