"""What a DAG file pays for importing the provider: every task parses its file anew.

`python -m benchmarks.imports -o result.json` times the imports with pyperf, each value in a fresh process.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules

import pyperf  # type: ignore[import-untyped,unused-ignore]

from benchmarks.figures import Figure
from benchmarks.process import measure

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


def _ours() -> str:
    """Return the statement that imports all our operators, sensors and triggers."""
    names = []
    for package in PACKAGES:
        root = import_module(f"airflow_provider_nrfprov.{package}")
        names += [f"airflow_provider_nrfprov.{package}.{each.name}" for each in iter_modules(root.__path__)]
    return "import " + ", ".join(names)


def _in_fresh_processes(before: str, timed: str) -> Callable[[int], float]:
    """Return what pyperf calls with a number of processes: the seconds of the timed statement summed up."""
    code = _TIMED.format(before=before, timed=timed)

    def seconds(loops: int) -> float:
        command = [sys.executable, "-c", code]
        return sum(
            float(subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()[-1])  # noqa: S603 - our own interpreter
            for _ in range(loops)
        )

    return seconds


def imports(repeats: int) -> Iterator[Figure]:
    """Milliseconds of importing ours where Airflow's base classes are there already; fresh processes, timed by pyperf."""
    with tempfile.TemporaryDirectory(prefix="nrfprov-bench-") as folder:
        result = Path(folder) / "result.json"
        # The first makes Airflow's home, and Python's bytecode.
        options = ["--processes", "1", "--values", str(repeats), "--warmups", "1", "--loops", "1"]
        options += ["--inherit-environ", "PYTHONPATH,AIRFLOW_HOME", "-o", str(result)]
        home = {"AIRFLOW_HOME": str(Path(folder) / "airflow")}
        measure(["benchmarks.imports", *options], env=os.environ | home)
        suite = {each.get_name(): each.get_values() for each in pyperf.BenchmarkSuite.load(str(result))}
    yield Figure(
        f"importing all our operators, sensors and triggers, Python {sys.version_info[0]}.{sys.version_info[1]}",
        "importing `DAG` and the base classes from `airflow.sdk`, which is not in ours",
        "ms",
        [seconds * 1e3 for seconds in suite["ours"]],
        [seconds * 1e3 for seconds in suite["base"]],
        up_to=30.0,
    )


def main() -> None:
    """Time both."""
    runner = pyperf.Runner()
    runner.bench_time_func("base", _in_fresh_processes("", BASE))
    runner.bench_time_func("ours", _in_fresh_processes(BASE, _ours()))


if __name__ == "__main__":
    main()
