"""Nordic's own client as an object: its functions by name, called in the Python that has them."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from harness.nordic import ROOT, environment, nordic_python


@dataclass(frozen=True)
class Response:
    """What the client gives for a request: the response of the service."""

    status_code: int
    text: str

    def json(self) -> Any:
        return json.loads(self.text)


class NordicClient:
    """Calls functions of the client as ``call("nrf_cloud_diap.claim_device", …)``."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self.log = ""
        """What the last call logged, from INFO on unless the client decided otherwise."""

    def call(self, function: str, *arguments: Any, **named: Any) -> Any:
        """Return what the function returns: bytes as text, tuples as lists; the exit code if it ended the process."""
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(json.dumps([function, arguments, named]) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        assert line, f"{function} ended Nordic's client; its error output is above"
        answer = json.loads(line)
        self.log = answer["log"]
        if "exit" in answer:
            return answer["exit"]
        returned = answer["returned"]
        return Response(**returned) if isinstance(returned, dict) and "status_code" in returned else returned


@contextmanager
def nordic_client(url: str) -> Iterator[NordicClient]:
    """Start Nordic's client in a process of its own, for the service at a URL."""
    with subprocess.Popen(
        [nordic_python(), "-m", "tests.contract.nordic_calls", url],
        cwd=ROOT,
        env=environment(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield NordicClient(process)
        finally:
            assert process.stdin
            process.stdin.close()
