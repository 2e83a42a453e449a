"""Taking secrets out of text that came from the service or the network, before anybody sees it."""

from __future__ import annotations

import re

_CLAIM_TOKEN = re.compile(r"2dn3[A-Za-z0-9_-]{8,}={0,2}(?:\.[A-Za-z0-9_-]*={0,2})?")
"""What starts as every attestation token does (CBOR tag 55799 in base64url), whole or damaged."""


def redact(text: str, *secrets: str) -> str:
    """Replace everything that looks like a claim token, and the given secrets, by a name."""
    for secret in secrets:
        if secret:
            text = text.replace(secret, "<API key>")
    return _CLAIM_TOKEN.sub("<claim token>", text)
