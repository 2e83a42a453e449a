"""What the event of an asset (on Airflow 2: of a dataset) says, and what is read from one."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest
from airflow.providers.common.compat.sdk import Asset, AssetAlias

from airflow_provider_nrfprov.asset_events import claim_files
from airflow_provider_nrfprov.operators.bulk_claim import NrfProvBulkClaimOperator


@pytest.fixture
def outlet_events():
    """Airflow's own accessors of the events of a task."""
    try:
        from airflow.sdk.execution_time.context import OutletEventAccessors
    except ImportError:  # Airflow 2
        from airflow.utils.context import OutletEventAccessors
    return OutletEventAccessors()


def claim(tmp_path, claim_file, context, **arguments) -> dict:
    operator = NrfProvBulkClaimOperator(
        task_id="claim", claim_file=str(claim_file), report_dir=str(tmp_path / "out"), **arguments
    )
    ti = SimpleNamespace(xcom_push=lambda key, value: None, map_index=-1)
    return operator.execute({"ti": ti, "run_id": "run", **context})


def test_each_outlet_asset_gets_counts_paths_and_ids(tmp_path, claim_file, nrfcloud, outlet_events):
    assets = [Asset("one"), Asset("two")]
    outlets = [*assets, AssetAlias("an alias"), "neither"]
    receipt = claim(
        tmp_path, claim_file, {"outlet_events": outlet_events}, outlets=outlets, rows_per_request=3
    )
    for asset in assets:
        extra = outlet_events[asset].extra
        ids = extra.pop("bulk_ops_request_ids")
        assert (len(ids), receipt["claimed"], len(extra.pop("job"))) == (2, 5, 16)
        assert extra == {
            **receipt,
            "claim_file": str(tmp_path / "shift.csv"),
            "report_dir": str(tmp_path / "out"),
        }


def test_an_event_names_the_list_of_many_operations_and_no_token(
    tmp_path, claim_file, nrfcloud, tokens, outlet_events, monkeypatch
):
    monkeypatch.setattr("airflow_provider_nrfprov.operators.claim_reporting.IDS_IN_XCOM", 2)
    asset = Asset("one")
    claim(tmp_path, claim_file, {"outlet_events": outlet_events}, outlets=[asset], rows_per_request=1)
    extra = outlet_events[asset].extra
    assert len(Path(extra["bulk_ops_request_ids"]).read_text().split()) == 5
    assert not any(token in str(extra) for token in tokens)


def test_a_task_without_events_or_outlets_runs_as_well(tmp_path, claim_file, nrfcloud, outlet_events):
    assert claim(tmp_path, claim_file, {}, outlets=[Asset("one")])["claimed"] == 5
    assert claim(tmp_path, claim_file, {"outlet_events": outlet_events})["claimed"] == 5
    assert len(outlet_events) == 0


def test_paths_come_from_events_of_a_watcher_and_of_people_each_once():
    extras = [
        {"from_trigger": True, "payload": {"claim_file": "/a/1.csv", "bytes": 3}},
        {"claim_file": "/a/2.csv"},
        {"from_trigger": True, "payload": {"claim_file": "/a/1.csv", "bytes": 3}},
        {"from_rest_api": True},
        {"from_trigger": True, "payload": True},
        {},
        None,
    ]
    events = {"asset": [SimpleNamespace(extra=extra) for extra in extras]}
    for key in ("triggering_asset_events", "triggering_dataset_events"):
        assert claim_files({key: events}) == ["/a/1.csv", "/a/2.csv"]
    assert claim_files({}) == []
