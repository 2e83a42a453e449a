"""Makes devices that exist only here, and their claim tokens; as a program, a claim file of them.

``python -m airflow_provider_nrfprov.emulator.mint`` writes the file. A token is signed with COSE ES256, and can be verified.

The construction is not documented by Nordic; it was found by experiment and verifies the one
documented token whose key could be recovered: the signature covers
``["Signature1", protected header, external_aad, payload]`` in CBOR, where ``external_aad`` is
the whole first part of the token and ``payload`` is null in an attestation token.

Every emulated device has an identity key that follows from its UUID. So a minted token can be
verified without any registry, and anyone can sign for an emulated device: these keys protect nothing.
"""

from __future__ import annotations

import argparse
import base64
import csv
import hashlib
import os
import sys
import uuid
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from functools import cache
from typing import Literal, TextIO

import cbor2
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature

from airflow_provider_nrfprov.claiming.token import ClaimToken, TokenError, decode
from airflow_provider_nrfprov.emulator.errors import Invalid

_IMEI_START = "35"
"""As of most real ones; twelve digits of a hash follow, so that two devices hardly ever share one."""


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


DEVICE_TYPE = 6
"""nRF9151 LACA, the type of a minted device unless another is asked for."""

FIRMWARE_ID = "c2f0a0c2-33a1-4e0c-9d0f-5c3a6f6b9a51"
"""An invented modem firmware UUID, shared by all minted devices unless another is asked for."""

SEC_TAG = 16842753
"""The default security tag of Nordic's own tool."""

DOCUMENTED_DEVICE_ID = "50363154-3931-44f0-8022-121b6401627d"
"""The device of the tokens in the documentation of Nordic's own tools."""

_DOCUMENTED_KEY = (
    0x7B76FFCB0339A59C091651AFE019A5F9AE5D0DC442994207BBB248F74CD80848,
    0x61B98A7B0E8DEA68ECFB04CB0985D1EE18686EE7B3F0AF4BD1DE51439C1F97BD,
)
"""Recovered from the signatures of two documented tokens of that device; verifies the third."""

_CURVE_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
_SELF_DESCRIBED_CBOR = bytes.fromhex("d9d9f7")
_PROTECTED = bytes.fromhex("a10126")  # {1: -7}: the algorithm is ES256
_UNPROTECTED = {4: b"\x21"}  # the key id is -2: the device's identity key


@dataclass(frozen=True, slots=True)
class MintedDevice:
    """A device that exists only here, with the claim token it would give."""

    device_id: str
    token: str = field(repr=False)


def identity_key(device_id: str) -> ec.EllipticCurvePrivateKey:
    """Return the identity key (P-256) of an emulated device; always the same for one UUID."""
    digest = hashlib.sha512(b"emulated identity key of " + device_id.encode()).digest()
    return ec.derive_private_key(int.from_bytes(digest, "big") % (_CURVE_ORDER - 1) + 1, ec.SECP256R1())


@cache
def documented_key() -> ec.EllipticCurvePublicKey:
    """Return the public key of the device ``DOCUMENTED_DEVICE_ID``."""
    return ec.EllipticCurvePublicNumbers(*_DOCUMENTED_KEY, ec.SECP256R1()).public_key()


def mint_token(
    device_id: str | None = None,
    *,
    device_type: int = DEVICE_TYPE,
    firmware_id: str | None = None,
    nonce: bytes | None = None,
    key: ec.EllipticCurvePrivateKey | None = None,
    message_type: int = 1,
) -> str:
    """Mint a claim token: 180 characters, as ``AT%ATTESTTOKEN`` answers.

    A device UUID and a nonce (16 bytes) that are not given are random; the key is the device's
    identity key unless another is given (for a token whose signature must fail). A message type
    other than 1 makes a token that cannot claim.
    """
    device_id = device_id or str(uuid.uuid4())
    message = [
        message_type,
        uuid.UUID(device_id).bytes,
        device_type,
        uuid.UUID(firmware_id or FIRMWARE_ID).bytes,
        nonce or os.urandom(16),
    ]
    body = _SELF_DESCRIBED_CBOR + cbor2.dumps(message)
    return _join(body, None, key or identity_key(device_id))


def mint_keygen(device_id: str, *, message_type: int = 9, sec_tag: int = SEC_TAG) -> str:
    """Mint what ``AT%KEYGEN`` answers: of the form of a claim token, but it cannot claim.

    Message type 9 holds a certificate signing request, 8 a public key, both as DER.
    """
    fresh = ec.generate_private_key(ec.SECP256R1())
    body = _csr(device_id, fresh) if message_type == 9 else _public_der(fresh)
    attestation = [
        message_type,
        uuid.UUID(device_id).bytes,
        cbor2.dumps(sec_tag),
        hashlib.sha256(body).digest(),
        os.urandom(16),
    ]
    payload = _SELF_DESCRIBED_CBOR + cbor2.dumps(attestation)
    return _join(body, payload, identity_key(device_id))


def mint_devices(count: int, *, seed: int | str = 0) -> Iterator[MintedDevice]:
    """Mint many devices, about 8,000 a second; the same seed gives the same devices and tokens.

    Signatures are the same too where the cryptography library can sign deterministically.
    """
    for index in range(count):
        digest = hashlib.sha256(f"device {index} of seed {seed}".encode()).digest()
        device_id = str(uuid.UUID(bytes=digest[:16], version=4))
        yield MintedDevice(device_id, mint_token(device_id, nonce=digest[16:]))


def verify(token_text: str, public_key: ec.EllipticCurvePublicKey) -> bool:
    """Return whether a token (of either kind) was signed with the key that belongs to ``public_key``.

    A text that is not a token at all is simply not verified.
    """
    try:
        parts = token_text.split(".")
        body, signed = (_decode(part) for part in parts)
        protected, _, payload, signature = cbor2.loads(signed).value
        r, s = (int.from_bytes(half, "big") for half in (signature[:32], signature[32:]))
        public_key.verify(
            encode_dss_signature(r, s),
            _to_be_signed(body, payload, protected),
            ec.ECDSA(hashes.SHA256()),
        )
    except (InvalidSignature, ValueError, AttributeError, TypeError, cbor2.CBORError, RecursionError):
        return False
    # Base64 can be written in more than one way; a token is signed in just one.
    return len(signature) == 64 and [_encode(body), _encode(signed)] == parts


def _join(body: bytes, payload: bytes | None, key: ec.EllipticCurvePrivateKey) -> str:
    r, s = decode_dss_signature(key.sign(_to_be_signed(body, payload), _signature_algorithm()))
    signature = r.to_bytes(32, "big") + s.to_bytes(32, "big")
    cose = cbor2.dumps(cbor2.CBORTag(18, [_PROTECTED, _UNPROTECTED, payload, signature]))
    return f"{_encode(body)}.{_encode(cose)}"


def _to_be_signed(body: bytes, payload: bytes | None, protected: bytes = _PROTECTED) -> bytes:
    return cbor2.dumps(["Signature1", protected, body, payload])


@cache
def _signature_algorithm() -> ec.ECDSA:
    try:
        return ec.ECDSA(hashes.SHA256(), deterministic_signing=True)
    except (TypeError, UnsupportedAlgorithm):  # cryptography before 43, or OpenSSL before 3.2
        return ec.ECDSA(hashes.SHA256())


def _csr(device_id: str, key: ec.EllipticCurvePrivateKey) -> bytes:
    from cryptography import x509
    from cryptography.hazmat.primitives.serialization import Encoding
    from cryptography.x509.oid import NameOID

    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, device_id)])
    request = x509.CertificateSigningRequestBuilder().subject_name(subject).sign(key, hashes.SHA256())
    return request.public_bytes(Encoding.DER)


def _public_der(key: ec.EllipticCurvePrivateKey) -> bytes:
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    return key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def _encode(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def _decode(part: str) -> bytes:
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))


class TokenCheck:
    """Reads claim tokens; checks the signature too if ``mode`` says so.

    The key that a token must be signed with is the documented one for the documented device, one
    given to ``trust``, or else the identity key that every emulated device has.
    """

    def __init__(self, mode: Literal["structure", "signature"]) -> None:
        self._mode = mode
        self._keys = {DOCUMENTED_DEVICE_ID: documented_key()}

    def trust(self, device_id: str, public_key: ec.EllipticCurvePublicKey) -> None:
        """Register the identity key of a device whose tokens were not minted here."""
        self._keys[device_id] = public_key

    def read(self, text: str) -> ClaimToken:
        """Return what a token says; raise ``Invalid`` (which never quotes it) if it cannot claim."""
        try:
            token = decode(text)
        except TokenError as error:
            raise Invalid(f"claimToken is not valid: {error}") from None
        if token.text != text:
            # A choice: the emulator is no more forgiving than the service might be.
            raise Invalid("claimToken has white space, quotes or padding that is not part of a token")
        if self._mode == "signature" and not verify(
            text, self._keys.get(token.device_id) or identity_key(token.device_id).public_key()
        ):
            raise Invalid("claimToken is not signed by the device that it names")
        return token


_FIRST_GATHERED = datetime(2025, 1, 1, 6, tzinfo=timezone.utc)
_SECONDS_PER_DEVICE = 9


def claim_rows(devices: Iterable[MintedDevice], tags: str = "") -> Iterator[list[str]]:
    """Yield rows of the service's own form: the token and, if there are any, comma-separated tags."""
    for device in devices:
        yield [device.token, tags] if tags else [device.token]


def attestation_rows(devices: Iterable[MintedDevice]) -> Iterator[list[str]]:
    """Yield rows as Nordic's ``gather_attestation_tokens`` writes: IMEI, UUID, token, ISO time."""
    for index, device in enumerate(devices):
        gathered = _FIRST_GATHERED + timedelta(seconds=index * _SECONDS_PER_DEVICE)
        yield [imei_of(device.device_id), device.device_id, device.token, gathered.isoformat()]


def write(rows: Iterable[list[str]], file: TextIO) -> None:
    """Write rows as CSV with LF line ends; a field is quoted only if it must be."""
    csv.writer(file, lineterminator="\n").writerows(rows)


def main(arguments: list[str] | None = None) -> int:
    """Write a claim file to standard output. The same arguments give the same file."""
    parser = argparse.ArgumentParser(
        prog="python -m airflow_provider_nrfprov.emulator.mint",
        description="Write a claim file of invented devices with well-signed tokens to standard output.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("--rows", type=int, required=True, help="how many devices")
    parser.add_argument(
        "--format",
        choices=("claim", "attestation"),
        default="claim",
        help="token and tags, or imei,uuid,token,time as gather_attestation_tokens writes",
    )
    parser.add_argument("--tags", default="", help="comma-separated tags of every row (claim format)")
    parser.add_argument("--seed", default="0", help="another seed gives other devices")
    options = parser.parse_args(arguments)
    if options.rows < 1:
        parser.error("--rows is at least 1")
    if options.tags and options.format == "attestation":
        parser.error("the attestation format has no place for --tags")
    devices = mint_devices(options.rows, seed=options.seed)
    rows = claim_rows(devices, options.tags) if options.format == "claim" else attestation_rows(devices)
    write(rows, sys.stdout)
    return 0


if __name__ == "__main__":
    sys.exit(main())
