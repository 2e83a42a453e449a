"""Taking secrets out of text that came from the service or the network, before anybody sees it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

_CLAIM_TOKEN = re.compile(r"2dn3[A-Za-z0-9_+/-]{8,}={0,2}(?:\.[A-Za-z0-9_+/-]*={0,2})?")
"""What starts as every attestation token does (CBOR tag 55799 in base64url, or in base64), whole or damaged."""
_MASK = "<claim token>"
_PIECE = re.compile(rf"{_MASK}|[A-Za-z0-9_+-]+")
_TIGHT = re.compile(r"[.%\\&#;/=]{1,4}")
"""What escapes leave between the parts of one token: ``%2E``, ``\\u002e``, ``&#46;``; and base64's slash."""
_LOOSE = re.compile(r"[\s.%\\&#;/=]{1,9}")
"""The same, and where a token is wrapped."""
_ID = re.compile(r"[0-9A-Z]{26}|[0-9a-z]{26}|[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}")
"""A ULID, as bulk operations have, or a UUID."""
_CHANGE = re.compile(r"(?=[a-z][A-Z0-9]|[A-Z][0-9]|[0-9][A-Za-z])")
"""Where the kind of character changes as it does in no word. In base64 that is two places of five."""
_ALL_KINDS = re.compile(r"(?=.*[a-z])(?=.*[A-Z]).*[0-9]", re.DOTALL)
_SHORTEST_PIECE = 8
_LEAST_OF_A_TOKEN = 40
"""Characters of a token that are masked without its start; a token has 180."""

_SHORTEST_KEY = 8
_UNMISTAKABLE = 16
"""Characters of a secret that cannot be anything else, wherever it occurs. Nordic's keys have about 40."""


def redact(text: str, *secrets: str) -> str:
    """Replace everything that looks like a claim token or a part of one, and the given secrets, by a name.

    A part is what begins as a token does, or 40 characters and more that are no words; ids stay.
    A short secret is replaced only where it is a word of its own: a key ``k`` is not cut out of the word ``bulk``.
    """
    for secret in secrets:
        text = _without(text, secret)
    return _without_parts(_CLAIM_TOKEN.sub(_MASK, text))


def without_key(text: str, api_key: str) -> str:
    """Replace an API key in what is still to be parsed, if it is long enough to be nothing else."""
    return text.replace(api_key, "<API key>") if len(api_key) >= _UNMISTAKABLE else text


def without_short_key(value: Any, api_key: str) -> Any:
    """Replace an API key that :func:`without_key` leaves in the texts of parsed JSON, where it is a word of its own.

    One of less than 8 characters stays: it may be a word of the service.
    """
    if not _SHORTEST_KEY <= len(api_key) < _UNMISTAKABLE:
        return value
    if isinstance(value, str):
        return _without(value, api_key)
    if isinstance(value, list):
        return [without_short_key(each, api_key) for each in value]
    if isinstance(value, dict):
        return {name: without_short_key(each, api_key) for name, each in value.items()}
    return value


def _without(text: str, secret: str) -> str:
    if len(secret) >= _UNMISTAKABLE:
        return text.replace(secret, "<API key>")
    if not secret or secret not in text:
        return text
    return re.sub(rf"(?<![\w-]){re.escape(secret)}(?![\w-])", "<API key>", text)


def _without_parts(text: str) -> str:
    shown, end = [], 0
    for parts in _runs(text):
        if _is_of_a_token([each[0] for each in parts]):
            shown += [text[end : parts[0].start()], _MASK]
            end = parts[-1].end()
    return "".join((*shown, text[end:])) if end else text


def _runs(text: str) -> Iterator[list[re.Match[str]]]:
    """Yield pieces of text that are no words and may be parts of one token, as they follow each other."""
    run: list[re.Match[str]] = []
    for piece in _PIECE.finditer(text):
        if run and _goes_on(run, piece, text[run[-1].end() : piece.start()]):
            run.append(piece)
            continue
        if run:
            yield run
        run = [piece] if piece[0] == _MASK or _is_jumble(piece[0], 8) else []
    if run:
        yield run


def _goes_on(run: list[re.Match[str]], piece: re.Match[str], between: str) -> bool:
    if piece[0] == _MASK or not (not between or _LOOSE.fullmatch(between)):
        return False
    is_tight = not between or _TIGHT.fullmatch(between) is not None
    if is_tight and len(piece[0]) < _SHORTEST_PIECE:
        # What an escape or a slash leaves of a token.
        return True
    # Beside what is a token for certain, less is taken for its next part.
    return _is_jumble(piece[0], 30 if is_tight or run[0][0] == _MASK else 8)


def _is_jumble(piece: str, characters: int) -> bool:
    """Return whether a piece is no word: of ``characters`` characters one at least is of another kind than that before it."""
    return (
        len(piece) >= _SHORTEST_PIECE
        and len(_CHANGE.findall(piece)) * characters >= max(len(piece), 16)
        and not _ID.fullmatch(piece)
    )


def _is_of_a_token(pieces: list[str]) -> bool:
    if pieces[0] == _MASK:
        return True
    whole = "".join(pieces)
    changes = sum(len(_CHANGE.findall(each)) for each in pieces)
    return (
        len(whole) >= _LEAST_OF_A_TOKEN and changes * 5 >= len(whole) and _ALL_KINDS.match(whole) is not None
    )
