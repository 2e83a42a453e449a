"""The examples of docs/operators.md for the operators over many devices: each makes a DAG that Airflow takes."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from airflow.providers.common.compat.sdk import DAG

DOCS = (Path(__file__).parents[3] / "docs" / "operators.md").read_text()
SECTION = DOCS[DOCS.index("## Many devices in one task") :]
EXAMPLES = re.findall(r"^### [^`\n]*`(\w+)`.*?```python\n(.*?)```", SECTION, re.DOTALL | re.MULTILINE)


def test_each_section_has_an_example():
    assert [name for name, _ in EXAMPLES] == [
        "NrfProvTagDevicesOperator",
        "NrfProvBlockDevicesOperator",
        "NrfProvUnclaimDevicesOperator",
    ]


@pytest.mark.parametrize(("name", "example"), EXAMPLES, ids=[name for name, _ in EXAMPLES])
def test_an_example_makes_tasks(name, example):
    with DAG("docs", schedule=None, params={"device_ids": []}) as dag:
        exec(example, {})
    assert name in {type(task).__name__ for task in dag.tasks}
