"""The demo may only say that everything agrees if it does."""

from __future__ import annotations

import io

import pytest

from airflow_provider_nrfprov.claiming.claim_file import read_rows
from demo.agreement import differences
from demo.claim_file import DemoFile, make_claim_file

OURS, THEIRS = "our-team", "their-team"


@pytest.fixture(scope="module")
def claim_file() -> DemoFile:
    return make_claim_file(30, seed="agreement")


@pytest.fixture
def report(claim_file):
    """The report of a run in which everything went as it should."""
    return [
        {
            "line": str(row.line),
            "device_id": row.device_id,
            "outcome": row.outcome,
            "status": row.status,
            "message": "the service's message",
        }
        for row in claim_file.expected
    ]


@pytest.fixture
def devices(claim_file):
    """The emulator's list after such a run."""
    return [
        {
            "id": row.device_id,
            "team": THEIRS if row.outcome == "failed" else OURS,
            "tags": sorted(row.tags),
            "claimCount": 1,
        }
        for row in claim_file.expected
        if row.outcome in {"claimed", "already_claimed", "failed"}
    ]


@pytest.fixture
def compare(claim_file, report, devices):
    return lambda: differences(claim_file.expected, report, devices, OURS)


def row_of(report, outcome):
    return next(row for row in report if row["outcome"] == outcome)


def test_everything_agrees(compare):
    assert compare() == []


def test_a_row_that_the_report_lost_is_found(compare, report):
    lost = report.pop(0)
    found = compare()
    assert f"line {lost['line']} (a good row) is not in the report" in found
    # And its device is ours, though the report does not say so.
    assert f"device {lost['device_id']} is ours in the service, but not in the report" in found


def test_a_row_that_the_report_has_twice_is_found(compare, report):
    report.append(report[3])
    assert compare() == [f"line {report[3]['line']} is in the report twice"]


def test_a_row_that_the_file_does_not_have_is_found(compare, report):
    report.append({"line": "99", "device_id": "", "outcome": "rejected", "status": "", "message": ""})
    assert compare() == ["line 99 is in the report, but it is no row of the claim file"]


def test_a_wrong_outcome_is_found(compare, report):
    row = row_of(report, "failed")
    row["outcome"] = "unknown"
    assert compare() == [
        f"line {row['line']} (another team's device) is reported as unknown instead of failed: the service's message"
    ]


def test_a_row_that_is_rejected_for_another_reason_is_found(compare, report):
    row = next(row for row in report if row["status"] == "tag_too_long")
    row["status"] = "malformed_token"
    assert compare() == [
        f"line {row['line']} (a tag too long) is rejected for malformed_token instead of tag_too_long"
    ]


def test_a_row_reported_of_another_device_is_found(compare, report):
    row = row_of(report, "failed")
    right, row["device_id"] = row["device_id"], "another"
    assert compare() == [
        f"line {row['line']} (another team's device) is reported of device another instead of {right}"
    ]


def test_a_device_that_only_the_report_calls_ours_is_found(compare, devices):
    lost = devices.pop(5)
    assert compare() == [f"device {lost['id']} should be ours, but the service does not list it"]


def test_a_device_that_only_the_service_calls_ours_is_found(compare, devices):
    devices.append({"id": "one-too-many", "team": OURS, "tags": [], "claimCount": 1})
    assert compare() == ["device one-too-many is ours in the service, but not in the report"]


def test_a_device_of_the_other_team_is_not_missed_in_the_report(compare, devices):
    devices.append({"id": "somebody's", "team": THEIRS, "tags": [], "claimCount": 1})
    assert compare() == []


def test_a_device_that_was_claimed_twice_is_found(compare, devices):
    devices[4]["claimCount"] = 2
    assert compare() == [f"device {devices[4]['id']} was claimed 2 times"]


def test_missing_and_surplus_tags_are_found(compare, devices):
    devices[1]["tags"], devices[2]["tags"] = [], ["line=demo", "surplus"]
    assert compare() == [
        f"device {devices[1]['id']} has the tags (none) instead of line=demo",
        f"device {devices[2]['id']} has the tags line=demo, surplus instead of line=demo",
    ]


def test_no_report_at_all_is_found_row_by_row(compare, report, claim_file):
    report.clear()
    assert len(compare()) >= len(claim_file.expected)


@pytest.mark.parametrize("rows", [1, 2, 7, 300])
def test_the_claim_file_holds_what_is_expected_of_it(rows):
    claim_file = make_claim_file(rows, seed="reader")
    read = list(read_rows(io.BytesIO(claim_file.text.encode()), "shift.csv"))
    assert [row.line for row in read] == [expected.line for expected in claim_file.expected]
    assert [row.verdict.value for row in read] == [
        expected.status or "ok" for expected in claim_file.expected
    ]
    assert claim_file.count("claimed") == rows
    assert claim_file.text.count("\n\n") == 1
