"""The emulator speaks TLS, with a CA of its own that no system trusts."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest
import requests

from airflow_provider_nrfprov.emulator.accounts import TEAM_A
from airflow_provider_nrfprov.emulator.bulk import Row
from airflow_provider_nrfprov.emulator.faults import DropAfter, DropBefore, TruncateAfter
from airflow_provider_nrfprov.emulator.mint import mint_token
from airflow_provider_nrfprov.emulator.server import Emulator, running_emulator
from tests.unit.emulator.asking import CLAIM, DEVICE


@pytest.fixture(scope="module")
def shared_secure() -> Iterator[Emulator]:
    with running_emulator(tls=True, bulk_seconds=0) as emulator:
        yield emulator


@pytest.fixture
def secure(shared_secure) -> Emulator:
    shared_secure.reset()
    return shared_secure


def claim(emulator: Emulator, **others) -> requests.Response:
    return requests.post(
        f"{emulator.url}/v1/claimed-devices",
        json={"claimToken": mint_token(DEVICE)},
        headers={"Authorization": "Bearer emulator-key"},
        timeout=5,
        **{"verify": str(emulator.ca_file), **others},
    )


def test_who_has_its_ca_file_is_served(secure):
    assert secure.url.startswith("https://127.0.0.1:")
    assert claim(secure).status_code == 201


def test_who_has_not_is_never_connected(secure):
    with pytest.raises(requests.exceptions.SSLError, match="certificate"):
        claim(secure, verify=True)
    assert secure.service.request_counts() == {}


def test_its_certificate_is_for_localhost_too(secure):
    url = secure.url.replace("127.0.0.1", "localhost")
    assert requests.get(f"{url}/emulator/health", verify=str(secure.ca_file), timeout=5).status_code == 200


def test_download_urls_are_secure_too(secure):
    secure.service.operations.start(TEAM_A, "x", [Row("x")], secure.service.now())
    answer = requests.get(
        f"{secure.url}/v1/bulk-ops-requests",
        headers={"Authorization": "Bearer emulator-key"},
        verify=str(secure.ca_file),
        timeout=5,
    )
    url = answer.json()["items"][0]["uploadedDataUrl"]
    assert url.startswith(secure.url)
    assert requests.get(url, verify=str(secure.ca_file), timeout=5).text == "x"


@pytest.mark.parametrize("fault", [DropBefore(), DropAfter(), TruncateAfter()])
def test_connections_break_over_tls_as_they_do_without(secure, fault):
    secure.service.faults.plan(CLAIM, fault)
    with pytest.raises((requests.ConnectionError, requests.exceptions.ChunkedEncodingError)):
        claim(secure)
    assert secure.service.claimed_ids() == (set() if fault == DropBefore() else {DEVICE})


def test_it_goes_down_and_comes_up_with_the_same_certificate(secure):
    secure.down()
    with pytest.raises(requests.ConnectionError):
        claim(secure)
    secure.up()
    assert claim(secure).status_code == 201


def test_its_ca_file_is_gone_with_it():
    with running_emulator(tls=True) as emulator:
        assert emulator.ca_file.read_text().startswith("-----BEGIN CERTIFICATE-----")
    assert not emulator.ca_file.exists()
    with running_emulator() as emulator:
        assert emulator.ca_file is None


def test_the_command_prints_where_the_ca_file_is():
    command = [sys.executable, "-m", "airflow_provider_nrfprov.emulator", "--port", "0", "--tls"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        url = process.stdout.readline().removeprefix("nRF Cloud emulator on ").strip()
        ca_file = process.stdout.readline().removeprefix("Its certificate is of the CA in ").strip()
        try:
            assert requests.get(f"{url}/emulator/health", verify=ca_file, timeout=5).status_code == 200
        finally:
            process.send_signal(signal.SIGTERM)
    assert process.returncode == 0
