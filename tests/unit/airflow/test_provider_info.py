from __future__ import annotations

import importlib
import json
import re
import subprocess
import sys
from importlib.metadata import distribution, entry_points
from importlib.resources import files
from pathlib import Path

import airflow
import jsonschema
import pytest

import airflow_provider_nrfprov
from airflow_provider_nrfprov import __version__
from airflow_provider_nrfprov.get_provider_info import get_provider_info

INFO = get_provider_info()


def schema(name: str) -> dict:
    return json.loads((files(airflow) / name).read_text())


def test_the_metadata_fits_airflows_schema_of_providers():
    jsonschema.validate(INFO, schema("provider_info.schema.json"))


@pytest.mark.skipif(
    airflow.__version__ < "3.2", reason="Airflow reads connection fields from metadata since 3.2"
)
def test_the_connection_form_fits_airflows_stricter_schema():
    connection_types = schema("provider.yaml.schema.json")["properties"]["connection-types"]
    jsonschema.validate(INFO["connection-types"], connection_types)


def test_the_package_name_is_that_of_the_distribution():
    # Airflow refuses to start at all if it is not.
    assert INFO["package-name"] == distribution("airflow-provider-nrfprov").metadata["Name"]
    assert distribution("airflow-provider-nrfprov").version == __version__


def test_the_entry_point_leads_here():
    (entry_point,) = [e for e in entry_points(group="apache_airflow_provider") if "nrfprov" in e.value]
    assert entry_point.load()() == INFO


def test_every_module_with_a_hook_an_operator_a_sensor_or_a_trigger_is_named():
    package = Path(airflow_provider_nrfprov.__file__).parent
    for kind in ("hooks", "operators", "sensors", "triggers"):
        holding = {
            f"airflow_provider_nrfprov.{kind}.{file.stem}"
            for file in (package / kind).glob("*.py")
            if re.search(r"^class NrfProv", file.read_text(), re.MULTILINE)
        }
        assert holding == {module for entry in INFO[kind] for module in entry["python-modules"]}


def test_the_hook_class_says_the_same_as_the_metadata():
    (connection_type,) = INFO["connection-types"]
    module, name = connection_type["hook-class-name"].rsplit(".", 1)
    hook = getattr(importlib.import_module(module), name)
    assert (hook.conn_type, hook.hook_name) == (
        connection_type["connection-type"],
        connection_type["hook-name"],
    )
    old, new = hook.get_ui_field_behaviour(), connection_type["ui-field-behaviour"]
    assert {key.replace("_", "-"): value for key, value in old.items()} == new


def printed_by(code: str) -> list[str]:
    command = [sys.executable, "-W", "ignore", "-c", code]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip().splitlines()


def test_reading_the_metadata_imports_nothing_heavy():
    code = (
        "import sys; import airflow_provider_nrfprov.get_provider_info;"
        "print([m for m in ('airflow', 'requests', 'pendulum', 'cbor2') if m in sys.modules])"
    )
    assert printed_by(code) == ["[]"]


def test_api_and_claiming_import_no_airflow():
    code = (
        "import sys, pkgutil, importlib\n"
        "import airflow_provider_nrfprov.api as api, airflow_provider_nrfprov.claiming as claiming\n"
        "for package in (api, claiming):\n"
        "    for module in pkgutil.iter_modules(package.__path__):\n"
        "        importlib.import_module(f'{package.__name__}.{module.name}')\n"
        "print([name for name in sys.modules if name == 'airflow' or name.startswith('airflow.')])"
    )
    assert printed_by(code) == ["[]"]


def test_operators_and_sensor_do_not_load_the_client_when_a_dag_is_parsed():
    code = (
        "import sys, importlib\n"
        "from airflow_provider_nrfprov.get_provider_info import get_provider_info as info\n"
        "for kind in ('operators', 'sensors'):\n"
        "    for module in info()[kind][0]['python-modules']:\n"
        "        importlib.import_module(module)\n"
        "print([m for m in sys.modules if m == 'cbor2' or m.startswith('airflow_provider_nrfprov.hooks.nrfprov')])"
    )
    assert printed_by(code)[-1] == "[]"


@pytest.mark.slow
@pytest.mark.parametrize("command", [["get", "airflow-provider-nrfprov"], ["hooks"], ["list"]])
def test_airflows_own_command_accepts_the_provider(command):
    result = subprocess.run(
        [sys.executable, "-m", "airflow", "providers", *command], capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr[-2000:]
    assert "nrf" in result.stdout.lower()
