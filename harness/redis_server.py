"""A Redis of this program's own, as Celery's broker: on a free port of 127.0.0.1, gone afterwards.

Not by pytest-redis 5.0: it passes the password as an argument, which everybody on the machine can read.
"""

from __future__ import annotations

import os
import secrets
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory

from harness import processes
from harness.ports import HOST, free_port
from harness.processes import Program, write_secret

_START_SECONDS = 30


class NoRedisError(Exception):
    """There can be no Redis here; with a sentence of what is missing, or how it ended."""


def what_is_missing() -> str:
    """Return what keeps this machine from running Redis and from speaking to it; empty if nothing does."""
    if shutil.which("redis-server") is None:
        return "Redis is not installed: there is no redis-server; on Debian and Ubuntu: apt-get install redis-server."
    if find_spec("redis") is None:
        return "Celery cannot speak to Redis: redis cannot be imported."
    return ""


@contextmanager
def running_redis() -> Iterator[str]:
    """Run Redis while the ``with`` block runs; yield its URL. It keeps everything in memory.

    :raises NoRedisError: if it is not there, or does not start.
    """
    if missing := what_is_missing():
        raise NoRedisError(missing)
    with TemporaryDirectory(prefix="nrfprov-redis-", ignore_cleanup_errors=True) as folder:
        port, password = free_port(), secrets.token_urlsafe(18)
        server = _start(Path(folder), port, password)
        try:
            _wait_until_ready(server, port, password)
            yield f"redis://:{password}@{HOST}:{port}/0"
        finally:
            processes.stop([server])


def _start(folder: Path, port: int, password: str) -> Program:
    settings = {
        "bind": HOST,
        "port": port,
        "requirepass": password,
        "save": '""',
        "appendonly": "no",
        # A queue of which something may be evicted is none.
        "maxmemory-policy": "noeviction",
    }
    # In a file, since everybody can read the arguments of a process.
    file = folder / "redis.conf"
    write_secret(file, "".join(f"{name} {value}\n" for name, value in settings.items()))
    command = [str(shutil.which("redis-server")), str(file)]
    return processes.start("redis", command, env=os.environ, folder=folder, log=folder / "log")


def _wait_until_ready(server: Program, port: int, password: str) -> None:
    end = time.monotonic() + _START_SECONDS
    while not _answers(port, password):
        if not server.is_running or time.monotonic() > end:
            raise NoRedisError(
                f"Redis did not start ({server.process.returncode}): {server.last_lines()[-500:]}"
            )
        time.sleep(0.05)


def _answers(port: int, password: str) -> bool:
    from redis import Redis, RedisError  # only here: there may be none, see ``what_is_missing``
    from redis.backoff import NoBackoff
    from redis.retry import Retry

    once = Retry(NoBackoff(), 0)
    with suppress(RedisError), Redis(HOST, port, password=password, retry=once) as client:
        return bool(client.ping())
    return False
