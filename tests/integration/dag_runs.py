"""Runs a DAG that a test has built, through ``dag.test()``, and tells how each of its tasks ended."""

from __future__ import annotations

import itertools
import json
import logging
import os
import runpy
import sqlite3
import warnings
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import DAG

from airflow_provider_nrfprov.version_compat import AIRFLOW_V_3_0_PLUS, AIRFLOW_V_3_1_PLUS

IS_AIRFLOW_3_0 = AIRFLOW_V_3_0_PLUS and not AIRFLOW_V_3_1_PLUS
_DATES = ("logical_date", "run_after") if AIRFLOW_V_3_0_PLUS else ("execution_date",)
"""What names a run of ``dag.test()``."""
_numbers = itertools.count(1)
_ASKING = Path(__file__).parents[2] / "dags" / "nrfprov_unclaim_with_approval.py"
_BUNDLE = "built-by-tests"
_BUNDLES_SETTING = "AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST"


def why_nobody_can_be_asked() -> str | None:
    """Return why the example with an approval has no DAG on this Airflow, or None if it has one."""
    reason: str | None = runpy.run_path(str(_ASKING))["why_not"]
    return reason


@dataclass
class End:
    """How a task ended: state, exception, and what it pushed to XCom."""

    state: str
    error: BaseException | None = None
    xcoms: dict[str, Any] = field(default_factory=dict)
    tries: int = 1


@contextmanager
def new_dag(**arguments: Any) -> Iterator[DAG]:
    """Yield a DAG that no other test has: ``dag.test()`` leaves things behind in its DAG and its database."""
    with DAG(f"built_by_a_test_{next(_numbers)}", schedule=None, **arguments) as dag:
        yield dag


def run(dag: DAG, *, at: datetime | None = None, **arguments: Any) -> dict[str, End]:
    """Run a DAG once, triggers in line; return the end of each task. The database has to be there (``load_dag``).

    :param at: its logical date; the same one again is the same run, cleared.
    :param arguments: others of ``dag.test()``.
    """
    errors: dict[str, BaseException] = {}
    for task in dag.tasks:
        # Both callbacks see the exception as it was raised, before Airflow masks or stores anything.
        task.on_failure_callback = task.on_retry_callback = [_recorder(task.task_id, errors)]
    with warnings.catch_warnings(), _bundle_of_our_own(), handlers_kept(), _exception_in_the_context():
        warnings.simplefilter("ignore")
        _make_known(dag)
        result = dag.test(**arguments, **({} if at is None else dict.fromkeys(_DATES, at)))
    xcoms = _xcoms(dag.dag_id, result.run_id)
    return {
        ti.task_id: End(str(ti.state), errors.get(ti.task_id), xcoms.get(ti.task_id, {}), ti.try_number)
        for ti in result.get_task_instances()
    }


def run_example(dag: DAG, conf: dict[str, Any]) -> tuple[str, dict[str, str]]:
    """Run an example DAG in this process, triggers in line; return the state of the run and of each task.

    ``dag.test()`` leaves ``conf`` in the params of the DAG, so each test has to give all that it relies on.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        result = dag.test(run_conf=conf)
    return str(result.state), {ti.task_id: str(ti.state) for ti in result.get_task_instances()}


def links(dag: DAG, task_id: str, run_id: str, map_index: int = -1) -> dict[str, str | None]:
    """Ask for a task's links as Airflow's web server does: of the DAG as it is serialized."""
    from airflow.models.taskinstance import TaskInstance
    from airflow.utils.session import create_session

    with create_session() as session, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        ti = (
            session.query(TaskInstance)
            .filter_by(dag_id=dag.dag_id, task_id=task_id, run_id=run_id, map_index=map_index)
            .one()
        )
        task = deserialized(dag).get_task(task_id)
        return {name: task.get_extra_links(ti, name) or None for name in task.extra_links}


def deserialized(dag: DAG) -> Any:
    try:
        from airflow.serialization.serialized_objects import DagSerialization as serialization
    except ImportError:
        from airflow.serialization.serialized_objects import SerializedDAG as serialization
    # Airflow's own clearing of a task switches links off for the rest of its process, which is here that of other tests.
    serialization._load_operator_extra_links = True
    return serialization.from_dict(serialization.to_dict(dag))


def only_run(dag: DAG) -> str:
    """Return the id of the one run of a DAG."""
    from airflow.models.dagrun import DagRun
    from airflow.utils.session import create_session

    with create_session() as session:
        return session.query(DagRun.run_id).filter_by(dag_id=dag.dag_id).scalar()


def database() -> Path:
    """Return the file of Airflow's database."""
    return Path(os.environ["AIRFLOW_HOME"]) / "airflow.db"


def found(query: str, *values: object) -> list[Any]:
    """Return the rows of Airflow's database that a query finds."""
    with closing(sqlite3.connect(database())) as connection:
        return connection.execute(query, values).fetchall()


@contextmanager
def handlers_kept() -> Iterator[None]:
    """Undo that ``dag.test()`` of Airflow 2 gives the tasks' logger a handler for this very ``sys.stdout``, for good."""
    logger = logging.getLogger("airflow.task")
    before = list(logger.handlers)
    try:
        yield
    finally:
        logger.handlers[:] = before


@contextmanager
def _exception_in_the_context() -> Iterator[None]:
    """Let callbacks see a task's exception under ``dag.test()`` of Airflow 3.0 to 3.2, too.

    What runs its tasks elsewhere (``main`` of the same module) puts it into the context just before this function is called.
    """
    if not AIRFLOW_V_3_0_PLUS:
        yield
        return
    from airflow.sdk.execution_time import task_runner

    finalize = task_runner.finalize

    def finalize_with_exception(ti: Any, state: Any, context: Any, log: Any, error: Any = None) -> None:
        context["exception"] = error
        finalize(ti, state, context, log, error)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(task_runner, "finalize", finalize_with_exception)
        yield


def _recorder(task_id: str, errors: dict[str, BaseException]) -> Any:
    def record(context: Any) -> None:
        errors[task_id] = context["exception"]

    return record


def _make_known(dag: DAG) -> None:
    """Put a DAG that is in no DAG file into the database; Airflow 2 does so by itself."""
    if not AIRFLOW_V_3_0_PLUS:
        return
    dag.fileloc, dag.relative_fileloc = __file__, Path(__file__).name
    sync({dag.dag_id: dag}, _BUNDLE, _bundle_folder())


def dag_bag_class() -> Any:
    """Return the class DagBag, which Airflow 3.2 moved."""
    try:
        from airflow.dag_processing.dagbag import DagBag
    except ImportError:
        from airflow.models.dagbag import DagBag
    return DagBag


def sync(dags: dict[str, DAG], bundle: str, folder: Path) -> None:
    """Write DAGs of a bundle, and their assets, into the database of Airflow 3."""
    from airflow.dag_processing.bundles.manager import DagBundlesManager

    DagBundlesManager().sync_bundles_to_db()
    bag = dag_bag_class()(dag_folder=os.devnull, collect_dags=False, bundle_path=folder)
    bag.dags = dags
    try:
        from airflow.dag_processing.dagbag import sync_bag_to_db
    except ImportError:
        try:
            from airflow.models.dagbag import sync_bag_to_db
        except ImportError:  # Airflow 3.0
            bag.sync_to_db(bundle, None)
            return
    bag.bundle_name = bundle
    sync_bag_to_db(bag, bundle, None)


def _bundle_folder() -> Path:
    return Path(os.environ["AIRFLOW_HOME"]) / _BUNDLE


@contextmanager
def _bundle_of_our_own() -> Iterator[None]:
    """Let the DAG belong to a bundle without files: Airflow 3 parses all of a DAG's bundle each time it is tested."""
    _bundle_folder().mkdir(exist_ok=True)
    local = "airflow.dag_processing.bundles.local.LocalDagBundle"
    bundles = [
        {"name": "dags-folder", "classpath": local, "kwargs": {}},
        {"name": _BUNDLE, "classpath": local, "kwargs": {"path": str(_bundle_folder())}},
    ]
    os.environ[_BUNDLES_SETTING] = json.dumps(bundles)
    try:
        yield
    finally:
        del os.environ[_BUNDLES_SETTING]


def _xcoms(dag_id: str, run_id: str) -> dict[str, dict[str, Any]]:
    """Read them as stored: JSON, as text or as bytes depending on the version of Airflow."""
    pushed: dict[str, dict[str, Any]] = {}
    query = "select task_id, key, value from xcom where dag_id = ? and run_id = ?"
    for task_id, key, value in found(query, dag_id, run_id):
        # SQLite gives a number as a number.
        pushed.setdefault(task_id, {})[key] = json.loads(value) if isinstance(value, str | bytes) else value
    return pushed
