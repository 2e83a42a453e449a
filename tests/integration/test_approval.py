"""Unclaiming with a person's approval: the DAG as it is, answered through Airflow's API while it waits."""

from __future__ import annotations

import importlib.metadata
import runpy
import threading
import time
from pathlib import Path

import pytest

from airflow_provider_nrfprov.hooks.nrfprov import NrfProvHook
from airflow_provider_nrfprov.version_compat import AIRFLOW_V_3_1_PLUS, AIRFLOW_V_3_3_PLUS
from tests.integration.dag_runs import run_example as run

pytestmark = pytest.mark.filterwarnings("ignore")
DAG_ID = "nrfprov_unclaim_with_approval"
FILE = Path(__file__).parents[2] / "dags" / f"{DAG_ID}.py"
needs_dag_test_to_wait = pytest.mark.skipif(
    not AIRFLOW_V_3_3_PLUS, reason="dag.test() waits for a person's answer since Airflow 3.3"
)


def test_there_is_a_dag_or_a_reason_why_not():
    names = runpy.run_path(str(FILE))
    assert ("dag" in names) is (names["why_not"] is None)
    if AIRFLOW_V_3_3_PLUS:
        assert "dag" in names
    if not AIRFLOW_V_3_1_PLUS:
        assert "since Airflow 3.1" in names["why_not"]


@pytest.mark.skipif(not AIRFLOW_V_3_1_PLUS, reason="nobody can be asked before Airflow 3.1")
def test_a_question_that_cannot_have_a_deadline_is_not_asked(monkeypatch):
    monkeypatch.setattr(importlib.metadata, "version", lambda name: "1.12.0")
    names = runpy.run_path(str(FILE))
    assert "dag" not in names
    assert names["why_not"].endswith("since apache-airflow-providers-standard 1.13; this is 1.12.0")


class Person(threading.Thread):
    """Looks for a question through Airflow's API, notes it, and answers."""

    def __init__(self, answer: str, dag_id: str = DAG_ID) -> None:
        super().__init__(daemon=True)
        self._answer = answer
        self._dag_id = dag_id
        self.question: dict = {}

    def run(self) -> None:
        from airflow.api_fastapi.app import create_app, get_auth_manager
        from airflow.api_fastapi.auth.managers.simple.user import SimpleAuthManagerUser
        from fastapi.testclient import TestClient

        with TestClient(create_app(apps="core")) as client:
            user = SimpleAuthManagerUser(username="approver", role="admin")
            client.headers["Authorization"] = f"Bearer {get_auth_manager().generate_jwt(user)}"
            path = f"/api/v2/dags/{self._dag_id}/dagRuns/{{}}"
            end = time.monotonic() + 90
            while time.monotonic() < end:
                found = client.get(f"{path.format('~')}/hitlDetails", params={"response_received": False})
                asked = [
                    each
                    for each in found.json().get("hitl_details", [])
                    if each["task_instance"]["state"] == "awaiting_input"
                ]
                if asked:
                    self.question = asked[0]
                    run_id = self.question["task_instance"]["dag_run_id"]
                    answer = client.patch(
                        f"{path.format(run_id)}/taskInstances/approve/-1/hitlDetails",
                        json={"chosen_options": [self._answer], "params_input": {}},
                    )
                    assert answer.status_code == 200, answer.text
                    return
                time.sleep(0.5)


@pytest.mark.slow
@needs_dag_test_to_wait
@pytest.mark.parametrize(("answer", "state", "left"), [("Approve", "success", 3), ("Reject", "skipped", 5)])
def test_devices_are_given_up_only_if_a_person_says_so(
    load_dag, nrfcloud, tokens, tmp_path, answer, state, left
):
    devices = [NrfProvHook().claim_device(token).id for token in tokens]
    scrapped = tmp_path / "scrapped.txt"
    scrapped.write_text("\n".join(devices[:2]))
    person = Person(answer)
    person.start()
    conf = {"device_file": str(scrapped), "reason": "ticket 4711", "report_dir": str(tmp_path / "out")}
    _, tasks = run(load_dag(DAG_ID), conf)
    person.join()
    assert person.question["subject"] == "Unclaim 2 devices?"
    assert "ticket 4711" in person.question["body"]
    assert devices[0] in person.question["body"]
    assert tasks == {"settle_list": "success", "approve": "success", "unclaim_devices": state}
    assert len(nrfcloud.service.claimed_ids()) == left


@pytest.mark.slow
@needs_dag_test_to_wait
def test_nobody_is_asked_about_too_many_devices(load_dag, nrfcloud, tokens, tmp_path):
    devices = [NrfProvHook().claim_device(token).id for token in tokens]
    scrapped = tmp_path / "scrapped.txt"
    scrapped.write_text("\n".join(devices))
    conf = {
        "device_file": str(scrapped),
        "max_devices": 4,
        "reason": "ticket 4711",
        "report_dir": str(tmp_path / "out"),
    }
    _, tasks = run(load_dag(DAG_ID), conf)
    assert (tasks["settle_list"], tasks["approve"]) == ("failed", "upstream_failed")
    assert len(nrfcloud.service.claimed_ids()) == 5
