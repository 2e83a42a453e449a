"""The columns of a claim file beside token and tags, as the report carries them along."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable

from airflow_provider_nrfprov.claiming.columns import Form
from airflow_provider_nrfprov.claiming.rows import Row
from airflow_provider_nrfprov.csv_cells import csv_line, visible

_log = logging.getLogger(__name__)

_AS_THEY_ARE = re.compile(r"(?:,(?:[A-Za-z0-9][A-Za-z0-9 .:_/+-]{0,50})?)*")
"""Cells that need no quotes, that no spreadsheet runs, and none of which is as long as a token."""


class CarriedCells:
    """Writes these cells of each row in the order of the first row's columns; a file may have several headers."""

    def __init__(self, form: Form, reserved: Iterable[str]) -> None:
        self._form = form
        self.names = _different_names(form.carried, reserved)
        self._count = len(self.names)
        self._places: dict[int, tuple[Form, list[int | None]]] = {}

    def cells_of(self, row: Row) -> str:
        """Return the cells as they end a line of the report: a comma before each."""
        if not self._count:
            if row.form.carried:
                self._places_in(row.form)
            return ""
        form = row.form
        if form is self._form and form.tags is None and row.token:
            # Most rows: what stands around the token can stand in the report as it is.
            text, token = row.text, row.token
            start = text.find("2dn3")
            end = start + len(token)
            before, after = text[: start - 1] if start > 0 else "", text[end:]
            line = f",{before}{after}" if start else after
            if text[start:end] == token and _AS_THEY_ARE.fullmatch(line) and line.count(",") == self._count:
                return line
        cells: Iterable[str] = row.carried
        if form is not self._form:
            values = row.carried
            cells = ["" if place is None else values[place] for place in self._places_in(row.form)]
        return f",{csv_line(cells)[:-1]}"

    def _places_in(self, form: Form) -> list[int | None]:
        known = self._places.get(id(form))
        if known is None:
            carried = form.carried
            places = [carried.index(name) if name in carried else None for name in self._form.carried]
            if left_out := [name for name in carried if name not in self._form.carried]:
                _log.warning(
                    "not in the report, as the file's first rows do not have them: %s",
                    visible(", ".join(left_out)),
                )
            # The form is kept, so that no other gets its id.
            known = self._places[id(form)] = (form, places)
        return known[1]


def _different_names(names: Iterable[str], reserved: Iterable[str]) -> tuple[str, ...]:
    taken = {*reserved}
    different = []
    for name in names:
        candidate = base = f"file_{name}" if name in taken else name
        number = 2
        while candidate in taken:
            candidate, number = f"{base}_{number}", number + 1
        taken.add(candidate)
        different.append(candidate)
    return tuple(different)
