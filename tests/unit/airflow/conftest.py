"""What tests of the Airflow classes share."""

from __future__ import annotations

import logging
from collections.abc import Callable

import pytest


@pytest.fixture
def written(caplog, capfd) -> Callable[[], str]:
    """Give all that was logged until now: Airflow 3 writes it out, Airflow 2 hands it to logging."""
    caplog.set_level(logging.DEBUG)
    texts: list[str] = []

    def read() -> str:
        texts.extend((*capfd.readouterr(), caplog.text))
        return "".join(texts)

    return read
