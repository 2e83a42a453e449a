"""The API keys, each of one team and with one role."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import Literal

from airflow_provider_nrfprov.emulator.errors import Forbidden, Unauthenticated

_TEAMS = uuid.UUID("6d1f5c1e-0f4b-4a53-8a4e-3f7f0a1f3b77")


def team_id(name: str) -> str:
    """Return the UUID of a team; always the same for one name."""
    return str(uuid.uuid5(_TEAMS, name))


Role = Literal["owner", "admin", "editor", "viewer"]

TEAM_A = team_id("A")
TEAM_B = team_id("B")
PROJECT = team_id("project")
"""Stands in a team's place for the one project of the new API, unless the settings say that it is team A's."""

ADMIN_KEY = "emulator-admin-key"
EDITOR_KEY = "emulator-editor-key"
VIEWER_KEY = "emulator-viewer-key"
OTHER_TEAM_KEY = "other-team-key"


@dataclass(frozen=True, slots=True)
class Caller:
    """One who may ask: a team (its UUID is the ``ownerId`` of what it claims) and a role."""

    team: str
    role: Role

    def require_write(self) -> None:
        """Raise ``Forbidden`` for a viewer. That the service draws the line here is a choice."""
        if self.role == "viewer":
            raise Forbidden("the role viewer cannot change anything")


class KeyRing:
    """The API keys that are valid now."""

    def __init__(self, api_key: str, organization_token: str, project: str = PROJECT) -> None:
        self._of_project = {organization_token: Caller(project, "owner")}
        self._callers = {
            api_key: Caller(TEAM_A, "owner"),
            ADMIN_KEY: Caller(TEAM_A, "admin"),
            EDITOR_KEY: Caller(TEAM_A, "editor"),
            VIEWER_KEY: Caller(TEAM_A, "viewer"),
            OTHER_TEAM_KEY: Caller(TEAM_B, "owner"),
        }
        self._revoked: set[str] = set()

    def revoke(self, api_key: str) -> None:
        """Make a key fail with 401 from now on."""
        self._revoked.add(api_key)

    def restore(self, api_key: str) -> None:
        """Make a revoked key valid again."""
        self._revoked.discard(api_key)

    def caller(self, authorization: str | None, *, of_project: bool = False) -> Caller:
        """Return who sent an ``Authorization`` header; raise ``Unauthenticated`` if nobody did.

        :param of_project: whether a project is asked, where a team's key is nobody's; and the reverse.
        """
        scheme, _, key = (authorization or "").partition(" ")
        caller = (self._of_project if of_project else self._callers).get(key.strip())
        if scheme.lower() != "bearer" or caller is None or key.strip() in self._revoked:
            raise Unauthenticated("access denied: a valid API key is needed")
        return caller
