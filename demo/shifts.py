"""Claim files of three shifts of a factory: a good one, one with bad rows, and one that is mostly refused."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from airflow_provider_nrfprov.emulator.mint import MintedDevice, mint_devices
from harness.local_emulator import LocalEmulator

_HEADER = "imei,serial,claim_token\n"


@dataclass(frozen=True)
class Shift:
    """A claim file, and how many of its rows may fail."""

    path: Path
    about: str
    """What is special about it, in words."""
    max_failed_rows: int


def write_shifts(folder: Path, emulator: LocalEmulator, *, seed: str = "shifts") -> list[Shift]:
    """Write three claim files; the devices that the other team has are claimed for it first."""
    folder.mkdir(parents=True, exist_ok=True)
    early, late, night = (list(mint_devices(count, seed=f"{seed} {count}")) for count in (240, 160, 60))
    for device in (*late[150:154], *night[:45]):
        emulator.claim(device.token, for_other_team=True)
    emulator.claim(late[140].token)
    lines = _lines(late, 2)
    for place in range(10, 80, 10):
        imei, serial, token = lines[place].split(",")
        # What a label printer or a careless copy leaves of a token.
        lines[place] = f"{imei},{serial},{token[:100]}"
    lines[95] = ",".join([*lines[95].split(",")[:2], ""])
    lines[120] = lines[119]
    return [
        _write(folder / "line-1-early.csv", _lines(early, 1), "all good", 0),
        _write(folder / "line-1-late.csv", lines, "with bad rows", 10),
        _write(folder / "line-1-night.csv", _lines(night, 3), "mostly another team's devices", 0),
    ]


def _lines(devices: Sequence[MintedDevice], shift: int) -> list[str]:
    return [
        f"3516560{shift}{number:07d},N91-{shift}{number:05d},{device.token}"
        for number, device in enumerate(devices, start=1)
    ]


def _write(path: Path, lines: Sequence[str], about: str, allowed: int) -> Shift:
    path.write_text(_HEADER + "".join(f"{line}\n" for line in lines))
    return Shift(path, about, allowed)
