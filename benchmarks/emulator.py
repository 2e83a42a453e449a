"""The emulator as a process of its own, so that its CPU time and memory are not ours."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import requests

_FOR_EVER = 10**9


@contextmanager
def emulator(
    contract: str = "sync", *, bulk_seconds: float = 0.0, seconds_a_request: float = 0.0
) -> Iterator[str]:
    """Run it; give its URL. Each request takes so many seconds more than the emulator needs."""
    command = [
        sys.executable,
        "-m",
        "airflow_provider_nrfprov.emulator",
        "--port",
        "0",
        "--contract",
        contract,
    ]
    with subprocess.Popen(  # noqa: S603 - our own interpreter
        [*command, "--bulk-seconds", str(bulk_seconds)], stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout is not None  # noqa: S101 - it is a pipe
            url = process.stdout.readline().split()[-1]
            if seconds_a_request:
                slow = {"kind": "Slow", "before": seconds_a_request, "after": 0.0}
                schedule = {"seed": 0, "rate": 1.0, "limit": _FOR_EVER, "kinds": [slow]}
                requests.post(f"{url}/emulator/faults", json=schedule, timeout=10).raise_for_status()
            yield url
        finally:
            process.terminate()


def reset(url: str) -> None:
    """Let it forget all devices and operations."""
    requests.post(f"{url}/emulator/reset", timeout=60).raise_for_status()
