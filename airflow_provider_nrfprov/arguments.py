"""Reads and checks the values that users pass to operators, sensors, triggers and task groups, each kind in one place.

A value is written in the DAG, or comes out of a template or another task's output: as what it is, or, where the DAG does
not render native objects, as the text of it. What comes out empty is an error and never the default: nothing that was
rendered is permission. The default is meant by leaving the argument out.
"""

from __future__ import annotations

import ast
import math
import os
import re
import uuid
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import PurePath
from typing import TYPE_CHECKING, Any, Generic, TypeVar

if TYPE_CHECKING:
    import pendulum

T = TypeVar("T")

_SHOWN_CHARACTERS = 100
_SAY_NOTHING = {"", "None", "null", "{}", "nan", "NaN", "NaT", "<NA>", "undefined", "Undefined"}
"""What a template, ``tojson`` or a table makes of nothing. An empty list is one of no items, which who reads lists may mean."""
_CLAIM_TOKEN = re.compile(r"(?:2dn3|0oRDoQEm)[A-Za-z0-9_+/-]{16,}")
"""Either half of one. What is refused is one for certain; what is only masked (``api.redaction``) may be the name of a folder."""
_PROJECT_KEY = re.compile(r"\boat_[A-Za-z0-9_-]{16,}")
"""Likewise: less may be the name of a folder."""
_TEXT_OF_AN_OBJECT = re.compile(r"""\{(?!\})|[<"']|(?:dict_\w+|range|set|frozenset|deque)\(""")
"""What Python writes of a value that is no list, where a template does not render native objects."""
_NOT_OF_A_PATH = re.compile("[\0\ud800-\udfff]")
_TRUE = {"true", "1", "yes"}
_FALSE = {"false", "0", "no"}
_TEMPLATE_MARKS = ("{{", "{%", "{#")
_TIMEDELTA = re.compile(r"(?:(\d+) days?, )?(\d+):(\d{2}):(\d{2}(?:\.\d+)?)")
"""What a template makes of a ``timedelta``."""


class ArgumentError(ValueError):
    """An argument that cannot be what it is for; the message names argument and task. Another try would fail in the same way."""


@dataclass(frozen=True, slots=True)
class Argument(Generic[T]):
    """How an argument is read.

    ``read`` takes what is there, and raises a ``ValueError`` that continues the argument's name:
    ``is 'x'; it is …``. ``optional`` and ``blank`` allow the DAG's author to write ``None``, or an empty text, which is returned as it is.
    """

    read: Callable[[Any], T]
    optional: bool = False
    blank: bool = False

    def __call__(self, value: Any, *, written: bool, has_default: bool = True) -> Any:
        """Read a value.

        :param written: whether the DAG's author wrote it as it is; else it came from a template or a task.
        :param has_default: whether the argument may be left out, which an error advises then.
        :raises ValueError: if it is empty, or not of this kind.
        """
        if written and ((self.optional and value is None) or (self.blank and value == "")):
            return value
        check_present(
            value,
            "is empty" if written else "renders to nothing",
            "leave it out for its default" if has_default else "it has no default: give it a value",
        )
        found: Any = self.read(value)
        if not written and self.read in {tag, tags, claim_tags}:
            # A tag that was made so before can be written down, to take it away.
            _check_values([found] if isinstance(found, str) else found)
        return found


Arguments = Mapping[str, Argument[Any]]
"""How the arguments of an operator are read, each by its name."""


def is_nothing(value: Any) -> bool:
    """Whether a value says nothing: ``None``, a blank text, the text of nothing, or the output of mapped tasks none of which ran."""
    if value is None:
        return True
    if isinstance(value, str):
        return value.strip() in _SAY_NOTHING
    # What mapped tasks returned is a sequence of Airflow's own; a list that a task returned is meant, even if it is empty.
    return isinstance(value, Sequence) and not isinstance(value, (list, tuple)) and not len(value)


def check_present(value: Any, otherwise: str, advice: str) -> None:
    """Raise a ``ValueError`` if a value says nothing."""
    if is_nothing(value):
        raise ValueError(f"{otherwise} ({value!r}); {advice}")


def check_no_token(value: str) -> None:
    """Raise a ``ValueError`` that does not quote it if a text holds a claim token, or one that was cut short."""
    if _CLAIM_TOKEN.search(value):
        raise ValueError("holds a claim token, which does not belong there; only claim_token takes one")
    if _PROJECT_KEY.search(value):
        raise ValueError(
            "holds an API key, which does not belong there; it is the password of the connection"
        )


def shown(value: Any) -> str:
    """Return a value as an error quotes it: shortened, and a claim token in it by that name."""
    from airflow_provider_nrfprov.api.redaction import redact

    # Of UTF-16 that was taken for UTF-8 each other character is a NUL.
    return redact(repr(value).replace(r"\x00", ""))[:_SHOWN_CHARACTERS]


def is_constant(value: Any) -> bool:
    """Whether a value is written in the DAG as it is: no template, and no output of another task in it."""
    if isinstance(value, str):
        return not any(mark in value for mark in _TEMPLATE_MARKS)
    if isinstance(value, Mapping):
        return all(is_constant(item) for item in value.values())
    if isinstance(value, (list, tuple, set, frozenset)):
        return all(is_constant(item) for item in value)
    return isinstance(value, os.PathLike) or not (hasattr(value, "resolve") or callable(value))


def text(value: Any) -> str:
    """Read a text: blanks at its ends are dropped. Digits may have become a whole number, where templates are native.

    A claim token is none: whoever takes the text for a path, a connection or a tag would put it into an error or a log.
    """
    if isinstance(value, str):
        check_no_token(value)
        if _list_in(value.strip()) is not None:
            raise ValueError(f"is a list: {shown(value)}; it must be one string")
        return value.strip()
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    # A float is not what was written: of 1.10 a native template makes 1.1.
    raise ValueError(
        f"is {shown(value)}; it must be a string, in quotes where templates render native objects"
    )


def choice(*allowed: str) -> Callable[[Any], str]:
    """Return the reader of a text that is one of a few."""

    def read(value: Any) -> str:
        chosen = str(getattr(value, "value", value)).strip()
        if chosen not in allowed:
            *others, last = allowed
            raise ValueError(f"is {shown(value)}; it must be {', '.join(others)} or {last}")
        return chosen

    return read


def path(value: Any) -> str:
    """Read the path or URL of a file or folder: text, ``Path`` or ``ObjectStoragePath``."""
    if _NOT_OF_A_PATH.search(str(value)):
        raise ValueError(
            f"is {shown(value)}, which holds a NUL character, or is not UTF-8: give it another name"
        )
    if "None" in str(value).split("/"):
        raise ValueError(f"is {shown(value)}, a part of which renders to nothing")
    if isinstance(value, PurePath) and not hasattr(value, "storage_options"):
        return str(value)
    if hasattr(value, "storage_options"):
        # Not as a file:// URL, in which %20 would be a blank.
        return str(value.path) if value.protocol in {"", "file", "local"} else str(value)
    if isinstance(value, str):
        check_no_token(value)
    try:
        return text(value)
    except ValueError:
        raise ValueError(f"is {shown(value)}; it must be one path or URL") from None


def texts(value: Any) -> list[str]:
    """Read a list of texts: ids, or tags.

    A list is taken as it is, lists inside it one after another, which is what mapped tasks return. A text is that of a list,
    ``['a', 'b']``, or items separated by commas, ``a, b``.
    """
    if isinstance(value, str):
        return _items_of_text(value.strip())
    if isinstance(value, Mapping):
        raise ValueError(f"is {shown(value)}; it must be a list")
    if not isinstance(value, Collection):
        return [text(value)]
    return list(_items(value))


def tag(value: Any) -> str:
    """Read a tag that devices are to get."""
    from airflow_provider_nrfprov.api.tag_rules import tag_problem

    return _tag(value, tag_problem)


def tags(value: Any) -> list[str]:
    """Read a list of tags as :func:`texts`; each once."""
    from airflow_provider_nrfprov.api.tag_rules import tag_problem

    return list(dict.fromkeys(_tag(each, tag_problem) for each in texts(value)))


def claim_tags(value: Any) -> list[str]:
    """Read a list of tags for a bulk claim, where commas part them."""
    from airflow_provider_nrfprov.api.tag_rules import csv_tag_problem

    return list(dict.fromkeys(_tag(each, csv_tag_problem) for each in texts(value)))


def _tag(value: Any, problem_of: Callable[[str], str]) -> str:
    name = text(value)
    if problem := problem_of(name):
        raise ValueError(f"cannot be used: {problem}")
    return name


def _check_values(names: Collection[str]) -> None:
    for name in names:
        if name.endswith(("=", "=None")):
            raise ValueError(f"holds {shown(name)}, whose value renders to nothing")


def device_ids(value: Any) -> list[str]:
    """Read a list of device UUIDs as :func:`texts`."""
    found = texts(value)
    for each in found:
        try:
            uuid.UUID(each)
        except ValueError:
            raise ValueError(
                f"holds {shown(each)}, which is not a device UUID like 4961c873-408c-45ce-b1ba-7c0d99d88179"
            ) from None
    return found


def ids(value: Any) -> list[str]:
    """Read a list of ids as :func:`texts`, or the path of a file of them: what has a slash is a path.

    Of several mapped tasks each may name a file. The files are left to who needs the ids.
    """
    if isinstance(value, PurePath) or hasattr(value, "storage_options"):
        return [path(value)]
    return texts(value)


def count(least: int = 0) -> Callable[[Any], int]:
    """Return the reader of a whole number from ``least`` on."""

    def read(value: Any) -> int:
        number = _number(value)
        if number is None or number < least or not number.is_integer():
            raise ValueError(f"is {shown(value)}; it must be a whole number of {least} or more")
        return int(number)

    return read


def ratio(value: Any) -> float:
    """Read a share of the whole, from 0 to 1."""
    number = _number(value)
    if number is None or not 0 <= number <= 1:
        raise ValueError(f"is {shown(value)}; it must be a number from 0 to 1")
    return number


def duration(value: Any) -> float:
    """Read a duration, a ``timedelta`` or seconds from 0; return seconds."""
    seconds = value.total_seconds() if isinstance(value, timedelta) else _number(value)
    if seconds is None and isinstance(value, str) and (parts := _TIMEDELTA.fullmatch(value.strip())):
        days, hours, minutes, rest = parts.groups()
        seconds = ((int(days or 0) * 24 + int(hours)) * 60 + int(minutes)) * 60 + float(rest)
    if seconds is None or seconds < 0:
        raise ValueError(f"is {shown(value)}; it must be a timedelta or a number of seconds")
    return seconds


def interval(value: Any) -> float:
    """Read the time between two polls, a duration above 0; return seconds. What is below 1 counts as 1 (``api.wait_policy``)."""
    seconds = duration(value)
    if seconds == 0:
        raise ValueError("is 0; it must be more than 0: a timedelta, or a number of seconds")
    return seconds


def flag(value: Any) -> bool:
    """Read a yes or no."""
    said = str(value).strip().lower()
    if said not in _TRUE | _FALSE:
        raise ValueError(f"is {shown(value)}; it must be true or false")
    return said in _TRUE


def moment(value: Any) -> pendulum.DateTime:
    """Read a time: a ``datetime``, or ISO 8601; UTC if it names no zone."""
    import pendulum

    if isinstance(value, datetime):
        return pendulum.instance(value, tz="UTC")
    said = value.isoformat() if isinstance(value, date) else text(value)
    try:
        # Of a time without a date it would make one of today.
        parsed = pendulum.parse(said, tz="UTC") if said[:4].isdigit() else None
    except ValueError:
        parsed = None
    if not isinstance(parsed, pendulum.DateTime):
        raise ValueError(f"is {shown(value)}; it must be a datetime, or a time in ISO 8601")
    return parsed


def fields(value: Any) -> dict[str, Any]:
    """Read a dictionary that is not empty, or the text of one. No message quotes it."""
    if isinstance(value, str):
        try:
            value = ast.literal_eval(value.strip())
        except (ValueError, SyntaxError):
            value = None
    if not isinstance(value, Mapping) or not value:
        raise ValueError("is not a dictionary, or is an empty one")
    return dict(value)


def secret_text(value: Any) -> str:
    """Read a text that no message quotes."""
    if not isinstance(value, str):
        raise ValueError(f"is of type {type(value).__name__}; it must be a string")
    if value.strip() == "[]":
        raise ValueError("is an empty list; it must be a string")
    return value.strip()


def certificates(value: Any) -> str:
    """Read certificates, one or several in PEM. No message quotes them: with a certificate a private key may have come along."""
    import ssl

    advice = (
        "it must hold certificates in PEM, each from -----BEGIN CERTIFICATE----- to -----END CERTIFICATE-----"
    )
    if not isinstance(value, str) or "PRIVATE KEY" in value:
        raise ValueError(f"is not a text that holds certificates only; {advice}")
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cadata=value.strip())
    except (ssl.SSLError, ValueError, TypeError) as error:
        raise ValueError(f"cannot be read ({getattr(error, 'reason', None) or error}); {advice}") from None
    return value.strip()


def check_leaves(written: Any, rendered: Any, place: str = "") -> None:
    """Raise a ``ValueError`` that names the place if a part of a structure was rendered and came out empty.

    :param written: the structure as the DAG's author wrote it.
    :param rendered: the same, rendered.
    """
    if is_constant(written):
        return
    if isinstance(written, Mapping) and isinstance(rendered, Mapping):
        pairs: Any = ((key, item, rendered.get(key)) for key, item in written.items())
    elif isinstance(written, (list, tuple)) and isinstance(rendered, (list, tuple)):
        pairs = ((index, *both) for index, both in enumerate(zip(written, rendered, strict=False)))
    elif is_nothing(rendered):
        raise ValueError(f"{place} renders to nothing".strip())
    else:
        return
    for key, item, part in pairs:
        check_leaves(item, part, f"{place}[{key!r}]")


def _items(values: Collection[Any]) -> Iterator[str]:
    for value in values:
        if isinstance(value, Collection) and not isinstance(value, (str, Mapping)):
            yield from _items(value)
            continue
        check_present(value, "has an item that renders to nothing", "leave the item out of the list")
        yield text(value)


def _items_of_text(value: str) -> list[str]:
    if not value.startswith(("[", "(")) and not _TEXT_OF_AN_OBJECT.match(value):
        return list(_items(value.split(",")))
    items = _list_in(value)
    if items is None:
        raise ValueError(f"is not a list: {shown(value)}")
    return list(_items(items))


def _list_in(value: str) -> list[Any] | tuple[Any, ...] | None:
    """Return the list that a text is that of, ``None`` if it is another text."""
    if not value.startswith(("[", "(")):
        return None
    try:
        items = ast.literal_eval(value)
    except (ValueError, SyntaxError):
        return None
    return items if isinstance(items, (list, tuple)) else None


def _number(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None
