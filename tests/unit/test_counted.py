"""Counts agree with their nouns, in the helper and wherever a message counts."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from airflow_provider_nrfprov.counted import counted

PACKAGE = Path(__file__).parents[2] / "airflow_provider_nrfprov"


@pytest.mark.parametrize(
    ("number", "words"),
    [(0, "0 rows"), (1, "1 row"), (2, "2 rows"), (2500, "2,500 rows"), (1000000, "1,000,000 rows")],
)
def test_a_noun_agrees_with_its_number(number, words):
    assert counted(number, "row") == words


def test_a_verb_agrees_too():
    assert counted(1, "row was", "rows were") == "1 row was"
    assert counted(21, "row was", "rows were") == "21 rows were"


def test_no_message_leaves_the_plural_to_the_reader():
    left = [
        f"{file.relative_to(PACKAGE)}: {line.strip()}"
        for file in PACKAGE.rglob("*.py")
        for line in file.read_text().splitlines()
        if re.search(r"\b(row|device|operation|request|line|file|column|job|poll)\(s\)", line)
    ]
    assert left == []
