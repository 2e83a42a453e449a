"""Every block of Python in README.md and docs/ runs against the emulator as a reader would paste it.

Three things are put in the place of what a test cannot have:

- ``/factory/`` is a folder of the test;
- the buckets of ``s3://factory@…`` are in memory, attached to Airflow under that scheme and connection: the URLs are as printed;
- the hook of the SFTP provider copies from a folder.

On Airflow 2 ``data_interval_end`` takes the place of ``dag_run.run_after``, as docs/recipes.md says. A block without a DAG of its own runs
inside of one, as docs/operators.md says. Retries are not waited for.
"""

from __future__ import annotations

import json
import re
import sys
import types
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pendulum
import pytest
from airflow.providers.common.compat.sdk import DAG
from fsspec.implementations.memory import MemoryFileSystem

from airflow_provider_nrfprov.emulator.server import running_emulator
from airflow_provider_nrfprov.version_compat import AIRFLOW_V_3_0_PLUS, AIRFLOW_V_3_3_PLUS
from reliability.ours import Clock
from tests.integration.dag_runs import found, new_dag, run, why_nobody_can_be_asked
from tests.integration.docs_blocks import BLOCKS, PAGES, ROOT, Block
from tests.integration.docs_world import SCENES, Scene, World, claim_with_an_event
from tests.integration.test_approval import Person

pytestmark = [pytest.mark.filterwarnings("ignore"), pytest.mark.slow, pytest.mark.airflow_independent]
IN_A_DAG = [
    block
    for block in BLOCKS.values()
    if block.language == "python" and block.page not in {"emulator", "tutorial"}
]
SCHEDULED, WITHOUT_DATE = "as scheduled", "without a logical date"


@pytest.fixture
def world(connect, tmp_path, monkeypatch, load_dag) -> Iterator[World]:
    """An emulator, folders and buckets; what the blocks take for granted is there."""
    try:
        from airflow.sdk.io import attach
    except ImportError:
        from airflow.io.store import attach

    class Buckets(MemoryFileSystem):
        store: dict[str, Any] = {}  # noqa: RUF012 - as fsspec declares it
        pseudo_dirs = [""]  # noqa: RUF012 - as fsspec declares it
        cachable = False

    attach(protocol="s3", conn_id="factory", fs=Buckets())
    _let_sftp_copy_from(tmp_path / "outgoing", monkeypatch)
    clock = Clock()
    with running_emulator(clock=clock, bulk_seconds=0.0, command_seconds=0.0) as emulator:
        connect(emulator.url)
        # As printed, but for the port.
        connection = BLOCKS["new-api, Moving a DAG (2)"].text.split("'")[1]
        monkeypatch.setenv(
            "AIRFLOW_CONN_NRFPROV_PROJECT", connection.replace("http://127.0.0.1:8099", emulator.url)
        )
        world = World(emulator, clock, tmp_path / "factory")
        world.path("/factory/claims/").mkdir(parents=True)
        yield world


def _let_sftp_copy_from(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class SFTPHook:
        def __init__(self, ssh_conn_id: str) -> None:
            assert ssh_conn_id == "factory_sftp"

        def retrieve_file(self, remote: str, local: str) -> None:
            Path(local).write_bytes((folder / Path(remote).name).read_bytes())

    module = types.ModuleType("airflow.providers.sftp.hooks.sftp")
    module.SFTPHook = SFTPHook  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, module.__name__, module)


def runs() -> Iterator[Any]:
    """Yield each block, with how it is started: all without a logical date, those of a clock as by the clock, too."""
    for block in IN_A_DAG:
        by_clock = 'schedule="' in block.text
        if by_clock or not AIRFLOW_V_3_0_PLUS:
            yield pytest.param(block, SCHEDULED, id=f"{block.name}, {SCHEDULED}")
        if AIRFLOW_V_3_0_PLUS:
            yield pytest.param(block, WITHOUT_DATE, id=f"{block.name}, {WITHOUT_DATE}")


@pytest.mark.parametrize(("block", "started"), runs())
def test_a_block_does_what_the_page_says(block, started, world, capfd):
    asks = "ApprovalOperator" in block.text
    if asks and (why_not := why_nobody_can_be_asked()):
        assert block.text.startswith("# Airflow 3.1, apache-airflow-providers-standard 1.13")
        pytest.skip(why_not)
    scene = SCENES[block.name]
    dag = dag_of(block, world, scene)
    if asks and not AIRFLOW_V_3_3_PLUS:
        pytest.skip("dag.test() waits for a person's answer since Airflow 3.3; the block makes a DAG")
    if not AIRFLOW_V_3_0_PLUS:
        world.due = dag.timetable.infer_manual_data_interval(run_after=pendulum.instance(world.due)).end
    prepared = scene.prepare(world)
    if asks:
        Person("Approve", dag.dag_id).start()
    ends = run(dag, **date_of(started, world))
    errors = {name: end.error for name, end in ends.items() if end.error}
    assert {name: end.state for name, end in ends.items()} == {
        task_id: scene.ends.get(task_id, "success") for task_id in dag.task_ids
    }, errors
    for task in dag.tasks:
        # Airflow's own begin with _, as those of links.
        pushed = {key for key in ends[task.task_id].xcoms if not key.startswith("_")}
        assert pushed <= {"return_value", "skipmixin_key", *getattr(task, "xcoms", {})}
    scene.check(world, ends, prepared)
    said = capfd.readouterr()
    assert scene.says in said.out + said.err
    if started == SCHEDULED and AIRFLOW_V_3_0_PLUS:
        assert length_of_data_interval(dag.dag_id) == 0


def dag_of(block: Block, world: World, scene: Scene) -> DAG:
    """Run a block as a DAG file, or within a DAG if it makes none; return the DAG."""
    text = block.text.replace('"/factory/', f'"{world.factory}/')
    if not AIRFLOW_V_3_0_PLUS:
        text = text.replace("dag_run.run_after", "data_interval_end").replace(
            "from airflow.sdk import", "from airflow import"
        )
    code = compile(text, block.name, "exec", dont_inherit=True)
    names = {"__name__": "pasted"}
    if "with DAG(" not in text:
        with new_dag(params=dict(scene.params)) as dag:
            exec(code, names)
    else:
        made: list[DAG] = []
        with pytest.MonkeyPatch.context() as patch:
            enter = DAG.__enter__
            patch.setattr(DAG, "__enter__", lambda self: made.append(self) or enter(self))
            exec(code, names)
        (dag,) = made
    assert dag.tasks
    for each in dag.tasks:
        each.retry_delay = timedelta(0)
    return dag


def date_of(started: str, world: World) -> dict[str, Any]:
    """Return what ``dag.test()`` is to be given; Airflow 2 knows runs with a date only."""
    if not AIRFLOW_V_3_0_PLUS:
        return {}
    return {"run_after": world.due, "logical_date": world.due if started == SCHEDULED else None}


def length_of_data_interval(dag_id: str) -> float:
    ((days,),) = found(
        "select julianday(data_interval_end) - julianday(data_interval_start) from dag_run "
        "where dag_id = ? order by id desc limit 1",
        dag_id,
    )
    return days


def test_every_block_of_python_has_a_world_and_no_world_is_left_over():
    assert {block.name for block in IN_A_DAG} == set(SCENES)


def test_an_event_says_what_the_page_shows(world):
    (shown,) = [block for block in BLOCKS.values() if block.page == "operators" and block.language == "json"]
    told = claim_with_an_event(world)
    del told["id"]
    as_told = {name: type(value) for name, value in told.items() if value is not None}
    as_shown = {name: type(value) for name, value in json.loads(shown.text).items()}
    assert as_told == {name: as_shown[name] for name in as_told}
    assert set(as_shown) == set(told)


def test_every_example_that_the_pages_name_is_there():
    named = {path for page in PAGES for path in re.findall(r"`(dags/\w+\.py)`", page.read_text())}
    assert len(named) >= 4
    for path in named:
        assert (ROOT / path).is_file(), path
