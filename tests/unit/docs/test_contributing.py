"""What contributors are told is what the project does: hooks, workflow, and the links of the pages at its root."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

yaml = pytest.importorskip("yaml", reason="pyyaml is in the dependency group dev")

ROOT = Path(__file__).parents[3]
SOURCES = re.findall(r"^SOURCES = \$\(wildcard (.+)\)$", (ROOT / "Makefile").read_text(), re.MULTILINE)[
    0
].split()
AT_THE_ROOT = ("CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md")


def read(path: str) -> str:
    return (ROOT / path).read_text(encoding="utf-8")


def commands_of(target: str) -> list[str]:
    """Return the commands of a target of the Makefile."""
    (recipe,) = re.findall(rf"^{target}:\n((?:\t.*\n)+)", read("Makefile"), re.MULTILINE)
    return [line.strip() for line in recipe.splitlines() if "$(call" not in line]


def test_the_hooks_of_pre_commit_are_the_commands_of_make_lint():
    hooks = [
        hook["entry"]
        for repo in yaml.safe_load(read(".pre-commit-config.yaml"))["repos"]
        for hook in repo["hooks"]
    ]
    assert hooks == [command.removesuffix(" $(SOURCES)") for command in commands_of("lint")]


def test_the_workflow_runs_the_gate_and_nothing_else():
    (job,) = yaml.safe_load(read(".github/workflows/ci.yml"))["jobs"].values()
    checkout, *steps = job["steps"]
    assert checkout["uses"].startswith("actions/checkout@")
    assert steps == [{"run": "bash .ci/run"}]


def test_the_forms_for_issues_can_be_read():
    files = sorted((ROOT / ".github" / "ISSUE_TEMPLATE").glob("*.yml"))
    forms = [yaml.safe_load(file.read_text()) for file in files if file.name != "config.yml"]
    assert len(forms) == 3
    for form in forms:
        assert {"name", "description", "body"} <= form.keys()
        ids = [part["id"] for part in form["body"] if part["type"] != "markdown"]
        assert len(ids) == len(set(ids)) > 0


def test_whatever_lint_is_told_to_leave_out_has_its_reason():
    rooms = [room.name for room in ROOT.iterdir() if room.name in SOURCES]
    assert len(rooms) == len(SOURCES)
    lines = [
        f"{file.relative_to(ROOT)}: {line.strip()}"
        for room in rooms
        for file in (ROOT / room).rglob("*.py")
        for line in file.read_text(encoding="utf-8").splitlines()
        if re.search(r"# noqa: [A-Z]", line) and not re.search(r"# noqa: [A-Z0-9, ]+ - \w", line)
    ]
    assert lines == []


@pytest.mark.parametrize("page", AT_THE_ROOT)
def test_a_page_at_the_root_leads_somewhere(page):
    for link in re.findall(r"\]\(([^)]+)\)", read(page)):
        if not link.startswith("https://"):
            assert (ROOT / link.partition("#")[0]).exists(), link


@pytest.mark.parametrize("page", AT_THE_ROOT)
def test_a_target_of_make_that_a_page_names_exists(page):
    targets = set(re.findall(r"^([a-z-]+)(?: [a-z-]+)*:", read("Makefile"), re.MULTILINE)) | {
        "test-lowest",
        "test-canary",
    }
    assert set(re.findall(r"`make ([a-z-]+)", read(page))) <= targets
