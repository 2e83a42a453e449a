"""What a DAG file pays for importing the provider: every task parses its file anew."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pyperf  # type: ignore[import-untyped,unused-ignore]

from benchmarks.figures import Figure
from benchmarks.process import measure


def imports(repeats: int) -> Iterator[Figure]:
    """Milliseconds of importing ours where Airflow's base classes are there already; fresh processes, timed by pyperf."""
    with tempfile.TemporaryDirectory(prefix="nrfprov-bench-") as folder:
        result = Path(folder) / "result.json"
        # The first makes Airflow's home, and Python's bytecode.
        options = ["--processes", "1", "--values", str(repeats), "--warmups", "1", "--loops", "1"]
        home = {"AIRFLOW_HOME": str(Path(folder) / "airflow")}
        measure(
            [
                "benchmarks.import_times",
                *options,
                "--inherit-environ",
                "PYTHONPATH,AIRFLOW_HOME",
                "-o",
                str(result),
            ],
            env=os.environ | home,
        )
        suite = {each.get_name(): each.get_values() for each in pyperf.BenchmarkSuite.load(str(result))}
    yield Figure(
        f"importing all our operators, sensors and triggers, Python {sys.version_info[0]}.{sys.version_info[1]}",
        "importing `DAG` and the base classes from `airflow.sdk`, which is not in ours",
        "ms",
        [seconds * 1e3 for seconds in suite["ours"]],
        [seconds * 1e3 for seconds in suite["base"]],
        up_to=30.0,
    )
