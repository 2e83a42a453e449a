"""What tests of the Airflow classes share."""

from __future__ import annotations

import logging
import uuid
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
def object_store() -> str:
    """A folder on an object store of fsspec's that lives in memory."""
    from fsspec.implementations.memory import MemoryFileSystem

    try:
        from airflow.sdk.io import attach
    except ImportError:  # Airflow 2
        from airflow.io.store import attach

    attach("memory", fs=MemoryFileSystem())
    return f"memory://factory/{uuid.uuid4()}"


@pytest.fixture
def written(caplog, capfd) -> Callable[[], str]:
    """Return all that was logged until now: Airflow 3 writes it out, Airflow 2 hands it to logging."""
    caplog.set_level(logging.DEBUG)
    texts: list[str] = []

    def read() -> str:
        texts.extend((*capfd.readouterr(), caplog.text))
        return "".join(texts)

    return read


@pytest.fixture(autouse=True)
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
def project(emulator, connect) -> Callable[..., str]:
    """Define the connection as one of the emulator's project; returns its id."""

    def define(password: str = Settings.organization_token, **extra: object) -> str:
        named = {"api": "project", "organization": "acme-inc", "project": "smart-sink"}
        return connect(emulator.url, password, **{**named, **extra})

    define()
    return define
