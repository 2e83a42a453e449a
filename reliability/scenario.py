"""What one seed means: a claim file, a service with its faults, and when the worker dies."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import timedelta

from airflow_provider_nrfprov.emulator.accounts import PROJECT, TEAM_A, TEAM_B
from airflow_provider_nrfprov.emulator.faults import (
    DECEPTIVE,
    HARD_WORDS,
    RECOVERABLE,
    WRONG_DOWNLOADS,
    ExtraFields,
    FalseFailure,
    Fault,
    LaggingList,
    OddStatus,
    WrongClaimedIds,
)
from airflow_provider_nrfprov.emulator.mint import mint_devices, mint_keygen
from airflow_provider_nrfprov.emulator.service import Service

MOST_ROWS = 5000
FEW_ROWS = 150
LAG, AN_HOUR = 0.3, 3600.0
"""Seconds."""
PARTIAL = "PARTIALLY_SUCCEEDED"
"""A word for the end of a project's job that the connection has to name."""

LIES: tuple[Fault, ...] = (
    OddStatus(),
    WrongClaimedIds(omit=1, invent=1),
    WrongClaimedIds(omit=3),
    FalseFailure(summary="empty"),
    FalseFailure(summary="all"),
    FalseFailure(summary="missing"),
    ExtraFields(),
)


OUTSIDE: tuple[Fault, ...] = (
    *(fault for fault in DECEPTIVE if not isinstance(fault, LaggingList)),
    *WRONG_DOWNLOADS,
)
"""503, 408, 504 and redirects after the fact, a request that is delivered twice, downloads that prove nothing."""

CHANGES = ("grows", "shrinks", "vanishes")
_OUTSIDE = ("clock_offset_seconds", "refusal_words", "poison_ids", "poison_status", "list_lag_seconds")
"""Settings that only a scenario with troubles from outside has."""


@dataclass(frozen=True)
class Device:
    """A device of the file and whose it is before the run."""

    device_id: str
    token: str = field(repr=False)
    owner: str
    """``nobody``, ``ours``, ``theirs``, or ``poison`` if the service refuses every request that holds it."""


@dataclass(frozen=True)
class Scenario:
    """All that a seed decides."""

    seed: int
    settings: dict[str, object]
    devices: tuple[Device, ...]
    lines: tuple[tuple[str, str | None], ...] = field(repr=False)
    """Each row of the file: its text, and the id of the device that it has to claim (``None``: rejected)."""
    rows_per_request: int
    fault_rate: float = 0.0
    fault_limit: int = 0
    faults: tuple[Fault, ...] = field(default=RECOVERABLE, repr=False)
    kill_rate: float = 0.0
    revoke_rate: float = 0.0
    down_rate: float = 0.0
    max_in_flight: int = 1
    second_place: bool = False
    """Whether there is a store besides the folder, as Airflow has from 3.3 on."""
    folder_loss_rate: float = 0.0
    """How often the folder is gone after a try: another worker, whose disk is its own."""
    pages_instead: bool = False
    """Whether something in between may answer 200 with a page of its own, and nothing is done."""

    second_service: bool = False
    """Whether the same task claimed the same file into the same folder before, at another service."""
    shared_folder: bool = False
    """Whether another file's job of the same DAG reports to the same folder, before and after."""
    file_change: str | None = None
    """What becomes of the claim file while it is sent, see :data:`CHANGES`."""
    object_store: bool = False
    """Whether the folder is on an object store."""
    damage_rate: float = 0.0
    """How often an entry of the ledger is damaged after a try."""
    lag: float = 0.0
    """Seconds for which the lists of the service show what was true before."""
    api: str = "team"
    """``team``, or ``project`` for the new API."""

    @property
    def owner(self) -> str:
        """Whose the devices are that are ours: a team's, or a project's."""
        return PROJECT if self.api == "project" else TEAM_A

    @property
    def is_blind(self) -> bool:
        """Whether nobody can see what was created: no list of jobs, and no device before it connects."""
        return not self.settings.get("project_devices_shown", True)

    @property
    def may_stay_unknown(self) -> bool:
        """Whether rows can be unknown for ever: where a list may not show what is new, a refusal after a lost answer says nothing."""
        return self.api == "project"

    @property
    def text(self) -> str:
        """The claim file."""
        return "".join(f"{line}\n" for line, _ in self.lines)

    def give_to_owners(self, service: Service) -> None:
        """Let those devices be claimed since yesterday that are somebody's before the run."""
        team_of = {"ours": self.owner, "theirs": TEAM_B}
        with service.turn() as now:
            for device in self.devices:
                if team := team_of.get(device.owner):
                    service.devices.claim(team, device.token, (), now - timedelta(days=1))


def scenario(seed: int, devices: int | None = None) -> Scenario:
    """Return the scenario of a seed; the same one gives the same scenario, always.

    :param devices: as many in the file, and nothing from outside; by default the seed decides that too.
    """
    chance = random.Random(seed)
    contract = chance.choice(["async", "sync"])
    rows = _rows(chance) if devices is None else devices
    minted = tuple(_devices(chance, seed, rows))
    outside = random.Random(f"outside {seed}")
    if devices is None:
        minted = tuple(_poisoned(outside, minted))
    settings = {
        "contract": contract,
        "bulk_seconds": chance.choice([0.0, 0.0, 0.01, 0.03]),
        "partial_failure_status": chance.choice([200, 207, 400, 422]),
        "failed_shape": chance.choice(["object", "string"]),
        "error_summary": chance.choice(["list", "legacy"]),
        "unknown_path": chance.choice(["gateway", "not_found"]),
        "clock_offset_seconds": outside.choice([0.0, 0.0, 0.0, -AN_HOUR, AN_HOUR]),
        "refusal_words": outside.choice([None, None, None, *HARD_WORDS]) if rows <= FEW_ROWS else None,
        "poison_ids": [device.device_id for device in minted if device.owner == "poison"],
        "poison_status": outside.choice([400, 409, 413, 415, 422]),
        "list_lag_seconds": (lag := LAG if rows <= FEW_ROWS and outside.random() < 0.1 else 0.0),
    }
    if outside.random() < 0.2:
        settings["unknown_path"] = "gone"
    whole = Scenario(
        seed=seed,
        settings=settings,
        devices=minted,
        lines=tuple(_lines(chance, minted)),
        rows_per_request=chance.choice([1, 3, 10, 50, 1000])
        if rows <= 60
        else chance.choice([100, 300, 1000]),
        fault_rate=chance.choice([0.0, 0.1, 0.3, 0.6]),
        fault_limit=chance.randint(1, 15),
        faults=RECOVERABLE
        + (LIES if chance.random() < 0.5 else ())
        + (OUTSIDE if outside.random() < 0.5 else ()),
        kill_rate=chance.choice([0.0, 0.02, 0.1, 0.3]),
        revoke_rate=chance.choice([0.0, 0.0, 0.2]),
        down_rate=chance.choice([0.0, 0.0, 0.1]),
        max_in_flight=chance.choice([1, 8]),
        second_place=(second_place := chance.random() < 0.5),
        folder_loss_rate=(folder_loss_rate := chance.choice([0.0, 0.3]) if second_place else 0.0),
        pages_instead=chance.random() < 0.3,
        second_service=outside.random() < 0.1,
        shared_folder=outside.random() < 0.15 and not folder_loss_rate,
        file_change=outside.choice([None, None, *CHANGES]),
        object_store=outside.random() < 0.2,
        damage_rate=outside.choice([0.0, 0.0, 0.3]),
        lag=lag,
    )
    return whole if devices is None else _without_outside(whole)


def project_scenario(seed: int, devices: int | None = None) -> Scenario:
    """Return the scenario of a seed with the API of projects: the same file, faults and deaths, and what is unknown of it.

    What the settings mean is in ``emulator.settings``. Rows have no tags, which that API has no way for.

    :param devices: as of :func:`scenario`.
    """
    whole, chance = scenario(seed, devices), random.Random(f"project {seed}")
    token_of = {device.device_id: device.token for device in whole.devices}
    settings = {
        "bulk_seconds": whole.settings["bulk_seconds"],
        "project_readding": chance.choice(["error", "accepted", "conflict"]),
        "project_foreign": chance.choice(["error", "error", "conflict"]),
        "project_errors_by": chance.choice(["device", "row"]),
        "project_status_url": chance.choice(["relative", "absolute", "body", "nowhere"]),
        "project_partial_end": chance.choice(["FAILED", "SUCCEEDED", PARTIAL]),
        "project_devices_shown": chance.random() > 0.1,
    }
    if len(whole.devices) > FEW_ROWS:
        # As with poison: at most 400 requests a chunk are spent on rows for which it is refused as a whole.
        settings["project_foreign"] = "error"
    outside = {name: whole.settings[name] for name in _OUTSIDE if name in whole.settings}
    # A Retry-After that is a date is waited for by our clock: an hour, where the service's is an hour ahead.
    if outside.get("clock_offset_seconds") == AN_HOUR:
        outside["clock_offset_seconds"] = 0.0
    return replace(
        whole,
        settings=settings | outside,
        lines=tuple((token_of[id_] if id_ and '"' in text else text, id_) for text, id_ in whole.lines),
        api="project",
    )


def _without_outside(whole: Scenario) -> Scenario:
    """Return a scenario for those that bring troubles of their own: real kills, and tests of the judge."""
    settings = {name: value for name, value in whole.settings.items() if name not in _OUTSIDE}
    if settings["unknown_path"] == "gone":
        settings["unknown_path"] = "gateway"
    return replace(
        whole,
        settings=settings,
        second_service=False,
        shared_folder=False,
        file_change=None,
        object_store=False,
        damage_rate=0.0,
        lag=0.0,
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


def _poisoned(chance: random.Random, devices: tuple[Device, ...]) -> Iterator[Device]:
    rate = chance.choice([0.0, 0.0, 0.0, 0.02, 0.1]) if len(devices) <= FEW_ROWS else 0.0
    for device in devices:
        yield replace(device, owner="poison") if chance.random() < rate else device


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
