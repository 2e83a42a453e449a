"""All public operators and sensors, and arguments that make one of each."""

from __future__ import annotations

import importlib
import inspect
from typing import Any

from airflow.providers.common.compat.sdk import BaseOperator

from airflow_provider_nrfprov.get_provider_info import get_provider_info

DEVICE = "4961c873-408c-45ce-b1ba-7c0d99d88179"


def public(kind: str) -> dict[str, type]:
    """Return the classes that a provider's kind of module defines, by name: ``operators``, ``sensors``, ``triggers``."""
    (entry,) = get_provider_info()[kind]
    return {
        name: each
        for path in entry["python-modules"]
        for name, each in vars(importlib.import_module(path)).items()
        if inspect.isclass(each) and name.startswith("NrfProv") and each.__module__ == path
    }


def operators_and_sensors() -> dict[str, type]:
    """Return all public operators and sensors by name."""
    return {**public("operators"), **public("sensors")}


def signature(kind: type) -> dict[str, inspect.Parameter]:
    """Return the arguments of an operator that this provider has made, those of its bases included."""
    found: dict[str, inspect.Parameter] = {}
    for each in inspect.getmro(kind):
        if each is BaseOperator or each.__module__.partition(".")[0] != "airflow_provider_nrfprov":
            continue
        if "__init__" not in vars(each):
            continue
        for name, parameter in inspect.signature(each.__init__).parameters.items():
            if name != "self" and parameter.kind is not inspect.Parameter.VAR_KEYWORD:
                found.setdefault(name, parameter)
    return found


GOOD: dict[str, Any] = {
    "claim_file": "shift.csv",
    "report_dir": "reports",
    "tags": ["a"],
    "tag": "a",
    "new_tag": "b",
    "device_id": DEVICE,
    "command_id": "01M8",
    "claim_token": "{{ params.claim_token }}",
    "request": {"finished": {}},
    "summary": {"rows": 5, "failed": 0, "unknown": 0, "report": None, "failed_rows": None},
    "bulk_ops_request_id": "01M8",
    "bulk_ops_request_ids": ["01M8"],
}


def required(kind: type) -> dict[str, Any]:
    """Return a good value for each argument of an operator that has no default."""
    return {
        name: GOOD[name]
        for name, parameter in signature(kind).items()
        if parameter.default is inspect.Parameter.empty
    }
