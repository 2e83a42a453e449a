"""Whoever starts from the wrong Python, or the wrong place, is told so in one sentence."""

from __future__ import annotations

import ast
import re
import sys
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

from harness import environment
from harness.environment import MEMFAULT, NORDIC, TESTED, Problem, check_python, install, recipe_of

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib  # pytest brings it

ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize(
    ("version", "airflow", "sentence"),
    [
        (
            (3, 9),
            "3.3.2",
            "Python 3.9 is too old for Airflow 3.3.2, which takes 3.10 to 3.14; "
            "choose another with PYTHON=, for example make PYTHON=python3.10.",
        ),
        (
            (3, 13),
            "2.11.2",
            "Python 3.13 is too new for Airflow 2.11.2, which takes 3.10 to 3.12; "
            "choose another with PYTHON=, for example make PYTHON=python3.10.",
        ),
    ],
)
def test_a_python_that_will_not_do_is_named_with_what_to_do(version, airflow, sentence):
    with pytest.raises(Problem) as problem:
        check_python(version, airflow)
    assert str(problem.value) == sentence


@pytest.mark.parametrize(
    ("version", "airflow"), [((3, 10), "3.3.2"), ((3, 14), "3.3.2"), ((3, 12), "2.11.2")]
)
def test_a_python_that_will_do_is_taken(version, airflow):
    check_python(version, airflow)


def test_an_airflow_without_constraints_is_refused():
    with pytest.raises(
        Problem,
        match=re.escape("Airflow 3.1.0 is none of those tested here: 2.11.2, 3.0.6, 3.1.8, 3.2.2, 3.3.2."),
    ):
        recipe_of("3.1.0")


@pytest.mark.parametrize("name", [*TESTED, "2.11.0", NORDIC, MEMFAULT])
def test_constraints_hold_names_and_versions_only(name):
    lines = (ROOT / recipe_of(name).constraints).read_text().splitlines()
    pins = [Requirement(line) for line in lines if not line.startswith("#")]
    assert len(pins) > (15 if name == MEMFAULT else 20)
    for pin in pins:
        (version,) = pin.specifier
        assert (version.operator, pin.url, pin.extras) == ("==", None, set()), pin
    if name not in {NORDIC, MEMFAULT}:
        assert f"apache-airflow=={name}" in lines


def test_the_lowest_versions_are_those_of_pyproject():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    named = project["project"]["dependencies"] + project["project"]["optional-dependencies"]["emulator"]
    lowest = {
        pin.name: next(iter(pin.specifier)).version
        for pin in map(
            Requirement, re.findall("^[^#].*", (ROOT / recipe_of("2.11.0").constraints).read_text(), re.M)
        )
    }
    differing = {}
    for wanted in map(Requirement, named):
        (bound,) = [each.version for each in wanted.specifier if each.operator == ">="]
        if Version(lowest[wanted.name]) != Version(bound):
            differing[wanted.name] = (bound, lowest[wanted.name])
    assert differing == {}


def test_a_python_too_old_can_at_least_parse_the_check():
    source = Path(environment.__file__).read_text(encoding="utf-8")
    ast.parse(source, feature_version=(3, 7))
    # The future import, which every other module has, is a SyntaxError before 3.7.
    assert "from __future__" not in source


def test_an_environment_of_somebody_else_is_left_alone(tmp_path):
    (tmp_path / "pyvenv.cfg").write_text("home = elsewhere\n")
    with pytest.raises(Problem, match="was not made by this Makefile"):
        install("3.3.2", tmp_path)
    assert (tmp_path / "pyvenv.cfg").exists()


def test_the_last_lines_of_a_command_that_fails_are_shown():
    lines = "print('WARNING: of no use'); print('no such package'); raise SystemExit(3)"
    with pytest.raises(Problem) as problem:
        environment._run([sys.executable, "-c", lines], "pip could not install everything")
    assert str(problem.value) == (
        "pip could not install everything (exit code 3); its last lines:\n  no such package"
    )


def test_a_half_made_environment_is_not_taken_for_complete(tmp_path, monkeypatch):
    venv = tmp_path / "venv"
    installed = []
    monkeypatch.setattr(environment, "_pip_install", lambda recipe, venv: installed.append(recipe.contents))
    monkeypatch.setattr(environment, "_run", lambda command, failure: None)
    install("3.3.2", venv)
    install("3.3.2", venv)
    assert installed == ["Airflow 3.3.2"], "a complete one is taken as it is"

    def interrupted(recipe, venv):
        raise environment.Interrupted(2)

    monkeypatch.setattr(environment, "_digest", lambda *_: "of other constraints")
    monkeypatch.setattr(environment, "_pip_install", interrupted)
    with pytest.raises(environment.Interrupted):
        install("3.3.2", venv)
    monkeypatch.setattr(environment, "_pip_install", lambda recipe, venv: installed.append(recipe.contents))
    install("3.3.2", venv)
    assert installed == ["Airflow 3.3.2", "Airflow 3.3.2"]
