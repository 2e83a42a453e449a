"""The engines that users run: Airflow on PostgreSQL with several triggerers, its tasks run by Celery or by itself."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from importlib.util import find_spec
from pathlib import Path

import requests

from airflow_provider_nrfprov.version_compat import AIRFLOW_V_3_3_PLUS
from harness import postgres, redis_server
from harness.local_airflow import PARTS, AirflowDiedError, LocalAirflow
from harness.real_airflow import QUICK_TO_NOTICE, RealAirflow, real_airflow
from harness.redis_server import running_redis

CELERY, LOCAL = "CeleryExecutor", "LocalExecutor"
WORKERS, SLOTS, TRIGGERERS = 2, 4, 2
"""Celery workers, tasks that each runs at a time, and triggerers."""
WORKER_NAMES = [f"worker-{number}" for number in range(1, WORKERS + 1)]
TRIGGERER_NAMES = [f"triggerer-{number}" for number in range(1, TRIGGERERS + 1)]
"""Among Airflow's parts."""
VISIBILITY_SECONDS = 60
"""After so long, Redis hands a message that nobody acknowledged to another worker. Must be longer than any task
runs; Airflow's default is a day."""

_SETTINGS = QUICK_TO_NOTICE | {
    # How often the end of a task is noticed, in seconds; with the default of 5, every task takes 5.
    "workers__min_heartbeat_interval": "1",
    # So a living one can say so fifteen times before it counts as dead.
    "scheduler__task_instance_heartbeat_timeout": "15",
    # A task whose message was lost with its worker is queued again after this instead of 10 minutes.
    "scheduler__task_queued_timeout": "60",
    "scheduler__task_queued_timeout_check_interval": "5",
}
_READY_SECONDS = 90


def what_is_missing(executor: str) -> str:
    """Return a sentence of what keeps this machine from running an executor; empty if nothing does."""
    if not AIRFLOW_V_3_3_PLUS:
        return "The engines are started as Airflow 3.3 is."
    if missing := postgres.what_is_missing():
        return missing
    if executor != CELERY:
        return ""
    if find_spec("celery") is None or find_spec("airflow.providers.celery") is None:
        return "Airflow cannot use Celery: apache-airflow-providers-celery is not installed."
    return redis_server.what_is_missing()


@contextmanager
def engine(
    executor: str,
    folder: Path,
    dags: Path,
    *,
    emulators: Mapping[str, str],
    env: Mapping[str, str] | None = None,
) -> Iterator[RealAirflow]:
    """Run an Airflow with two triggerers while the ``with`` block runs, and with two Celery workers if they are wanted.

    Both executors run as many tasks at a time.

    :param executor: ``CELERY`` or ``LOCAL``.
    :param folder: its home, which holds its logs afterwards.
    :param dags: the folder of its DAG files.
    :param emulators: URLs of emulators; each is the connection ``nrfprov_NAME``.
    :param env: more of its environment.
    :raises AirflowDiedError: if it does not get healthy.
    :raises NoPostgresError: if PostgreSQL is not there.
    :raises NoRedisError: if Redis is not there.
    """
    if missing := postgres.what_is_missing():
        raise postgres.NoPostgresError(missing)
    chosen = dict(_SETTINGS)
    parts: dict[str, Sequence[str]] = {name: words for name, words in PARTS.items() if name != "triggerer"}
    parts |= dict.fromkeys(TRIGGERER_NAMES, PARTS["triggerer"])
    with ExitStack() as stack:
        if executor == CELERY:
            chosen["celery__broker_url"] = stack.enter_context(running_redis())
            chosen["celery_broker_transport_options__visibility_timeout"] = str(VISIBILITY_SECONDS)
            parts |= {name: _worker(name, folder) for name in WORKER_NAMES}
        here = stack.enter_context(
            real_airflow(
                folder,
                dags,
                emulators=emulators,
                parallelism=WORKERS * SLOTS,
                settings=chosen,
                env=env,
                executor=executor,
                parts=parts,
            )
        )
        if executor == CELERY:
            _wait_for_workers(here.airflow)
        _ask_for_tasks(here.airflow)
        yield here


def _worker(name: str, home: Path) -> Sequence[str]:
    # The log server would listen on every network interface, and two of them on the same port.
    options = ["--skip-serve-logs", "--concurrency", str(SLOTS), "--celery-hostname", f"{name}@%h"]
    # By default all workers of one home have the same file.
    return ["celery", "worker", *options, "--pid", str(home / f"{name}.pid")]


def _wait_for_workers(airflow: LocalAirflow) -> None:
    end = time.monotonic() + _READY_SECONDS
    logs = [airflow.logs / f"{name}.log" for name in WORKER_NAMES]
    # What Celery's worker prints when it takes tasks.
    while not all(" ready." in log.read_text(errors="replace") for log in logs):
        airflow.require_running()
        if time.monotonic() > end:
            raise AirflowDiedError(
                f"Celery's workers are not ready after {_READY_SECONDS} s; logs: {airflow.logs}."
            )
        time.sleep(0.25)


def _ask_for_tasks(airflow: LocalAirflow) -> None:
    """Let the API server make what tasks ask for: it does so at the first request, and that one waits for seconds."""
    with requests.Session() as session:
        session.trust_env = False
        # What it answers does not matter; without a token it may refuse.
        session.get(f"{airflow.url}/execution/health", timeout=_READY_SECONDS)
