"""Taking secrets out of text that came from the service or the network, before anybody sees it."""

from __future__ import annotations

import re

_CLAIM_TOKEN = re.compile(r"2dn3[A-Za-z0-9_+/-]{8,}={0,2}(?:\.[A-Za-z0-9_+/-]*={0,2})?")
"""What starts as every attestation token does (CBOR tag 55799 in base64url, or in base64), whole or damaged."""
_UNMISTAKABLE = 16
"""Characters of a secret that cannot be anything else, wherever it occurs. Nordic's keys have about 40."""


def redact(text: str, *secrets: str) -> str:
    """Replace everything that looks like a claim token, and the given secrets, by a name.

    A short secret is replaced only where it is a word of its own: a key ``k`` is not cut out of the word ``bulk``.
    """
    for secret in secrets:
        if len(secret) >= _UNMISTAKABLE:
            text = text.replace(secret, "<API key>")
        elif secret:
            text = re.sub(rf"(?<![\w-]){re.escape(secret)}(?![\w-])", "<API key>", text)
    return _CLAIM_TOKEN.sub("<claim token>", text)


def without_key(text: str, api_key: str) -> str:
    """Replace an API key in what is still to be parsed, if it is long enough to be nothing else."""
    return text.replace(api_key, "<API key>") if len(api_key) >= _UNMISTAKABLE else text
