"""Our bulk claim as a bare program, without Airflow: plan, send, wait, settle, report."""

from __future__ import annotations

import argparse
import logging
import sys
import time
from pathlib import Path
from typing import cast

from airflow_provider_nrfprov.api.contract import BulkContract
from airflow_provider_nrfprov.api.wait_policy import BulkOpsWatch
from airflow_provider_nrfprov.claiming.job import ClaimJob
from airflow_provider_nrfprov.claiming.report import Outcome
from airflow_provider_nrfprov.files.paths import PathLike
from airflow_provider_nrfprov.files.storage import Folder
from benchmarks.process import say_peak
from harness.calls import calls_of


def main() -> int:
    """Claim a file; 1 if a row is not claimed in the end."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("url")
    parser.add_argument("claim_file", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--max-in-flight", type=int, default=1)
    parser.add_argument("--contract", type=BulkContract, default=BulkContract.AUTO)
    arguments = parser.parse_args()
    logging.basicConfig(level="INFO", stream=sys.stdout)
    folder = Folder(cast("PathLike", arguments.folder))
    with calls_of(arguments.url, arguments.contract) as calls:
        job = ClaimJob.plan(cast("PathLike", arguments.claim_file), folder, calls)
        watch = BulkOpsWatch(job.send(max_in_flight=arguments.max_in_flight))
        while not watch.is_done:
            watch.poll(calls.fetch_bulk_ops_request)
            if not watch.is_done:
                time.sleep(1)
        summary = job.report()
    logging.getLogger("claim").info("%s", summary)
    say_peak()
    return 0 if summary.counts[Outcome.CLAIMED] == summary.rows else 1


if __name__ == "__main__":
    sys.exit(main())
