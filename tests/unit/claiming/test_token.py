from __future__ import annotations

import base64
import contextlib
import re
import uuid

import cbor2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_nrfprov.claiming.token import (
    ClaimToken,
    MalformedTokenError,
    TokenError,
    WrongTokenKindError,
    decode,
)
from airflow_provider_nrfprov.emulator.mint import documented_key, mint_keygen, mint_token, verify

SEED_TOKEN = (
    "2dn3hQFQSWHIc0CMRc6xunwNmdiBeQNQpNWAuar7SSW8jduV9zfUrlDi2RpLvSI7Lpj6UEpyjZUy"
    ".0oRDoQEmoQRBIfZYQOOK3tk8JPbQj97vYSUwvg2l4RWnI-HkW870dxWy6pirvWJ5ZfjLtJsP-R5C9MJNtMHkZEZNjI1bmMaMLInZWTE"
)
NORDIC_TOKEN = (
    "2dn3hQFQUDYxVDkxRPCAIhIbZAFifQNQGv86y_GmR2SiY0wmRsHGVFDT791_BPH8YOWFiyCHND1q"
    ".0oRDoQEmoQRBIfZYQGuXwJliinHc6xDPruiyjsaXyXZbZVpUuOhHG9YS8L05VuglCcJhMN4EUhWVGpaHgNnHHno6ahi-d5tOeZmAcNY"
)


def test_decodes_the_token_of_the_guide():
    assert decode(SEED_TOKEN) == ClaimToken(
        SEED_TOKEN,
        device_id="4961c873-408c-45ce-b1ba-7c0d99d88179",
        device_type=3,
        firmware_id="a4d580b9-aafb-4925-bc8d-db95f737d4ae",
    )
    assert decode(SEED_TOKEN).device_type_name == "nrf9160_SICA"


def test_decodes_the_token_that_nordic_documents_and_its_signature_verifies():
    token = decode(NORDIC_TOKEN)
    assert token.device_id == "50363154-3931-44f0-8022-121b6401627d"
    assert token.firmware_id == "1aff3acb-f1a6-4764-a263-4c2646c1c654"
    assert verify(NORDIC_TOKEN, documented_key())


@pytest.mark.parametrize(
    ("character", "name"),
    [("\xa0", "U+00A0 (NO-BREAK SPACE)"), ("\x1a", "U+001A (a control character)"), ("+", "U+002B (PLUS SIGN)"),
     ("\x85", "U+0085"), ("\udcff", "U+DCFF")],
)  # fmt: skip
def test_a_character_that_no_token_holds_is_named(character, name):
    text = mint_token(str(uuid.UUID(int=1)))
    with pytest.raises(
        MalformedTokenError, match=re.escape(f"base64url does not use, {name}, at position 41")
    ):
        decode(f"{text[:40]}{character}{text[41:]}")


@pytest.mark.parametrize("position", [10, 40, 75, 120, 170])
def test_a_changed_byte_fails_the_signature(position):
    changed = "A" if NORDIC_TOKEN[position] != "A" else "B"
    assert not verify(NORDIC_TOKEN[:position] + changed + NORDIC_TOKEN[position + 1 :], documented_key())


@pytest.mark.parametrize("around", ["{}", " {}\t", '"{}"', "'{}'", "{}=", "\ufeff{}".replace("\ufeff", "")])
def test_white_space_quotes_and_padding_do_not_make_it_another_token(around):
    assert decode(around.format(SEED_TOKEN)) == decode(SEED_TOKEN)


def test_two_tokens_of_one_device_differ_as_text_and_name_the_same_device():
    first, second = (mint_token("4961c873-408c-45ce-b1ba-7c0d99d88179") for _ in range(2))
    assert first != second
    assert decode(first).device_id == decode(second).device_id


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "empty"),
        ("abc", "one dot"),
        (SEED_TOKEN[:76], "cut short"),
        (SEED_TOKEN[:100], "signature part"),
        (SEED_TOKEN[:-1], "cut short"),
        (SEED_TOKEN[:-4], "cut short"),
        (SEED_TOKEN[10:], "body"),
        (SEED_TOKEN + "AAAA", "signature part"),
        ("AAAA" + SEED_TOKEN, "body"),
        (SEED_TOKEN.replace(".", "AAAA."), "body"),
        (SEED_TOKEN.replace(".", ".."), "3"),
        (SEED_TOKEN[:20] + "+" + SEED_TOKEN[21:], "position 21"),
        (SEED_TOKEN[:20] + "ü" + SEED_TOKEN[21:], "position 21"),
    ],
)
def test_says_what_is_wrong_with_a_damaged_token_without_quoting_it(text, words):
    with pytest.raises(MalformedTokenError, match=words) as caught:
        decode(text)
    assert SEED_TOKEN[30:60] not in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        mint_keygen("4961c873-408c-45ce-b1ba-7c0d99d88179", message_type=8),
        mint_keygen("4961c873-408c-45ce-b1ba-7c0d99d88179", message_type=9),
        mint_token(message_type=5),
        "eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJ4In0.c2ln",
    ],
    ids=["public key", "CSR", "provisioning response", "JWT"],
)
def test_tokens_of_a_kind_that_cannot_claim_are_told_from_damaged_ones(text):
    with pytest.raises(WrongTokenKindError, match="ATTESTTOKEN"):
        decode(text)


def test_a_device_type_that_is_not_known_yet_is_no_error():
    assert decode(mint_token(device_type=23)).device_type_name == "unknown (23)"
    assert decode(mint_token(device_type=300)).device_type == 300


def test_the_token_is_not_in_its_repr():
    assert SEED_TOKEN[:20] not in repr(decode(SEED_TOKEN))


@given(st.binary(min_size=16, max_size=16), st.integers(0, 400), st.binary(min_size=16, max_size=16))
def test_the_short_way_of_reading_gives_what_cbor_gives(device_id, device_type, nonce):
    device_id = str(uuid.UUID(bytes=device_id))
    text = mint_token(device_id, device_type=device_type, nonce=nonce)
    message = cbor2.loads(base64.urlsafe_b64decode(text.split(".")[0] + "=="))
    assert decode(text) == ClaimToken(text, device_id, device_type, str(uuid.UUID(bytes=message[3])))


def _encode(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


_json_like = st.recursive(
    st.none() | st.booleans() | st.integers() | st.binary(max_size=20) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=6) | st.dictionaries(st.integers(), inner, max_size=3),
    max_leaves=8,
)


@given(st.text() | st.tuples(st.binary(), st.binary()).map(lambda parts: ".".join(map(_encode, parts))))
def test_any_text_is_a_token_or_a_token_error(text):
    with contextlib.suppress(TokenError):
        decode(text)


@given(_json_like, _json_like)
def test_any_cbor_is_a_token_or_a_token_error(body, cose):
    text = (
        f"{_encode(cbor2.dumps(cbor2.CBORTag(55799, body)))}.{_encode(cbor2.dumps(cbor2.CBORTag(18, cose)))}"
    )
    with contextlib.suppress(TokenError):
        decode(text)
