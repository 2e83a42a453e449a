"""Values as they come out of templates: as what they are, or as text."""

from __future__ import annotations

import ast
from collections.abc import Iterable
from datetime import datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pendulum

_TRUE = {"true", "1", "yes"}
_FALSE = {"false", "0", "no", "none", ""}


def listed(value: str | Iterable[str] | None) -> list[str]:
    """Give the items of a list that a user or a template gives.

    A list is taken as it is. Text is what a template makes of one if the DAG does not render native
    objects: ``['a', 'b']``; or it is items parted by commas: ``a, b``. ``None`` and the text of it are no items.

    :raises ValueError: for text that begins as a list and is none.
    """
    if value is None:
        return []
    if not isinstance(value, str):
        return [str(item) for item in value]
    text = value.strip()
    if text in {"", "None"}:
        return []
    if not text.startswith(("[", "(")):
        return [item.strip() for item in text.split(",") if item.strip()]
    try:
        items = ast.literal_eval(text)
    except (ValueError, SyntaxError):
        raise ValueError(f"this is no list: {text[:100]!r}") from None
    return [str(item) for item in items]


def flag(value: bool | str | None) -> bool:
    """Give whether a user, or a template, said yes.

    :raises ValueError: for a text that is neither yes nor no.
    """
    text = str(value).strip().lower()
    if text not in _TRUE | _FALSE:
        raise ValueError(f"this is neither true nor false: {text[:100]!r}")
    return text in _TRUE


def condition(name: str, value: str | None) -> str | None:
    """Give a text that is a condition, ``None`` for none.

    :raises ValueError: if a template rendered to nothing: left out, the condition would let everything pass.
    """
    if value is None:
        return None
    text = str(value).strip()
    if text in {"", "None"}:
        raise ValueError(f"{name} renders to nothing")
    return text


def moment(name: str, value: datetime | str | None) -> pendulum.DateTime | None:
    """Give a time that is a condition: a datetime, or ISO 8601 text; UTC if it names no zone.

    :raises ValueError: if a template rendered to nothing, or to something that is no time.
    """
    import pendulum

    if isinstance(value, datetime):
        return pendulum.instance(value, tz="UTC")
    text = condition(name, value)
    if text is None:
        return None
    try:
        parsed = pendulum.parse(text, tz="UTC")
    except ValueError:
        parsed = None
    if not isinstance(parsed, pendulum.DateTime):
        raise ValueError(f"{name} is no time in ISO 8601: {text[:100]!r}")
    return parsed
