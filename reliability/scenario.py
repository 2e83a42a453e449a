"""What one seed means: a claim file, a service with its faults, and when the worker dies."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, field

from airflow_provider_nrfprov.emulator.faults import (
    RECOVERABLE,
    ExtraFields,
    FalseFailure,
    Fault,
    OddStatus,
    WrongClaimedIds,
)
from airflow_provider_nrfprov.emulator.signing import mint_devices, mint_keygen

MOST_ROWS = 5000

LIES: tuple[Fault, ...] = (
    OddStatus(),
    WrongClaimedIds(omit=1, invent=1),
    WrongClaimedIds(omit=3),
    FalseFailure(summary="empty"),
    FalseFailure(summary="all"),
    FalseFailure(summary="missing"),
    ExtraFields(),
)


@dataclass(frozen=True)
class Device:
    """A device of the file and whose it is before the run."""

    device_id: str
    token: str = field(repr=False)
    owner: str
    """``nobody``, ``ours`` or ``theirs``."""


@dataclass(frozen=True)
class Scenario:
    """All that a seed decides."""

    seed: int
    settings: dict[str, object]
    devices: tuple[Device, ...]
    lines: tuple[tuple[str, str | None], ...] = field(repr=False)
    """Each row of the file: its text, and the id of the device that it has to claim (``None``: rejected)."""
    rows_per_request: int
    fault_rate: float
    fault_limit: int
    faults: tuple[Fault, ...] = field(repr=False)
    kill_rate: float
    revoke_rate: float
    down_rate: float
    max_in_flight: int = 1
    second_place: bool = False
    """Whether there is a store besides the folder, as Airflow has from 3.3 on."""
    folder_loss_rate: float = 0.0
    """How often the folder is gone after a try: another worker, whose disk is its own."""
    pages_instead: bool = False
    """Whether something in between may answer 200 with a page of its own, and nothing is done."""

    @property
    def text(self) -> str:
        """The claim file."""
        return "".join(f"{line}\n" for line, _ in self.lines)


def scenario(seed: int, devices: int | None = None) -> Scenario:
    """Give the scenario of a seed; the same one gives the same scenario, always.

    :param devices: as many in the file; by default the seed decides that too.
    """
    chance = random.Random(seed)
    contract = chance.choice(["async", "sync"])
    rows = _rows(chance) if devices is None else devices
    minted = tuple(_devices(chance, seed, rows))
    settings = {
        "contract": contract,
        "bulk_seconds": chance.choice([0.0, 0.0, 0.01, 0.03]),
        "partial_failure_status": chance.choice([200, 207, 400, 422]),
        "failed_shape": chance.choice(["object", "string"]),
        "error_summary": chance.choice(["list", "legacy"]),
        "unknown_path": chance.choice(["gateway", "not_found"]),
    }
    return Scenario(
        seed=seed,
        settings=settings,
        devices=minted,
        lines=tuple(_lines(chance, minted)),
        rows_per_request=chance.choice([1, 3, 10, 50, 1000])
        if rows <= 60
        else chance.choice([100, 300, 1000]),
        fault_rate=chance.choice([0.0, 0.1, 0.3, 0.6]),
        fault_limit=chance.randint(1, 15),
        faults=RECOVERABLE + (LIES if chance.random() < 0.5 else ()),
        kill_rate=chance.choice([0.0, 0.02, 0.1, 0.3]),
        revoke_rate=chance.choice([0.0, 0.0, 0.2]),
        down_rate=chance.choice([0.0, 0.0, 0.1]),
        max_in_flight=chance.choice([1, 8]),
        second_place=(second_place := chance.random() < 0.5),
        folder_loss_rate=chance.choice([0.0, 0.3]) if second_place else 0.0,
        pages_instead=chance.random() < 0.3,
    )


def _rows(chance: random.Random) -> int:
    # Most files are small, so that many schedules fit into an hour; one in a hundred is large.
    kind = chance.random()
    if kind < 0.70:
        return chance.randint(1, 12)
    if kind < 0.95:
        return chance.randint(13, 150)
    if kind < 0.99:
        return chance.randint(151, 1200)
    return chance.randint(1201, MOST_ROWS)


def _devices(chance: random.Random, seed: int, rows: int) -> Iterator[Device]:
    theirs, ours = chance.choice([0.0, 0.0, 0.1, 0.5]), chance.choice([0.0, 0.0, 0.1, 0.5])
    for device in mint_devices(rows, seed=seed):
        kind = chance.random()
        owner = "theirs" if kind < theirs else "ours" if kind < theirs + ours * (1 - theirs) else "nobody"
        yield Device(device.device_id, device.token, owner)


def _lines(chance: random.Random, devices: tuple[Device, ...]) -> Iterator[tuple[str, str | None]]:
    bad_rate = chance.choice([0.0, 0.0, 0.1, 0.3])
    attestation = chance.random() < 0.3
    for number, device in enumerate(devices):
        if chance.random() < bad_rate:
            yield _bad_line(chance, devices, number), None
        if attestation:
            yield (
                f"35{number:013d},{device.device_id},{device.token},2026-11-23T06:00:00+00:00",
                device.device_id,
            )
        elif chance.random() < 0.2:
            yield f'{device.token},"lot=7,own"', device.device_id
        else:
            yield device.token, device.device_id


def _bad_line(chance: random.Random, devices: tuple[Device, ...], number: int) -> str:
    token = devices[number].token
    kinds = [
        token[: chance.randint(1, 179)],
        "rubbish",
        mint_keygen(devices[number].device_id),
        f"{token},a,b",
        f'"{token}',
    ]
    if number:
        kinds.append(devices[chance.randrange(number)].token)
    return chance.choice(kinds)
