"""What of a service's words is masked, and what stays readable."""

from __future__ import annotations

import re

import pytest

from airflow_provider_nrfprov.api.redaction import redact
from airflow_provider_nrfprov.emulator.mint import mint_devices

TOKENS = [device.token for device in mint_devices(60, seed="parts of tokens")]


def in_lines(token: str, width: int, between: str = "\n") -> str:
    return between.join(token[start : start + width] for start in range(0, len(token), width))


@pytest.mark.parametrize(
    "write",
    [
        lambda token: token.split(".")[1],
        lambda token: token.split(".")[0],
        lambda token: token[:12],
        lambda token: token[:110] + "...",
        lambda token: "..." + token[-80:],
        lambda token: "..." + token[-40:],
        lambda token: token.replace(".", "%2E"),
        lambda token: token.replace(".", ". "),
        lambda token: token.replace(".", "\\u002e"),
        lambda token: token[:60] + "\n" + token[60:],
        lambda token: token[:60] + "\\n" + token[60:],
        lambda token: in_lines(token, 20, " "),
        lambda token: in_lines(token, 26),
        lambda token: token.replace("-", "+").replace("_", "/"),
    ],
    ids=[
        "signature", "body", "start", "cut", "tail", "short tail", "percent", "blank", "escape", "two lines",
        "escaped line", "groups", "lines as long as an id", "base64",
    ],
)  # fmt: skip
def test_no_part_of_a_token_is_shown(write):
    for token in TOKENS:
        shown = redact(f"the row {write(token)} is bad")
        assert re.fullmatch(r"the row (\.\.\.)?<claim token>(\.\.\.)? is bad", shown)


@pytest.mark.parametrize(
    "words",
    [
        "device 50646479-a1b2-4c3d-8e9f-0123456789ab belongs to another team",
        "5064F0A1-A1B2-4C3D-8E9F-0123456789AB 01M8CZ3Z7J18RDZ6HX6D0DK49J 01M8CZ3Z7J18RDZ6HX6D0DK49K",
        "see https://api.provisioning.nrfcloud.com/v1/bulk-ops-requests/01M8CZ3Z7J18RDZ6HX6D0DK49J",
        "ConditionalCheckFailedExceptionForClaimedDeviceOwnership",
        "DeviceOwnershipV2ConflictExceptionForTeam12345",
        "Claim_File-2026-11-26-Factory-North-Line-3-Batch7-claims.csv",
        "commit da39a3ee5e6b4b0d3255bfef95601890afd80709",
        "2026-11-26T22:55:40.123Z mfw_nrf9160_1.3.6-FOTA-TEST, 351358811331351",
        "HTTPSConnectionPool(host='127.0.0.1', port=8443): Max retries exceeded with url: /v1/claimed-devices",
        "Root=1-67a1b2c3-4d5e6f708192a3b4c5d6e7f8",
    ],
)
def test_words_and_ids_of_the_service_stay(words):
    assert redact(words) == words


def test_tokens_beside_each_other_are_named_each():
    assert redact(f"{TOKENS[0]} {TOKENS[1]}, {TOKENS[2]}") == "<claim token> <claim token>, <claim token>"


def test_an_id_beside_a_token_stays():
    id_ = "01M8CZ3Z7J18RDZ6HX6D0DK49J"
    assert redact(f"{TOKENS[0]} {id_}") == f"<claim token> {id_}"
