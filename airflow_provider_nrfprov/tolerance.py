"""How many rows of a file, or devices, may fail before the whole is a failure."""

from __future__ import annotations

from dataclasses import dataclass

_NONE = {None, "", "None"}


def most(name: str, value: int | str | None) -> int | None:
    """Read the most that may fail, as a user or a rendered template gives it; ``None`` for any number.

    :raises ValueError: naming the argument, if it is no whole number from 0.
    """
    if value in _NONE:
        return None
    try:
        number = int(str(value))
    except ValueError:
        number = -1
    if number < 0:
        raise ValueError(f"{name} is {value!r}; it is a whole number from 0, or None")
    return number


@dataclass(frozen=True, slots=True)
class Tolerance:
    """So many rows, or such a share of all rows, whichever is more."""

    max_rows: int | None = 0
    """``None``: any number."""
    max_ratio: float = 0.0

    @classmethod
    def of(cls, max_rows: int | str | None, max_ratio: float | str | None) -> Tolerance:
        """Read what a user or a rendered template gives.

        :raises ValueError: naming the argument that is no such number.
        """
        rows = most("max_failed_rows", max_rows)
        try:
            ratio = 0.0 if max_ratio in _NONE else float(str(max_ratio))
        except ValueError:
            ratio = -1.0
        if not 0 <= ratio <= 1:
            raise ValueError(f"max_failed_ratio is {max_ratio!r}; it is a share from 0 to 1, or None")
        return cls(rows, ratio)

    def allowed(self, rows: int) -> int:
        """Give how many of so many rows may fail."""
        return rows if self.max_rows is None else max(self.max_rows, int(self.max_ratio * rows))
