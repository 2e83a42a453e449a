"""Draws how cost grows, as SVG."""

from __future__ import annotations

from pathlib import Path

import matplotlib as mpl
from matplotlib.figure import Figure as Drawing

from benchmarks.growth import Series


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
