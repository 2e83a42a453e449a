"""How cost grows: of a claim with its rows, of waiting with its triggers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

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
    """Let so many triggers wait."""
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
