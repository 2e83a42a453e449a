"""Airflow's REST API (v2), as much as is needed to run a DAG and to see what becomes of it."""

from __future__ import annotations

from typing import Any

import requests

_COMPONENTS = ("metadatabase", "scheduler", "triggerer", "dag_processor")
ENDED = {"success", "failed"}
"""The states in which a DAG run, or a task that is not tried again, has ended."""
_SECONDS = 30
_PAGE = 100
"""Airflow returns no more task instances at a time (``[api] maximum_page_limit``)."""


class AirflowApiError(Exception):
    """Airflow refused a request; holds its words."""


class AirflowApi:
    """Asks one Airflow as one user; logs in when it is first needed."""

    def __init__(self, url: str, user: str, password: str) -> None:
        self.url = url
        self._login = {"username": user, "password": password}
        self._session = requests.Session()
        # A proxy of the environment has no business with 127.0.0.1.
        self._session.trust_env = False

    def close(self) -> None:
        """Close the connections."""
        self._session.close()

    def unhealthy(self) -> list[str]:
        """Return the components that are not healthy yet: all of them while nobody answers."""
        try:
            answer = self._session.get(f"{self.url}/api/v2/monitor/health", timeout=_SECONDS).json()
        except requests.RequestException:
            return ["api-server"]
        return [name for name in _COMPONENTS if (answer.get(name) or {}).get("status") != "healthy"]

    def has_dag(self, dag_id: str) -> bool:
        """Whether a DAG has been read and can be run."""
        return self._ask("GET", f"dags/{dag_id}", missing_is_fine=True) is not None

    def import_errors(self) -> list[str]:
        """Return the DAG files that cannot be read, with the end of the reason."""
        errors = self._ask("GET", "importErrors")["import_errors"]
        return [f"{error['filename']}: {error['stack_trace'].strip()[-1000:]}" for error in errors]

    def trigger(self, dag_id: str, conf: dict[str, Any]) -> str:
        """Start a DAG run with parameters; return its id."""
        body = {"logical_date": None, "conf": conf}
        return str(self._ask("POST", f"dags/{dag_id}/dagRuns", json=body)["dag_run_id"])

    def dag_run(self, dag_id: str, run_id: str) -> dict[str, Any]:
        """Return a DAG run: ``state``, ``start_date``, ``end_date``, ``duration`` and more."""
        return dict(self._ask("GET", f"dags/{dag_id}/dagRuns/{run_id}"))

    def run_state(self, dag_id: str, run_id: str) -> str:
        """Return the state of a DAG run: ``queued``, ``running``, ``success``, ``failed``."""
        return str(self.dag_run(dag_id, run_id)["state"])

    def run_states(self, dag_id: str) -> dict[str, str]:
        """Return the state of each run of a DAG, by its id."""
        return {run["dag_run_id"]: run["state"] for run in self._all(f"dags/{dag_id}/dagRuns", "dag_runs")}

    def task_instances(self, dag_id: str, run_id: str = "~") -> list[dict[str, Any]]:
        """Return the task instances of a run: ``task_id``, ``map_index``, ``state``, ``try_number`` and more.

        :param run_id: by default those of all its runs.
        """
        return self._all(f"dags/{dag_id}/dagRuns/{run_id}/taskInstances", "task_instances")

    def xcom(self, dag_id: str, run_id: str, task_id: str, key: str = "return_value") -> Any:
        """Return what a task (not a mapped one) left under a key; ``None`` if it left nothing."""
        path = f"dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task_id}/xcomEntries/{key}"
        entry = self._ask("GET", path, params={"deserialize": "true"}, missing_is_fine=True)
        return None if entry is None else entry["value"]

    def clear_failed(self, dag_id: str, run_id: str) -> None:
        """Clear the failed tasks of a run, as a person does who wants them to be tried again."""
        body = {"dry_run": False, "dag_run_id": run_id, "only_failed": True, "reset_dag_runs": True}
        self._ask("POST", f"dags/{dag_id}/clearTaskInstances", json=body)

    def log_tail(
        self, dag_id: str, run_id: str, task_id: str, *, try_number: int = 1, count: int = 15
    ) -> list[str]:
        """Return the last lines of a task's log, of one try."""
        path = f"dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task_id}/logs/{try_number}"
        content = self._ask("GET", path, headers={"Accept": "application/json"})["content"]
        return [_in_words(entry) for entry in content][-count:]

    def _all(self, path: str, key: str) -> list[dict[str, Any]]:
        """Return all that a list has, page by page."""
        total = 1
        found: list[dict[str, Any]] = []
        while len(found) < total:
            page = self._ask("GET", path, params={"limit": _PAGE, "offset": len(found), "order_by": "id"})
            # What is gone meanwhile must not keep us here for ever.
            total = page["total_entries"] if page[key] else 0
            found += page[key]
        return found

    def _ask(self, method: str, path: str, *, missing_is_fine: bool = False, **kwargs: Any) -> Any:
        if "Authorization" not in self._session.headers:
            self._session.headers["Authorization"] = f"Bearer {self._token()}"
        try:
            answer = self._session.request(method, f"{self.url}/api/v2/{path}", timeout=_SECONDS, **kwargs)
        except requests.RequestException as error:
            raise AirflowApiError(f"Airflow does not answer {method} {path}: {error}") from error
        if answer.status_code == requests.codes.not_found and missing_is_fine:
            return None
        return _checked(answer).json()

    def _token(self) -> str:
        try:
            answer = self._session.post(f"{self.url}/auth/token", json=self._login, timeout=_SECONDS)
        except requests.RequestException as error:
            raise AirflowApiError(f"Airflow does not let us log in: {error}") from error
        return str(_checked(answer).json()["access_token"])


def _checked(answer: requests.Response) -> requests.Response:
    if not answer.ok:
        raise AirflowApiError(
            f"Airflow answers {answer.status_code} to {answer.request.method} {answer.url}: {answer.text[:500]}"
        )
    return answer


def _in_words(entry: Any) -> str:
    """Write an entry of a log as one line: a text, or an object with an event and, of an error, its cause."""
    if not isinstance(entry, dict):
        return str(entry)
    causes = [
        f"{cause.get('exc_type')}: {cause.get('exc_value')}" for cause in entry.get("error_detail") or []
    ]
    return " ".join([str(entry.get("level", "")), str(entry.get("event", "")), *causes]).strip()
