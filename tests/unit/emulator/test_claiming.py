"""Claiming one device and a CSV of devices at once, through the wire."""

from __future__ import annotations

import csv
import io
import re

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from airflow_provider_nrfprov.emulator.accounts import OTHER_TEAM_KEY, TEAM_A
from airflow_provider_nrfprov.emulator.mint import (
    FIRMWARE_ID,
    mint_devices,
    mint_keygen,
    mint_token,
)
from tests.unit.emulator.asking import CLAIMS, DEVICE

# From Nordic's guide "Claiming device ownership through the APIs".
GUIDE_TOKEN = (
    "2dn3hQFQSWHIc0CMRc6xunwNmdiBeQNQpNWAuar7SSW8jduV9zfUrlDi2RpLvSI7Lpj6UEpyjZUy"
    ".0oRDoQEmoQRBIfZYQOOK3tk8JPbQj97vYSUwvg2l4RWnI-HkW870dxWy6pirvWJ5ZfjLtJsP-R5C9MJNtMHkZEZNjI1bmMaMLInZWTE"
)


def csv_of(*rows: tuple[str, ...]) -> str:
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerows(rows)
    return out.getvalue()


def luhn_valid(digits: str) -> bool:
    total = 0
    for place, digit in enumerate(reversed(digits)):
        value = int(digit) * (1 + place % 2)
        total += value // 10 + value % 10
    return total % 10 == 0


@pytest.mark.parametrize("device_type", [17, 24])
def test_a_device_of_a_newer_type_whose_firmware_id_is_all_zeros_is_claimed(world, device_type):
    api = world(token_check="signature")
    zeros = "00000000-0000-0000-0000-000000000000"
    answer = api.claim(mint_token(DEVICE, device_type=device_type, firmware_id=zeros))
    assert answer.status_code == 201
    assert (answer.json()["id"], answer.json()["firmwareId"]) == (DEVICE, zeros)


def test_a_tag_of_a_json_claim_may_have_commas_and_is_one_tag(api):
    assert api.claim(mint_token(DEVICE), "a,b").json()["tags"] == ["a,b"]
    assert api.tags_of(DEVICE) == ["a,b"]
    for tag, found in (("a,b", 1), ("a", 0), ("b", 0)):
        assert api.get("/v1/claimed-devices", params={"tag": tag}).json()["total"] == found


def test_a_claim_answers_201_with_the_nine_documented_fields(api):
    answer = api.claim(mint_token(DEVICE, device_type=3), "location=Trondheim")
    assert answer.status_code == 201
    device = answer.json()
    imei = device.pop("imei")
    assert device == {
        "id": DEVICE,
        "deviceType": "nrf9160_SICA",
        "firmwareId": FIRMWARE_ID,
        "ownerId": TEAM_A,
        "ownershipStatus": "IDENTIFIED",
        "tags": ["location=Trondheim"],
        "status": "READY",
        "claimedAt": "2026-03-04T05:06:07.891Z",
    }
    assert re.fullmatch(r"\d{15}", imei)
    assert luhn_valid(imei)


def test_the_token_of_the_guide_can_be_claimed(api):
    answer = api.claim(GUIDE_TOKEN, "location=Trondheim")
    assert answer.status_code == 201
    assert answer.json()["id"] == "4961c873-408c-45ce-b1ba-7c0d99d88179"
    assert answer.json()["firmwareId"] == "a4d580b9-aafb-4925-bc8d-db95f737d4ae"


def test_the_imei_of_a_device_stays_the_same_when_it_is_claimed_again(api):
    first = api.claim(mint_token(DEVICE)).json()["imei"]
    api.delete(f"{CLAIMS}/{DEVICE}")
    assert api.claim(mint_token(DEVICE)).json()["imei"] == first


def test_the_path_that_the_guide_prints_claims_too(api):
    answer = api.post("/v1/identities/claimed-devices", json={"claimToken": mint_token(DEVICE)})
    assert answer.status_code == 201
    assert api.service.claimed_ids() == {DEVICE}


def test_a_dry_run_answers_202_without_a_body_and_stores_nothing(api):
    answer = api.post(f"{CLAIMS}?dryrun=true", json={"claimToken": mint_token(DEVICE), "tags": ["new"]})
    assert (answer.status_code, answer.content) == (202, b"")
    assert api.service.claimed_ids() == set()
    assert api.service.team_tags(TEAM_A) == []


def test_a_dry_run_refuses_what_a_claim_would_refuse(api):
    api.claim(mint_token(DEVICE))
    assert api.post(f"{CLAIMS}?dryrun=true", json={"claimToken": mint_token(DEVICE)}).status_code == 409
    assert api.post(f"{CLAIMS}?dryrun=true", json={"claimToken": "no"}).status_code == 422


@pytest.mark.parametrize(
    "token",
    ["", "nonsense", mint_token()[:-20], mint_token().split(".")[0], f'"{mint_token()}"', mint_token() + "="],
    ids=["empty", "nonsense", "cut short", "first half", "in quotes", "padded"],
)
def test_a_bad_token_is_refused_with_422_and_never_quoted(api, token):
    answer = api.claim(token)
    assert answer.status_code == 422
    assert answer.json()["code"] == 42200
    assert not token or token not in answer.text
    assert api.service.claimed_ids() == set()


@pytest.mark.parametrize(
    "token",
    [mint_keygen(DEVICE), mint_token(DEVICE, message_type=8)],
    # Each process that collects the tests mints others.
    ids=["of a key", "attestation of another kind"],
)
def test_a_keygen_token_cannot_claim(api, token):
    assert api.claim(token).status_code == 422


def test_a_claimed_device_cannot_be_claimed_again_by_anyone(api):
    assert api.claim(mint_token(DEVICE)).status_code == 201
    own, other = api.claim(mint_token(DEVICE)), api.with_key(OTHER_TEAM_KEY).claim(mint_token(DEVICE))
    assert (own.status_code, other.status_code) == (409, 409)
    assert own.json() == other.json() == {"code": 40900, "message": f"device {DEVICE} is already claimed"}
    assert api.service.claim_counts() == {DEVICE: 1}


def test_a_conflict_names_the_owner_only_if_told_to(world):
    api = world(conflict_names_owner=True)
    api.claim(mint_token(DEVICE))
    assert api.claim(mint_token(DEVICE)).json()["message"].endswith("by your team")
    other = api.with_key(OTHER_TEAM_KEY).claim(mint_token(DEVICE))
    assert other.json()["message"].endswith("by another team")


def test_in_signature_mode_only_a_token_signed_by_its_device_claims(world):
    api = world(token_check="signature")
    forged = mint_token(DEVICE, key=ec.generate_private_key(ec.SECP256R1()))
    assert api.claim(forged).status_code == 422
    assert api.claim(GUIDE_TOKEN).status_code == 422
    assert api.claim(mint_token(DEVICE)).status_code == 201


def test_in_signature_mode_the_key_of_a_foreign_device_can_be_registered(world):
    api = world(token_check="signature")
    key = ec.generate_private_key(ec.SECP256R1())
    api.service.tokens.trust(DEVICE, key.public_key())
    assert api.claim(mint_token(DEVICE)).status_code == 422
    assert api.claim(mint_token(DEVICE, key=key)).status_code == 201


@pytest.mark.parametrize(
    ("body", "content_type", "status"),
    [
        (b"{", "application/json", 400),
        (b"\xff\xfe{", "application/json", 400),
        (b"[]", "application/json", 422),
        (b"{}", "application/json", 422),
        (b'{"claimToken": 5}', "application/json", 422),
        (b'{"claimToken": "x", "tags": "a"}', "application/json", 422),
        (b'{"claimToken": "x"}', "text/plain", 415),
        (b"\xff\xfe", "text/csv; charset=utf-8", 400),
        (b'{"claimToken": "x"}', None, 422),  # taken as JSON, so the token is looked at
    ],
)
def test_a_body_that_cannot_be_used_is_refused_in_the_documented_form(api, body, content_type, status):
    headers = {"Content-Type": content_type} if content_type else {}
    answer = api.post(CLAIMS, data=body, headers=headers)
    assert answer.status_code == status
    assert set(answer.json()) == {"code", "message"}
    assert answer.json()["code"] // 100 == status


def test_a_csv_claims_every_row_with_its_tags(api):
    a, b = mint_devices(2)
    answer = api.post_csv(CLAIMS, csv_of((a.token, "lot=7, line 2"), (b.token,)))
    assert answer.status_code == 201
    assert answer.json() == {"claimedIds": [a.device_id, b.device_id], "failed": []}
    assert api.tags_of(a.device_id) == ["lot=7", "line 2"]
    assert api.tags_of(b.device_id) == []


def test_a_csv_without_a_content_type_is_a_csv_unless_it_begins_with_a_brace(api):
    device = next(mint_devices(1))
    answer = api.post(CLAIMS, data=f'"{device.token}"\n'.encode())
    assert "Content-Type" not in answer.request.headers
    assert answer.json()["claimedIds"] == [device.device_id]


def test_bad_rows_of_a_csv_are_named_and_the_good_ones_are_claimed(api):
    a, b = mint_devices(2)
    rows = csv_of((a.token,), ("bad", "x"), (a.token,), (b.token, "x" * 101), (b.token, "a", "b"), (b.token,))
    answer = api.post_csv(CLAIMS, rows)
    assert answer.status_code == 422
    body = answer.json()
    assert body["claimedIds"] == [a.device_id, b.device_id]
    assert [each["row"] for each in body["failed"]] == [1, 2, 3, 4]
    assert body["failed"][0]["claimToken"] == "bad"
    assert "already claimed" in body["failed"][1]["message"]
    assert api.service.claimed_ids() == {a.device_id, b.device_id}


@pytest.mark.parametrize("status", [200, 201, 207, 400, 422])
def test_the_status_of_a_partial_failure_is_a_choice(world, status):
    api = world(partial_failure_status=status)
    device = next(mint_devices(1))
    answer = api.post_csv(CLAIMS, csv_of((device.token,), ("bad",)))
    assert answer.status_code == status
    assert answer.json()["claimedIds"] == [device.device_id]
    assert len(answer.json()["failed"]) == 1
    assert ("message" in answer.json()) == (status >= 400)


def test_failed_rows_can_be_strings(world):
    api = world(failed_shape="string")
    (failed,) = api.post_csv(CLAIMS, "bad\n").json()["failed"]
    assert failed.startswith("[0]: ")


@pytest.mark.parametrize(
    "text",
    ["", "\n", "a\n\nb\n", "a\n\n", 'a,"b\n', "row\n" * 1001],
    ids=["empty", "one newline", "inner blank line", "two newlines at the end", "open quote", "1001 rows"],
)
@pytest.mark.parametrize("path", [CLAIMS, f"{CLAIMS}/bulk"])
def test_a_csv_that_breaks_the_rules_is_refused_as_a_whole(api, path, text):
    device = next(mint_devices(1))
    answer = api.post_csv(path, csv_of((device.token,)) * bool(text.strip()) + text)
    assert answer.status_code == 422
    assert set(answer.json()) == {"code", "message"}
    assert api.service.claimed_ids() == set()


def test_a_thousand_rows_are_not_too_many_and_the_last_newline_may_miss(api):
    devices = list(mint_devices(1000))
    answer = api.post_csv(CLAIMS, "\r\n".join(device.token for device in devices))
    assert answer.status_code == 201
    assert answer.json()["claimedIds"] == [device.device_id for device in devices]
    assert answer.elapsed.total_seconds() < 1


def test_an_unknown_tag_can_be_refused_instead_of_created(world):
    api = world(unknown_tags="refused")
    assert api.claim(mint_token(DEVICE), "new").status_code == 422
    api.post("/v1/provisioning/tags", json={"tag": "new"})
    assert api.claim(mint_token(DEVICE), "new").status_code == 201
