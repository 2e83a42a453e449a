"""``python -m airflow_provider_nrfprov.emulator.mint``: a claim file of devices that exist only here."""

from __future__ import annotations

import argparse
import csv
import sys
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta, timezone
from typing import TextIO

from airflow_provider_nrfprov.emulator.ids import imei_of
from airflow_provider_nrfprov.emulator.signing import MintedDevice, mint_devices

_FIRST_GATHERED = datetime(2025, 1, 1, 6, tzinfo=timezone.utc)
_SECONDS_PER_DEVICE = 9


def claim_rows(devices: Iterable[MintedDevice], tags: str = "") -> Iterator[list[str]]:
    """Yield rows of the service's own form: the token and, if there are any, comma-separated tags."""
    for device in devices:
        yield [device.token, tags] if tags else [device.token]


def attestation_rows(devices: Iterable[MintedDevice]) -> Iterator[list[str]]:
    """Yield rows as Nordic's ``gather_attestation_tokens`` writes: IMEI, UUID, token, ISO time."""
    for index, device in enumerate(devices):
        gathered = _FIRST_GATHERED + timedelta(seconds=index * _SECONDS_PER_DEVICE)
        yield [imei_of(device.device_id), device.device_id, device.token, gathered.isoformat()]


def write(rows: Iterable[list[str]], file: TextIO) -> None:
    """Write rows as CSV with LF line ends; a field is quoted only if it must be."""
    csv.writer(file, lineterminator="\n").writerows(rows)


def main(arguments: list[str] | None = None) -> int:
    """Write a claim file to standard output. The same arguments give the same file."""
    parser = argparse.ArgumentParser(
        prog="python -m airflow_provider_nrfprov.emulator.mint",
        description="Write a claim file of invented devices with well-signed tokens to standard output.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("--rows", type=int, required=True, help="how many devices")
    parser.add_argument(
        "--format",
        choices=("claim", "attestation"),
        default="claim",
        help="token and tags, or imei,uuid,token,time as gather_attestation_tokens writes",
    )
    parser.add_argument("--tags", default="", help="comma-separated tags of every row (claim format)")
    parser.add_argument("--seed", default="0", help="another seed gives other devices")
    options = parser.parse_args(arguments)
    if options.rows < 1:
        parser.error("--rows is at least 1")
    if options.tags and options.format == "attestation":
        parser.error("the attestation format has no place for --tags")
    devices = mint_devices(options.rows, seed=options.seed)
    rows = claim_rows(devices, options.tags) if options.format == "claim" else attestation_rows(devices)
    write(rows, sys.stdout)
    return 0


if __name__ == "__main__":
    sys.exit(main())
