"""Ids and times as the service writes them: ULIDs, IMEIs, team ids, ISO-8601 in milliseconds."""

from __future__ import annotations

import hashlib
import secrets
import uuid
from collections.abc import Callable
from datetime import datetime, timezone

Clock = Callable[[], datetime]
"""Tells the time, as an aware UTC datetime. Injected, so that a test can own it."""

_CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_TEAMS = uuid.UUID("6d1f5c1e-0f4b-4a53-8a4e-3f7f0a1f3b77")
_IMEI_START = "35"
"""As of most real ones; twelve digits of a hash follow, so that two devices hardly ever share one."""


def utc_now() -> datetime:
    """Return the real time: the clock of an emulator that no test controls."""
    return datetime.now(timezone.utc)


def to_milliseconds(moment: datetime) -> datetime:
    """Cut a time to whole milliseconds, the precision of everything that the service says."""
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000)


def iso(moment: datetime) -> str:
    """Write a time as the service does: ``2023-06-30T11:49:21.561Z``."""
    return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03d}Z"


def ulid(moment: datetime) -> str:
    """Return a new ULID (26 characters) whose time part is ``moment`` to the millisecond."""
    # In integers, since a float of this size can be a millisecond off.
    whole_seconds = int(moment.replace(microsecond=0).timestamp())
    number = (whole_seconds * 1000 + moment.microsecond // 1000) << 80 | secrets.randbits(80)
    return "".join(_CROCKFORD[number >> shift & 31] for shift in range(125, -1, -5))


def team_id(name: str) -> str:
    """Return the UUID of a team; always the same for one name."""
    return str(uuid.uuid5(_TEAMS, name))


def imei_of(device_id: str) -> str:
    """Return the invented IMEI of a device: 15 digits, Luhn-valid, always the same for one UUID.

    A claim token holds none; the real service looks it up.
    """
    number = int.from_bytes(hashlib.sha256(device_id.encode()).digest()[:8], "big") % 10**12
    digits = f"{_IMEI_START}{number:012d}"
    return digits + str(_luhn_digit(digits))


def _luhn_digit(digits: str) -> int:
    total = 0
    for place, digit in enumerate(reversed(digits)):
        doubled = int(digit) * (2 if place % 2 == 0 else 1)
        total += doubled - 9 if doubled > 9 else doubled
    return -total % 10
