"""Measures everything and writes the page: `python -m benchmarks.main --write docs/benchmarks.md`."""

from __future__ import annotations

import argparse
import os
import platform
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from importlib.metadata import version
from itertools import chain
from pathlib import Path

import psutil  # type: ignore[import-untyped,unused-ignore]

from benchmarks import checking, claim, dag_runs, ending, growth, refusals, waiting
from benchmarks.figures import COLUMNS, Figure
from benchmarks.growth import Series
from benchmarks.imports import imports
from harness.interruption import raise_on_signals
from harness.nordic import nordic_version
from harness.published import publish, table, working_folder

NAME = "benchmarks"
_PACKAGES = ("apache-airflow", "apache-airflow-providers-http", "requests", "aiohttp")


@dataclass(frozen=True, kw_only=True)
class Size:
    """How much is measured."""

    repeats: int
    their_device_runs: int
    """The alternative needs five minutes for each."""
    rows: int
    many_rows: int
    asked: int
    waiting: int
    interval: float
    """Seconds."""
    devices: int
    ends: tuple[float, ...]
    """Seconds that an operation takes whose end is waited for."""
    ends_at_once: int
    teams: tuple[int, ...]
    refused: tuple[int, ...]
    growth_rows: tuple[int, ...]
    growth_waiting: tuple[int, ...]


FULL = Size(
    repeats=5,
    their_device_runs=1,
    rows=100_000,
    many_rows=1_000_000,
    asked=1_000,
    waiting=5_000,
    interval=5.0,
    devices=1_000,
    ends=(0.1, 5.0, 60.0),
    ends_at_once=10,
    teams=(20_000, 1_000_000),
    refused=(1, 10, 1_000),
    growth_rows=(1_000, 10_000, 100_000, 1_000_000),
    growth_waiting=(10, 100, 1_000, 5_000),
)
QUICK = Size(
    repeats=1,
    their_device_runs=1,
    rows=10_000,
    many_rows=20_000,
    asked=100,
    waiting=500,
    interval=0.5,
    devices=10,
    ends=(0.1, 5.0),
    ends_at_once=3,
    teams=(20_000,),
    refused=(1, 10),
    growth_rows=(1_000, 10_000),
    growth_waiting=(10, 100),
)


def parts(folder: Path, size: Size) -> dict[str, Callable[[], Iterable[Figure | Series]]]:
    """Return what can be measured, by name."""
    again = size.repeats
    return {
        "cpu": lambda: claim.cpu(folder, size.rows, again),
        "wall": lambda: claim.wall(folder, size.rows, again),
        "memory": lambda: claim.memory(folder, size.rows, again, at_most=25),
        "memory of many rows": lambda: claim.memory(folder, size.many_rows, again, at_most=150),
        "requests": lambda: waiting.asking(folder, size.asked, 10, size.interval, again),
        # Longer intervals, so that the alternative has the time to ask about all.
        "loop": lambda: waiting.loop(folder, size.waiting, 4 * size.interval, 8 * size.interval, again),
        "ends": lambda: chain(
            ending.ending(size.ends, size.ends_at_once), ending.ending_after_an_hour(1_000)
        ),
        "refusals": lambda: refusals.reports(folder, size.teams, size.refused),
        "check": lambda: checking.checking(folder, size.many_rows, again),
        "shift": lambda: dag_runs.shift(folder, again),
        "service that knows": lambda: claim.wall_of_prepared(folder, size.rows, again),
        "imports": lambda: imports(again),
        "devices": lambda: dag_runs.many_devices(folder, size.devices, again, size.their_device_runs),
        "growth with rows": lambda: [growth.of_rows(folder, size.growth_rows)],
        "growth with triggers": lambda: [
            growth.of_waiting(folder, size.growth_waiting, 2 * size.interval, 10 * size.interval)
        ],
    }


def measured(folder: Path, size: Size, only: str) -> Iterator[Figure | Series]:
    """Measure part by part; print each figure as soon as it is there."""
    for name, part in parts(folder, size).items():
        if only not in name:
            continue
        started = time.monotonic()
        for found in part():
            if isinstance(found, Figure):
                print(" | ".join(found.cells()), file=sys.stderr, flush=True)
            yield found
        print(f"{name}: {time.monotonic() - started:.0f} s", file=sys.stderr, flush=True)


def setup(repeats: str, seconds: float) -> str:
    """Return on what it was measured."""
    memory = psutil.virtual_memory().total / 2**30
    return (
        f"{repeats}; {seconds / 60:.0f} minutes in all, on {os.cpu_count()} cores ({_processor()}), {memory:.0f} GiB, "
        f"{platform.system()} {platform.release()}, Python {platform.python_version()}; "
        f"{', '.join(f'{name} {version(name)}' for name in _PACKAGES)}, nrfcloud-utils {nordic_version()}."
    )


def page(found: Iterable[Figure | Series], images: Path, about: str) -> str:
    """Draw the growth; return the section of the page."""
    found = list(found)
    lines = table(COLUMNS, (each.cells() for each in found if isinstance(each, Figure)))
    for series in found:
        if isinstance(series, Series):
            image = images / f"growth-with-{series.of}.svg"
            growth.draw(series, image)
            lines += ["", f"![Growth with {series.of}]({images.name}/{image.name})", ""]
            lines += table(series.columns(), series.rows())
    return "\n".join([*lines, "", about])


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.machine())


def main() -> None:
    """Measure, print, write. 0 also if goals are missed: the table says so."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--quick", action="store_true", help="a small version, too small for most goals to mean much"
    )
    parser.add_argument("--only", default="", help="what has this in its name")
    parser.add_argument(
        "--their-device-runs", type=int, help="runs of a task a device, five minutes each, twice (1)"
    )
    parser.add_argument("--write", type=Path, help=f"a page with the lines <!-- {NAME}: begin --> and end")
    arguments = parser.parse_args()
    raise_on_signals()
    size, started = QUICK if arguments.quick else FULL, time.monotonic()
    if arguments.their_device_runs:
        size = replace(size, their_device_runs=arguments.their_device_runs)
    with working_folder(None, "nrfprov-bench-") as folder:
        found = list(measured(folder, size, arguments.only))
        images = arguments.write.parent / "images" if arguments.write else folder / "images"
        repeats = (
            "One run of each"
            if size.repeats == 1
            else f"{size.repeats} runs of each, where no other number is given"
        )
        text = page(found, images, setup(repeats, time.monotonic() - started))
    publish(arguments.write, NAME, text)


if __name__ == "__main__":
    main()
