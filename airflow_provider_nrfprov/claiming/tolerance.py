"""How many rows of a file may fail before the whole is a failure."""

from __future__ import annotations

from dataclasses import dataclass

_NONE = {None, "", "None"}


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
        try:
            rows = None if max_rows in _NONE else int(str(max_rows))
        except ValueError:
            raise ValueError(f"max_failed_rows is {max_rows!r}; it is a whole number, or None") from None
        try:
            ratio = 0.0 if max_ratio in _NONE else float(str(max_ratio))
        except ValueError:
            ratio = -1.0
        if not 0 <= ratio <= 1 or (rows is not None and rows < 0):
            raise ValueError(
                f"max_failed_rows={max_rows!r} and max_failed_ratio={max_ratio!r}: a number from 0, and a share from 0 to 1"
            )
        return cls(rows, ratio)

    def allowed(self, rows: int) -> int:
        """Give how many of so many rows may fail."""
        return rows if self.max_rows is None else max(self.max_rows, int(self.max_ratio * rows))
