"""An Airflow of its own for every test run, an emulator for every test that asks for one."""

from __future__ import annotations

import atexit
import json
import os
import re
import shutil
import tempfile
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

# How long an example takes is the business of no test: the machine may be busy with others.
settings.register_profile("tests", deadline=None)
settings.load_profile("tests")

# Before the first import of Airflow, which reads its configuration then.
_HOME = Path(tempfile.mkdtemp(prefix="nrfprov-tests-"))
atexit.register(shutil.rmtree, _HOME, ignore_errors=True)
_DAGS = Path(__file__).parent.parent / "dags"
for _name in [name for name in os.environ if name.startswith("AIRFLOW_")]:
    del os.environ[_name]
os.environ |= {
    "AIRFLOW_HOME": str(_HOME),
    "AIRFLOW__CORE__DAGS_FOLDER": str(_DAGS),
    "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
    "AIRFLOW__CORE__UNIT_TEST_MODE": "False",
    "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{_HOME / 'airflow.db'}",
}

from airflow_provider_nrfprov.emulator.mint import mint_devices  # noqa: E402 - after the environment
from airflow_provider_nrfprov.emulator.server import Emulator, running_emulator  # noqa: E402 - after the environment
from tests.traffic import Traffic, watched_emulator  # noqa: E402 - after the environment

Connect = Callable[..., str]

_WHOLE_AIRFLOWS = {"e2e", "system"}


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep the tests of a module in one process, if they say nothing else; and those that run a whole Airflow: two are too many."""
    for item in items:
        if item.get_closest_marker("xdist_group"):
            continue
        group = "a whole Airflow" if item.path.parent.name in _WHOLE_AIRFLOWS else str(item.path)
        item.add_marker(pytest.mark.xdist_group(group))


_SIGNATURE = re.compile(r"\.0oRDo[\w-]*")
"""The second part of a token."""


def pytest_make_parametrize_id(val: Any) -> str | None:
    """Name a test without the signatures of the tokens in its arguments.

    Where signatures are random (cryptography before 43, or OpenSSL before 3.2), each process would have other names, and
    pytest-xdist runs nothing then.
    """
    text = val.decode("latin-1") if isinstance(val, bytes) else val
    if not isinstance(text, str) or not _SIGNATURE.search(text):
        return None
    return ascii(_SIGNATURE.sub(".SIGNATURE", text))[1:-1]


@pytest.fixture(scope="module")
def emulator_of_the_module() -> Iterator[Emulator]:
    """An emulator of both contracts, with operations that end at once."""
    with running_emulator(bulk_seconds=0.0) as running:
        yield running


@pytest.fixture
def emulator(emulator_of_the_module: Emulator) -> Emulator:
    """The module's one emulator, as a new one is."""
    emulator_of_the_module.reset()
    return emulator_of_the_module


@pytest.fixture
def watched() -> Iterator[tuple[Emulator, Traffic]]:
    """An emulator with a watcher in front, who can meddle; a module of such tests has it for its ``emulator``."""
    with watched_emulator(bulk_seconds=0.0) as both:
        yield both


@pytest.fixture
def traffic(watched: tuple[Emulator, Traffic]) -> Traffic:
    """What the watcher saw."""
    return watched[1]


@pytest.fixture
def connect(monkeypatch: pytest.MonkeyPatch) -> Connect:
    """Define a connection, ``nrfprov_default`` if not another; nothing is asked twice unless a test says so."""

    def define(
        host: str | None,
        password: str | None = "emulator-key",
        conn_id: str = "nrfprov_default",
        **extra: object,
    ) -> str:
        connection = {
            "conn_type": "nrfprov",
            "host": host,
            "password": password,
            "extra": {"retry_deadline": 0, **extra},
        }
        monkeypatch.setenv(f"AIRFLOW_CONN_{conn_id.upper()}", json.dumps(connection))
        return conn_id

    return define


@pytest.fixture
def nrfcloud(emulator: Emulator, connect: Connect) -> Emulator:
    """The emulator, and the connection ``nrfprov_default`` to it."""
    connect(emulator.url)
    return emulator


@pytest.fixture
def tokens() -> list[str]:
    """Five claim tokens."""
    return [device.token for device in mint_devices(5, seed=1)]


@pytest.fixture
def claim_file(tmp_path: Path, tokens: list[str]) -> Path:
    """A file of these five tokens."""
    path = tmp_path / "shift.csv"
    path.write_text("\n".join(tokens))
    return path


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let tests wait in short intervals, and defer at once; tests of just that ask for the real thing."""
    from airflow_provider_nrfprov.api import wait_policy
    from airflow_provider_nrfprov.operators.bulk_claim import NrfProvBulkClaimOperator
    from airflow_provider_nrfprov.sensors.bulk_ops import NrfProvBulkOpsSensor

    monkeypatch.setattr(wait_policy, "LEAST_INTERVAL", 0.01)
    monkeypatch.setattr(wait_policy, "SOONEST_EVENT", 0.01)
    for waiting in (NrfProvBulkOpsSensor, NrfProvBulkClaimOperator):
        monkeypatch.setattr(waiting, "_seconds_before_deferral", 0.0)


@pytest.fixture
def object_store() -> str:
    """A folder on an object store of fsspec's that lives in memory."""
    from fsspec.implementations.memory import MemoryFileSystem

    try:
        from airflow.sdk.io import attach
    except ImportError:  # Airflow 2
        from airflow.io.store import attach

    attach("memory", fs=MemoryFileSystem())
    return f"memory://factory/{uuid.uuid4()}"
