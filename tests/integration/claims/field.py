"""What tests of claims in the field share: files of ten and of a thousand rows, and what became of them."""

from __future__ import annotations

import csv
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from airflow.providers.common.compat.sdk import ObjectStoragePath

from airflow_provider_nrfprov.claiming.token import decode
from airflow_provider_nrfprov.emulator.mint import mint_devices
from airflow_provider_nrfprov.emulator.server import Emulator

CLAIMS = {"async": "BulkClaimDeviceOwnership", "sync": "ClaimDeviceOwnershipCsv"}
SHIFT = datetime(2026, 11, 23, 6, tzinfo=timezone.utc)
THOUSAND = [device.token for device in mint_devices(1000, seed="in the field")]
TEN = THOUSAND[:10]


def write(path: Path, tokens: list[str]) -> str:
    path.write_text("".join(f"{token}\n" for token in tokens))
    return str(path)


def outcomes(report: str) -> dict[str, int]:
    """Count the rows of a report, read anew from where it lies."""
    path = ObjectStoragePath(report) if "://" in report else Path(report)
    with path.open("r") as stream:
        return dict(Counter(row["outcome"] for row in csv.DictReader(stream.read().splitlines())))


def devices(tokens: list[str]) -> set[str]:
    return {decode(token).device_id for token in tokens}


def assert_sent_once(service: Emulator, tokens: list[str]) -> None:
    assert service.service.submission_counts() == dict.fromkeys(devices(tokens), 1)
    assert set(service.service.claim_counts().values()) == {1}


def begun(
    service: Emulator, operation: str, count: int, call: Callable[..., Any], *args: Any, **arguments: Any
) -> Future[Any]:
    """Make a call in a thread; return when a number of requests of an operation have arrived."""
    pool = ThreadPoolExecutor(1)
    future = pool.submit(call, *args, **arguments)
    pool.shutdown(wait=False)
    while service.service.request_counts().get(operation, 0) < count:
        assert not future.done(), future
        time.sleep(0.01)
    return future


def requests_of(service: Emulator) -> int:
    return sum(service.service.request_counts().values())
