from __future__ import annotations

import pytest
from airflow.providers.common.compat.sdk import AirflowNotFoundException, Connection

from airflow_provider_nrfprov.api.contract import Host
from airflow_provider_nrfprov.api.errors import ConfigurationError
from airflow_provider_nrfprov.hooks.connection import client_from
from airflow_provider_nrfprov.hooks.nrfprov import NrfProvHook


def connection(**fields) -> Connection:
    return Connection(conn_id="factory", conn_type="nrfprov", **{"password": "secret-key", **fields})


def test_a_key_is_all_that_a_connection_needs():
    client = client_from(connection())
    assert client._urls[Host.PROVISIONING] == "https://api.provisioning.nrfcloud.com/v1"


@pytest.mark.parametrize(
    ("fields", "url"),
    [
        ({"host": "127.0.0.1", "port": 8099, "schema": "http"}, "http://127.0.0.1:8099/v1"),
        ({"host": "http://127.0.0.1", "port": 8099}, "http://127.0.0.1:8099/v1"),
        ({"host": "proxy.factory"}, "https://proxy.factory/v1"),
    ],
)
def test_host_port_and_schema_of_a_connection_uri_are_taken(fields, url):
    assert client_from(connection(**fields))._urls[Host.PROVISIONING] == url


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
        ({"extra": '{"endpoints": {"X": "GET /y"}}'}, "known are"),
        ({"host": "ftp://x"}, "base URL"),
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
        assert client_from(connection(extra=extra))._candidates["ListTags"][0].path == "/groups"


def test_a_connection_that_does_not_exist_is_named():
    with pytest.raises(AirflowNotFoundException, match="nowhere"):
        NrfProvHook("nowhere").get_conn()


def test_a_good_connection_tests_well(emulator, connect):
    connect(emulator.url)
    ok, message = NrfProvHook().test_connection()
    assert ok, message


@pytest.mark.parametrize(
    ("password", "words"),
    [("wrong", "legacy nRF Cloud app"), ("", "no API key")],
)
def test_a_bad_key_tests_as_a_sentence_that_does_not_show_it(emulator, connect, password, words):
    connect(emulator.url, password)
    ok, message = NrfProvHook().test_connection()
    assert not ok
    assert words in message
    assert "wrong" not in message.replace("wrong kind", "")


def test_a_host_that_is_not_there_tests_as_a_sentence(connect):
    connect("http://127.0.0.1:9")
    assert NrfProvHook().test_connection() == (False, NrfProvHook().test_connection()[1])
    assert "could not be reached" in NrfProvHook().test_connection()[1]
