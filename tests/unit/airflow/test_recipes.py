"""The recipes of docs/recipes.md: each is a whole DAG that Airflow takes as it stands there."""

from __future__ import annotations

import re
import warnings
from pathlib import Path

import pytest
from airflow.providers.common.compat.sdk import DAG

from tests.integration.dag_runs import why_nobody_can_be_asked

TEXT = (Path(__file__).parents[3] / "docs" / "recipes.md").read_text()
RECIPES = [
    pytest.param(code, id=re.search(r'DAG\(\s*"(\w+)"', code)[1])
    for code in re.findall(r"^```python\n(.*?)^```", TEXT, re.MULTILINE | re.DOTALL)
]


@pytest.mark.parametrize("recipe", RECIPES)
def test_a_recipe_is_a_dag_that_airflow_can_store(recipe, monkeypatch):
    if "ApprovalOperator" in recipe and (why_not := why_nobody_can_be_asked()):
        assert recipe.startswith("# Airflow 3.1, apache-airflow-providers-standard 1.13")
        pytest.skip(why_not)
    made: list[DAG] = []
    enter = DAG.__enter__
    monkeypatch.setattr(DAG, "__enter__", lambda self: made.append(self) or enter(self))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        exec(compile(recipe, "docs/recipes.md", "exec", dont_inherit=True), {"__name__": "a_recipe"})
        (dag,) = made
        stored = serialized(dag)["dag"]
    assert len(stored["tasks"]) == len(dag.tasks) >= 1


def serialized(dag: DAG) -> dict:
    try:
        from airflow.serialization.serialized_objects import DagSerialization as serialization
    except ImportError:
        from airflow.serialization.serialized_objects import SerializedDAG as serialization
    return serialization.to_dict(dag)


def test_every_example_that_the_recipes_name_is_there():
    named = set(re.findall(r"`(dags/\w+\.py)`", TEXT))
    assert len(named) >= 4
    for path in named:
        assert (Path(__file__).parents[3] / path).is_file(), path
