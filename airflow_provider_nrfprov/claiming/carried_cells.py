"""The columns of a claim file beside token and tags, as the report carries them along."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable

from airflow_provider_nrfprov.claiming.blocks import Block
from airflow_provider_nrfprov.claiming.columns import Form
from airflow_provider_nrfprov.claiming.rows import Row
from airflow_provider_nrfprov.claiming.token import TOKEN_CHARACTERS
from airflow_provider_nrfprov.files.csv_cells import csv_line, visible

_log = logging.getLogger(__name__)

_AS_IT_IS = r"((?:[A-Za-z0-9][A-Za-z0-9 .:_/+-]{0,50}(?<! ))?)"
"""A cell that needs no quotes, that no spreadsheet runs, without blanks around it and not as long as a token."""
_BEGINS = "2dn3"
"""A token."""
_IN_TOKEN = rf"{_BEGINS}.{{{TOKEN_CHARACTERS - len(_BEGINS)}}}"


class CarriedCells:
    """Writes these cells of each row in the order of the first row's columns; a file may have several headers."""

    def __init__(self, form: Form, reserved: Iterable[str]) -> None:
        self._form = form
        self.names = _different_names(form.carried, reserved)
        self._count = len(self.names)
        self._places: dict[int, tuple[Form, list[int | None]]] = {}
        self._usual = _usual_lines(form)

    def cells_of_block(self, block: Block) -> Iterable[str]:
        """Return the same for each row of a block, in one step if the cells can be in the report as they are."""
        if block.form is self._form and self._count:
            text = "\n".join(block.lines)
            found = self._usual.findall(text)
            if len(found) == text.count(_BEGINS) == len(block):
                return (
                    [f",{','.join(cells)}" for cells in found]
                    if self._count > 1
                    else [f",{cell}" for cell in found]
                )
        return map(self.cells_of, block)

    def cells_of(self, row: Row) -> str:
        """Return the cells as they end a line of the report: a comma before each."""
        if not self._count:
            if row.form.carried:
                self._places_in(row.form)
            return ""
        cells: Iterable[str] = row.carried
        if row.form is not self._form:
            values = row.carried
            cells = ["" if place is None else values[place] for place in self._places_in(row.form)]
        # After an empty one: alone in its line, an empty cell would be quoted.
        return csv_line(("", *cells))[:-1]

    def _places_in(self, form: Form) -> list[int | None]:
        known = self._places.get(id(form))
        if known is None:
            carried = form.carried
            places = [carried.index(name) if name in carried else None for name in self._form.carried]
            if left_out := [name for name in carried if name not in self._form.carried]:
                _log.warning(
                    "left out of the report, since the file's first rows do not have them: %s",
                    visible(", ".join(left_out)),
                )
            # The form is kept, so that no other gets its id.
            known = self._places[id(form)] = (form, places)
        return known[1]


def _usual_lines(form: Form) -> re.Pattern[str]:
    """Return a pattern of lines of the usual form, with a group for each carried cell."""
    delimiter = re.escape(form.delimiter or ",")
    cells = [_AS_IT_IS] * form.width
    cells[form.token] = _IN_TOKEN
    if form.tags is not None:
        cells[form.tags] = rf'(?:[^"\n{delimiter}]*|"[^"\n]*")'
    *most, last = cells
    # Without a header the last column may be missing.
    end = f"{delimiter}{last}" if form.header else f"(?:{delimiter}{last})?"
    return re.compile(rf"^{delimiter.join(most)}{end if most else last}$", re.MULTILINE)


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
