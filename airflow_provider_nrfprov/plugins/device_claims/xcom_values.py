"""What a task pushed, whatever keeps the values of XComs. It may have to ask an object store: for a thread only."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any


def plain(value: Any) -> Any:
    """Return the value of an XCom as the task pushed it, given what Airflow's database has.

    Never as an object of a class that the text names.
    """
    if not isinstance(value, str):
        return value
    try:
        text = json.loads(value)
    except (ValueError, RecursionError):
        text = value
    return _from_backend(text) if isinstance(text, str) else text


def _from_backend(text: str) -> Any:
    """Return what a reference of an XCom backend stands for; of the usual backend, and of no reference, the text itself."""
    from airflow.providers.common.compat.sdk import XCom

    if XCom.__module__ in {"airflow.sdk.bases.xcom", "airflow.models.xcom"}:
        return text
    return XCom.deserialize_value(SimpleNamespace(value=text))
