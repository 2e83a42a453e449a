"""Airflow's connections to an emulator with its usual keys, as variables of the environment."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from airflow_provider_nrfprov.emulator.settings import Settings

_PROJECT = {"api": "project", "organization": Settings.organization, "project": Settings.project}
_ACCESS: Mapping[str, Mapping[str, object]] = {
    "team": {"password": Settings.api_key},
    "project": {"password": Settings.organization_token, "extra": _PROJECT},
}


def nrfprov_connection(name: str, url: str, api: str = "team") -> dict[str, str]:
    """Return a connection of ours: to the emulator's team, or to its ``project``."""
    return _connection(name, {"conn_type": "nrfprov", "host": url, **_ACCESS[api]})


def http_connection(name: str, url: str) -> dict[str, str]:
    """Return a connection of the http provider to the emulator's team."""
    key = {"Authorization": f"Bearer {Settings.api_key}"}
    return _connection(name, {"conn_type": "http", "host": f"{url}/v1", "extra": key})


@contextmanager
def default_connections(url: str) -> Iterator[None]:
    """Set up a home of its own for the Airflow of this process, where both default connections lead to an emulator."""
    with tempfile.TemporaryDirectory(prefix="nrfprov-airflow-") as home:
        os.environ |= {"AIRFLOW_HOME": home, "AIRFLOW__LOGGING__LOGGING_LEVEL": "ERROR"}
        os.environ |= nrfprov_connection("nrfprov_default", url) | http_connection("http_default", url)
        yield


def _connection(name: str, fields: dict[str, object]) -> dict[str, str]:
    return {f"AIRFLOW_CONN_{name.upper()}": json.dumps(fields)}
