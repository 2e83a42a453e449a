"""docs/capabilities.md names tests, hook methods and operators that exist, and leaves none of them out."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from airflow_provider_nrfprov.api.service import ProvisioningService
from tests.unit.airflow.every_argument import operators_and_sensors

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "capabilities.md").read_text(encoding="utf-8")
NOT_ONE_CALL = {"get_conn", "find_on_lists", "urls", "now", "learn_time"}
"""The client and what it knows, and a part of ``find_claimed_devices`` that is for the claims of a file."""


def rows(heading: str) -> list[list[str]]:
    """Return the cells of the rows of the first table that begins so."""
    lines = PAGE[PAGE.index(heading) :].splitlines()[2:]
    table = lines[: lines.index("")] if "" in lines else lines
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in table]


WHAT = rows("| capability | hook |")
PROOF = rows("| capability | tests |")
TESTS = sorted({each for _, cell in PROOF for each in re.findall(r"`([^`]+)`", cell)})


def functions(file: Path) -> set[str]:
    return {each.name for each in ast.parse(file.read_text(encoding="utf-8")).body if hasattr(each, "name")}


def test_every_capability_is_described_and_proven():
    assert [row[0] for row in WHAT] == [row[0] for row in PROOF]
    assert all(len(row) == 5 and all(row) for row in WHAT)
    assert all(re.search(r"`tests/[^`]+::test_", proof) for _, proof in PROOF)


@pytest.mark.parametrize("node", TESTS)
def test_a_test_that_is_named_exists(node):
    file, _, name = node.partition("::")
    assert name in functions(ROOT / file)


def test_every_call_of_the_hook_is_named_and_no_other():
    calls = {name for name in vars(ProvisioningService) if not name.startswith("_")} - NOT_ONE_CALL
    named = {name for row in WHAT for name in re.findall(r"`(\w+)`", row[1])}
    assert named == calls


def test_every_operator_and_sensor_is_named_and_no_other():
    named = {name for row in WHAT for name in re.findall(r"`(NrfProv\w+)`", row[2])}
    assert named == set(operators_and_sensors())
