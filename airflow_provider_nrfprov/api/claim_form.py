"""What a bulk claim sends: one of two forms of CSV; apart, so that a file can be read without the client."""

from __future__ import annotations

from enum import Enum


class ClaimForm(Enum):
    """What the body of a bulk claim looks like."""

    TOKENS = "tokens"
    """No header; a token and its tags, every field quoted. Confirmed by the guides."""
    DEVICES = "devices"
    """A header, then the UUID of a device and its token; no tags. Confirmed by memfault-cli 1.12.0."""
