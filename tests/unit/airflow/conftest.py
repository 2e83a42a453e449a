"""What tests of the Airflow classes share."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import pytest

from airflow_provider_nrfprov.emulator.settings import Settings
from tests.unit.airflow.running import TaskInstance


@pytest.fixture
def context() -> dict[str, Any]:
    """The context of a task, of which an operator uses these."""
    return {"ti": TaskInstance(), "run_id": "manual__2026-11-23T06:00:00+00:00", "params": {}}


@pytest.fixture
def written(caplog, capfd) -> Callable[[], str]:
    """Return all that was logged until now: Airflow 3 writes it out, Airflow 2 hands it to logging."""
    caplog.set_level(logging.DEBUG)
    texts: list[str] = []

    def read() -> str:
        texts.extend((*capfd.readouterr(), caplog.text))
        return "".join(texts)

    return read


@pytest.fixture
def anyio_backend() -> str:
    """What runs the tests that are coroutines, by the plugin of anyio, which the emulator's FastAPI brings."""
    return "asyncio"


@pytest.fixture(autouse=True)
def in_haste(hasty: None) -> None:
    """Let all tests here wait in short intervals."""


@pytest.fixture
def project(emulator, connect) -> Callable[..., str]:
    """Define the connection as one of the emulator's project; returns its id."""

    def define(password: str = Settings.organization_token, **extra: object) -> str:
        named = {"api": "project", "organization": "acme-inc", "project": "smart-sink"}
        return connect(emulator.url, password, **{**named, **extra})

    define()
    return define
