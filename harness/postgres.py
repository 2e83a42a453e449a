"""A PostgreSQL of this program's own: started on a free port of 127.0.0.1, gone with its data afterwards.

Not by pytest-postgresql 10.0: as root, which containers and CI are, its ``pg_ctl`` refuses to run ("cannot be run as root").
"""

from __future__ import annotations

import os
import pwd
import secrets
import shutil
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from harness import processes
from harness.ports import HOST, free_port
from harness.processes import Program, write_secret

_USER = "airflow"
_UNPRIVILEGED = ("postgres", "nobody")
_START_SECONDS = 60
_DRIVERS = ("psycopg2", "asyncpg")
"""Airflow asks for the first in its scheduler, and for the second in its API server."""


class NoPostgresError(Exception):
    """There can be no PostgreSQL here; with a sentence of what is missing, or how it ended."""


def what_is_missing() -> str:
    """Return what keeps this machine from running Airflow on PostgreSQL; empty if nothing does."""
    programs = [name for name in ("initdb", "postgres") if program(name) is None]
    if programs:
        return f"PostgreSQL is not installed: there is no {' and no '.join(programs)}."
    drivers = [name for name in _DRIVERS if find_spec(name) is None]
    if drivers:
        return f"Airflow cannot speak to PostgreSQL: {' and '.join(drivers)} cannot be imported."
    if os.geteuid() == 0 and _unprivileged() is None:
        return f"PostgreSQL does not run as root, and there is no user {' or '.join(_UNPRIVILEGED)}."
    return ""


@contextmanager
def running_postgres() -> Iterator[str]:
    """Run PostgreSQL while the ``with`` block runs; yield its SQLAlchemy URL (with psycopg2).

    Its data lie in a folder of their own in the folder for temporary files, and are not flushed to the
    disk: they do not outlive the block.

    :raises NoPostgresError: if it is not there, or does not start.
    """
    if missing := what_is_missing():
        raise NoPostgresError(missing)
    user = _unprivileged() if os.geteuid() == 0 else None
    with TemporaryDirectory(prefix="nrfprov-postgres-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        if user is not None:
            os.chown(folder, user.pw_uid, user.pw_gid)
        password = secrets.token_urlsafe(18)
        _make(folder, password, user)
        port = free_port()
        server = _start(folder, port, user)
        try:
            _wait_until_ready(server, port, password)
            yield f"postgresql+psycopg2://{_USER}:{password}@{HOST}:{port}/postgres"
        finally:
            server.process.send_signal(signal.SIGINT)  # its fast shutdown: it ends its own connections
            processes.stop([server], 20)


def rows_by_table(url: str) -> Counter[str]:
    """Count the rows of every table of a database.

    :param url: as ``running_postgres`` yields it.
    """
    import psycopg2  # type: ignore[import-untyped,import-not-found,unused-ignore]
    from psycopg2.sql import SQL, Identifier  # type: ignore[import-untyped,import-not-found,unused-ignore]

    with closing(psycopg2.connect(url.replace("+psycopg2", "", 1))) as connection:
        cursor = connection.cursor()
        cursor.execute("SELECT relname FROM pg_stat_user_tables")
        found: Counter[str] = Counter()
        for (table,) in cursor.fetchall():
            cursor.execute(SQL("SELECT count(*) FROM {}").format(Identifier(table)))
            found[table] = cursor.fetchone()[0]
        return found


def _make(folder: Path, password: str, user: pwd.struct_passwd | None) -> None:
    password_file = folder / "password"
    write_secret(password_file, password)
    if user is not None:
        os.chown(password_file, user.pw_uid, user.pw_gid)
    options = ["-D", str(folder / "data"), "-U", _USER, "-A", "scram-sha-256", f"--pwfile={password_file}"]
    done = subprocess.run(
        [str(program("initdb")), *options, "-E", "UTF8", "--locale=C", "--no-sync"],
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
        check=False,
        **_identity(user),
    )
    password_file.unlink()
    if done.returncode != 0:
        raise NoPostgresError(
            f"initdb ended with {done.returncode}: {done.stdout.decode(errors='replace')[-500:]}"
        )


def _start(folder: Path, port: int, user: pwd.struct_passwd | None) -> Program:
    settings = {
        "listen_addresses": HOST,
        "port": str(port),
        "unix_socket_directories": "",
        "max_connections": "200",
        # The workers of a scheduler that was killed hold its connection open: without this, a transaction that
        # it was in would keep its locks for ever.
        "idle_in_transaction_session_timeout": "10s",
        "fsync": "off",
        "synchronous_commit": "off",
        "full_page_writes": "off",
    }
    options = [text for name, value in settings.items() for text in ("-c", f"{name}={value}")]
    command = [str(program("postgres")), "-D", str(folder / "data"), *options]
    return processes.start(
        "postgres", command, env=os.environ, folder=folder, log=folder / "log", **_identity(user)
    )


def _identity(user: pwd.struct_passwd | None) -> dict[str, Any]:
    return {} if user is None else {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}


def _wait_until_ready(server: Program, port: int, password: str) -> None:
    import psycopg2  # type: ignore[import-untyped,import-not-found,unused-ignore]

    end = time.monotonic() + _START_SECONDS
    while True:
        with suppress(psycopg2.OperationalError):
            psycopg2.connect(host=HOST, port=port, user=_USER, password=password, dbname="postgres").close()
            return
        if not server.is_running or time.monotonic() > end:
            words = server.last_lines()[-500:]
            raise NoPostgresError(f"PostgreSQL did not start ({server.process.returncode}): {words}")
        time.sleep(0.1)


def program(name: str) -> Path | None:
    if found := shutil.which(name):
        return Path(found)
    # Debian keeps the server's programs off the path.
    versions = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"))
    return versions[-1] if versions else None


def _unprivileged() -> pwd.struct_passwd | None:
    for name in _UNPRIVILEGED:
        with suppress(KeyError):
            return pwd.getpwnam(name)
    return None
