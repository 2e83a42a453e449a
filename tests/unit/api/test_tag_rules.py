"""What may be a tag: one rule, with or without a CSV."""

from __future__ import annotations

import pytest

from airflow_provider_nrfprov.api.tag_rules import check_csv_tags, check_tag, check_tags


@pytest.mark.parametrize(
    ("tag", "words"),
    [("", "empty"), (" ", "empty"), ("t" * 101, "101 characters"), ("a\x07", "printed"), ("a\nb", "printed")],
)
def test_what_is_no_tag_is_refused_by_all(tag, words):
    for check in (check_tags, check_csv_tags):
        with pytest.raises(ValueError, match=words):
            check(["fine", tag])
    with pytest.raises(ValueError, match=words):
        check_tag(tag)


def test_a_comma_is_refused_only_where_it_would_part_tags():
    assert check_tags([" a,b ", "c", "c"]) == ("a,b", "c")
    assert check_tag("a,b") == "a,b"
    with pytest.raises(ValueError, match="comma in a bulk claim"):
        check_csv_tags(["a,b"])
