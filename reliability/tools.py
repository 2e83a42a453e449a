"""The tools that are compared: our own operator, and what a user would take otherwise.

The others are Nordic's two clients, and an ``HttpOperator`` a chunk. All are the real ones. What they say of a row is read from
what they leave behind: reports, output, result files, task states and XComs. `python -m reliability.tools NAME ERRAND` is the first try of an
Airflow task in a process of its own, to be killed.
"""

from __future__ import annotations

import ast
import csv
import io
import json
import os
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, redirect_stderr, redirect_stdout
from dataclasses import asdict, dataclass, field
from itertools import islice
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

from harness.connections import http_connection, nrfprov_connection
from harness.memfault import create_devices, memfault_command
from harness.nordic import environment, nordic_python
from reliability.judge import OURS, read_report
from reliability.ours import OUR_KEY

ROWS_PER_REQUEST = 1000
LONGEST_RUN = 120.0
"""Seconds."""
RETRIES = 3
"""Of every Airflow task here, ours included: four tries at most."""
OUR_CONNECTION, HTTP_CONNECTION = "nrfprov_comparison", "nrfcloud_http"
OUR_PROJECT_CONNECTION = "nrfprov_comparison_project"
_RECORD = re.compile(r"^(?:DEBUG|INFO|WARNING|ERROR|CRITICAL) +", re.MULTILINE)
_TOKEN = re.compile(r"[\w-]+\.[\w-]+")


@dataclass(frozen=True)
class Errand:
    """A claim file to be claimed: all that a tool needs, also in another process."""

    url: str
    contract: str
    claim_file: str
    """``imei,uuid,token,time``: the one form that every tool takes."""
    folder: str
    """Where a tool may write."""

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
    """Execute an operator until it succeeds, as Airflow does with ``retries``; return its state and its XCom.

    The scheduler has no part in it: the tries follow each other at once, in this process.
    """
    from airflow.providers.common.compat.sdk import AirflowFailException

    # What an operator pushes is forgotten.
    task_instance = SimpleNamespace(xcom_push=lambda *_, **__: None)
    context: dict[str, Any] = {"ti": task_instance, "run_id": "comparison", "params": {}}
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


def connections(url: str) -> AbstractContextManager[object]:
    """Define the connections of Airflow, ours to a team and to a project and the HttpOperator's, in the environment."""
    ours = nrfprov_connection(OUR_CONNECTION, url) | nrfprov_connection(
        OUR_PROJECT_CONNECTION, url, "project"
    )
    return patch.dict(os.environ, http_connection(HTTP_CONNECTION, url) | ours)


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


def _worker_command(tool: str, errand: Errand) -> list[str]:
    return [sys.executable, "-m", "reliability.tools", tool, json.dumps(asdict(errand))]


def our_operator(errand: Errand) -> Any:
    """Return the one task that claims the file."""
    from airflow.providers.common.compat.sdk import DAG

    from airflow_provider_nrfprov.operators.bulk_claim import NrfProvBulkClaimOperator

    with DAG("claim_with_nrfprov", schedule=None):
        return NrfProvBulkClaimOperator(
            task_id="claim",
            claim_file=errand.claim_file,
            report_dir=str(_report(errand)),
            poll_interval=0.1,
            nrfprov_conn_id=OUR_PROJECT_CONNECTION if errand.contract == "project" else OUR_CONNECTION,
            retries=RETRIES,
        )


def run_ours(errand: Errand, death: Death | None = None) -> Account:
    """Run the task; read what it says from its report and from the rows to run again."""
    if death:
        death(_worker_command("ours", errand))
    state, _ = run_task(our_operator(errand), RETRIES if death else RETRIES + 1)
    folder, device_of = _report(errand), errand.device_of()
    if not (folder / "report.csv").exists():
        return Account(f"1 {state}")
    with (folder / "failed_rows.csv").open(newline="") as stream:
        again = {device_of[cell] for row in csv.reader(stream) for cell in row if cell in device_of}
    outcome_of = {row["device_id"]: row["outcome"] for row in read_report(folder)}
    claimed = frozenset(device for device, outcome in outcome_of.items() if outcome in OURS)
    unknown = frozenset(device for device in again if outcome_of.get(device) == "unknown")
    return Account(f"1 {state}", claimed, frozenset(again - unknown), unknown)


def _report(errand: Errand) -> Path:
    return Path(errand.folder) / "report"


def run_nordic(errand: Errand, death: Death | None = None) -> Account:
    """Run Nordic's tool over the file; after a death once more from the start, as a person would."""
    command = [nordic_python(), "-m", "harness.nordic", errand.url, "--api-key", OUR_KEY, "--plain"]
    command += ["--csv", errand.claim_file]
    if death:
        death(command)
    done = subprocess.run(  # noqa: S603 - our own interpreter
        command,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=LONGEST_RUN,
        check=False,
    )
    claimed, failed = read_nordic(done.stdout, errand.device_of())
    return Account(f"exit {done.returncode}", claimed, failed)


def read_nordic(output: str, device_of: Mapping[str, str]) -> tuple[frozenset[str], frozenset[str]]:
    """Read which devices its output names as claimed, and which as failed.

    That a row is about to be sent is said of each, and says nothing of what became of it.
    """
    claimed: set[str] = set()
    failed: set[str] = set()
    known, kind = set(device_of.values()), ""
    for record in _RECORD.split(output):
        text = record.strip()
        if text.startswith("-->"):
            kind = "claimed" if text.startswith("--> Accepted") else "failed"
        elif text.startswith("[") and kind == "claimed":
            claimed.update(ast.literal_eval(text))
        elif text.startswith("[") and kind == "failed":
            failed.update(device_of[token] for token in _TOKEN.findall(text) if token in device_of)
        elif text.startswith("{") and kind == "failed":
            claimed.update(_listed(text))
    return frozenset(claimed & known), frozenset(failed & known)


def run_memfault(errand: Errand, death: Death | None = None) -> Account:
    """Run Nordic's tool of the new API for each thousand rows, the most that it takes; after a death all of them once more."""
    files = list(_memfault_files(errand))
    if death:
        death(memfault_command(errand.url, files[0]))
    claimed: set[str] = set()
    failed: set[str] = set()
    codes: Counter[int] = Counter()
    for file in files:
        done = create_devices(errand.url, file, seconds=LONGEST_RUN)
        codes[done.code] += 1
        claimed.update(device for device, words in done.results.items() if words == "OK")
        failed.update(device for device, words in done.results.items() if words != "OK")
    told = ", ".join(f"{count} exit {code}" for code, count in sorted(codes.items()))
    return Account(told, frozenset(claimed), frozenset(failed))


def _memfault_files(errand: Errand) -> Iterator[Path]:
    device_of = errand.device_of()
    for number, tokens in enumerate(_chunks(device_of), start=1):
        file = Path(errand.folder) / f"devices-{number}.csv"
        lines = ["deviceId,attestationToken", *(f"{device_of[token]},{token}" for token in tokens)]
        file.write_text("\n".join(lines) + "\n")
        yield file


def run_http(errand: Errand, death: Death | None = None) -> Account:
    """Run a task per chunk; only the worker of the first one dies.

    A failed task names all rows of its chunk: clear it, and they are sent again.
    """
    device_of = errand.device_of()
    states: Counter[str] = Counter()
    claimed: set[str] = set()
    failed: set[str] = set()
    for number, tokens in enumerate(_chunks(device_of)):
        tries = RETRIES + 1
        if death and number == 0:
            death(_worker_command("http", errand))
            tries -= 1
        state, text = run_task(http_operator(errand, number, tokens), tries)
        states[state] += 1
        if state == "failed":
            failed.update(device_of[token] for token in tokens)
        else:
            claimed.update(_listed(text))
            failed.update(_refused(text, device_of))
    told = ", ".join(f"{count} {state}" for state, count in sorted(states.items()))
    return Account(told, frozenset(claimed & set(device_of.values())), frozenset(failed))


def http_operator(errand: Errand, number: int, tokens: Iterable[str]) -> Any:
    """Return the task of one chunk as a user would write it."""
    from airflow.providers.common.compat.sdk import DAG
    from airflow.providers.http.operators.http import HttpOperator

    with DAG("claim_with_http", schedule=None):
        return HttpOperator(
            task_id=f"chunk_{number}",
            http_conn_id=HTTP_CONNECTION,
            endpoint="claimed-devices/bulk" if errand.contract == "async" else "claimed-devices",
            method="POST",
            headers={"Content-Type": "text/csv"},
            data="".join(f"{token}\n" for token in tokens),
            log_response=False,
            retries=RETRIES,
        )


def _chunks(tokens: Iterable[str]) -> Iterator[list[str]]:
    rest = iter(tokens)
    while chunk := list(islice(rest, ROWS_PER_REQUEST)):
        yield chunk


def _body(text: str) -> dict[str, Any]:
    try:
        body = json.loads(text)
    except ValueError:
        return {}
    return body if isinstance(body, dict) else {}


def _listed(text: str) -> list[str]:
    return list(_body(text).get("claimedIds", []))


def _refused(text: str, device_of: Mapping[str, str]) -> set[str]:
    tokens = {failed.get("claimToken") for failed in _body(text).get("failed", [])}
    return {device_of[token] for token in tokens if token in device_of}


OUR_TASK = Tool("NrfProvBulkClaimOperator", run_ours)
NORDIC = Tool("claim_devices", run_nordic, contracts=("sync",))
HTTP = Tool("HttpOperator", run_http, contracts=("sync", "async"))
MEMFAULT = Tool("memfault-cli", run_memfault, contracts=("project",))


def main(tool: str, errand: Errand) -> None:
    """Execute the operator once; of several chunks, that of the first."""
    operator = (
        our_operator(errand)
        if tool == "ours"
        else http_operator(errand, 0, next(_chunks(errand.device_of())))
    )
    run_task(operator, tries=1)


if __name__ == "__main__":
    main(sys.argv[1], Errand(**json.loads(sys.argv[2])))
