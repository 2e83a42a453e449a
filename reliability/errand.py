"""What every tool of the comparison is given, and what it has to say for itself at the end."""

from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from harness.connections import http_connection, nrfprov_connection

ROWS_PER_REQUEST = 1000
LONGEST_RUN = 120.0
"""Seconds."""
RETRIES = 3
"""Of every Airflow task here, ours included: four tries at most."""
OUR_CONNECTION, HTTP_CONNECTION = "nrfprov_comparison", "nrfcloud_http"
OUR_PROJECT_CONNECTION = "nrfprov_comparison_project"


@dataclass(frozen=True)
class Errand:
    """A claim file to be claimed: all that a tool needs, also in another process."""

    url: str
    contract: str
    claim_file: str
    """``imei,uuid,token,time``: the one form that every tool takes."""
    folder: str
    """Where a tool may write."""

    def to_json(self) -> str:
        """Write it, for a worker in another process."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Errand:
        """Read what ``to_json`` wrote."""
        return cls(**json.loads(text))

    def device_of(self) -> dict[str, str]:
        """Return the device id of each claim token of the file, in its order."""
        with Path(self.claim_file).open(newline="") as stream:
            return {token: device_id for _, device_id, token, _ in csv.reader(stream)}


@dataclass(frozen=True)
class Account:
    """What a tool says of the rows, by device."""

    state: str
    """Exit status, or the states of its tasks."""
    claimed: frozenset[str] = field(default=frozenset(), repr=False)
    """It names them as claimed."""
    failed: frozenset[str] = field(default=frozenset(), repr=False)
    """It names them as failed, in a way that they can be run again without guessing."""
    unknown: frozenset[str] = field(default=frozenset(), repr=False)
    """It names them as unknown, in such a way."""

    @property
    def named(self) -> frozenset[str]:
        """Return all of whom it says anything."""
        return self.claimed | self.failed | self.unknown


def run_task(operator: Any, tries: int) -> tuple[str, Any]:
    """Execute an operator until it succeeds, as Airflow does with ``retries``; give its state and its XCom.

    The scheduler has no part in it: the tries follow each other at once, in this process.
    """
    from airflow.providers.common.compat.sdk import AirflowFailException

    context: dict[str, Any] = {"ti": _TaskInstance(), "run_id": "comparison", "params": {}}
    for _ in range(tries):
        try:
            # What it logs belongs to nobody here.
            with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
                return "success", operator.execute(context)
        except AirflowFailException:
            return "failed", None
        except Exception:  # noqa: BLE001, S112 - whatever a task raises, Airflow tries again
            continue
    return "failed", None


@contextmanager
def connections(url: str) -> Iterator[None]:
    """Define the connections of Airflow, ours to a team and to a project and the HttpOperator's, in the environment."""
    variables = {
        **http_connection(HTTP_CONNECTION, url),
        **nrfprov_connection(OUR_CONNECTION, url),
        **nrfprov_connection(OUR_PROJECT_CONNECTION, url, "project"),
    }
    os.environ |= variables
    try:
        yield
    finally:
        for name in variables:
            del os.environ[name]


class _TaskInstance:
    """Takes what an operator pushes."""

    def xcom_push(self, key: str, value: Any) -> None:
        """Forget it."""


Death = Callable[[list[str]], None]
"""Runs a command and kills its process in the middle."""


@dataclass(frozen=True)
class Tool:
    """One of those compared."""

    name: str
    run: Callable[[Errand, Death | None], Account]
    """Does the errand; with a ``Death``, its first worker dies, and it is run again."""
    contracts: tuple[str, ...] = ("sync", "async", "project")
    """Those that it speaks."""
