"""The claim files of the demo: one of which it is known what must become of each row, and those of three shifts."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from airflow_provider_nrfprov.emulator.mint import MintedDevice, mint_devices, mint_token
from harness.local_emulator import LocalEmulator

RUN_TAG = "line=demo"
"""The tag that the DAG run gives to every device, besides those of its row."""

_HEADER = "imei,serial,claim_token\n"
_OWN_TAGS = "shift=early,lot=42"
_ROWS_WITHOUT_OWN_TAGS = 10
"""One row in this number has tags of its own."""


@dataclass(frozen=True)
class Expected:
    """What the report must say of a line, and the service of its device."""

    line: int
    why: str
    """What is special about the line, in words."""
    outcome: str
    device_id: str = ""
    """Empty where the token does not tell, or the report need not."""
    status: str = ""
    """The verdict of a rejected row; empty where any will do."""
    tags: frozenset[str] = frozenset()
    """Of the device in the end, if it is ours."""


@dataclass(frozen=True)
class DemoFile:
    """The text of a claim file, what must come of it, and what has to be so before."""

    text: str
    expected: tuple[Expected, ...]
    """One for each row, in the order of lines; a blank line is no row."""
    ours_before: MintedDevice
    """To be claimed by our team first."""
    theirs_before: MintedDevice
    """To be claimed by the other team first."""

    def count(self, outcome: str) -> int:
        """How many rows must end so."""
        return sum(row.outcome == outcome for row in self.expected)


@dataclass(frozen=True)
class _Line:
    text: str
    expected: Expected | None


def make_claim_file(rows: int, seed: str) -> DemoFile:
    """Make a claim file of ``rows`` good rows and seven other lines, spread among them.

    The same seed gives the same devices.
    """
    *good, ours, theirs = mint_devices(rows + 2, seed=f"demo {seed}")
    special = list(_special_lines(seed, good[0], ours, theirs))
    lines = [_good_line(number, device) for number, device in enumerate(good)]
    for place, line in reversed(list(enumerate(special, start=1))):
        # Never first: a repeated device has to be met before.
        lines.insert(max(1, place * rows // (len(special) + 1)), line)
    expected = tuple(
        replace(line.expected, line=number) for number, line in enumerate(lines, start=1) if line.expected
    )
    return DemoFile("".join(f"{line.text}\n" for line in lines), expected, ours, theirs)


def _good_line(number: int, device: MintedDevice) -> _Line:
    own_tags = "" if number % _ROWS_WITHOUT_OWN_TAGS else _OWN_TAGS
    tags = frozenset([RUN_TAG, *filter(None, own_tags.split(","))])
    text = _row(device.token, own_tags) if own_tags else _row(device.token)
    return _Line(text, Expected(0, "a good row", "claimed", device.device_id, tags=tags))


def _special_lines(
    seed: str, first: MintedDevice, ours: MintedDevice, theirs: MintedDevice
) -> Iterator[_Line]:
    cut, long_tag, many_columns = mint_devices(3, seed=f"bad rows of demo {seed}")
    yield _Line("", None)
    yield _rejected(_row(cut.token[:100]), "a token cut short", "malformed_token")
    yield _rejected(
        # Another token of the same device: nothing of their texts tells it.
        _row(mint_token(first.device_id)),
        "a device twice",
        "duplicate_device",
        first.device_id,
    )
    yield _rejected(_row(long_tag.token, "x" * 101), "a tag too long", "tag_too_long", long_tag.device_id)
    yield _rejected(
        _row(many_columns.token, "shift=early", "lot=42"), "a column too many", "too_many_columns"
    )
    yield _Line(_row(theirs.token), Expected(0, "another team's device", "failed", theirs.device_id))
    yield _Line(
        _row(ours.token),
        Expected(0, "ours before", "already_claimed", ours.device_id, tags=frozenset([RUN_TAG])),
    )


def _rejected(text: str, why: str, verdict: str, device_id: str = "") -> _Line:
    return _Line(text, Expected(0, why, "rejected", device_id, verdict))


def _row(*cells: str) -> str:
    out = io.StringIO()
    csv.writer(out, lineterminator="").writerow(cells)
    return out.getvalue()


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
