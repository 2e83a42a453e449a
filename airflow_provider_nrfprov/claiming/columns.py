"""Which column of a claim file is what: by its header, or by one of the two documented forms.

Without a header these are the service's own, ``token`` or ``token,"tag1,tag2"``, and that of Nordic's
``gather_attestation_tokens``, ``imei,uuid,token,time``. Nothing else is guessed: what has no name could tag a
device wrongly, or lose its tags.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property

from airflow_provider_nrfprov.claiming.frames import clean, unwrapped
from airflow_provider_nrfprov.claiming.token import USUAL_FORM, looks_like_token

DELIMITERS = (",", ";", "\t")
_IN_HEADERS = (*DELIMITERS, "|")
_NAMES = {
    "token": {
        "token",
        "tokens",
        "claimtoken",
        "claimtokens",
        "attestationtoken",
        "attestationtokens",
        "attesttoken",
        "identityattestationtoken",
        "identitytoken",
        "devicetoken",
    },
    "tags": {
        "tag",
        "tags",
        "provisioningtag",
        "provisioningtags",
        "provisioninggroup",
        "provisioninggroups",
        "taglist",
    },
    "uuid": {"uuid", "deviceuuid", "deviceid", "device"},
}
"""Names of columns in use, lower case, letters and digits only."""
ROLES = tuple(_NAMES)
_OTHER_NAMES = {
    "imei", "serial", "serialnumber", "serialno", "sn", "time", "timestamp", "date", "datetime", "iccid", "station",
    "line", "lot", "no", "id", "subtype", "fwtypes", "firmware", "certificate", "onboardingtoken",
}  # fmt: skip
_NUMBERED_TAGS = re.compile(r"tags?[0-9]+")
_LIKE_TAGS = re.compile(
    r"(?:device|nrf|cloud)*tags?[0-9]*|labels?|[eé]tiquettes?|etiketten|etiquetas?|groups?|gruppen?|groupes?|grupos?"
)
_CANNOT_CLAIM = {"certificate", "certpem", "onboardingtoken", "jwt"}
_NO_NAME = re.compile(r"[0-9]{8}|[A-Za-z0-9_-]{40}|[%=<>{}\x00-\x1f]|[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-")
_WORDS = re.compile(r"(?!.*[0-9]{2})[^\W\d_][\w ./()#:-]*")
"""A name of a column in any language; not SN-0001."""
_NOT_IN_HEADER = re.compile(r"\b(?:error|fail\w*|none|null|nan|n/a|timeout|ok|no response)\b", re.IGNORECASE)
"""What is where a token should be."""
_UUID_OR_NONE = re.compile(r"\{?[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}\}?|None|")
_LONG_WORD = re.compile(r"[A-Za-z0-9_-]{60}")
_BESIDE_TOKEN = re.compile(r"2dn3[A-Za-z0-9_.=-]*")
_NO_CELL = "(left out, as it may be a token)"


class HeaderError(ValueError):
    """A header that does not say which column is the token's; the message says what to do, not of which file."""


@dataclass(frozen=True, eq=False)
class Form:
    """What the columns of a row are. Columns count from 0."""

    width: int
    token: int
    tags: int | None
    uuid: int | None
    carried: tuple[str, ...]
    """Names of the columns beside token and tags, which the report carries along."""
    carried_at: tuple[int, ...]
    delimiter: str | None = None
    """``None``: the one beside the token."""
    header: str = ""
    """The line that names the columns, as it is in the file; empty for a documented form."""
    named: int = 0
    """How many columns a row has at least, if none is left out: to the last one that has a name."""
    to_be_empty: tuple[int, ...] = ()
    """Columns in which a row must hold nothing: those without a name, of a header in the midst of a file."""
    last: str = r'[^",;\t\x1a\x1b\n]*'
    """A pattern of the last column, if it is neither token nor tags."""

    @cached_property
    def usual(self) -> re.Pattern[str]:
        """A row of this form as it nearly always is, read in one step; groups token, tags and uuid."""
        delimiter = self.delimiter or ","
        plain = rf'[^"\x1a\x1b\n{delimiter}]*' if self.header else r'[^",;\t\x1a\x1b\n]*'
        cells = [plain] * self.width
        if not self.header:
            cells[0], cells[-1] = r"(?:[0-9]*|None)", self.last
        for place in self.to_be_empty:
            cells[place] = ""
        cells[self.token] = rf"(?P<token>{USUAL_FORM})"
        if self.tags is not None:
            cells[self.tags] = rf'(?P<tags>{plain}|"[^"\x1a\x1b\n]*")'
        if self.uuid is not None:
            cells[self.uuid] = rf"(?P<uuid>{plain})"
        if self.header:
            pattern = re.escape(delimiter).join(cells)
        else:
            pattern = ",".join(cells[:-1]) + f"(?:,{cells[-1]})?"
        missing = "".join(f"(?P<{role}>)" for role in ROLES if getattr(self, role) is None)
        return re.compile(pattern + missing)

    @cached_property
    def usual_lines(self) -> re.Pattern[str]:
        """The same for a text of many lines: found once in each; all groups are empty in a line that is no such row."""
        return re.compile(rf"^(?:{self.usual.pattern}|.*)$", re.MULTILINE)

    @cached_property
    def groups(self) -> tuple[int, ...]:
        """The numbers of the groups token, tags and uuid of :attr:`usual`."""
        return tuple(self.usual.groupindex[role] for role in ROLES)

    def values_of(self, text: str) -> tuple[str, ...]:
        """Return the cells of the carried columns of a line, as far as they can be told; never a token."""
        if not self.carried:
            return ()
        if '"' not in text and text.isascii() and text.isprintable() and (self.delimiter or ";" not in text):
            cells = text.split(self.delimiter or ",")
        else:
            # Columns matter, not what is wrong with the row.
            delimiter = self.delimiter or delimiter_of(text)
            cells = cells_of(unwrapped(clean(text)), delimiter) or text.split(self.delimiter or ",")
        if self.token and looks_like_token(cells[0]):
            return ("",) * len(self.carried)
        count = len(cells)
        values = [cells[place].strip() if place < count else "" for place in self.carried_at]
        if _LONG_WORD.search(",".join(values)) or any("2dn3" in value for value in values):
            values = [_NO_CELL if _LONG_WORD.search(value) or "2dn3" in value else value for value in values]
        return tuple(values)


SERVICE = Form(width=2, token=0, tags=1, uuid=None, carried=(), carried_at=())
"""The service's own form: ``token`` or ``token,"tag1,tag2"``."""
ATTESTATION = Form(
    width=4,
    token=2,
    tags=None,
    uuid=1,
    carried=("imei", "uuid", "time"),
    carried_at=(0, 1, 3),
    last=r"[0-9]{4}-[0-9]{2}-[0-9T:.+Z -]*",
)
"""What ``gather_attestation_tokens`` writes: ``imei,uuid,token,time``."""


def delimiter_of(text: str, otherwise: str = ",") -> str:
    """Return the separator that is next to the token; another if there is no token."""
    if found := _BESIDE_TOKEN.search(text):
        for beside in (text[found.end() :].lstrip(" \"'")[:1], text[: found.start()].rstrip(" \"'")[-1:]):
            if beside and beside in DELIMITERS:
                return beside
    return otherwise if otherwise in text else next((mark for mark in DELIMITERS if mark in text), otherwise)


def split(text: str, delimiter: str) -> list[str]:
    """Cut a line into cells, without the blanks around them.

    :raises csv.Error: if its quotes do not fit.
    """
    if '"' not in text:
        cells = text.split(delimiter)
    else:
        # Blanks between a separator and a quote are nothing, either.
        parts = text.split('"')
        blanks = " " if delimiter == "\t" else " \t"
        parts[::2] = [part.strip(blanks) for part in parts[::2]]
        cells = next(csv.reader(['"'.join(parts)], delimiter=delimiter, strict=True), [""])
    return [cell.strip() for cell in cells]


def cells_of(text: str, delimiter: str | None = None) -> list[str]:
    """Cut a line into cells as :func:`split` does; none if its quotes do not fit.

    :param delimiter: ``None`` for the one that is next to the token.
    """
    try:
        return split(text, delimiter or delimiter_of(text))
    except csv.Error:
        return []


def trimmed(cells: list[str]) -> list[str]:
    """Return cells without the empty ones at the end."""
    count = len(cells)
    while count > 1 and not cells[count - 1]:
        count -= 1
    return cells[:count]


def is_attestation(line: str) -> bool:
    """Whether a line is of the form ``imei,uuid,token,time``."""
    if ATTESTATION.usual.fullmatch(line):
        return True
    if "2dn3" not in line or SERVICE.usual.fullmatch(line):
        return False
    cells = trimmed(cells_of(unwrapped(clean(line))))
    return len(cells) > ATTESTATION.token and looks_like_token(cells[ATTESTATION.token])


def check_columns(columns: Mapping[str, str] | None) -> dict[str, str]:
    """Return a user's names of columns in the form in which they are compared.

    :raises ValueError: for a role that there is not, or a name that is empty.
    """
    wanted = {role: _folded(str(name)) for role, name in (columns or {}).items()}
    for role, name in wanted.items():
        if role not in ROLES:
            raise ValueError(f"columns names {role!r}; it can name {', '.join(ROLES)}")
        if not name:
            raise ValueError(f"columns has an empty name for {role}")
    return wanted


def may_be_header(text: str, wanted: Mapping[str, str]) -> bool:
    """Whether it is worth reading a line as a header."""
    return wanted.get("token", "token") in text.casefold()


def read_header(text: str, line: str, wanted: Mapping[str, str], *, at_start: bool = True) -> Form | None:
    """Return the form of a header; ``None`` if the line is no header, or does not name a token column.

    :param text: the clean line.
    :param line: the line as it is in the file.
    :param wanted: of :func:`check_columns`; these names go before those in use.
    :param at_start: what follows a later header must hold nothing where it has no name: the line may be a damaged row,
        and what is there may be tags.
    :raises HeaderError: if two columns have the name of one.
    """
    for delimiter, names in _header_cells(text, wanted):
        places = {role: _places(names, role, wanted) for role in ROLES}
        if not places["token"]:
            continue
        for role in ("token", "tags"):
            if len(places[role]) > 1:
                both = " and ".join(str(place + 1) for place in places[role][:2])
                raise HeaderError(
                    f"names two columns for {role}, {both}; rename one, or say which with columns={{{role!r}: …}}"
                )
        token, tags = places["token"][0], next(iter(places["tags"]), None)
        others = tuple(place for place in range(len(names)) if place not in (token, tags))
        carried = tuple(names[place] or f"column_{place + 1}" for place in others)
        uuid = next(iter(places["uuid"]), None)
        to_be_empty = () if at_start else tuple(place for place in others if not names[place])
        return Form(
            len(names), token, tags, uuid, carried, others, delimiter, line, len(trimmed(names)), to_be_empty
        )
    return None


def problem_without_token(text: str, wanted: Mapping[str, str]) -> str:
    """Return what is wrong with a header that names no token column; empty if the line is no header."""
    if "token" in wanted:
        return ""
    for _, names in _header_cells(text, wanted):
        filled = [key for name in names if (key := _key(name))]
        known = [key for key in filled if key in _OTHER_NAMES or any(key in of for of in _NAMES.values())]
        if not known or 2 * len(known) < len(filled):
            continue
        shown = ", ".join(name for name in names if name)
        if _CANNOT_CLAIM & set(known):
            return (
                f"has the columns {shown}: onboarding tokens (nRF93M1) and certificates cannot be used to claim; "
                "claiming takes attestation tokens (AT%ATTESTTOKEN)"
            )
        return _none_called_token(shown)
    return ""


def warning_of(form: Form) -> str:
    """Return a warning if a header has columns that may be meant as tags, and are carried along only; else nothing."""
    like = _LIKE_TAGS if form.tags is None else _NUMBERED_TAGS
    meant = [name for name in form.carried if like.fullmatch(_key(name))]
    if not meant:
        return ""
    return (
        f"{', '.join(meant)}: not read as tags, only carried along; if tags are meant, call the column tags, with all tags "
        "in one quoted field, or name it with columns={'tags': …}"
    )


def unknown_names(text: str, wanted: Mapping[str, str]) -> list[str]:
    """Return the names in a line that looks like a header whose names are not known; none if it does not.

    :param text: the clean line, which names no token column.
    """
    if "2dn3" in text or _NOT_IN_HEADER.search(text):
        return []
    for _, names in _header_cells(text, wanted):
        filled = list(filter(None, names))
        if 1 < len(filled) == len(set(filled)) and all(map(_WORDS.fullmatch, filled)):
            return names
    return []


def problem_of_unknown_names(first: str, row: str) -> str:
    """Return what is wrong with a file whose first line has names that are not known, by the first row that may hold a token.

    :return: empty if the row is of a documented form, or has more columns than there are names.
    """
    names, cells = unknown_names(first, {}), trimmed(cells_of(unwrapped(row)))
    token_at = next((place for place, cell in enumerate(cells) if looks_like_token(cell)), 0)
    if not token_at or len(cells) > len(names):
        return ""
    if token_at == ATTESTATION.token and _UUID_OR_NONE.fullmatch(cells[1]):
        return ""
    return _none_called_token(", ".join(filter(None, names)))


def _none_called_token(shown: str) -> str:
    return (
        f"has the columns {shown}, and none of them is called token; rename the column that holds the tokens, "
        "or name it with columns={'token': …}"
    )


def in_words(form: Form) -> str:
    """Return in words what each column of a header is taken for."""
    tags = "none" if form.tags is None else f"column {form.tags + 1}"
    return f"token: column {form.token + 1}; tags: {tags}; carried along: {', '.join(form.carried) or 'none'}"


def _header_cells(text: str, wanted: Mapping[str, str]) -> Iterable[tuple[str, list[str]]]:
    found = []
    for delimiter in _IN_HEADERS:
        if delimiter not in text and delimiter != ",":
            continue
        names = [" ".join(cell.split()) for cell in cells_of(text, delimiter)]
        if names and all(_is_name(name) or _folded(name) in wanted.values() for name in names):
            found.append((delimiter, names))
    return sorted(found, key=lambda pair: -len(pair[1]))


def _is_name(cell: str) -> bool:
    if len(cell) > 80 or _NO_NAME.search(cell):
        return False
    return not cell or (len(cell) < 4 and not cell.isdigit()) or any(map(str.isalpha, cell))


def _places(names: list[str], role: str, wanted: Mapping[str, str]) -> list[int]:
    if role in wanted:
        return [place for place, name in enumerate(names) if _folded(name) == wanted[role]]
    taken = set(wanted.values())
    return [
        place for place, name in enumerate(names) if _key(name) in _NAMES[role] and _folded(name) not in taken
    ]


def _key(name: str) -> str:
    return "".join(filter(str.isalnum, name.casefold()))


def _folded(name: str) -> str:
    return " ".join(name.split()).casefold()
