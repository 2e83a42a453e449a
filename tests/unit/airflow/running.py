"""Runs operators and sensors as Airflow does, without one."""

from __future__ import annotations

import asyncio
import csv
import importlib
import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import TaskDeferred

both_modes = pytest.mark.parametrize("deferrable", [False, True], ids=["poke", "deferrable"])


class TaskInstance:
    """Keeps what an operator pushes."""

    map_index = -1

    def __init__(self) -> None:
        self.pushed: dict[str, Any] = {}

    def xcom_push(self, key: str, value: Any) -> None:
        self.pushed[key] = value


def finish(operator: Any, context: Any = None, before_resuming: Callable[[], None] = lambda: None) -> Any:
    """Run an operator or a sensor to its end, deferred or not."""
    context = context or {}
    try:
        return operator.execute(context)
    except TaskDeferred as deferred:
        path, kwargs = deferred.trigger.serialize()
        module, name = path.rsplit(".", 1)
        trigger = getattr(importlib.import_module(module), name)(**json.loads(json.dumps(kwargs)))
        assert trigger.serialize() == (path, kwargs)
        event = asyncio.run(only_event(trigger))
        before_resuming()
        arguments = {**(deferred.kwargs or {}), "event": event}
        return operator.resume_execution(deferred.method_name, arguments, context)


def outcomes(report: Path | str) -> Counter[str]:
    """Count the rows of a report by outcome."""
    with Path(report).open(newline="") as stream:
        return Counter(row["outcome"] for row in csv.DictReader(stream))


async def only_event(trigger: Any) -> Any:
    """Return the one event of a trigger, as Airflow stores it."""
    (event,) = [event async for event in trigger.run()]
    return json.loads(json.dumps(event.payload))
