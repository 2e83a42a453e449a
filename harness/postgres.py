"""A PostgreSQL of this program's own: started on a free port of 127.0.0.1, gone with its data afterwards."""

from __future__ import annotations

import os
import pwd
import secrets
import shutil
import signal
import subprocess
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path

from harness.ports import HOST, free_port

_USER = "airflow"
_UNPRIVILEGED = ("postgres", "nobody")
_START_SECONDS = 60
_DRIVERS = ("psycopg2", "asyncpg")
"""Airflow asks for the first in its scheduler, and for the second in its API server."""


class NoPostgresError(Exception):
    """There can be no PostgreSQL here; says in a sentence what is missing, or how it ended."""


def what_is_missing() -> str:
    """Say what keeps this machine from running Airflow on PostgreSQL; empty if nothing does."""
    programs = [name for name in ("initdb", "postgres") if _program(name) is None]
    if programs:
        return f"PostgreSQL is not installed: there is no {' and no '.join(programs)}."
    drivers = [name for name in _DRIVERS if find_spec(name) is None]
    if drivers:
        return f"Airflow cannot speak to PostgreSQL: {' and '.join(drivers)} cannot be imported."
    if os.geteuid() == 0 and _unprivileged() is None:
        return f"PostgreSQL does not run as root, and there is no user {' or '.join(_UNPRIVILEGED)}."
    return ""


@contextmanager
def running_postgres(*, connections: int = 200) -> Iterator[str]:
    """Run PostgreSQL while the ``with`` block runs; give its SQLAlchemy URL (with psycopg2).

    Its data lie in a folder of their own in the folder for temporary files, and are not flushed to the
    disk: they do not outlive the block.

    :param connections: as many at a time.
    :raises NoPostgresError: if it is not there, or does not start.
    """
    if missing := what_is_missing():
        raise NoPostgresError(missing)
    user = _unprivileged() if os.geteuid() == 0 else None
    folder = Path(tempfile.mkdtemp(prefix="nrfprov-postgres-"))
    try:
        if user is not None:
            os.chown(folder, user.pw_uid, user.pw_gid)
        password = secrets.token_urlsafe(18)
        _make(folder, password, user)
        port = free_port()
        server = _start(folder, port, connections, user)
        try:
            _wait_until_ready(server, port, password, folder)
            yield f"postgresql+psycopg2://{_USER}:{password}@{HOST}:{port}/postgres"
        finally:
            _stop(server)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def rows_by_table(url: str) -> Counter[str]:
    """Count the rows of every table of a database.

    :param url: as ``running_postgres`` gives it.
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
    with os.fdopen(os.open(password_file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as stream:
        stream.write(password)
    if user is not None:
        os.chown(password_file, user.pw_uid, user.pw_gid)
    options = ["-D", str(folder / "data"), "-U", _USER, "-A", "scram-sha-256", f"--pwfile={password_file}"]
    done = _run_as(user, [str(_program("initdb")), *options, "-E", "UTF8", "--locale=C", "--no-sync"], folder)
    output, _ = done.communicate()
    password_file.unlink()
    if done.returncode != 0:
        raise NoPostgresError(
            f"initdb ended with {done.returncode}: {output.decode(errors='replace')[-500:]}"
        )


def _start(
    folder: Path, port: int, connections: int, user: pwd.struct_passwd | None
) -> subprocess.Popen[bytes]:
    settings = {
        "listen_addresses": HOST,
        "port": str(port),
        "unix_socket_directories": "",
        "max_connections": str(connections),
        # The workers of a scheduler that was killed hold its connection open: without this, a transaction that
        # it was in would keep its locks for ever.
        "idle_in_transaction_session_timeout": "10s",
        "fsync": "off",
        "synchronous_commit": "off",
        "full_page_writes": "off",
    }
    options = [text for name, value in settings.items() for text in ("-c", f"{name}={value}")]
    command = [str(_program("postgres")), "-D", str(folder / "data"), *options]
    with (folder / "log").open("wb") as log:
        return _run_as(user, command, folder, log.fileno())


def _run_as(
    user: pwd.struct_passwd | None, command: list[str], folder: Path, output: int = subprocess.PIPE
) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        command,
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.STDOUT,
        # A terminal's Ctrl-C is for this program, which then ends PostgreSQL in its own way.
        start_new_session=True,
        user=None if user is None else user.pw_uid,
        group=None if user is None else user.pw_gid,
        extra_groups=None if user is None else [],
    )


def _wait_until_ready(server: subprocess.Popen[bytes], port: int, password: str, folder: Path) -> None:
    import psycopg2  # type: ignore[import-untyped,import-not-found,unused-ignore]

    end = time.monotonic() + _START_SECONDS
    while True:
        with suppress(psycopg2.OperationalError):
            psycopg2.connect(host=HOST, port=port, user=_USER, password=password, dbname="postgres").close()
            return
        if server.poll() is not None or time.monotonic() > end:
            words = (folder / "log").read_text(errors="replace")[-500:]
            raise NoPostgresError(f"PostgreSQL did not start ({server.poll()}): {words}")
        time.sleep(0.1)


def _stop(server: subprocess.Popen[bytes]) -> None:
    server.send_signal(signal.SIGINT)  # its fast shutdown: it ends its own connections
    try:
        server.wait(20)
    except subprocess.TimeoutExpired:
        server.kill()
        server.wait()


def _program(name: str) -> Path | None:
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
