"""Whether a claim token is good enough to claim with."""

from __future__ import annotations

from typing import Literal

from cryptography.hazmat.primitives.asymmetric import ec

from airflow_provider_nrfprov.claiming.token import ClaimToken, TokenError, decode
from airflow_provider_nrfprov.emulator import signing
from airflow_provider_nrfprov.emulator.errors import Invalid


class TokenCheck:
    """Reads claim tokens; checks the signature too if ``mode`` says so.

    The key that a token must be signed with is the documented one for the documented device, one
    given to ``trust``, or else the identity key that every emulated device has.
    """

    def __init__(self, mode: Literal["structure", "signature"]) -> None:
        self._mode = mode
        self._keys = {signing.DOCUMENTED_DEVICE_ID: signing.documented_key()}

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
        if self._mode == "signature" and not signing.verify(text, self._key_of(token.device_id)):
            raise Invalid("claimToken is not signed by the device that it names")
        return token

    def _key_of(self, device_id: str) -> ec.EllipticCurvePublicKey:
        return self._keys.get(device_id) or signing.identity_key(device_id).public_key()
