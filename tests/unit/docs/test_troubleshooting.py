"""docs/troubleshooting.md goes by sentences that the code says: each that it names is there, word for word."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "troubleshooting.md").read_text(encoding="utf-8")
NOT_OURS = {
    "Bad Request",
    "The conn_id",
    "No filesystem registered",
    "the executor reported",
    "a task stays",
    "no link",
    "outcome `unknown`",
}
"""Airflow's sentences, and what is seen rather than read."""


def sentences() -> list[str]:
    first_cells = [line.split("|")[1].strip() for line in PAGE.splitlines() if line.startswith("| ")]
    return [
        cell
        for cell in first_cells
        if cell not in {"you see", "---"} and not cell.startswith(tuple(NOT_OURS))
    ]


@cache
def said_by_the_code() -> str:
    """Return all texts of the package, with a gap where a value is put in."""
    texts = []
    for file in (ROOT / "airflow_provider_nrfprov").rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.JoinedStr):
                texts.append(
                    "".join(part.value if isinstance(part, ast.Constant) else "\0" for part in node.values)
                )
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                texts.append(node.value)
    return "\n".join(texts)


@pytest.mark.parametrize("sentence", sentences())
def test_a_sentence_that_the_page_names_is_one_that_the_code_says(sentence):
    # What is in italics differs; … and remarks in round brackets at the end are the page's own.
    sentence = re.sub(r" \(`?\w+`?\)$", "", sentence)
    parts = [part.strip(" *'`,") for part in re.split(r"\*[^*]+\*|…|\b\d+\b|:", sentence)]
    told = [part for part in parts if len(part) > 8]
    assert told
    code = said_by_the_code()
    for part in told:
        assert part in code, part
