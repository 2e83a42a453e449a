r"""The error summary of a FAILED bulk operation, in the two formats that Nordic's tools have met.

Both were seen for onboarding; that a claim's summary looks the same is inferred. Since late 2025:
``{"errors": ["[0]: message", …]}``, rows counted from 0. Before: one string that ends in
``(1-based)]: {\"message\": [rows]}."``, rows counted from 1. FAILED does not mean that nothing was
done: rows that the summary does not name may well be claimed.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from airflow_provider_nrfprov.api.redaction import redact
from airflow_provider_nrfprov.api.response import parse_json

_NUMBERED = re.compile(r"^\s*\[(\d{1,9})\]\s*:?\s*(.*)$", re.DOTALL)
_ONE_BASED = "(1-based)]:"


@dataclass(frozen=True, slots=True)
class ErrorSummary:
    """What the service said went wrong. All text is redacted."""

    rows: dict[int, str] = field(default_factory=dict)
    """Row of the uploaded file, counted from 0, to the service's message."""
    others: tuple[str, ...] = ()
    """Messages that name no row."""
    devices: dict[str, str] = field(default_factory=dict)
    """UUID of a device to the message; what is said of it here counts more than what is said of its row."""
    unnamed_are_done: bool | None = None
    """Whether rows that it does not name were carried out (inferred); ``None`` where the operation's status decides that."""


def parse_error_summary(text: str, redacted: Callable[[str], str] = redact) -> ErrorSummary:
    """Read an error summary of either format. Never raises: what is not understood is in ``others``.

    :param redacted: makes a message what may be shown.
    """
    try:
        body = parse_json(text)
    except ValueError:
        body = text
    rows: dict[int, list[str]] = {}
    others: list[str] = []
    for row, message in _entries(body):
        if row is None or row < 0:
            others.append(redacted(message))
        else:
            rows.setdefault(row, []).append(redacted(message))
    return ErrorSummary({row: "; ".join(messages) for row, messages in rows.items()}, tuple(others))


def _entries(body: Any) -> Iterator[tuple[int | None, str]]:
    errors = body
    if isinstance(body, dict):
        # The key of the old string is not known.
        errors = body.get("errors", list(body.values()))
    for entry in errors if isinstance(errors, list) else [errors]:
        if not isinstance(entry, str):
            yield None, json.dumps(entry, ensure_ascii=False)
        elif _ONE_BASED in entry:
            yield from _legacy_entries(entry)
        elif numbered := _NUMBERED.match(entry):
            yield int(numbered[1]), numbered[2]
        else:
            yield None, entry


def _legacy_entries(text: str) -> Iterator[tuple[int | None, str]]:
    escaped = text.split(_ONE_BASED, 1)[1]
    start, end = escaped.find("{"), escaped.rfind("}")
    for candidate in (escaped[start : end + 1], escaped[start : end + 1].replace('\\"', '"')):
        try:
            by_message = parse_json(candidate)
        except ValueError:
            continue
        if isinstance(by_message, dict) and all(isinstance(rows, list) for rows in by_message.values()):
            for message, rows in by_message.items():
                for row in rows:
                    yield (row - 1 if isinstance(row, int) else None), message
            return
    yield None, text
