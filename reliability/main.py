"""Runs many seeds and counts: `python -m reliability.main --seeds 10000`."""

from __future__ import annotations

import argparse
import logging
import multiprocessing
import platform
import shutil
import sys
import time
from collections.abc import Iterable
from functools import partial

from harness.published import working_folder
from reliability.ours import Verdict, run, world
from reliability.scenario import project_scenario, scenario


def run_seeds(seeds: Iterable[int], api: str = "team") -> list[Verdict]:
    """Run seeds one after the other, in this process."""
    scenario_of = {"team": scenario, "project": project_scenario}[api]
    logger = logging.getLogger("airflow_provider_nrfprov")
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    verdicts = []
    try:
        with working_folder(None, "nrfprov-reliability-") as folder, world(folder) as here:
            for seed in seeds:
                verdicts.append(run(scenario_of(seed), here))
                shutil.rmtree(folder / str(seed))
    finally:
        logger.setLevel(level)
    return verdicts


def main() -> int:
    """Run; print counts; 1 if anything was lost, done twice or said wrongly."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=10_000)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--api", choices=("team", "project"), default="team")
    parser.add_argument("--processes", type=int, default=multiprocessing.cpu_count())
    arguments = parser.parse_args()
    started = time.monotonic()
    seeds = range(arguments.first, arguments.first + arguments.seeds)
    batches = [seeds[start : start + 50] for start in range(0, len(seeds), 50)]
    verdicts: list[Verdict] = []
    with multiprocessing.get_context("spawn").Pool(arguments.processes) as pool:
        for done in pool.imap_unordered(partial(run_seeds, api=arguments.api), batches):
            verdicts += done
            for verdict in done:
                for sentence in verdict.wrong[:3]:
                    print(f"seed {verdict.seed}: {sentence}", flush=True)
            wrong = sum(bool(verdict.wrong) for verdict in verdicts)
            print(
                f"{len(verdicts)}/{arguments.seeds} schedules, {wrong} wrong, {time.monotonic() - started:.0f} s",
                flush=True,
            )
    print(
        f"{len(verdicts)} schedules, {sum(v.rows for v in verdicts)} rows, {sum(v.injected for v in verdicts)} faults, "
        f"{sum(v.deaths for v in verdicts)} deaths, {sum(v.tries for v in verdicts)} tries, "
        f"{sum(v.unknown for v in verdicts)} rows unknown at the end, "
        f"{sum(bool(v.wrong) for v in verdicts)} schedules with anything lost, doubled or wrong; "
        f"{time.monotonic() - started:.0f} s, Python {platform.python_version()}, {multiprocessing.cpu_count()} cores"
    )
    return 1 if any(verdict.wrong for verdict in verdicts) else 0


if __name__ == "__main__":
    sys.exit(main())
