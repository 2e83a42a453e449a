"""What several tests of the emulator send to it, and how they wait."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable

from airflow_provider_nrfprov.emulator.mint import MintedDevice, mint_token
from airflow_provider_nrfprov.emulator.server import Emulator

CLAIM = "ClaimDeviceOwnership"
CSV = "ClaimDeviceOwnershipCsv"
BULK = "BulkClaimDeviceOwnership"
CLAIMS = "/v1/claimed-devices"
DEVICE = "7b21b4bc-1cc9-41df-b05c-61b4605e5bb0"


def tokens(devices: Iterable[MintedDevice]) -> str:
    """Return the CSV of a bulk claim of these devices."""
    return "".join(f"{device.token}\n" for device in devices)


def port_of(emulator: Emulator) -> int:
    return int(emulator.url.rpartition(":")[2])


def raw_claim() -> bytes:
    """Return the bytes of a claim of a new device."""
    body = json.dumps({"claimToken": mint_token()})
    return (
        "POST /v1/claimed-devices HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer emulator-key\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n{body}"
    ).encode()


def wait_for(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 5
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)
