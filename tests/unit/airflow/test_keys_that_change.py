"""A connection that changes while a hook is used, and what its ``verify`` may be."""

from __future__ import annotations

import json
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext

import pytest
from airflow.providers.common.compat.sdk import Connection

from airflow_provider_nrfprov.api import (
    ConfigurationError,
    ForbiddenError,
    UnauthorizedError,
    UnreachableError,
)
from airflow_provider_nrfprov.api.onboarding import ROOT_CERTIFICATES
from airflow_provider_nrfprov.api.operations import list_claimed_devices
from airflow_provider_nrfprov.claiming.token import decode
from airflow_provider_nrfprov.emulator.accounts import VIEWER_KEY
from airflow_provider_nrfprov.emulator.server import running_emulator
from airflow_provider_nrfprov.hooks.connection import access_of, client_from
from airflow_provider_nrfprov.hooks.nrfprov import NrfProvHook


class CountingHook(NrfProvHook):
    reads = 0

    def get_connection(self, conn_id: str) -> Connection:
        type(self).reads += 1
        return super().get_connection(conn_id)


@pytest.fixture(autouse=True)
def count_from_zero(monkeypatch):
    monkeypatch.setattr(CountingHook, "reads", 0)


def rotate(emulator, connect, key: str = "emulator-admin-key") -> None:
    connect(emulator.url, key)
    emulator.service.keys.revoke("emulator-key")


def test_a_key_that_was_changed_in_the_connection_is_used_without_a_new_hook(nrfcloud, connect, tokens):
    hook = CountingHook()
    assert list(hook.list_tags()) == []
    rotate(nrfcloud, connect)
    assert hook.claim_device(tokens[0]).id == decode(tokens[0]).device_id
    assert list(hook.list_claimed_devices())
    assert CountingHook.reads == 2
    assert nrfcloud.service.claim_counts() == {decode(tokens[0]).device_id: 1}


def test_a_role_that_was_changed_with_the_key_is_used(emulator, connect, tokens):
    connect(emulator.url, VIEWER_KEY)
    hook = NrfProvHook()
    with pytest.raises(ForbiddenError, match="requires the role"):
        hook.claim_device(tokens[0])
    connect(emulator.url)
    assert hook.claim_device(tokens[0]).id == decode(tokens[0]).device_id


def test_a_connection_that_has_not_changed_is_read_once_more_and_the_key_is_refused(emulator, connect):
    connect(emulator.url, "oat_of-the-new-api")
    hook = CountingHook()
    with pytest.raises(UnauthorizedError, match="organization token, which belongs to the new API"):
        list(hook.list_tags())
    assert CountingHook.reads == 2
    assert emulator.service.request_counts() == {"ListTags": 1}


def test_the_new_key_is_refused_as_the_old_one_was(nrfcloud, connect):
    hook = CountingHook()
    list(hook.list_tags())
    rotate(nrfcloud, connect, "wrong-too")
    with pytest.raises(UnauthorizedError):
        list(hook.list_tags())
    assert CountingHook.reads == 2


def test_a_service_that_moved_is_followed(connect, nrfcloud):
    hook = NrfProvHook()
    list(hook.list_tags())
    with running_emulator() as moved:
        nrfcloud.service.keys.revoke("emulator-key")
        connect(moved.url)
        list(hook.list_tags())
        assert hook.urls == (f"{moved.url}/v1",)
        assert moved.service.request_counts() == {"ListTags": 1}


def test_many_threads_read_the_connection_once(nrfcloud, connect):
    hook = CountingHook()
    list(hook.list_tags())
    rotate(nrfcloud, connect)
    together = threading.Barrier(8)

    def ask(_: int) -> int:
        together.wait()
        return len(list(hook.list_tags()))

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(ask, range(8))) == [0] * 8
    assert CountingHook.reads == 2


def test_a_connection_that_cannot_be_used_any_more_is_named(nrfcloud, connect):
    hook = NrfProvHook()
    list(hook.list_tags())
    rotate(nrfcloud, connect, "")
    with pytest.raises(ConfigurationError, match="'nrfprov_default': no API key"):
        list(hook.list_tags())


# --- verify --------------------------------------------------------------------------------------------


def connection(**extra: object) -> Connection:
    return Connection(conn_id="factory", conn_type="nrfprov", password="secret-key", extra=json.dumps(extra))


@pytest.mark.parametrize("verify", [False, "", " ", "false", "False", "no", "0", 0, [], {}])
def test_there_is_no_way_to_switch_verification_off(verify):
    with pytest.raises(ConfigurationError, match=r"'factory': extra 'verify' is .* always\s+verified"):
        client_from(connection(verify=verify))


@pytest.mark.parametrize(
    ("extra", "name"),
    [
        ({"cloud_url": "ftp://x"}, "cloud_url"),
        ({"cloud_url": "https://key@x"}, "cloud_url"),
        ({"api": "project", "organization": "o", "project": "p", "devices_url": "a b"}, "devices_url"),
    ],
)
def test_an_address_that_is_none_is_called_by_its_own_name(extra, name):
    with pytest.raises(
        ConfigurationError, match=f"'factory': the connection's extra '{name}' is not a URL of the form"
    ) as caught:
        access_of(connection(**extra))
    assert "base URL" not in str(caught.value)


@pytest.fixture(scope="module")
def secure_and_plain():
    with running_emulator(tls=True) as secure, running_emulator() as plain:
        yield secure.url, plain.url, str(secure.ca_file)


def test_a_handshake_that_fails_names_the_file_of_the_ca_or_the_scheme(secure_and_plain, tmp_path):
    secure, plain, ca_file = secure_and_plain
    rubbish, other = tmp_path / "rubbish.pem", tmp_path / "other.pem"
    rubbish.write_text("rubbish")
    other.write_text(ROOT_CERTIFICATES)
    for kind, host, verify, words in (
        (None, secure, ca_file, ""),
        (
            ConfigurationError,
            secure,
            rubbish,
            rf"\(the file of extra 'verify', {rubbish}, has no CA .*: SSLError: .*NO_CERT",
        ),
        (
            UnreachableError,
            secure,
            other,
            rf"not from a CA in {other}, the file of extra 'verify'\): SSLError: .*VERIFY_FAILED",
        ),
        (
            UnreachableError,
            secure,
            None,
            r"name the CA's file in extra 'verify'\): SSLError: .*VERIFY_FAILED",
        ),
        (
            UnreachableError,
            plain.replace("http:", "https:"),
            None,
            r"begin the address with http://\): SSLError",
        ),
    ):
        extra = {"retry_deadline": 0, **({"verify": str(verify)} if verify else {})}
        client = client_from(
            Connection(
                conn_id="f", conn_type="nrfprov", host=host, password="emulator-key", extra=json.dumps(extra)
            )
        )
        with nullcontext() if kind is None else pytest.raises(kind, match=words):
            client.send(list_claimed_devices(page_limit=1))


def test_a_bundle_that_is_not_there_is_named():
    with pytest.raises(ConfigurationError, match=r"'/nowhere/ca\.pem': there is no such file"):
        client_from(connection(verify="/nowhere/ca.pem"))


def test_a_bundle_is_taken_and_nothing_means_the_usual_ones(tmp_path):
    bundle = tmp_path / "ca.pem"
    bundle.touch()
    assert access_of(connection(verify=str(bundle))).verify == str(bundle)
    assert access_of(connection()).verify is None
    assert access_of(connection(verify=None)).verify is None
    assert access_of(connection(verify=True)).verify is None


@pytest.mark.parametrize("longest", [-1, "soon", 0, "inf"])
def test_the_longest_wait_is_a_number_of_seconds(longest):
    with pytest.raises(ConfigurationError, match="longest_wait"):
        client_from(connection(longest_wait=longest))
