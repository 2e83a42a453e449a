"""What of a summary reaches the page, whatever was pushed under that name, and whatever keeps the values of XComs."""

from __future__ import annotations

import json

import pytest
from airflow.providers.common.compat import sdk

from airflow_provider_nrfprov.plugins.device_claims.summaries import plain, tidy
from airflow_provider_nrfprov.version_compat import AIRFLOW_V_3_1_7_PLUS

of_the_page = pytest.mark.skipif(not AIRFLOW_V_3_1_7_PLUS, reason="there is no page before Airflow 3.1.7")
REASON = {"outcome": "failed", "reason": "another team has it", "count": 2}


def test_a_summary_of_a_claim_stays_as_it_is():
    said = {
        "claim_file": "s3://factory@claims/shift.csv",
        "service": ["https://api.provisioning.nrfcloud.com/v1"],
        "rows": 3,
        "claimed": 1,
        "failed": 2,
        "unknown": 0,
        "reasons": [REASON],
    }
    assert tidy(said) == said


def test_what_is_of_another_kind_is_left_out():
    said = {"rows": "3", "claimed": -1, "failed": 1.5, "unknown": True, "rejected": 10**30, "repeated": None}
    assert tidy({**said, "already_claimed": 2, "claim_file": {"a": 1}, 7: "x"}) == {"already_claimed": 2}


@pytest.mark.parametrize("reasons", [None, 7, "text", {"a": 1}, [None, 1, "x", [], {}]])
def test_reasons_that_are_none_are_no_reasons(reasons):
    assert tidy({"rows": 1, "reasons": reasons}) == {"rows": 1, "reasons": []}


@pytest.mark.parametrize(
    "wrong", [{"count": "2"}, {"count": -1}, {"outcome": 7}, {"reason": None}, {"reason": ["a"]}], ids=str
)
def test_a_reason_that_is_none_costs_no_other_its_place(wrong):
    assert tidy({"reasons": [{**REASON, **wrong}, REASON]}) == {"reasons": [REASON]}


def test_however_much_is_pushed_little_is_kept():
    text = "x" * 1_000_000
    said = {
        "claim_file": text,
        "service": [text] * 1000,
        "reasons": [{**REASON, "reason": text}] * 10,
        **{f"more {number}": 1 for number in range(100_000)},
    }
    kept = tidy(said)
    assert len(json.dumps(kept)) < 1_000_000
    # The page asks for a reason's rows by its words, and may ask for no longer ones.
    assert {len(each["reason"]) for each in kept["reasons"]} == {500}


@of_the_page
@pytest.mark.parametrize(
    ("stored", "pushed"),
    [
        ('"s3://bucket/report.csv"', "s3://bucket/report.csv"),
        ("s3://bucket/report.csv", "s3://bucket/report.csv"),
        ('{"rows": 5}', {"rows": 5}),
        ({"rows": 5}, {"rows": 5}),
        (None, None),
        # Never an object of the class that it names.
        ('{"__classname__": "os.system", "__data__": "x"}', {"__classname__": "os.system", "__data__": "x"}),
    ],
)
def test_what_a_task_pushed_is_what_the_database_has(stored, pushed):
    assert plain(stored) == pushed


@of_the_page
def test_a_reference_of_an_xcom_backend_is_followed(tmp_path, monkeypatch):
    from airflow.providers.common.io.xcom import backend

    monkeypatch.setenv("AIRFLOW__COMMON_IO__XCOM_OBJECTSTORAGE_PATH", f"file://{tmp_path}")
    monkeypatch.setenv("AIRFLOW__COMMON_IO__XCOM_OBJECTSTORAGE_THRESHOLD", "0")
    monkeypatch.setattr(sdk, "XCom", backend.XComObjectStorageBackend, raising=False)
    for cached in ("_get_base_path", "_get_threshold", "_get_compression", "_get_compression_suffix"):
        clear = getattr(getattr(backend, cached, None), "cache_clear", None)
        if clear:
            clear()
    value = {"rows": 5, "report": "s3://bucket/report.csv"}
    reference = backend.XComObjectStorageBackend.serialize_value(
        value, key="summary", task_id="claim", dag_id="d", run_id="r"
    )
    assert "rows" not in str(reference)
    assert plain(reference) == value
    assert plain("/etc/hostname") == "/etc/hostname"
