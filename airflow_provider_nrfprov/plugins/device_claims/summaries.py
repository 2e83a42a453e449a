"""Reads the summaries that tasks pushed, whatever keeps the values of XComs, and makes them fit to be shown."""

from __future__ import annotations

import json
from collections.abc import Mapping
from itertools import islice
from types import SimpleNamespace
from typing import Any

REASONS = 250
"""A claim's summary groups what is beyond 200."""
_TEXT = 8_000
"""Characters of a text that are kept: more than a path has."""
_REASON = 500
"""Of a reason, as its rows are asked for by it."""
_PATHS = {"claim_file", "failed_devices", "failed_rows", "report"}
_WORDS = {"action", "connection", "device_url", "ended_early", "reported_at"}
_IDS = {"dag_id", "job", "run_id", "task_id"}
_TEXTS = _PATHS | _WORDS | _IDS
_LISTS = {"service", "tags"}
_FIELDS = 100
_ITEMS = 100
_MOST = 1 << 53
"""From here on a browser's numbers are not exact."""


def tidy(said: Mapping[Any, Any]) -> dict[str, Any]:
    """Return what of a summary is of the kind that it has to be: texts, lists of texts, reasons, and counts; each of bounded size.

    Anything else is left out, as if it had not been said: what the page cannot read must not keep it from showing the rest.
    """
    kept: dict[str, Any] = {}
    for name, value in islice(said.items(), _FIELDS):
        if name == "reasons":
            kept[name] = _reasons(value)
        elif name in _LISTS:
            kept[name] = _texts(value)
        elif name in _TEXTS:
            if isinstance(value, str):
                kept[name] = value[:_TEXT]
        elif isinstance(name, str) and _is_count(value):
            kept[name] = value
    return kept


def _texts(value: Any) -> list[str]:
    return (
        [each[:_TEXT] for each in value[:_ITEMS] if isinstance(each, str)] if isinstance(value, list) else []
    )


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < _MOST


def _reasons(value: Any) -> list[dict[str, Any]]:
    reasons = value[:REASONS] if isinstance(value, list) else []
    return [
        {"outcome": each["outcome"][:_REASON], "reason": each["reason"][:_REASON], "count": each["count"]}
        for each in reasons
        if isinstance(each, dict)
        and isinstance(each.get("outcome"), str)
        and isinstance(each.get("reason"), str)
        and _is_count(each.get("count"))
    ]


def plain(value: Any) -> Any:
    """Return the value of an XCom as the task pushed it, given what Airflow's database has.

    Never as an object of a class that the text names. It may have to ask an object store: for a thread only.
    """
    if not isinstance(value, str):
        return value
    try:
        text = json.loads(value)
    except (ValueError, RecursionError):
        text = value
    return _from_backend(text) if isinstance(text, str) else text


def _from_backend(text: str) -> Any:
    """Return what a reference of an XCom backend refers to; of the usual backend, and of no reference, the text itself."""
    from airflow.providers.common.compat.sdk import XCom

    if XCom.__module__ in {"airflow.sdk.bases.xcom", "airflow.models.xcom"}:
        return text
    return XCom.deserialize_value(SimpleNamespace(value=text))
