"""Provisioning tags (the portal calls them groups): a team's names for its devices."""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal

from airflow_provider_nrfprov.emulator.errors import Conflict, Invalid, NotFound

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
