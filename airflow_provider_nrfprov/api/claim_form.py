"""The two forms of CSV that a bulk claim sends. A module of its own: reading a file does not import the client."""

from __future__ import annotations

from enum import Enum


class ClaimForm(Enum):
    """What the body of a bulk claim looks like."""

    TOKENS = "tokens"
    """No header; a token and its tags, every field quoted. Confirmed by the guides."""
    DEVICES = "devices"
    """A header, then the UUID of a device and its token; no tags. Confirmed by memfault-cli 1.12.0."""
