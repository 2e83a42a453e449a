"""Claimed devices: claimed, listed, tagged, blocked and unclaimed."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from airflow_provider_nrfprov.claiming.token import ClaimToken
from airflow_provider_nrfprov.emulator.errors import Conflict, NotFound
from airflow_provider_nrfprov.emulator.ids import imei_of
from airflow_provider_nrfprov.emulator.paging import Page, PageRequest, Shelf
from airflow_provider_nrfprov.emulator.settings import Settings
from airflow_provider_nrfprov.emulator.tags import Tag, Tags
from airflow_provider_nrfprov.emulator.token_check import TokenCheck

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
        self._tokens = tokens
        self._by_id: dict[str, Device] = {}
        self._by_team: dict[str, Shelf[Device]] = defaultdict(Shelf)
        self.claim_counts: Counter[str] = Counter()

    def __iter__(self) -> Iterator[Device]:
        return iter(list(self._by_id.values()))

    def __len__(self) -> int:
        return len(self._by_id)

    def check_claim(self, team: str, token_text: str, tags: Sequence[str] = ()) -> ClaimToken:
        """Check that a claim would succeed; raise ``Invalid`` or ``Conflict``. Stores nothing."""
        token = self._tokens.read(token_text)
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
        self._by_id[device.id] = device
        self._by_team[team].add(device.id, device)
        self.claim_counts[device.id] += 1
        return device

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
    ) -> Page[Device]:
        """Return a page of a team's devices, by default in the order in which they were claimed."""
        shelf = self._by_team[team]
        if tag is None and status is None and claimed_after is None:
            return shelf.page(asked)

        def keep(device: Device) -> bool:
            return (
                (tag is None or tag in device.tags)
                and (status is None or device.status == status)
                and (claimed_after is None or device.claimed_at >= claimed_after)
            )

        return shelf.page(asked, keep)

    def set_tags(self, device: Device, tags: Sequence[str]) -> None:
        """Replace the tags of a device; raise ``Invalid``."""
        self._tags.check(device.team, tags)
        device.held_tags = self._tags.named(device.team, tags)

    def unclaim(self, device: Device) -> None:
        """Give a device up: any team may claim it now."""
        del self._by_id[device.id]
        self._by_team[device.team].remove(device.id)

    def _by_whom(self, owner: Device, team: str) -> str:
        # What the real service says here is unknown, so by default it says nothing to lean on.
        if not self._settings.conflict_names_owner:
            return ""
        return " by your team" if owner.team == team else " by another team"
