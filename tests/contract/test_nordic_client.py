"""Nordic's own client, unmodified, is the judge of the emulator."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace

import pytest

from airflow_provider_nrfprov.emulator.mint import (
    MintedDevice,
    attestation_rows,
    mint_devices,
    mint_keygen,
    mint_token,
    write,
)
from airflow_provider_nrfprov.emulator.server import Emulator, running_emulator
from tests.calls import Calls
from tests.contract.nordic_client import NordicClient, nordic_client

KEY = "emulator-key"
DEVICE = "7b21b4bc-1cc9-41df-b05c-61b4605e5bb0"


@pytest.fixture(params=[("both", False), ("sync", False), ("both", True)], ids=["both", "sync", "both, TLS"])
def emulator(request, monkeypatch) -> Iterator[Emulator]:
    contract, tls = request.param
    with running_emulator(contract=contract, command_seconds=0, tls=tls) as running:
        if running.ca_file:
            monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(running.ca_file))
        yield running


@pytest.fixture
def nordic(emulator) -> Iterator[NordicClient]:
    with nordic_client(emulator.url) as client:
        yield client


@pytest.fixture(scope="module")
def parser() -> Iterator[NordicClient]:
    """The client where no service is needed."""
    with nordic_client("http://127.0.0.1:9") as client:
        yield client


def claim_file(folder, devices: list[MintedDevice]) -> str:
    path = folder / "attestation_tokens.csv"
    with path.open("w", newline="") as file:
        write(attestation_rows(devices), file)
    return str(path)


def run_claim_devices(nordic: NordicClient, *arguments: str) -> None:
    options = ["--api-key", KEY, "--plain", "--log-level", "warning", *arguments]
    assert nordic.call("claim_devices.main", options) == 0


def test_claim_devices_claims_a_file_of_2500_rows(emulator, nordic, tmp_path):
    devices = list(mint_devices(2500, seed="nordic"))
    run_claim_devices(
        nordic, "--csv", claim_file(tmp_path, devices), "--provisioning-tags", "lot=7,nrf-cloud-onboarding"
    )
    claimed = emulator.service.claimed_devices()
    assert [device.id for device in claimed] == [device.device_id for device in devices]
    assert all(device.tags == ["lot=7", "nrf-cloud-onboarding"] for device in claimed)
    assert set(emulator.service.claim_counts().values()) == {1}
    assert emulator.service.request_counts() == {"ClaimDeviceOwnershipCsv": 3}


def test_claim_devices_counts_the_good_rows_of_a_chunk_with_a_bad_one(emulator, nordic):
    devices = list(mint_devices(5, seed="nordic"))
    nordic.call("nrf_cloud_diap.claim_device", KEY, devices[2].token)
    assert nordic.call("claim_devices.bulk_claim", KEY, [[device.token] for device in devices]) == 4
    assert emulator.service.claimed_ids() == {device.device_id for device in devices}


def test_a_dry_run_tells_whether_a_device_can_be_claimed(emulator, nordic):
    assert nordic.call("nrf_cloud_diap.can_device_be_claimed", KEY, mint_token(DEVICE)) == [True, None]
    assert emulator.service.claimed_ids() == set()
    nordic.call("nrf_cloud_diap.claim_device", KEY, mint_token(DEVICE))
    possible, reason = nordic.call("nrf_cloud_diap.can_device_be_claimed", KEY, mint_token(DEVICE))
    assert not possible
    assert reason == f"device {DEVICE} is already claimed"


def test_a_single_claim_with_tags_arrives_as_the_one_tag_that_the_client_makes_of_them(emulator, nordic):
    answer = nordic.call("nrf_cloud_diap.claim_device", KEY, mint_token(DEVICE), "a,b")
    assert answer.status_code == 201
    assert answer.json()["tags"] == ["a,b"]
    assert nordic.call("nrf_cloud_diap.claim_device", KEY, mint_token()).json()["tags"] == []


def test_unclaiming_answers_204_and_then_404(emulator, nordic):
    nordic.call("nrf_cloud_diap.claim_device", KEY, mint_token(DEVICE))
    assert nordic.call("nrf_cloud_diap.unclaim_device", KEY, DEVICE).status_code == 204
    assert nordic.call("nrf_cloud_diap.unclaim_device", KEY, DEVICE).status_code == 404
    assert nordic.call("nrf_cloud_diap.claim_device", KEY, mint_token(DEVICE)).status_code == 201


def test_creating_a_tag_twice_is_harmless(emulator, nordic):
    for status in (201, 409):
        answer = nordic.call("nrf_cloud_diap.create_provisioning_tag", KEY, "nrf-cloud-onboarding", "d")
        assert answer.status_code == status
    (tag,) = nordic.call("nrf_cloud_diap.list_provisioning_tags", KEY).json()["items"]
    assert tag["tag"] == "nrf-cloud-onboarding"


def test_the_onboarding_rule_is_ensured_once(emulator, nordic):
    for _ in range(2):
        nordic.call("nrf_cloud_diap.ensure_nrfcloud_provisioning_rule", KEY, 16842753)
    (rule,) = nordic.call("nrf_cloud_diap.list_provisioning_rules", KEY).json()["items"]
    assert rule["name"] == "nRF Cloud Onboarding"
    assert len(rule["commands"]) == 3


def test_our_onboarding_rule_is_the_clients_to_the_letter(emulator, nordic):
    ours = Calls(emulator.url)
    rule, created = ours.ensure_onboarding_rule(16842753)
    nordic.call("nrf_cloud_diap.ensure_nrfcloud_provisioning_rule", KEY, 16842753)  # takes ours for its own
    assert created
    assert len(nordic.call("nrf_cloud_diap.list_provisioning_rules", KEY).json()["items"]) == 1
    (tag,) = ours.list_tags()
    emulator.reset(contract=emulator.settings.contract)
    nordic.call("nrf_cloud_diap.ensure_nrfcloud_provisioning_rule", KEY, 16842753)
    theirs, created = ours.ensure_onboarding_rule(16842753)  # takes the client's for our own
    assert not created
    assert replace(theirs, id=rule.id) == rule
    (their_tag,) = ours.list_tags()
    assert replace(their_tag, id=tag.id) == tag


def test_a_csr_command_is_answered_with_a_request_that_the_clients_parser_reads(emulator, nordic):
    nordic.call("nrf_cloud_diap.claim_device", KEY, mint_token(DEVICE))
    created = nordic.call(
        "nrf_cloud_diap.create_provisioning_cmd_csr", KEY, DEVICE, attributes=f"CN={DEVICE}", sec_tag=77
    )
    assert created.status_code == 201
    command = nordic.call("nrf_cloud_diap.get_provisioning_cmd", KEY, DEVICE, created.json()["id"]).json()
    assert command["status"] == "SUCCEEDED"
    text = command["response"]["certificateSigningRequest"]["message"]
    _, _, device_id, sec_tag = nordic.call("modem_credentials_parser.parse_keygen_output", text)
    assert (device_id, sec_tag) == (DEVICE, "77")


def test_certificates_and_the_finish_can_be_commanded(emulator, nordic):
    nordic.call("nrf_cloud_diap.claim_device", KEY, mint_token(DEVICE))
    for create, extra in [
        ("client_cert", ["PEM"]),
        ("server_cert", ["PEM"]),
        ("finished", []),
    ]:
        created = nordic.call(f"nrf_cloud_diap.create_provisioning_cmd_{create}", KEY, DEVICE, *extra)
        assert created.status_code == 201
        done = nordic.call(
            "nrf_cloud_diap.get_provisioning_cmd", KEY, DEVICE, json.loads(created.text)["id"]
        ).json()
        assert done["status"] == "SUCCEEDED"


def test_the_clients_parser_reads_minted_tokens(parser):
    token = mint_token(DEVICE, device_type=6)
    assert parser.call("modem_credentials_parser.get_device_uuid", token) == DEVICE
    parser.call("modem_credentials_parser.parse_attesttoken_output", token)
    assert "Device identity message v1" in parser.log
    assert "nRF9151 LACA" in parser.log
    assert "identity_key" in parser.log


def test_the_clients_parser_reads_minted_keygen_output(parser):
    csr, public_key, device_id, sec_tag = parser.call(
        "modem_credentials_parser.parse_keygen_output", mint_keygen(DEVICE)
    )
    assert csr.startswith("-----BEGIN CERTIFICATE REQUEST")
    assert public_key.startswith("-----BEGIN PUBLIC KEY")
    assert (device_id, sec_tag) == (DEVICE, "16842753")
