"""What a task pushed, whatever keeps the values of XComs."""

from __future__ import annotations

import pytest
from airflow.providers.common.compat import sdk

from airflow_provider_nrfprov.plugins.device_claims.summaries import plain
from airflow_provider_nrfprov.version_compat import AIRFLOW_V_3_1_7_PLUS

pytestmark = pytest.mark.skipif(not AIRFLOW_V_3_1_7_PLUS, reason="there is no page before Airflow 3.1.7")


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
def test_it_is_what_the_database_has(stored, pushed):
    assert plain(stored) == pushed


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
