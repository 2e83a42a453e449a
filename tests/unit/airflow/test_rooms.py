"""Who imports whom: arrows between the rooms of the package run one way, and none is there that nobody needs."""

from __future__ import annotations

import ast
from collections import defaultdict
from graphlib import TopologicalSorter
from pathlib import Path

import airflow_provider_nrfprov

PACKAGE = Path(airflow_provider_nrfprov.__file__).parent
ARROWS: dict[str, set[str]] = {
    "__main__": {"claiming"},
    "api": {"counted"},
    "arguments": {"api"},
    "asset_events": {"version_compat"},
    "claiming": {"api", "counted", "files", "ordered_map"},
    "emulator": {"claiming"},
    "exceptions": {"api"},
    "fleet": {"api", "claiming", "counted", "files", "ordered_map"},
    "hooks": {"api", "get_provider_info"},
    "links": {"api", "hooks", "version_compat"},
    "operators": {
        "api",
        "arguments",
        "asset_events",
        "claiming",
        "counted",
        "exceptions",
        "files",
        "fleet",
        "hooks",
        "links",
        "retries",
        "triggers",
        "version_compat",
    },
    "plugins": {"api", "claiming", "files", "fleet", "hooks", "version_compat"},
    "retries": {"api", "arguments", "claiming", "version_compat"},
    "sensors": {"api", "arguments", "exceptions", "hooks", "operators", "triggers"},
    "task_groups": {"arguments", "operators"},
    "triggers": {"api", "arguments", "counted", "exceptions", "files", "hooks"},
}


def modules() -> list[tuple[str, Path]]:
    """The name of every module within the package, and its file; a package has the name of its folder."""
    found = []
    for file in sorted(PACKAGE.rglob("*.py")):
        parts = file.relative_to(PACKAGE).with_suffix("").parts
        found.append((".".join(parts[:-1] if parts[-1] == "__init__" else parts), file))
    return found


def imported(file: Path) -> set[str]:
    """The modules of the package that a file imports anywhere in it."""
    names = {name for name, _ in modules()}
    found = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("airflow_provider_nrfprov"):
            module = (node.module or "").removeprefix("airflow_provider_nrfprov").removeprefix(".")
            inside = {f"{module}.{each.name}".removeprefix(".") for each in node.names}
            found |= (inside & names) or {module}
    return found - {""}


def room(module: str) -> str:
    return module.partition(".")[0]


def test_a_room_imports_just_the_rooms_that_it_is_said_to():
    arrows: dict[str, set[str]] = defaultdict(set)
    for name, file in modules():
        arrows[room(name)] |= {room(each) for each in imported(file)} - {room(name)}
    assert {name: needed for name, needed in arrows.items() if needed} == ARROWS


def test_arrows_between_rooms_make_no_circle():
    assert list(TopologicalSorter(ARROWS).static_order())


def test_arrows_between_modules_make_no_circle():
    assert list(TopologicalSorter({name: imported(file) - {name} for name, file in modules()}).static_order())
