"""Airflow's web application with the page Device claims, people who look at it, and a claim to see."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from urllib.parse import parse_qs, urlsplit

import pytest

from airflow_provider_nrfprov.operators.bulk_claim import NrfProvBulkClaimOperator
from airflow_provider_nrfprov.plugins.device_claims import plugin
from tests.integration.dag_runs import database, links, new_dag, only_run, run
from tests.integration.device_claims.pages import COOKIE


@pytest.fixture(scope="module")
def airflow_app(load_dag):
    """Airflow's own web application, with the plugin as Airflow mounts it."""
    from airflow.api_fastapi.app import create_app

    app = create_app()
    mounted = [route for route in app.routes if getattr(route, "path", "") == plugin.URL_PREFIX]
    assert len(mounted) == 1
    return app


@pytest.fixture
def browser(airflow_app):
    """Return a browser of a person with a role, in teams."""
    from airflow.api_fastapi.app import get_auth_manager
    from airflow.api_fastapi.auth.managers.simple.user import SimpleAuthManagerUser
    from fastapi.testclient import TestClient

    def sign_in(role: str | None, **teams: list[str]) -> TestClient:
        client = TestClient(airflow_app)
        user = SimpleAuthManagerUser(username="someone", role=role, **teams)
        client.cookies.set(COOKIE, get_auth_manager().generate_jwt(user))
        return client

    return sign_in


@pytest.fixture
def anonymous(airflow_app):
    from fastapi.testclient import TestClient

    return TestClient(airflow_app)


@pytest.fixture
def claimed(load_dag, connect, emulator, tokens, tmp_path, claim_file):
    """A run of a claim, one of whose rows cannot be one; return the query that names its task."""
    connect(emulator.url, device_url=f"{emulator.url}/emulator/devices/{{device_id}}")
    claim_file.write_text("\n".join([*tokens, "<script>alert(1)</script>"]))
    with new_dag() as dag:
        NrfProvBulkClaimOperator(
            task_id="claim", claim_file=str(claim_file), report_dir=str(tmp_path / "out")
        )
    assert run(dag)["claim"].state == "success"
    parts = urlsplit(links(dag, "claim", only_run(dag))["Report"])
    assert parts.path == "/nrfprov/claims/"
    return {name: value for name, (value,) in parse_qs(parts.query).items()}


@pytest.fixture
def of_team_red(claimed):
    """Make the DAG that of a team."""

    def tell(*statements: tuple[str, tuple[str, ...]]) -> None:
        with closing(sqlite3.connect(database(), timeout=30)) as connection, connection:
            for statement in statements:
                connection.execute(*statement)

    bundle = ("built-by-tests",)
    tell(
        ("insert into team (name) values (?)", ("red",)),
        ("insert into dag_bundle_team (dag_bundle_name, team_name) values (?, 'red')", bundle),
    )
    yield claimed
    tell(
        ("delete from dag_bundle_team where dag_bundle_name = ?", bundle),
        ("delete from team where name = ?", ("red",)),
    )
