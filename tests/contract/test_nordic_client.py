"""Nordic's own client, unmodified, is the judge of the emulator.

Only where the client looks for the service is changed: three globals of ``nrf_cloud_diap``.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from dataclasses import replace

import pytest
from nrfcloud_utils import claim_devices, modem_credentials_parser, nrf_cloud_diap

from airflow_provider_nrfprov.api.client import ProvisioningClient
from airflow_provider_nrfprov.api.contract import base_urls
from airflow_provider_nrfprov.api.retry import NEVER
from airflow_provider_nrfprov.api.service import ProvisioningService
from airflow_provider_nrfprov.emulator.mint import attestation_rows, write
from airflow_provider_nrfprov.emulator.server import Emulator, running_emulator
from airflow_provider_nrfprov.emulator.signing import MintedDevice, mint_devices, mint_keygen, mint_token

KEY = "emulator-key"
DEVICE = "7b21b4bc-1cc9-41df-b05c-61b4605e5bb0"


@pytest.fixture(params=[("both", False), ("sync", False), ("both", True)], ids=["both", "sync", "both, TLS"])
def emulator(request, monkeypatch) -> Iterator[Emulator]:
    contract, tls = request.param
    with running_emulator(contract=contract, command_seconds=0, tls=tls) as running:
        if running.ca_file:
            monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(running.ca_file))
        monkeypatch.setattr(nrf_cloud_diap, "API_URL_START", running.url)
        monkeypatch.setattr(nrf_cloud_diap, "DEV_STAGE_DICT", {"": "/"})
        monkeypatch.setattr(nrf_cloud_diap, "API_URL_END", "v1/")
        monkeypatch.setattr(nrf_cloud_diap, "dev_stage_key", "")
        monkeypatch.setattr(nrf_cloud_diap, "api_url", "")
        nrf_cloud_diap.set_dev_stage("")
        yield running


@pytest.fixture
def root_logger_as_before() -> Iterator[None]:
    """The client's ``main`` sets up the root logger for its own process."""
    root = logging.getLogger()
    level, handlers = root.level, list(root.handlers)
    yield
    root.setLevel(level)
    root.handlers[:] = handlers


class OurCalls(ProvisioningService):
    """Our calls, without Airflow."""

    def __init__(self, url: str) -> None:
        self._client = ProvisioningClient(KEY, urls=base_urls(url), retry=NEVER)

    def get_conn(self) -> ProvisioningClient:
        return self._client


def claim_file(folder, devices: list[MintedDevice]) -> str:
    path = folder / "attestation_tokens.csv"
    with path.open("w", newline="") as file:
        write(attestation_rows(devices), file)
    return str(path)


def run_claim_devices(*arguments: str) -> None:
    with pytest.raises(SystemExit) as ended:
        claim_devices.main(["--api-key", KEY, "--plain", "--log-level", "warning", *arguments])
    assert ended.value.code == 0


@pytest.mark.usefixtures("root_logger_as_before")
def test_claim_devices_claims_a_file_of_2500_rows(emulator, tmp_path):
    devices = list(mint_devices(2500, seed="nordic"))
    run_claim_devices(
        "--csv", claim_file(tmp_path, devices), "--provisioning-tags", "lot=7,nrf-cloud-onboarding"
    )
    claimed = emulator.service.claimed_devices()
    assert [device.id for device in claimed] == [device.device_id for device in devices]
    assert all(device.tags == ["lot=7", "nrf-cloud-onboarding"] for device in claimed)
    assert set(emulator.service.claim_counts().values()) == {1}
    assert emulator.service.request_counts() == {"ClaimDeviceOwnershipCsv": 3}


@pytest.mark.usefixtures("root_logger_as_before")
def test_claim_devices_counts_the_good_rows_of_a_chunk_with_a_bad_one(emulator, tmp_path, caplog):
    devices = list(mint_devices(5, seed="nordic"))
    nrf_cloud_diap.claim_device(KEY, devices[2].token)
    assert claim_devices.bulk_claim(KEY, [[device.token] for device in devices]) == 4
    assert emulator.service.claimed_ids() == {device.device_id for device in devices}


def test_a_dry_run_tells_whether_a_device_can_be_claimed(emulator):
    assert nrf_cloud_diap.can_device_be_claimed(KEY, mint_token(DEVICE)) == (True, None)
    assert emulator.service.claimed_ids() == set()
    nrf_cloud_diap.claim_device(KEY, mint_token(DEVICE))
    possible, reason = nrf_cloud_diap.can_device_be_claimed(KEY, mint_token(DEVICE))
    assert not possible
    assert reason == f"device {DEVICE} is already claimed"


def test_a_single_claim_with_tags_arrives_as_the_one_tag_that_the_client_makes_of_them(emulator):
    answer = nrf_cloud_diap.claim_device(KEY, mint_token(DEVICE), "a,b")
    assert answer.status_code == 201
    assert answer.json()["tags"] == ["a,b"]
    assert nrf_cloud_diap.claim_device(KEY, mint_token()).json()["tags"] == []


def test_unclaiming_answers_204_and_then_404(emulator):
    nrf_cloud_diap.claim_device(KEY, mint_token(DEVICE))
    assert nrf_cloud_diap.unclaim_device(KEY, DEVICE).status_code == 204
    assert nrf_cloud_diap.unclaim_device(KEY, DEVICE).status_code == 404
    assert nrf_cloud_diap.claim_device(KEY, mint_token(DEVICE)).status_code == 201


def test_creating_a_tag_twice_is_harmless(emulator):
    assert nrf_cloud_diap.create_provisioning_tag(KEY, "nrf-cloud-onboarding", "d").status_code == 201
    assert nrf_cloud_diap.create_provisioning_tag(KEY, "nrf-cloud-onboarding", "d").status_code == 409
    (tag,) = nrf_cloud_diap.list_provisioning_tags(KEY).json()["items"]
    assert tag["tag"] == "nrf-cloud-onboarding"


def test_the_onboarding_rule_is_ensured_once(emulator):
    for _ in range(2):
        nrf_cloud_diap.ensure_nrfcloud_provisioning_rule(KEY, 16842753)
    (rule,) = nrf_cloud_diap.list_provisioning_rules(KEY).json()["items"]
    assert rule["name"] == "nRF Cloud Onboarding"
    assert len(rule["commands"]) == 3


def test_our_onboarding_rule_is_the_clients_to_the_letter(emulator):
    ours = OurCalls(emulator.url)
    rule, created = ours.ensure_onboarding_rule(16842753)
    nrf_cloud_diap.ensure_nrfcloud_provisioning_rule(KEY, 16842753)  # takes ours for its own
    assert created
    assert len(nrf_cloud_diap.list_provisioning_rules(KEY).json()["items"]) == 1
    (tag,) = ours.list_tags()
    emulator.reset(contract=emulator.settings.contract)
    nrf_cloud_diap.ensure_nrfcloud_provisioning_rule(KEY, 16842753)
    theirs, created = ours.ensure_onboarding_rule(16842753)  # takes the client's for our own
    assert not created
    assert replace(theirs, id=rule.id) == rule
    (their_tag,) = ours.list_tags()
    assert replace(their_tag, id=tag.id) == tag


def test_a_csr_command_is_answered_with_a_request_that_the_clients_parser_reads(emulator):
    nrf_cloud_diap.claim_device(KEY, mint_token(DEVICE))
    created = nrf_cloud_diap.create_provisioning_cmd_csr(KEY, DEVICE, attributes=f"CN={DEVICE}", sec_tag=77)
    assert created.status_code == 201
    command = nrf_cloud_diap.get_provisioning_cmd(KEY, DEVICE, created.json()["id"]).json()
    assert command["status"] == "SUCCEEDED"
    text = command["response"]["certificateSigningRequest"]["message"]
    _, _, device_id, sec_tag = modem_credentials_parser.parse_keygen_output(text)
    assert (device_id, sec_tag) == (DEVICE, "77")


def test_certificates_and_the_finish_can_be_commanded(emulator):
    nrf_cloud_diap.claim_device(KEY, mint_token(DEVICE))
    for create, extra in [
        (nrf_cloud_diap.create_provisioning_cmd_client_cert, ["PEM"]),
        (nrf_cloud_diap.create_provisioning_cmd_server_cert, ["PEM"]),
        (nrf_cloud_diap.create_provisioning_cmd_finished, []),
    ]:
        created = create(KEY, DEVICE, *extra)
        assert created.status_code == 201
        done = nrf_cloud_diap.get_provisioning_cmd(KEY, DEVICE, json.loads(created.text)["id"]).json()
        assert done["status"] == "SUCCEEDED"


def test_the_clients_parser_reads_minted_tokens(caplog):
    caplog.set_level(logging.INFO)
    token = mint_token(DEVICE, device_type=6)
    assert modem_credentials_parser.get_device_uuid(token) == DEVICE
    modem_credentials_parser.parse_attesttoken_output(token)
    assert "Device identity message v1" in caplog.text
    assert "nRF9151 LACA" in caplog.text
    assert "identity_key" in caplog.text


def test_the_clients_parser_reads_minted_keygen_output():
    csr, public_key, device_id, sec_tag = modem_credentials_parser.parse_keygen_output(mint_keygen(DEVICE))
    assert csr.startswith(b"-----BEGIN CERTIFICATE REQUEST")
    assert public_key.startswith(b"-----BEGIN PUBLIC KEY")
    assert (device_id, sec_tag) == (DEVICE, "16842753")
