"""What tests of the Airflow classes share."""

from __future__ import annotations

import logging
from collections.abc import Callable

import pytest

from airflow_provider_nrfprov.emulator.settings import Settings


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
