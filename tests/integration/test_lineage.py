"""What OpenLineage is told of a claim, where its provider is installed."""

from __future__ import annotations

import importlib.util
import json
import sys
from types import SimpleNamespace

import pytest

from airflow_provider_nrfprov.operators.bulk_claim import (
    NrfProvBulkClaimOperator,
    NrfProvBulkClaimReportOperator,
)
from airflow_provider_nrfprov.operators.lineage import dataset_name


def is_installed(name: str) -> bool:
    try:
        return importlib.util.find_spec(name) is not None
    except ModuleNotFoundError:
        return False


needs_openlineage = pytest.mark.skipif(
    not is_installed("airflow.providers.openlineage"),
    reason="apache-airflow-providers-openlineage is not installed",
)


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/factory/claims/shift.csv", ("file", "/factory/claims/shift.csv")),
        ("/factory/10% #1?.csv", ("file", "/factory/10% #1?.csv")),
        ("file:///factory/shift.csv", ("file", "/factory/shift.csv")),
        ("s3://conn_id@bucket/claims/shift.csv", ("s3://bucket", "claims/shift.csv")),
        ("gs://bucket/shift.csv", ("gs://bucket", "shift.csv")),
    ],
)
def test_a_file_is_named_as_openlineage_names_files(path, expected):
    assert dataset_name(path) == expected


def test_parsing_and_running_need_no_openlineage(nrfcloud, tokens, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "airflow.providers.openlineage", None)
    assert claim(tokens, tmp_path)[1]["claimed"] == 5


def claim(tokens, tmp_path, **arguments):
    claim_file, report_dir = tmp_path / "shift.csv", str(tmp_path / "out")
    claim_file.write_text("\n".join([*tokens, "rubbish"]))
    operator = NrfProvBulkClaimOperator(
        task_id="claim", claim_file=str(claim_file), report_dir=report_dir, **arguments
    )
    ti = SimpleNamespace(xcom_push=lambda key, value: None, map_index=-1)
    return operator, operator.execute({"ti": ti, "run_id": "run"})


@needs_openlineage
def test_the_claim_file_is_read_and_the_report_is_written(nrfcloud, tokens, tmp_path):
    operator, _ = claim(tokens, tmp_path)
    assert as_told(operator) == {
        "inputs": [("file", str(tmp_path / "shift.csv"))],
        "outputs": [("file", str(tmp_path / "out" / "report.csv"), 6)],
    }
    report = NrfProvBulkClaimReportOperator(task_id="report", report_dir=str(tmp_path / "out"))
    ti = SimpleNamespace(xcom_push=lambda key, value: None, map_index=-1)
    report.execute({"ti": ti})
    assert as_told(report) == as_told(operator)


@needs_openlineage
def test_a_claim_that_has_no_report_yet_has_read_its_file(nrfcloud, tokens, tmp_path):
    operator, _ = claim(tokens, tmp_path, wait_for_completion=False)
    assert as_told(operator) == {"inputs": [("file", str(tmp_path / "shift.csv"))], "outputs": []}
    assert not any(token in repr(operator.get_openlineage_facets_on_complete(None)) for token in tokens)


def as_told(operator) -> dict[str, list]:
    """Return what the provider's own extractor makes of the operator."""
    from airflow.providers.openlineage.extractors.base import DefaultExtractor

    lineage = DefaultExtractor(operator).extract_on_complete(None)
    return {
        "inputs": [(each.namespace, each.name) for each in lineage.inputs],
        "outputs": [
            (each.namespace, each.name, each.outputFacets["outputStatistics"].rowCount)
            for each in lineage.outputs
        ],
    }


@pytest.mark.slow
@needs_openlineage
def test_the_event_that_is_sent_holds_both_files(load_dag, nrfcloud, tmp_path, claim_file, monkeypatch):
    """A whole run, with the provider's listener writing its events to a file."""
    from tests.integration.dag_runs import new_dag, run

    events = tmp_path / "events.jsonl"
    transport = {"type": "file", "log_file_path": str(events), "append": True}
    monkeypatch.setenv("AIRFLOW__OPENLINEAGE__TRANSPORT", json.dumps(transport))
    with new_dag() as dag:
        NrfProvBulkClaimOperator(
            task_id="claim", claim_file=str(claim_file), report_dir=str(tmp_path / "out")
        )
    assert run(dag)["claim"].state == "success"
    told = [json.loads(line) for line in events.read_text().splitlines()]
    (complete,) = [each for each in told if each["eventType"] == "COMPLETE" and each["inputs"]]
    assert complete["inputs"][0]["name"] == str(claim_file)
    assert complete["outputs"][0]["outputFacets"]["outputStatistics"]["rowCount"] == 5
