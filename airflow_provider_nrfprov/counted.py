"""Formats a number with its noun: "1 row", "2,500 rows"."""

from __future__ import annotations


def counted(number: int, one: str, many: str | None = None) -> str:
    """Return a number with what is counted, which agrees with it: ``1 row``, ``2,500 rows``.

    :param one: the singular, perhaps with a verb: ``row was``.
    :param many: the plural, where it is not the singular with an s: ``rows were``.
    """
    return f"{number:,} {one if number == 1 else many or f'{one}s'}"
