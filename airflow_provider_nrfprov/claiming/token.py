"""The claim token (identity attestation token): decoded offline to the device that made it.

A token is ``BASE64URL(body) "." BASE64URL(cose)`` without padding, 180 characters, as a device
answers ``AT%ATTESTTOKEN``. The body is CBOR: self-describe tag 55799 around
``[message type, device UUID, device type, modem firmware UUID, nonce]``. The second part is a
COSE_Sign1 with a detached payload. All of this is confirmed by decoding documented tokens.

The token holds no IMEI, and whether its signature is genuine can't be told offline: that needs
the device's identity key, which only Nordic has.
"""

from __future__ import annotations

import base64
import binascii
import io
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import cbor2

IDENTITY_MESSAGE = 1
"""The one message type that can claim a device."""

_MESSAGE_TYPES = {
    2: "public key message v1",
    3: "CSR message v1",
    5: "provisioning response v1",
    8: "public key message v2 (KEYGEN)",
    9: "certificate signing request (KEYGEN)",
}

_DEVICE_TYPES = {
    1: "nrf9160_SIAA",
    2: "nrf9160_SIBA",
    3: "nrf9160_SICA",
    4: "nrf9161_LACA",
    5: "nrf9131_LACA",
    6: "nrf9151_LACA",
    17: "nrf9220",
}
"""Names as the service writes them. Confirmed for 3 only; the others are inferred from its form. That 17 is the nRF9220
(its firmware UUID is all zeros) is confirmed; what the service calls it is unknown."""

TOKEN_CHARACTERS = 180
_BODY_CHARACTERS = 76
USUAL_FORM = r"2dn3hQFQ[A-Za-z0-9_-]{68}\.0oRDoQEmoQRBIfZYQ[A-P][A-Za-z0-9_-]{85}"
"""A pattern: an identity message, signed with ES256 by the identity key, by its fixed bytes."""
_USUAL = re.compile(USUAL_FORM)
_PRINTED_BEFORE = re.compile(r"(?:%ATTESTTOKEN|attestation token)\s{0,4}:", re.IGNORECASE)
"""What a modem, and Nordic's nrfcredstore, print before a token."""
_NOT_BASE64URL = re.compile(r"[^A-Za-z0-9_-]")
BEGINNING = "2dn3"
"""How base64url writes the first bytes (d9 d9 f7) of every attestation token."""

_IN_A_CELL = re.compile(rf"{BEGINNING}[A-Za-z0-9_.=-]{{20,}}")
"""A token, or so much of one that it is nothing else."""

_NO_ITEM = object()

_DER_SEQUENCE = ("MF", "MI")
"""How base64url writes the first bytes (30 59, 30 8x) of what AT%KEYGEN answers."""


class TokenError(ValueError):
    """A text that cannot be used as a claim token. The message never quotes the token."""


class MalformedTokenError(TokenError):
    """It is not an attestation token, or a damaged one; the message says what is wrong with it."""


class WrongTokenKindError(TokenError):
    """It is a well-formed token of a kind that cannot claim a device (a KEYGEN output, a JWT)."""


@dataclass(frozen=True, slots=True)
class ClaimToken:
    """What a claim token says of its device.

    ``text`` is the token in the form that is sent (no quotes, white space or padding); it stays
    out of ``repr``, since a claim token is as good as a secret.
    """

    text: str = field(repr=False)
    device_id: str
    """The device UUID, lower case with hyphens: the id of the claimed device."""
    device_type: int
    firmware_id: str
    """The UUID of the modem firmware."""

    @property
    def device_type_name(self) -> str:
        """The device type as the service writes it, or ``unknown (7)`` for one not known here."""
        return _DEVICE_TYPES.get(self.device_type, f"unknown ({self.device_type})")


def decode(text: str) -> ClaimToken:
    """Decode a claim token.

    Surrounding white space and quotes, base64 padding, and what a modem (``%ATTESTTOKEN: "…"``) and
    Nordic's nrfcredstore (``Attestation token: …``) print before it are dropped: without them it is the
    same token. Key id and algorithm of the signature are left
    for the service to judge, so that a newer device is not refused here.

    :raises MalformedTokenError: if it is not an attestation token, or a damaged one.
    :raises WrongTokenKindError: if it is a token that cannot claim.
    """
    text = text.strip().strip("\"'").strip()
    if ":" in text and (printed := _PRINTED_BEFORE.search(text)):
        text = text[printed.end() :].strip().strip("\"'").strip()
    if _USUAL.fullmatch(text) and (raw := read_usual(text)):
        return ClaimToken(text, uuid_text(raw[6:22]), raw[22], uuid_text(raw[24:40]))
    if not text:
        raise MalformedTokenError("the token is empty")
    parts = [part.rstrip("=") for part in text.split(".")]
    if len(parts) == 3 and parts[0].startswith("eyJ"):
        raise WrongTokenKindError("this is a JSON Web Token; claiming takes an AT%ATTESTTOKEN token")
    if len(parts) != 2:
        raise MalformedTokenError(
            f"a token is two base64url parts joined by one dot; this has {len(parts)}"
            + (" (was it cut short?)" if len(parts) == 1 else "")
        )
    if parts[0].startswith(_DER_SEQUENCE):
        raise WrongTokenKindError(
            "this is the output of AT%KEYGEN (a public key or a certificate signing request); "
            "claiming takes that of AT%ATTESTTOKEN"
        )
    message = _read_body(parts[0])
    _check_signature_part(parts[1])
    return ClaimToken(
        text=".".join(parts),
        device_id=uuid_text(message[1]),
        device_type=message[2],
        firmware_id=uuid_text(message[3]),
    )


def looks_like_token(text: str) -> bool:
    """Whether a text starts as every attestation token does, however damaged the rest may be."""
    return text.lstrip(" \t\"'").startswith(BEGINNING)


def may_hold_two(text: str) -> bool:
    """Whether a line that holds a token may hold another: soon told, and hardly ever so of a line that holds one."""
    return text.count(BEGINNING) > 1


def token_in(text: str) -> str:
    """Return what is a token, or a good part of one, in a cell; empty if there is none."""
    found = _IN_A_CELL.search(text)
    return found[0] if found else ""


def read_usual(text: str) -> bytes | None:
    """Read the body of a token of :data:`USUAL_FORM` by its fixed places, ten times as fast as by its CBOR.

    :return: the body, whose bytes 6 to 22 are the device UUID; ``None`` if it is of another shape after all.
    """
    raw = binascii.a2b_base64(text[:_BODY_CHARACTERS].replace("-", "+").replace("_", "/"))
    # CBOR: 0x50 begins 16 bytes, a number below 24 is one byte.
    if raw[22] >= 24 or raw[23] != 0x50 or raw[40] != 0x50:
        return None
    return raw


def usual_devices(tokens: Sequence[str]) -> bytes:
    """Read the device UUIDs of many tokens of :data:`USUAL_FORM`, up to the first for which :func:`read_usual` returns ``None``.

    :return: 16 bytes for each.
    """
    # Of each body the bytes 6 to 42: 48 characters are whole bytes, so all can be decoded at once.
    text = "".join([token[8:56] for token in tokens])
    raw = binascii.a2b_base64(text.replace("-", "+").replace("_", "/"))
    size = len(tokens)
    types, marks = raw[16::36], raw[17::36] + raw[34::36]
    if size and (max(types) >= 24 or marks.strip(b"\x50")):
        size = next(
            place
            for place in range(size)
            if types[place] >= 24 or raw[36 * place + 17 :: 17][:2] != b"\x50\x50"
        )
    devices = bytearray(16 * size)
    for place in range(16):
        devices[place::16] = raw[place : 36 * size : 36]
    return bytes(devices)


def uuid_texts(raw: bytes) -> list[str]:
    """Write 16 bytes each as a UUID, as :func:`uuid_text` does."""
    text = bytearray(raw.hex("-", 2), "ascii") + b"-"
    # Of the hyphens after each second byte those that no UUID has, and the last in exchange for a line feed.
    del text[4::40]
    del text[28::39]
    del text[32::38]
    text[36::37] = b"\n" * (len(raw) // 16)
    return text.decode("ascii").splitlines()


def uuid_text(raw: bytes) -> str:
    """Write 16 bytes as a UUID, lower case with hyphens."""
    text = raw.hex("-", 2)
    return f"{text[:4]}{text[5:29]}{text[30:34]}{text[35:]}"


def _read_body(part: str) -> Sequence[Any]:
    message = _load(part, "body")
    # cbor2 returns tuples or lists for arrays, depending on its version.
    if not isinstance(message, (list, tuple)) or not message or not _is_uint(message[0]):
        raise MalformedTokenError("the body is not an attestation message (a CBOR array was expected)")
    if message[0] != IDENTITY_MESSAGE:
        kind = _MESSAGE_TYPES.get(message[0], "of an unknown kind")
        raise WrongTokenKindError(
            f"message type {message[0]}, {kind}, cannot claim a device; take the output of AT%ATTESTTOKEN"
        )
    if len(message) != 5:
        raise MalformedTokenError(f"the identity message has {len(message)} fields instead of 5")
    named = zip(("device UUID", "firmware UUID", "nonce"), (message[1], message[3], message[4]), strict=True)
    for name, value in named:
        if not isinstance(value, bytes) or len(value) != 16:
            raise MalformedTokenError(f"the {name} is not 16 bytes")
    if not _is_uint(message[2]):
        raise MalformedTokenError("the device type is not a number")
    return message


def _check_signature_part(part: str) -> None:
    cose = _load(part, "signature part")
    # Without the dot's second half a token decodes but proves nothing, so it cannot claim (inferred).
    if not isinstance(cose, cbor2.CBORTag) or cose.tag != 18:
        raise MalformedTokenError("the signature part is not a COSE_Sign1 structure")
    fields = cose.value
    if not isinstance(fields, (list, tuple)) or len(fields) != 4:
        raise MalformedTokenError("the signature part does not have the 4 fields of COSE_Sign1")
    if not isinstance(fields[3], bytes) or len(fields[3]) != 64:
        raise MalformedTokenError("the signature is not 64 bytes")


def _load(part: str, name: str) -> object:
    if wrong := _NOT_BASE64URL.search(part):
        raise MalformedTokenError(
            f"the {name} has a character that base64url does not use, {_named(wrong[0])}, at position {wrong.start() + 1}"
        )
    try:
        raw = base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))
    except (binascii.Error, ValueError):
        raise MalformedTokenError(
            f"the {name} is not base64url: {len(part)} characters cannot be whole bytes (was it cut short?)"
        ) from None
    value = _first_item(raw)
    if value is _NO_ITEM:
        raise MalformedTokenError(f"the {name} ({len(part)} characters) is not CBOR (was it cut short?)")
    # No item of CBOR begins with another. Where a stream ends does not tell: cbor2 5.8 reads ahead.
    if _first_item(raw[:-1]) is not _NO_ITEM:
        raise MalformedTokenError(f"the {name} goes on after its end (were two tokens run together?)")
    return value


def _named(character: str) -> str:
    """Name a character that may be unseen: ``U+00A0 (NO-BREAK SPACE)``."""
    name = unicodedata.name(character, "a control character" if character < " " else "")
    return f"U+{ord(character):04X}" + (f" ({name})" if name else "")


def _first_item(raw: bytes) -> object:
    try:
        return cbor2.load(io.BytesIO(raw))  # type: ignore[no-any-return,unused-ignore] # drops the self-describe tag
    except Exception:  # noqa: BLE001 - cbor2 lets several kinds out, RecursionError among them
        return _NO_ITEM  # an error's own text may quote bytes of the token


def _is_uint(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0
