"""Which report is shown as a task's: what the summary beside it says."""

from __future__ import annotations

import json

import pytest

from airflow_provider_nrfprov.plugins.device_claims import reports
from airflow_provider_nrfprov.plugins.device_claims.reports import NoReportError
from tests.unit.device_claims.conftest import OWNER


@pytest.mark.parametrize(
    "summary",
    ["", "{", "[1]", "null", '"text"', "[" * 200_000, '{"a":' * 150_000, "\x00", "\udcff"],
    ids=["empty", "cut short", "list", "null", "text", "deep list", "deep object", "control", "not UTF-8"],
)
def test_a_summary_that_is_none_is_an_error_in_words(write, tmp_path, summary):
    report = write("2,a,claimed,,,,,")
    (tmp_path / "summary.json").write_bytes(summary.encode("utf-8", "surrogateescape"))
    with pytest.raises(NoReportError, match="does not say that the report is this task's"):
        reports.find(report.path, OWNER)


def test_a_summary_of_many_megabytes_is_not_read(write, tmp_path):
    report = write("2,a,claimed,,,,,")
    (tmp_path / "summary.json").write_text(json.dumps({**OWNER, "more": "x" * (2 << 20)}))
    with pytest.raises(NoReportError, match="more than the 1,048,576 that can be shown here"):
        reports.find(report.path, OWNER)
