"""What of a summary reaches the page, whatever was pushed under that name."""

from __future__ import annotations

import json

import pytest

from airflow_provider_nrfprov.plugins.device_claims.summaries import tidy

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
