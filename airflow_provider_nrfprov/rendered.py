"""Lists as they come out of templates: as what they are, or as text."""

from __future__ import annotations

import ast
from collections.abc import Iterable


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
