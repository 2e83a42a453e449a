"""Times two imports with pyperf, each value in a fresh process: `python -m benchmarks.import_times -o result.json`."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from importlib import import_module
from pkgutil import iter_modules

import pyperf  # type: ignore[import-untyped,unused-ignore]

BASE = "from airflow.sdk import DAG, BaseHook, BaseOperator, BaseSensorOperator, Param, TaskGroup, task"
"""What a DAG file with any operator imports anyway."""
PACKAGES = ("operators", "sensors", "triggers")
_TIMED = """\
import time
{before}
begun = time.perf_counter()
{timed}
print(time.perf_counter() - begun)
"""


def ours() -> str:
    """Return the statement that imports all our operators, sensors and triggers."""
    names = []
    for package in PACKAGES:
        root = import_module(f"airflow_provider_nrfprov.{package}")
        names += [f"airflow_provider_nrfprov.{package}.{each.name}" for each in iter_modules(root.__path__)]
    return "import " + ", ".join(names)


def in_fresh_processes(before: str, timed: str) -> Callable[[int], float]:
    """Return what pyperf calls: so many processes, the seconds of the timed statement summed up."""
    code = _TIMED.format(before=before, timed=timed)

    def seconds(loops: int) -> float:
        command = [sys.executable, "-c", code]
        return sum(
            float(subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()[-1])  # noqa: S603 - our own interpreter
            for _ in range(loops)
        )

    return seconds


def main() -> None:
    """Time both."""
    runner = pyperf.Runner()
    runner.bench_time_func("base", in_fresh_processes("", BASE))
    runner.bench_time_func("ours", in_fresh_processes(BASE, ours()))


if __name__ == "__main__":
    main()
