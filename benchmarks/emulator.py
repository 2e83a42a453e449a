"""The emulator as a process of its own, so that its CPU time and memory are not ours."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import requests

_FOR_EVER = 10**9


@dataclass(frozen=True)
class Running:
    """An emulator that runs."""

    url: str
    seconds_a_request: float
    """How many seconds more than the emulator needs each request takes."""

    def reset(self) -> None:
        """Let it forget all devices and operations; it stays as slow as it was."""
        requests.post(f"{self.url}/emulator/reset", timeout=60).raise_for_status()
        if self.seconds_a_request:
            slow = {"kind": "Slow", "before": self.seconds_a_request, "after": 0.0}
            schedule = {"seed": 0, "rate": 1.0, "limit": _FOR_EVER, "kinds": [slow]}
            requests.post(f"{self.url}/emulator/faults", json=schedule, timeout=10).raise_for_status()


class Prepared(Running):
    """A service that knows its answers beforehand, and remembers nothing."""

    def reset(self) -> None:
        """There is nothing to forget."""


@contextmanager
def emulator(
    contract: str = "sync", *, bulk_seconds: float = 0.0, seconds_a_request: float = 0.0
) -> Iterator[Running]:
    """Run one on a free port."""
    arguments = ["--port", "0", "--contract", contract, "--bulk-seconds", str(bulk_seconds)]
    with _listening(["airflow_provider_nrfprov.emulator", *arguments]) as url:
        running = Running(url, seconds_a_request)
        running.reset()
        yield running


@contextmanager
def prepared_service(claim_file: Path, seconds_a_request: float) -> Iterator[Prepared]:
    """Run one for a file on a free port."""
    arguments = [str(claim_file), "--seconds", str(seconds_a_request)]
    with _listening(["benchmarks.prepared_service", *arguments]) as url:
        yield Prepared(url, seconds_a_request)


@contextmanager
def _listening(command: list[str]) -> Iterator[str]:
    """Run a module that prints its URL last in its first line."""
    with subprocess.Popen(  # noqa: S603 - our own interpreter
        [sys.executable, "-m", *command], stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout is not None  # noqa: S101 - it is a pipe
            yield process.stdout.readline().split()[-1]
        finally:
            process.terminate()
