"""Claim files of any size, quickly: well-formed tokens of devices that exist nowhere, with made-up signatures."""

from __future__ import annotations

import base64
import random
import uuid
from collections.abc import Iterator
from pathlib import Path

from airflow_provider_nrfprov.emulator.mint import mint_token


def tokens(count: int, seed: int = 0) -> Iterator[tuple[str, str]]:
    """Yield ``count`` devices, each by its UUID and its claim token.

    The emulator checks tokens by their structure unless it is told otherwise; to sign a million would take minutes.
    """
    chance = random.Random(seed)
    body, signature = (
        bytearray(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))) for part in mint_token().split(".")
    )
    for _ in range(count):
        device = uuid.UUID(int=chance.getrandbits(128), version=4)
        body[6:22] = device.bytes
        body[41:57] = chance.randbytes(16)
        signature[-64:] = chance.randbytes(64)
        yield str(device), f"{_text(body)}.{_text(signature)}"


def write_claim_file(path: Path, rows: int) -> Path:
    """Write a file as Nordic's ``gather_attestation_tokens`` does: ``imei,uuid,token,time``."""
    with path.open("w") as stream:
        for number, (device, token) in enumerate(tokens(rows)):
            stream.write(f"35{number:013d},{device},{token},2026-11-23T06:00:00+00:00\n")
    return path


def _text(raw: bytes | bytearray) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
