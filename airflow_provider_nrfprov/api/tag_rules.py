"""What may be a tag: the one rule for claim files, arguments and requests."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from airflow_provider_nrfprov.api.contract import MAX_TAG_CHARACTERS


def tag_problem(tag: str) -> str:
    """Return what keeps a text from being a tag, in words; empty if nothing does."""
    if not tag.strip():
        return "a tag is empty"
    if len(tag) > MAX_TAG_CHARACTERS:
        # Not whole: somebody may have pasted a claim token.
        return f"a tag has {len(tag)} characters, at most {MAX_TAG_CHARACTERS} are allowed: {tag[:20]!r}…"
    if not tag.isprintable():
        return f"a tag holds a character that cannot be printed: {tag!r}"
    return ""


def csv_tag_problem(tag: str) -> str:
    """Return what keeps a text from being a tag in a bulk claim, whose CSV parts tags by commas."""
    if "," in tag and not tag_problem(tag):
        return f"a tag cannot hold a comma in a bulk claim, where commas separate tags: {tag!r}"
    return tag_problem(tag)


def check_tag(tag: str) -> str:
    """Return the tag if it is valid.

    :raises ValueError: naming the tag and what is wrong with it.
    """
    if problem := tag_problem(tag):
        raise ValueError(problem)
    return tag


def check_tags(tags: Iterable[str]) -> tuple[str, ...]:
    """Return tags without surrounding blanks and repetitions; one with a comma is one tag (requests in JSON).

    :raises ValueError: naming the tag and what is wrong with it.
    """
    return _checked(tags, tag_problem)


def check_csv_tags(tags: Iterable[str]) -> tuple[str, ...]:
    """Return tags of a bulk claim without surrounding blanks and repetitions.

    :raises ValueError: naming the tag and what is wrong with it, a comma included.
    """
    return _checked(tags, csv_tag_problem)


def _checked(tags: Iterable[str], problem_of: Callable[[str], str]) -> tuple[str, ...]:
    checked = tuple(dict.fromkeys(tag.strip() for tag in tags))
    for tag in checked:
        if problem := problem_of(tag):
            raise ValueError(problem)
    return checked
