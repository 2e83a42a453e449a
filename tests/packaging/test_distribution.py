"""Wheel and sdist as they would be published: checked, installed into a clean environment, listed by Airflow's own CLI."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
from importlib.util import find_spec
from pathlib import Path
from zipfile import ZipFile

import airflow
import pytest

from airflow_provider_nrfprov.get_provider_info import get_provider_info
from harness.environment import TESTED, recipe_of
from tests.integration.docs_blocks import BLOCKS

ROOT = Path(__file__).parents[2]
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not (find_spec("build") and find_spec("twine")),
        reason="build and twine are in the dependency group dev",
    ),
]


def run(*command: object, **environment: str) -> str:
    done = subprocess.run(
        [str(word) for word in command],
        env=os.environ | environment,
        cwd=environment.get("AIRFLOW_HOME"),
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    return done.stdout


@pytest.fixture(scope="module")
def built(tmp_path_factory) -> dict[str, Path]:
    """Build from what git would give; return wheel and sdist."""
    folder = tmp_path_factory.mktemp("dist")
    run(sys.executable, "-m", "build", "--outdir", folder, ROOT)
    (wheel,), (sdist,) = folder.glob("*.whl"), folder.glob("*.tar.gz")
    return {"wheel": wheel, "sdist": sdist}


def test_both_pass_the_check_of_the_package_index(built):
    checked = run(sys.executable, "-m", "twine", "check", "--strict", *built.values())
    assert checked.count("PASSED") == 2


def test_the_wheel_has_the_examples_and_nothing_but_the_package(built):
    names = ZipFile(built["wheel"]).namelist()
    tops = {name.split("/")[0] for name in names}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"airflow_provider_nrfprov"}
    examples = {Path(name).name for name in names if "/example_dags/" in name}
    assert examples == {file.name for file in (ROOT / "dags").glob("*.py")}
    assert "airflow_provider_nrfprov/py.typed" in names
    page = Path("airflow_provider_nrfprov/plugins/device_claims/static")
    assert {name for name in names if Path(name).parent == page} == {
        str(page / file.name) for file in (ROOT / page).iterdir()
    }
    assert {f"{page}/index.html", f"{page}/main.js", f"{page}/page.css"} <= set(names)


def test_the_page_on_a_package_index_has_no_link_that_leads_nowhere(built):
    wheel = ZipFile(built["wheel"])
    (name,) = [each for each in wheel.namelist() if each.endswith(".dist-info/METADATA")]
    metadata = wheel.read(name).decode()
    urls = dict(re.findall(r"^Project-URL: (\w+), (\S+)$", metadata, re.MULTILINE))
    assert set(urls) == {"Documentation", "Source", "Changelog", "Issues"}
    links = re.findall(r"\]\(([^)]+)\)", metadata)
    assert len(links) > 8
    for link in links:
        assert link.startswith(urls["Source"]), link
        path = re.sub(r"^/(blob|tree)/main/", "", link.removeprefix(urls["Source"]))
        assert (ROOT / path.split("#")[0]).exists(), link
    assert set(re.findall(r"^Provides-Extra: (\w+)$", metadata, re.MULTILINE)) == {
        "emulator",
        "s3",
        "gcs",
        "sftp",
    }


def test_the_sdist_builds_the_same_wheel(built, tmp_path):
    with tarfile.open(built["sdist"]) as archive:
        archive.extractall(tmp_path, filter="data")
    (source,) = tmp_path.iterdir()
    run(sys.executable, "-m", "build", "--wheel", "--outdir", tmp_path / "again", source)
    (again,) = (tmp_path / "again").glob("*.whl")
    assert ZipFile(again).namelist() == ZipFile(built["wheel"]).namelist()


@pytest.fixture(scope="module")
def clean(built, tmp_path_factory) -> dict[str, str]:
    """Install the wheel, and Airflow, where nothing else is; return the variables of a process there."""
    version = airflow.__version__
    if version not in TESTED:
        pytest.skip(f"there are no constraints of its own for Airflow {version}")
    home = tmp_path_factory.mktemp("home")
    run(sys.executable, "-m", "venv", home / "venv")
    constraints = ROOT / str(recipe_of(version).constraints)
    pip = (home / "venv" / "bin" / "python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check")
    run(*pip, "-c", constraints, built["wheel"], f"apache-airflow=={version}")
    variables = {
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "True",
        "AIRFLOW__CORE__DAGS_FOLDER": str(home / "none"),
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{home / 'airflow.db'}",
        "PYTHONPATH": "",
        "PYTHONWARNINGS": "ignore",
    }
    yield {"bin": str(home / "venv" / "bin"), **variables}
    shutil.rmtree(home / "venv")


def cli(clean: dict[str, str], *words: str) -> str:
    variables = {name: value for name, value in clean.items() if name != "bin"}
    return run(Path(clean["bin"]) / "airflow", *words, **variables)


def test_airflow_lists_the_provider_and_all_that_it_brings(clean):
    package = "airflow-provider-nrfprov"
    providers = json.loads(cli(clean, "providers", "list", "--output", "json"))
    assert package in [each["package_name"] for each in providers]
    hooks = json.loads(cli(clean, "providers", "hooks", "--output", "json"))
    assert [each["package_name"] for each in hooks if each["connection_type"] == "nrfprov"] == [package]
    info = get_provider_info()
    declared = {
        "triggers": [module for each in info["triggers"] for module in each["python-modules"]],
        "extra-links": info["extra-links"],
    }
    assert len(declared["triggers"]) == 3
    triggers = cli(clean, "providers", "triggers", "--output", "json")
    links = cli(clean, "providers", "links", "--output", "json")
    plugins = cli(clean, "plugins", "--output", "json")
    for listed, names in {
        triggers: declared["triggers"],
        links: declared["extra-links"],
        plugins: ("nrfprov",),
    }.items():
        assert [name for name in names if name not in listed] == []


def test_an_example_is_copied_as_the_page_says(clean, tmp_path):
    block = BLOCKS["example-dags, Copy one"].text
    path = f"{clean['bin']}{os.pathsep}{os.environ['PATH']}"
    listed = run("bash", "-euc", block, AIRFLOW_HOME=str(tmp_path), PATH=path, PYTHONPATH="")
    assert set(listed.split()) >= {file.name for file in (ROOT / "dags").glob("*.py")}
    assert (tmp_path / "dags" / "nrfprov_claim_from_csv.py").is_file()


def test_airflow_takes_the_examples_of_the_package(clean):
    python = Path(clean["bin"]) / "python"
    code = (
        "import importlib.util, pathlib, runpy;"
        "spec = importlib.util.find_spec('airflow_provider_nrfprov');"
        "files = sorted(pathlib.Path(spec.origin).parent.joinpath('example_dags').glob('*.py'));"
        "print([file.stem for file in files if runpy.run_path(str(file)).get('dag') or file.stem.endswith('approval')])"
    )
    variables = {name: value for name, value in clean.items() if name != "bin"}
    taken = run(python, "-c", code, **variables)
    assert [file.stem for file in sorted((ROOT / "dags").glob("*.py"))] == eval(taken.splitlines()[-1])
