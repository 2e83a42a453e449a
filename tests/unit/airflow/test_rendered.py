from __future__ import annotations

from datetime import datetime, timezone

import pytest

from airflow_provider_nrfprov.rendered import condition, flag, listed, moment


@pytest.mark.parametrize(
    ("value", "items"),
    [
        (["a", "b"], ["a", "b"]),
        (("a",), ["a"]),
        ("['a', 'b,c']", ["a", "b,c"]),
        ("a, b", ["a", "b"]),
        ("a", ["a"]),
        (None, []),
        ("None", []),
        (" ", []),
        ("[]", []),
    ],
)
def test_a_list_is_read_in_whichever_form_a_template_gives_it(value, items):
    assert listed(value) == items


def test_what_only_begins_as_a_list_is_refused():
    with pytest.raises(ValueError, match="no list"):
        listed("[a, b")


@pytest.mark.parametrize(
    ("value", "said"),
    [(True, True), ("True", True), ("yes", True), ("1", True), (False, False), ("no", False), (None, False),
     ("None", False), ("", False)],
)  # fmt: skip
def test_yes_and_no_are_read_in_whichever_form_a_template_gives_them(value, said):
    assert flag(value) is said


@pytest.mark.parametrize("value", ["flase", "2", "on"])
def test_what_is_neither_yes_nor_no_is_refused(value):
    with pytest.raises(ValueError, match="neither true nor false"):
        flag(value)


def test_a_condition_that_rendered_to_nothing_is_refused_and_none_is_no_condition():
    assert condition("tag", " line=1 ") == "line=1"
    assert condition("tag", None) is None
    for nothing in ("", " ", "None"):
        with pytest.raises(ValueError, match="tag renders to nothing"):
            condition("tag", nothing)


@pytest.mark.parametrize(
    "value",
    [
        datetime(2026, 3, 4, 5, 6, tzinfo=timezone.utc),
        datetime(2026, 3, 4, 5, 6),  # noqa: DTZ001 - what is tested
        "2026-03-04T05:06:00Z",
        "2026-03-04T05:06",
        "2026-03-04 06:06:00+01:00",
    ],
)
def test_a_time_is_read_in_utc_unless_it_names_a_zone(value):
    assert moment("claimed_after", value) == datetime(2026, 3, 4, 5, 6, tzinfo=timezone.utc)


@pytest.mark.parametrize("value", ["yesterday", "P1D", "2026-13-01", "2026-03-04/2026-03-05", "None"])
def test_what_is_no_time_is_refused(value):
    with pytest.raises(ValueError, match="claimed_after"):
        moment("claimed_after", value)
