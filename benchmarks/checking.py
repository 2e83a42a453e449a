"""``nrfprov check`` beside a program that only splits the rows of the same file."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from benchmarks.claim_file import write_claim_file
from benchmarks.figures import Figure, in_turns
from benchmarks.process import measure

SPLITTING = "`csv.reader` over the same file, which checks nothing"


def checking(folder: Path, rows: int, repeats: int) -> Iterator[Figure]:
    """CPU time and memory of checking a file that is all good."""
    claim_file = write_claim_file(folder / f"{rows}.csv", rows)
    ours, theirs = in_turns(
        repeats,
        lambda: measure(["benchmarks.checking_process", "check", str(claim_file)]),
        lambda: measure(["benchmarks.checking_process", "split", str(claim_file)]),
    )
    claim_file.unlink()
    name = f"`nrfprov check`, {rows:,} rows"
    for what, of, unit, goal in (("CPU time", "cpu", "s", 5.0), ("peak memory", "peak", "MB", 80.0)):
        us, them = ([getattr(each, of) for each in kind] for kind in (ours, theirs))
        yield Figure(f"{what}, {name}", SPLITTING, unit, us, them, up_to=goal)
