from __future__ import annotations

import pytest

from airflow_provider_nrfprov.rendered import listed


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
