"""Runs a program as a process of its own and measures it from outside: CPU time and wall time."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

_ROOT = Path(__file__).parent.parent
_PEAK = "peak memory in bytes:"


@dataclass(frozen=True)
class Measured:
    """What a process took from its start to its end, its imports included."""

    cpu: float
    """Seconds, in user and kernel mode."""
    wall: float
    """Seconds."""
    output: str

    @property
    def peak(self) -> float:
        """Most resident memory, in MB (10^6 bytes), as the program said with :func:`say_peak`."""
        return float(self.output.rsplit(_PEAK, 1)[1].split()[0]) / 1e6


def say_peak() -> None:
    """Print the most memory that this process ever had resident; for :attr:`Measured.peak`.

    Not ``ru_maxrss``: that begins with what the parent had when it started the process.
    """
    status = Path("/proc/self/status").read_text()
    kilobytes = next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM:"))
    print(_PEAK, int(kilobytes) * 1024)


def measure(
    command: Sequence[str], *, env: Mapping[str, str] | None = None, python: str = sys.executable
) -> Measured:
    """Run a Python module with its arguments and measure it.

    :param env: its environment, if not that of this program.
    :param python: what runs it, if not this program's Python.
    :raises RuntimeError: if it fails; with the end of its output.
    """
    environment = {**(env or os.environ), "PYTHONPATH": str(_ROOT)}
    # What pip installs is compiled already; without this, ours would be compiled anew in each process, and theirs not.
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    with tempfile.TemporaryFile() as output:
        started = time.perf_counter()
        process = subprocess.Popen(  # noqa: S603 - our own interpreters
            [python, "-m", *command], env=environment, stdout=output, stderr=output
        )
        # wait4 tells of this one child; getrusage would add up all that ever were.
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.perf_counter() - started
        process.returncode = os.waitstatus_to_exitcode(status)
        output.seek(0)
        text = output.read().decode(errors="replace")
    if process.returncode:
        raise RuntimeError(f"{' '.join(command[:1])} ended with {process.returncode}: {text[-2000:]}")
    return Measured(usage.ru_utime + usage.ru_stime, wall, text)
