"""What a report costs in requests where some rows of a chunk were refused, in teams of very different sizes."""

from __future__ import annotations

import gc
import math
from collections.abc import Iterator, Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import cast

from airflow_provider_nrfprov.api.contract import MAX_ROWS_PER_REQUEST
from airflow_provider_nrfprov.claiming.job import ClaimJob
from airflow_provider_nrfprov.claiming.report import Outcome
from airflow_provider_nrfprov.emulator.accounts import TEAM_A, TEAM_B
from airflow_provider_nrfprov.emulator.devices import Device
from airflow_provider_nrfprov.emulator.server import Emulator, running_emulator
from airflow_provider_nrfprov.files.paths import PathLike
from airflow_provider_nrfprov.files.storage import Folder
from benchmarks.claim_file import tokens
from benchmarks.figures import Figure
from harness.calls import calls_of

GOALS = {1: 15, 10: 15, 1_000: 25}
"""Refused rows of a chunk, to requests of its report, at most."""
_PAGE = 100
_LONG_AGO = datetime(2026, 1, 1, tzinfo=timezone.utc)


def reports(folder: Path, teams: Sequence[int], refused: Sequence[int]) -> Iterator[Figure]:
    """Count the requests of the report; nothing in it depends on chance or on time, so once is enough."""
    for team in teams:
        with running_emulator(contract="async", bulk_seconds=0.0) as emulator:
            for number in refused:
                # Anew: what an earlier report's chunk claimed would be new devices to this one.
                emulator.reset(contract="async", bulk_seconds=0.0)
                _fill(emulator, team)
                yield Figure(
                    f"requests of the report, {number:,} of {MAX_ROWS_PER_REQUEST:,} rows refused, a team of {team:,} devices",
                    "reading the list of the team's devices, a hundred a page",
                    "requests",
                    [_requests(emulator, folder / f"{team}-{number}", number)],
                    [math.ceil(team / _PAGE)],
                    up_to=GOALS[number],
                )
            emulator.reset()
        gc.collect()


def _fill(emulator: Emulator, count: int) -> None:
    """Let our team have devices that were claimed long ago. To mint and read a million tokens would take minutes."""
    for number in range(count):
        device_id = f"00000000-0000-4000-8000-{number:012x}"
        emulator.service.devices.add(Device(device_id, TEAM_A, "nRF9160", "", _LONG_AGO, []))


def _requests(emulator: Emulator, folder: Path, refused: int) -> int:
    """Claim a chunk of which some devices are another team's; count what its report asks."""
    batch = list(tokens(MAX_ROWS_PER_REQUEST, seed=refused))
    with emulator.service.turn() as now:
        for _, token in batch[:refused]:
            emulator.service.devices.claim(TEAM_B, token, (), now)
    folder.mkdir()
    claim_file = folder / "chunk.csv"
    claim_file.write_text("".join(f"{token}\n" for _, token in batch))
    with calls_of(emulator.url) as calls:
        job = ClaimJob.plan(cast("PathLike", claim_file), Folder(cast("PathLike", folder / "report")), calls)
        job.send()
        before = sum(emulator.service.request_counts().values())
        counts = job.report().counts
        job.close()
    if (counts[Outcome.FAILED], counts[Outcome.CLAIMED]) != (refused, len(batch) - refused):
        raise RuntimeError(f"{refused} of {len(batch)} rows were refused, and the report says {counts}")
    return sum(emulator.service.request_counts().values()) - before
