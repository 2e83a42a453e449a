"""What the example DAGs and the docs show is what there is to use: nothing internal."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
DAGS = sorted((ROOT / "dags").glob("*.py"))
PUBLIC = ("operators.", "sensors.", "triggers.", "hooks.nrfprov", "task_groups", "asset_events", "retries")
DOCUMENTED = (ROOT / "docs" / "operators.md").read_text() + (ROOT / "README.md").read_text()


@pytest.mark.parametrize("file", DAGS, ids=lambda file: file.stem)
def test_an_example_imports_only_what_is_documented(file):
    imports = [
        (node.module, name.name)
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("airflow_provider_nrfprov")
        for name in node.names
    ]
    assert imports
    for module, name in imports:
        assert module.removeprefix("airflow_provider_nrfprov.").startswith(PUBLIC), module
        assert name in DOCUMENTED, name
