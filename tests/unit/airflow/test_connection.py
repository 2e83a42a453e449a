from __future__ import annotations

import json
from urllib.parse import urlsplit

import pytest
from airflow.providers.common.compat.sdk import AirflowNotFoundException, BaseHook, Connection

from airflow_provider_nrfprov.api.contract import Host
from airflow_provider_nrfprov.api.errors import ConfigurationError
from airflow_provider_nrfprov.emulator.accounts import VIEWER_KEY
from airflow_provider_nrfprov.emulator.faults import Refuse
from airflow_provider_nrfprov.emulator.server import running_emulator
from airflow_provider_nrfprov.hooks.connection import Inbox, access_of, client_from, inbox_of
from airflow_provider_nrfprov.hooks.nrfprov import NrfProvHook


def connection(**fields) -> Connection:
    return Connection(conn_id="factory", conn_type="nrfprov", **{"password": "secret-key", **fields})


def test_a_key_is_all_that_a_connection_needs():
    client = client_from(connection())
    assert client.urls[0] == "https://api.provisioning.nrfcloud.com/v1"


@pytest.mark.parametrize(
    ("fields", "url"),
    [
        ({"host": "127.0.0.1", "port": 8099, "schema": "http"}, "http://127.0.0.1:8099/v1"),
        ({"host": "http://127.0.0.1", "port": 8099}, "http://127.0.0.1:8099/v1"),
        ({"host": "http://127.0.0.1:8099", "port": 8099}, "http://127.0.0.1:8099/v1"),
        ({"host": "https://proxy.factory/nrf/v1", "port": 8443}, "https://proxy.factory:8443/nrf/v1"),
        ({"host": "http://[::1]", "port": 8099}, "http://[::1]:8099/v1"),
        ({"port": 443}, "https://api.provisioning.nrfcloud.com:443/v1"),
        ({"host": "proxy.factory"}, "https://proxy.factory/v1"),
    ],
)
def test_host_port_and_schema_of_a_connection_uri_are_taken(fields, url):
    assert client_from(connection(**fields)).urls[0] == url


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"password": None}, "no API key"),
        ({"password": ""}, "no API key"),
        ({"extra": "{broken"}, "not JSON"),
        ({"extra": "[1]"}, "not a JSON object"),
        ({"extra": '{"bulk_contract": "both"}'}, "auto, async, sync"),
        ({"extra": '{"read_timeout": "soon"}'}, "read_timeout"),
        ({"extra": '{"read_timeout": -1}'}, "0.001 or more"),
        ({"extra": '{"endpoints": "nonsense"}'}, "endpoints"),
        ({"extra": '{"endpoints": {"X": "GET /y"}}'}, "known ones are"),
        ({"host": "ftp://x"}, "base URL"),
        (
            {"host": "https://x:8443", "port": 443},
            "the base URL has port 8443, but the field Port has 443",
        ),
    ],
)
def test_what_is_wrong_with_a_connection_is_said_with_its_name_and_without_its_key(fields, words):
    with pytest.raises(ConfigurationError, match=words) as caught:
        client_from(connection(**fields))
    assert "'factory'" in str(caught.value)
    assert "secret-key" not in str(caught.value)


def test_endpoints_may_be_an_object_or_the_text_of_one():
    for extra in (
        '{"endpoints": {"ListTags": "GET /groups"}}',
        '{"endpoints": "{\\"ListTags\\": \\"GET /groups\\"}"}',
    ):
        assert access_of(connection(extra=extra)).candidates["ListTags"][0].path == "/groups"


def test_a_connection_that_does_not_exist_is_named():
    with pytest.raises(AirflowNotFoundException, match="nowhere"):
        NrfProvHook("nowhere").get_conn()


def test_a_connection_is_tested_through_the_uri_that_airflow_makes_of_it(emulator, monkeypatch):
    stored = connection(host=emulator.url.rpartition(":")[0], port=int(emulator.url.rpartition(":")[2]))
    stored.password = "emulator-key"
    monkeypatch.setenv("AIRFLOW_CONN_MADE_UP", stored.get_uri())
    assert NrfProvHook("made_up").test_connection()[0]
    monkeypatch.setenv("AIRFLOW_CONN_NORDICS", connection(host="", port=443).get_uri())
    nordics = BaseHook.get_connection("nordics")
    assert access_of(nordics).urls == {
        Host.PROVISIONING: "https://api.provisioning.nrfcloud.com:443/v1",
        Host.CLOUD: "https://api.nrfcloud.com:443/v1",
    }


def test_a_good_connection_tests_well(nrfcloud):
    ok, message = NrfProvHook().test_connection()
    assert ok
    assert message.endswith(
        "can be listed, and the service does not refuse a claim because of the key's role."
    )
    assert len(nrfcloud.service.devices) == 0


@pytest.mark.parametrize(
    ("password", "words"),
    [
        ("wrong", "legacy nRF Cloud app"),
        ("", "no API key"),
        (VIEWER_KEY, "requires the role Editor, Admin or Owner"),
    ],
)
def test_a_bad_key_tests_as_a_sentence_that_does_not_show_it(emulator, connect, password, words):
    connect(emulator.url, password)
    ok, message = NrfProvHook().test_connection()
    assert not ok
    assert words in message
    assert not password or password not in message


def test_a_test_does_not_show_the_name_under_which_airflow_makes_it(connect):
    connect("https://api.provisioning.nrfcloud.com", "")
    assert NrfProvHook().test_connection()[1].startswith("no API key")


def test_a_host_that_is_not_there_tests_as_a_sentence(connect):
    connect("http://127.0.0.1:9")
    ok, message = NrfProvHook().test_connection()
    assert not ok
    assert message.startswith("http://127.0.0.1:9/v1 did not answer: Failed to establish a new connection")
    assert "HTTPConnection" not in message


@pytest.mark.parametrize(
    ("typed", "advice"),
    [
        ("{name}:{port}", "begin the base URL with http://"),
        ("https://{name}:{port}", "begin the base URL with http://"),
        ("http://{name}", "set the field Port to that of the service"),
        ("{name}", "set the field Port to that of the service"),
        ("http://no-such-host.invalid:{port}", "check the spelling of the base URL"),
    ],
)
def test_the_emulators_address_typed_wrong_tests_as_the_one_thing_to_do(emulator, connect, typed, advice):
    parts = urlsplit(emulator.url)
    connect(typed.format(name=parts.hostname, port=parts.port))
    good, message = NrfProvHook().test_connection()
    assert not good
    assert advice in message
    assert message.count(" did not answer: ") == 1
    # Of the words of a library, those that say what happened.
    assert "Caused by" not in message
    assert '"' not in message


def test_an_address_with_https_typed_without_it_or_without_its_ca_tests_as_the_one_thing_to_do(connect):
    with running_emulator(tls=True) as emulator:
        connect(emulator.url.replace("https://", "http://"))
        assert "begin the base URL with https://" in NrfProvHook().test_connection()[1]
        connect(emulator.url)
        assert "in the extra field CA bundle" in NrfProvHook().test_connection()[1]


def test_a_host_that_is_another_service_tests_as_a_sentence(emulator, connect):
    connect(f"{emulator.url}/somewhere")
    ok, message = NrfProvHook().test_connection()
    assert not ok
    assert "answers, but not as nRF Cloud does (403): check the base URL" in message


def test_what_cannot_be_found_out_of_a_role_is_said_and_fails_no_test(nrfcloud):
    nrfcloud.service.faults.plan("ClaimDeviceOwnershipDryRun", Refuse(503))
    ok, message = NrfProvHook().test_connection()
    assert ok
    assert "Whether the key's role may claim could not be determined" in message


def test_a_service_without_a_path_to_claim_is_not_mistaken_for_a_low_role(emulator, connect):
    connect(emulator.url, endpoints={"ClaimDeviceOwnership": "POST /nowhere"})
    ok, message = NrfProvHook().test_connection()
    assert not ok
    assert "there is no path to claim" in message
    assert "role" not in message


@pytest.mark.parametrize("dags", ["one, two", ["one", "two"]])
def test_an_inbox_is_a_folder_and_the_dags_that_claim_from_it(dags):
    extra = json.dumps({"inbox": "s3://bucket/inbox", "inbox_dags": dags})
    assert inbox_of(connection(extra=extra)) == Inbox("s3://bucket/inbox", ("one", "two"))


@pytest.mark.parametrize(
    "extra", [{}, {"inbox": "/inbox"}, {"inbox_dags": ["one"]}, {"inbox": "", "inbox_dags": ["one"]}]
)
def test_without_folder_or_dags_there_is_no_inbox(extra):
    assert inbox_of(connection(extra=json.dumps(extra))) is None


@pytest.mark.parametrize(
    "extra", [{"inbox": 7, "inbox_dags": ["one"]}, {"inbox": "/inbox", "inbox_dags": {"one": 1}}]
)
def test_an_inbox_that_is_none_is_an_error_that_names_the_field(extra):
    with pytest.raises(ConfigurationError, match="'factory': extra 'inbox'"):
        inbox_of(connection(extra=json.dumps(extra)))
