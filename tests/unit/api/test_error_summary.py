from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_nrfprov.api.error_summary import ErrorSummary, parse_error_summary


def test_reads_todays_format_with_rows_from_0():
    text = json.dumps({"errors": ["[0]: first is bad", "[3]: fourth is bad", "[3]: twice"]})
    assert parse_error_summary(text) == ErrorSummary({0: "first is bad", 3: "fourth is bad; twice"})


@pytest.mark.parametrize("quote", ['"', '\\"'])
def test_reads_the_old_format_with_rows_from_1(quote):
    rows = json.dumps({"bad token": [1, 4]}).replace('"', quote)
    told = f"2 errors, rows (1-based)]: {rows}."
    for text in (json.dumps(told), json.dumps({"message": told}), told):
        assert parse_error_summary(text) == ErrorSummary({0: "bad token", 3: "bad token"})


@pytest.mark.parametrize(
    ("text", "other"),
    [
        ("<html>gone</html>", "<html>gone</html>"),
        ('{"errors": "the file is too large"}', "the file is too large"),
        ('{"errors": [{"what": 1}]}', '{"what": 1}'),
        ('"rows (1-based)]: {broken"', "rows (1-based)]: {broken"),
    ],
)
def test_what_is_not_understood_is_kept_as_it_is(text, other):
    assert parse_error_summary(text) == ErrorSummary({}, (other,))


def test_tokens_in_a_summary_are_not_kept():
    summary = parse_error_summary('{"errors": ["[0]: 2dn3hQFQSWHIc0CMRc6xunwNm.0oRDoQ is bad"]}')
    assert summary.rows == {0: "<claim token> is bad"}


@given(st.text())
def test_any_text_is_a_summary(text):
    parse_error_summary(text)
