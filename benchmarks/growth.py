"""How cost grows: of a claim with its rows, of waiting with its triggers; measured, and drawn as SVG."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import matplotlib as mpl
from matplotlib.figure import Figure as Drawing

from benchmarks.claim import ours
from benchmarks.claim_file import write_claim_file
from benchmarks.emulator import emulator
from benchmarks.waiting import ground


@dataclass(frozen=True)
class Series:
    """What was measured at each size, once."""

    of: str
    """What there is more of."""
    sizes: Sequence[int]
    values: dict[str, Sequence[float]]
    """By what was measured, with its unit."""

    def columns(self) -> list[str]:
        """Return the head of a table."""
        return [f">{self.of}", *(f">{name}" for name in self.values)]

    def rows(self) -> Iterator[list[str]]:
        """Return its rows."""
        for number, size in enumerate(self.sizes):
            yield [f"{size:,}", *(f"{values[number]:,.3g}" for values in self.values.values())]


def of_rows(folder: Path, sizes: Sequence[int]) -> Series:
    """Claim files of these sizes, with no latency."""
    found = []
    with emulator() as service:
        for rows in sizes:
            claim_file = write_claim_file(folder / f"{rows}.csv", rows)
            found.append(ours(service, claim_file, folder / "report"))
            claim_file.unlink()
    return Series(
        "rows",
        sizes,
        {
            "CPU time, s": [each.cpu for each in found],
            "wall time, s": [each.wall for each in found],
            "peak memory, MB": [each.peak for each in found],
        },
    )


def of_waiting(folder: Path, sizes: Sequence[int], interval: float, seconds: float) -> Series:
    """Let triggers wait, as many as each of ``sizes``."""
    with ground(folder, max(sizes)) as here:
        found = [here.wait("ours", count, interval=interval, seconds=seconds) for count in sizes]
    rounds = seconds / interval
    return Series(
        "triggers",
        sizes,
        {
            "requests an interval": [each.requests / rounds for each in found],
            "CPU time an interval, ms": [1e3 * each.cpu / rounds for each in found],
            "memory, MB": [each.memory * count / 1e6 for each, count in zip(found, sizes, strict=True)],
            "event loop late at worst, ms": [1e3 * each.lag for each in found],
        },
    )


def draw(series: Series, path: Path) -> None:
    """Draw each measure over the sizes, both axes logarithmic, beside a line of linear growth."""
    # Without these, each run would change the file although no figure changed.
    mpl.rcParams["svg.hashsalt"] = "airflow-provider-nrfprov"
    drawing = Drawing(figsize=(4 * len(series.values), 3.4), layout="constrained")
    for number, (name, values) in enumerate(series.values.items(), start=1):
        axes = drawing.add_subplot(1, len(series.values), number)
        axes.plot(series.sizes, values, marker="o", label="measured")
        linear = [values[-1] * size / series.sizes[-1] for size in series.sizes]
        axes.plot(series.sizes, linear, linestyle=":", color="gray", label="linear, to the last point")
        axes.set(xscale="log", yscale="log", xlabel=series.of, title=name)
        axes.grid(visible=True, alpha=0.3)
    axes.legend(fontsize="small")
    path.parent.mkdir(parents=True, exist_ok=True)
    drawing.savefig(path, format="svg", metadata={"Date": None})
