"""The bulk claim beside Nordic's unmodified ``claim_devices``.

The same file, the same emulator, in turns. ``claim_devices`` runs with its default options, its output going into
a file; so does ours. It neither checks a token, nor writes a report, nor keeps a ledger.
"""

from __future__ import annotations

import math
import shutil
import statistics
from collections.abc import Iterator
from pathlib import Path

from airflow_provider_nrfprov.api.contract import MAX_ROWS_PER_REQUEST, BulkContract
from benchmarks.claim_file import write_claim_file
from benchmarks.emulator import Running, emulator, prepared_service
from benchmarks.figures import Figure, in_turns
from benchmarks.process import Measured, measure
from harness.calls import API_KEY
from harness.nordic import nordic_python

FEW = 1_000
SECONDS_A_REQUEST = 0.5
BARE = "a bare loop, 8 in flight, that checks and reports nothing"


def ours(
    service: Running,
    claim_file: Path,
    folder: Path,
    max_in_flight: int = 1,
    contract: BulkContract = BulkContract.AUTO,
) -> Measured:
    """Claim a file with our job, in a process of its own."""
    shutil.rmtree(folder, ignore_errors=True)
    service.reset()
    arguments = [service.url, str(claim_file), str(folder), "--max-in-flight", str(max_in_flight)]
    return measure(["benchmarks.our_claim", *arguments, "--contract", contract])


def nordic(service: Running, claim_file: Path, *more: str) -> Measured:
    """Claim a file with Nordic's tool, in a process of its own."""
    service.reset()
    done = measure(
        ["harness.nordic", service.url, "--api-key", API_KEY, "--plain", "--csv", str(claim_file), *more],
        python=nordic_python(),
    )
    with claim_file.open("rb") as stream:
        rows = sum(1 for _ in stream)
    if f"Done. {rows} of {rows} devices claimed." not in done.output:
        raise RuntimeError(f"claim_devices did not claim all of {rows} rows: {done.output[-500:]}")
    return done


def cpu(folder: Path, rows: int, repeats: int) -> Iterator[Figure]:
    """CPU seconds for the whole file, with no latency."""
    claim_file = write_claim_file(folder / f"{rows}.csv", rows)
    with emulator() as service:
        us, them, silenced = in_turns(
            repeats,
            lambda: ours(service, claim_file, folder / "report").cpu,
            lambda: nordic(service, claim_file).cpu,
            lambda: nordic(service, claim_file, "--log-level", "warning").cpu,
        )
    name = f"CPU time, {rows:,} rows, checked and reported"
    yield Figure(name, "`claim_devices`", "s", us, them, at_most=1.0)
    silently = "`claim_devices --log-level warning`"
    yield Figure(f"{name}; its log off", silently, "s", us, silenced, at_most=1.0)


def memory(folder: Path, rows: int, repeats: int, at_most: float) -> Iterator[Figure]:
    """Most resident memory with many rows, over that with a few."""
    many, few = write_claim_file(folder / f"{rows}.csv", rows), write_claim_file(folder / "few.csv", FEW)
    with emulator() as service:
        most, least = in_turns(
            repeats,
            lambda: ours(service, many, folder / "report").peak,
            lambda: ours(service, few, folder / "report").peak,
        )
    yield Figure(
        f"peak memory, {rows:,} rows",
        f"itself with {FEW:,} rows",
        "MB",
        most,
        least,
        at_most=at_most,
        difference=True,
    )


def bare(service: Running, claim_file: Path, max_in_flight: int) -> Measured:
    """Claim a file with a loop that does nothing else, in a process of its own."""
    service.reset()
    return measure(
        ["benchmarks.bare_claim", service.url, str(claim_file), "--max-in-flight", str(max_in_flight)]
    )


def wall(folder: Path, rows: int, repeats: int) -> Iterator[Figure]:
    """Wall time where each request takes half a second, with 8 and with 16 requests in flight."""
    claim_file = write_claim_file(folder / f"{rows}.csv", rows)
    with emulator(seconds_a_request=SECONDS_A_REQUEST) as service:
        eight, loop, named, sixteen, theirs = in_turns(
            repeats,
            lambda: ours(service, claim_file, folder / "report", 8).wall,
            lambda: bare(service, claim_file, 8).wall,
            lambda: ours(service, claim_file, folder / "report", 8, BulkContract.SYNC).wall,
            lambda: ours(service, claim_file, folder / "report", 16).wall,
            lambda: nordic(service, claim_file).wall,
        )
    name = f"wall time, {rows:,} rows, 500 ms a request"
    yield Figure(f"{name}, 8 in flight", "`claim_devices`", "s", eight, theirs, at_least=8.0)
    yield Figure(f"{name}, 8 in flight", BARE, "s", eight, loop, at_most=1.05)
    yield Figure(f"{name}, 8 in flight, `bulk_contract` set", BARE, "s", named, loop, at_most=1.05)
    yield Figure(f"{name}, 16 in flight", "`claim_devices`", "s", sixteen, theirs)


def wall_of_prepared(folder: Path, rows: int, repeats: int) -> Iterator[Figure]:
    """The same with 8 in flight, against a service that takes no time of this machine's."""
    claim_file = write_claim_file(folder / f"{rows}.csv", rows)
    with prepared_service(claim_file, SECONDS_A_REQUEST) as service:
        eight, named, loop, theirs = in_turns(
            repeats,
            lambda: ours(service, claim_file, folder / "report", 8).wall,
            lambda: ours(service, claim_file, folder / "report", 8, BulkContract.SYNC).wall,
            lambda: bare(service, claim_file, 8).wall,
            lambda: nordic(service, claim_file).wall,
        )
    name = f"wall time, {rows:,} rows, 500 ms a request, 8 in flight, a service that knows its answers"
    # The seconds that requests take one after the other, and eight at a time: nobody can be faster with eight.
    requests = math.ceil(rows / MAX_ROWS_PER_REQUEST)
    limit = statistics.median(theirs) / (math.ceil(requests / 8) * SECONDS_A_REQUEST)
    goal = round(0.95 * limit, 2)
    yield Figure(name, "`claim_devices`", "s", eight, theirs, at_least=goal)
    yield Figure(f"{name}, `bulk_contract` set", "`claim_devices`", "s", named, theirs, at_least=goal)
    yield Figure(f"{name}: a bare loop", "`claim_devices`", "s", loop, theirs, at_least=goal)
