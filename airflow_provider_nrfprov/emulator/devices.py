"""Claimed devices and their tags (groups in the portal)."""

from __future__ import annotations

import uuid
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Literal

from airflow_provider_nrfprov.claiming.token import ClaimToken
from airflow_provider_nrfprov.emulator.clock import iso
from airflow_provider_nrfprov.emulator.errors import Conflict, Invalid, NotFound
from airflow_provider_nrfprov.emulator.mint import TokenCheck, imei_of
from airflow_provider_nrfprov.emulator.paging import Page, PageRequest, Shelf
from airflow_provider_nrfprov.emulator.settings import Settings

MAX_TAG_CHARACTERS = 100
"""Documented by Nordic."""


@dataclass(slots=True, eq=False)
class Tag:
    """A tag. Devices hold the tag itself, not its name: so a new name shows on all of them at once."""

    team: str
    tag: str
    description: str = ""
    id: str = field(default_factory=lambda: str(uuid.uuid4()))
    deleted: bool = False


class Tags:
    """The tags of all teams."""

    def __init__(self, unknown: Literal["created", "refused"] = "created") -> None:
        self._unknown = unknown
        self._by_id: dict[str, Tag] = {}
        self._by_name: dict[tuple[str, str], Tag] = {}

    def of_team(self, team: str) -> list[Tag]:
        """Return a team's tags, oldest first."""
        return [tag for tag in self._by_id.values() if tag.team == team]

    def find(self, team: str, tag_id: str) -> Tag | None:
        """Return a team's tag by its id, or None."""
        tag = self._by_id.get(tag_id)
        return tag if tag is not None and tag.team == team else None

    def get(self, team: str, tag_id: str) -> Tag:
        """Return a team's tag by its id; raise ``NotFound``."""
        tag = self.find(team, tag_id)
        if tag is None:
            raise NotFound("there is no such tag")
        return tag

    def create(self, team: str, name: str, description: str = "") -> Tag:
        """Create a tag; raise ``Invalid`` for its name, ``Conflict`` if there is one of that name."""
        _check_name(name)
        self._require_free(team, name)
        tag = Tag(team, name, description)
        self._by_id[tag.id] = self._by_name[team, name] = tag
        return tag

    def update(self, tag: Tag, name: str, description: str) -> None:
        """Rename and describe a tag, on every device that has it."""
        _check_name(name)
        if name != tag.tag:
            self._require_free(tag.team, name)
        del self._by_name[tag.team, tag.tag]
        tag.tag, tag.description = name, description
        self._by_name[tag.team, name] = tag

    def delete(self, tag: Tag) -> None:
        """Delete a tag, and so take it from every device that has it."""
        tag.deleted = True
        del self._by_id[tag.id], self._by_name[tag.team, tag.tag]

    def check(self, team: str, names: Iterable[str]) -> None:
        """Raise ``Invalid`` if a device could not be given these tags."""
        for name in names:
            _check_name(name)
            if self._unknown == "refused" and (team, name) not in self._by_name:
                raise Invalid(f"there is no tag {name!r}")

    def named(self, team: str, names: Iterable[str]) -> list[Tag]:
        """Return the tags of these (checked) names, each once; those that do not exist are created."""
        return [self._by_name.get((team, name)) or self.create(team, name) for name in dict.fromkeys(names)]

    def _require_free(self, team: str, name: str) -> None:
        if (team, name) in self._by_name:
            raise Conflict(f"there is a tag {name!r} already")


def _check_name(name: str) -> None:
    if not name or len(name) > MAX_TAG_CHARACTERS:
        raise Invalid(f"a tag has 1 to {MAX_TAG_CHARACTERS} characters, this has {len(name)}")


READY = "READY"


@dataclass(slots=True, eq=False)
class Device:
    """A device while it is claimed by a team. What it says of itself comes from its token."""

    id: str
    team: str
    device_type: str
    firmware_id: str
    claimed_at: datetime
    held_tags: list[Tag]
    status: str = READY
    earlier: list[tuple[datetime, list[Tag], str]] = field(default_factory=list)
    """Tags and status that it had, each with when that ended; oldest first."""
    unclaimed_at: datetime | None = None

    def change(self, at: datetime, *, held_tags: list[Tag] | None = None, status: str | None = None) -> None:
        """Set other tags or another status, and remember what it had."""
        self.earlier.append((at, self.held_tags, self.status))
        self.held_tags = self.held_tags if held_tags is None else held_tags
        self.status = self.status if status is None else status

    def as_of(self, moment: datetime) -> Device | None:
        """Return the device as it was, or None if it was not claimed by this team then."""
        if self.claimed_at > moment or (self.unclaimed_at is not None and self.unclaimed_at <= moment):
            return None
        for ended_at, held_tags, status in self.earlier:
            if ended_at > moment:
                return replace(self, held_tags=held_tags, status=status)
        return self

    @property
    def imei(self) -> str:
        """Made up from its UUID when somebody wants to know: that would be a third of the time of a claim."""
        return imei_of(self.id)

    @property
    def tags(self) -> list[str]:
        """The names of its tags, in the order in which they were given."""
        return [tag.tag for tag in self.held_tags if not tag.deleted]


class Devices:
    """The claimed devices of all teams, and how often each was claimed since the start."""

    def __init__(self, settings: Settings, tags: Tags, tokens: TokenCheck) -> None:
        self._settings = settings
        self._tags = tags
        self.tokens = tokens
        self._by_id: dict[str, Device] = {}
        self._by_team: dict[str, Shelf[Device]] = defaultdict(Shelf)
        self.claim_counts: Counter[str] = Counter()

    def __iter__(self) -> Iterator[Device]:
        return iter(list(self._by_id.values()))

    def __len__(self) -> int:
        return len(self._by_id)

    def check_claim(self, team: str, token_text: str, tags: Sequence[str] = ()) -> ClaimToken:
        """Check that a claim would succeed; raise ``Invalid`` or ``Conflict``. Stores nothing."""
        token = self.tokens.read(token_text)
        self._tags.check(team, tags)
        owner = self._by_id.get(token.device_id)
        if owner is not None:
            raise Conflict(f"device {token.device_id} is already claimed{self._by_whom(owner, team)}")
        return token

    def claim(self, team: str, token_text: str, tags: Sequence[str], at: datetime) -> Device:
        """Claim a device for a team; raise ``Invalid`` or ``Conflict``, and then nothing has changed."""
        token = self.check_claim(team, token_text, tags)
        device = Device(
            id=token.device_id,
            team=team,
            device_type=token.device_type_name,
            firmware_id=token.firmware_id,
            claimed_at=at,
            held_tags=self._tags.named(team, tags),
        )
        self.add(device)
        return device

    def add(self, device: Device) -> None:
        """Take in a device that is claimed, whatever its token said."""
        self._by_id[device.id] = device
        self._by_team[device.team].add(device.id, device)
        self.claim_counts[device.id] += 1

    def owner(self, device_id: str) -> str | None:
        """Return the team, or the project, that a device is claimed by; None for nobody."""
        device = self._by_id.get(device_id)
        return None if device is None else device.team

    def of_team(self, team: str, as_of: datetime | None = None) -> list[Device]:
        """Return all devices of a team in the order in which they were claimed, or as it was then."""
        return list(self._shelf(team, as_of))

    def find(self, team: str, device_id: str) -> Device | None:
        """Return a team's device, or None; another team's device is as good as none."""
        return self._by_team[team].get(device_id) if team in self._by_team else None

    def get(self, team: str, device_id: str) -> Device:
        """Return a team's device; raise ``NotFound``."""
        device = self.find(team, device_id)
        if device is None:
            raise NotFound("there is no such claimed device")
        return device

    def page(
        self,
        team: str,
        asked: PageRequest,
        *,
        tag: str | None = None,
        status: str | None = None,
        claimed_after: datetime | None = None,
        as_of: datetime | None = None,
    ) -> Page[Device]:
        """Return a page of a team's devices, by default in the order in which they were claimed.

        :param as_of: what was there then, if not what is there now.
        """

        def keep(device: Device) -> bool:
            return (
                (tag is None or tag in device.tags)
                and (status is None or device.status == status)
                and (claimed_after is None or device.claimed_at >= claimed_after)
            )

        return self._shelf(team, as_of).page(asked, keep)

    def set_tags(self, device: Device, tags: Sequence[str], at: datetime) -> None:
        """Replace the tags of a device; raise ``Invalid``."""
        self._tags.check(device.team, tags)
        device.change(at, held_tags=self._tags.named(device.team, tags))

    def unclaim(self, device: Device, at: datetime) -> None:
        """Unclaim a device: any team may claim it now."""
        device.unclaimed_at = at
        del self._by_id[device.id]
        self._by_team[device.team].remove(device.id)

    def _shelf(self, team: str, as_of: datetime | None) -> Shelf[Device]:
        shelf = self._by_team[team]
        return shelf if as_of is None else shelf.as_of(lambda device: device.as_of(as_of))

    def _by_whom(self, owner: Device, team: str) -> str:
        # What the real service says here is unknown, so by default it says nothing to lean on.
        if not self._settings.conflict_names_owner:
            return ""
        return " by your team" if owner.team == team else " by another team"


def tag_body(tag: Tag) -> dict[str, Any]:
    """Return a tag: id, name and description."""
    return {"id": tag.id, "tag": tag.tag, "description": tag.description}


def device_body(device: Device) -> dict[str, Any]:
    """Return a device as documented: nine fields."""
    return {
        "id": device.id,
        "deviceType": device.device_type,
        "firmwareId": device.firmware_id,
        "imei": device.imei,
        "ownerId": device.team,
        "ownershipStatus": "IDENTIFIED",
        "tags": device.tags,
        "status": device.status,
        "claimedAt": iso(device.claimed_at),
    }
