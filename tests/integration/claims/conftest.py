"""A service of either contract, and a task that claims at it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from airflow_provider_nrfprov.claiming.job import ClaimJob
from airflow_provider_nrfprov.emulator.server import Emulator, running_emulator
from tests.integration.claims.field import TEN, write
from tests.integration.one_try import ClaimTask


@pytest.fixture(params=["sync", "async"])
def contract(request) -> str:
    return request.param


@pytest.fixture
def service(contract, connect) -> Iterator[Emulator]:
    """A service of one contract, and the connection to it."""
    with running_emulator(contract=contract, bulk_seconds=0.0) as running:
        connect(running.url)
        yield running


@pytest.fixture
def shows_at_once(monkeypatch) -> None:
    """Let nothing be waited for that may not show in the service's lists yet."""
    monkeypatch.setitem(ClaimJob.plan.__func__.__kwdefaults__, "visible_after", 0.0)


@pytest.fixture
def ten(tmp_path: Path) -> str:
    """A claim file of ten rows."""
    return write(tmp_path / "shift.csv", TEN)


@pytest.fixture
def claim_task(tmp_path: Path) -> ClaimTask:
    return ClaimTask(tmp_path / "report")
