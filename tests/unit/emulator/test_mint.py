"""Tokens: minted as a device would give them, and verified as the documented one is."""

from __future__ import annotations

import base64
import re
import time

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_nrfprov.claiming.token import TokenError, WrongTokenKindError, decode
from airflow_provider_nrfprov.emulator import mint

DOCUMENTED_TOKEN = (
    "2dn3hQFQUDYxVDkxRPCAIhIbZAFifQNQGv86y_GmR2SiY0wmRsHGVFDT791_BPH8YOWFiyCHND1q"
    ".0oRDoQEmoQRBIfZYQGuXwJliinHc6xDPruiyjsaXyXZbZVpUuOhHG9YS8L05VuglCcJhMN4EUhWVGpaHgNnHHno6ahi-d5tOeZmAcNY"
)
SHAPE = re.compile(r"2dn3hQFQ[A-Za-z0-9_-]{68}\.0oRDoQEmoQRBIfZYQ[A-P][A-Za-z0-9_-]{85}")


def b64(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def raw(part: str) -> bytes:
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))


def flipped(data: bytes, place: int) -> bytes:
    return data[:place] + bytes([data[place] ^ 0x01]) + data[place + 1 :]


def test_the_documented_token_verifies_with_the_documented_key():
    assert decode(DOCUMENTED_TOKEN).device_id == mint.DOCUMENTED_DEVICE_ID
    assert mint.verify(DOCUMENTED_TOKEN, mint.documented_key())


@pytest.mark.parametrize(
    ("part", "places"), [(0, range(57)), (1, range(77 - 64, 77))], ids=["body", "signature"]
)
def test_the_documented_token_fails_with_any_changed_byte_of_its_body_or_signature(part, places):
    for place in places:
        parts = DOCUMENTED_TOKEN.split(".")
        parts[part] = b64(flipped(raw(parts[part]), place))
        assert not mint.verify(".".join(parts), mint.documented_key()), place


def test_the_documented_token_fails_with_another_key_and_in_another_spelling():
    assert not mint.verify(DOCUMENTED_TOKEN, ec.generate_private_key(ec.SECP256R1()).public_key())
    assert not mint.verify(DOCUMENTED_TOKEN + "=", mint.documented_key())
    assert not mint.verify(DOCUMENTED_TOKEN[:-1] + "Z", mint.documented_key())


@given(st.text(alphabet="2dn3hQFAB.-_= é"))
def test_what_is_no_token_is_not_verified_and_raises_nothing(text):
    assert not mint.verify(text, mint.documented_key())


@given(st.uuids(), st.integers(0, 23), st.uuids(), st.binary(min_size=16, max_size=16))
def test_a_minted_token_has_the_strict_shape_and_says_what_it_was_given(device, kind, firmware, nonce):
    text = mint.mint_token(str(device), device_type=kind, firmware_id=str(firmware), nonce=nonce)
    assert len(text) == 180
    assert SHAPE.fullmatch(text)
    token = decode(text)
    assert (token.device_id, token.device_type, token.firmware_id) == (str(device), kind, str(firmware))
    assert mint.verify(text, mint.identity_key(str(device)).public_key())


def test_a_token_signed_with_a_given_key_verifies_with_that_key_only():
    key = ec.generate_private_key(ec.SECP256R1())
    text = mint.mint_token(key=key)
    assert mint.verify(text, key.public_key())
    assert not mint.verify(text, mint.identity_key(decode(text).device_id).public_key())


def test_the_same_seed_mints_the_same_devices_and_another_seed_others():
    first, again = list(mint.mint_devices(50, seed="lot 7")), list(mint.mint_devices(50, seed="lot 7"))
    other = list(mint.mint_devices(50, seed="lot 8"))
    assert [each.device_id for each in first] == [each.device_id for each in again]
    assert [each.token.split(".")[0] for each in first] == [each.token.split(".")[0] for each in again]
    assert len({each.device_id for each in first + other}) == 100


def test_a_minted_device_does_not_show_its_token():
    device = next(mint.mint_devices(1))
    assert device.token not in repr(device)


def test_a_thousand_tokens_take_well_under_two_seconds():
    started = time.process_time()
    tokens = {device.token for device in mint.mint_devices(1000)}
    assert len(tokens) == 1000
    assert time.process_time() - started < 2


@pytest.mark.parametrize("message_type", [8, 9])
def test_a_keygen_output_is_signed_by_its_device_but_cannot_claim(message_type):
    device_id = "7b21b4bc-1cc9-41df-b05c-61b4605e5bb0"
    text = mint.mint_keygen(device_id, message_type=message_type)
    assert mint.verify(text, mint.identity_key(device_id).public_key())
    with pytest.raises(TokenError):
        decode(text)


@pytest.mark.parametrize("message_type", [2, 5, 8, 9])
def test_a_token_of_another_message_type_can_be_minted_to_be_refused(message_type):
    with pytest.raises(WrongTokenKindError):
        decode(mint.mint_token(message_type=message_type))
