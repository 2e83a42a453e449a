"""The example DAG that compares an ERP export with the claimed devices, run against the emulator."""

from __future__ import annotations

import csv
import uuid
from pathlib import Path

import pytest

from airflow_provider_nrfprov.claiming.token import decode
from airflow_provider_nrfprov.hooks.nrfprov import NrfProvHook
from tests.integration.dag_runs import run_example

# dag.test() runs Airflow's own code, whose warnings are not ours to mend.
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]


@pytest.fixture
def run(load_dag, nrfcloud, tmp_path):
    """Run the DAG over an export; return the states of its tasks and the differences."""

    def run_once(export: str | bytes, **conf) -> tuple[dict[str, str], dict[str, str]]:
        path = tmp_path / "shipped.csv"
        path.write_bytes(export.encode() if isinstance(export, str) else export)
        defaults = {
            "expected_file": str(path),
            "report_dir": str(tmp_path / "out"),
            "id_column": "device_id",
            "tag": None,
            "fail_on_difference": False,
        }
        _, states = run_example(load_dag("nrfprov_reconcile"), {**defaults, **conf})
        return states, differences_in(tmp_path / "out")

    return run_once


def differences_in(folder: Path) -> dict[str, str]:
    newest = max(folder.glob("*/differences.csv"), key=lambda file: file.stat().st_mtime_ns, default=None)
    if newest is None:
        return {}
    with newest.open(newline="") as stream:
        return {row["device_id"]: row["difference"] for row in csv.DictReader(stream)}


def test_each_difference_is_written_down_and_fails_the_run_only_if_that_is_wanted(run, tokens):
    for token in tokens[:3]:
        NrfProvHook().claim_device(token)
    ours = [decode(token).device_id for token in tokens]
    missing = str(uuid.uuid4())
    export = f"order,device_id\n1,{ours[0].upper()}\n2,{ours[1]}\n3,{missing}\n4,unknown\n"
    states, differences = run(export)
    assert set(states.values()) == {"success"}
    assert differences == {"unknown": "not_a_device_id", missing: "not_claimed", ours[2]: "not_expected"}
    states, _ = run(export, fail_on_difference=True)
    assert states == {"list_devices": "success", "compare": "success", "judge": "failed"}


def test_an_export_of_another_make_that_agrees_passes(run, tokens):
    hook = NrfProvHook()
    hook.claim_device(tokens[0], ["line=1"])
    hook.claim_device(tokens[1], ["line=2"])
    export = f"\ufeffno;uuid\r\n1;{decode(tokens[0]).device_id}\r\n"
    states, differences = run(export, id_column="uuid", tag="line=1", fail_on_difference=True)
    assert set(states.values()) == {"success"}
    assert differences == {}


@pytest.mark.parametrize("export", ["", "device_id\n", "uuid\nx\n"])
def test_a_broken_export_is_an_error_and_no_difference(run, tokens, export):
    NrfProvHook().claim_device(tokens[0])
    states, differences = run(export)
    assert (states["list_devices"], differences) == ("success", {})
    assert states["compare"] != "success"
    assert states["judge"] == "upstream_failed"
