"""Messages for what is wrong with the columns of a row."""

from __future__ import annotations

import re

from airflow_provider_nrfprov.api.redaction import redact
from airflow_provider_nrfprov.claiming.columns import ATTESTATION, Form
from airflow_provider_nrfprov.claiming.tag_cells import looks_of
from airflow_provider_nrfprov.claiming.token import TokenError, decode, looks_like_token, token_in

CLAIM_COLUMNS = 2
"""Of the service's own form."""
LIKE_HEADER = "looks like another header, and none of its columns is called token; if it is not a header: "
_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def cell_at(cells: list[str], place: int | None) -> str:
    """Return the cell at a place, empty if there is none."""
    return cells[place] if place is not None and place < len(cells) else ""


def too_many_columns(cells: list[str], form: Form, token_at: int) -> str:
    """Return the message of a row that has more columns than the form."""
    count = len(cells)
    if form.header:
        if count <= form.width:
            return ""
        return (
            f"{count} columns, but the header names {form.width}; name the others there, and put all tags into one "
            "quoted field"
        )
    if token_at == 0 and count > CLAIM_COLUMNS:
        return f'{count} columns instead of token,"tag1,tag2"; put all tags into one quoted field'
    if count > ATTESTATION.width:
        return f"{count} columns instead of imei,uuid,token,time; remove the others, or name all in a header"
    return ""


def unnamed_column(cells: list[str], form: Form, token_at: int) -> str:
    """Return what is wrong if a column that is not known holds something: tags in it would be lost."""
    filled = next((place for place in form.to_be_empty if cell_at(cells, place)), None)
    if filled is not None:
        return (
            f"column {filled + 1} has no name in the last header before this row; name it there: tags if it holds tags, "
            "else what it holds"
        )
    time = cell_at(cells, form.carried_at[-1]) if form is ATTESTATION and token_at else ""
    if (
        not time
        or time == "None"
        or looks_of(time) in {"a time", "a number that a spreadsheet has shortened"}
    ):
        return ""
    return (
        "column 4 is not a time; name the columns in a header: imei,uuid,token,tags if it holds tags, "
        "else a name that says what it holds"
    )


def doubtful_tags(tags_cell: str, doubted: int) -> str:
    """Return what is wrong with a row that has tags below a line that may be another header, which is not understood."""
    if not tags_cell or not doubted:
        return ""
    return (
        f"line {doubted} looks like another header, so it is unclear whether this row has its tags where the rows before it "
        "had them; call the columns token and tags there, or remove that line if it is not a header"
    )


def contradiction(cell: str, device_id: str) -> str:
    """Return what is wrong if the file has a UUID that is not the token's; empty if it does not."""
    uuid = cell.strip("{}").lower()
    if uuid == device_id or not _UUID.fullmatch(uuid):
        return ""
    return f"the file says device {uuid}, but the token is that of {device_id}"


def no_device(cell: str, device_id: str) -> str:
    """Return what is wrong if the column of the device holds something else, which a device of a project would not be found by."""
    if not cell or cell == "None" or _UUID.fullmatch(cell.strip("{}").lower()):
        return ""
    return f"the column of the device does not hold a UUID, but the token is that of {device_id}; correct it, or give the column another name"


def second_token(cells: list[str], known: tuple[int | None, ...], device_id: str) -> str:
    """Return what is wrong if a cell beside the known ones holds a token of another device, which would not be claimed."""
    for place, cell in enumerate(cells):
        token = "" if place in known else token_in(cell)
        if token and _device_of(token) != device_id:
            return f"column {place + 1} holds a claim token, too; put each device on a row of its own"
    return ""


def _device_of(token: str) -> str:
    try:
        return decode(token).device_id
    except TokenError:
        return ""


def hint_at_other_column(cells: list[str], token_at: int) -> str:
    """Return the end of a sentence that names the column in which the token is, if it is in another; else nothing."""
    column = next((place for place, cell in enumerate(cells) if looks_like_token(cell)), token_at)
    if column == token_at:
        return ""
    return redact(
        f" (column {column + 1} holds what looks like a token; it belongs in column {token_at + 1}, or name the "
        "columns in a header)"
    )
