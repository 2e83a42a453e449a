"""Files that an answer points to: from where they are fetched, and what of their address is shown."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from airflow_provider_nrfprov.api import (
    NrfProvError,
    ProvisioningClient,
    ServiceError,
    UnreachableError,
    UnreadableAnswerError,
    base_urls,
)
from airflow_provider_nrfprov.api.models import BulkOpsRequest
from airflow_provider_nrfprov.api.retry import NEVER, Retry
from harness.small_server import always, serving
from tests.calls import Calls

SIGNATURE = "c2lnbmF0dXJlLXRoYXQtb3BlbnM"
SIGNED = f"/team/claim_device_ownership/01.csv?X-Amz-Expires=900&X-Amz-Signature={SIGNATURE}%3D"
KEY = "an-api-key-of-the-team"


class Service(Calls):
    def __init__(self, url: str, retry: Retry = NEVER) -> None:
        super().__init__(url, KEY, retry=retry, connect_timeout=1)

    def rows(self, url: str) -> str:
        return self.fetch_uploaded_data(BulkOpsRequest("01", "FAILED", uploaded_data_url=url))


@contextmanager
def store(status: int, body: bytes = b"rows", **headers: str) -> Iterator[tuple[str, list[Any]]]:
    """A store of files, and what it was asked, with the headers of each request."""
    handler = always(status, body, headers)
    with serving(handler) as url:
        yield url, handler.asked


def test_a_file_of_the_connections_own_host_is_fetched_without_the_key():
    with store(200) as (url, asked):
        assert Service(url).rows(url + SIGNED) == "rows"
    assert "Authorization" not in asked[0][1]


@pytest.mark.parametrize(
    "url",
    [
        f"http://elsewhere.invalid{SIGNED}",
        f"ftp://elsewhere.invalid{SIGNED}",
        f"file:///etc/passwd?{SIGNATURE}",
        f"//elsewhere.invalid{SIGNED}",
        f"/relative{SIGNED}",
        f"https://{'a' * 70}.invalid{SIGNED}",
        f"https://a..b{SIGNED}",
        f"https://user:word@elsewhere.invalid{SIGNED}",
        f"https://[::1{SIGNED}",
        f"https://host:port{SIGNED}",
        f"https://host:99999{SIGNED}",
        f"https://h st.invalid{SIGNED}",
        f"https://host\x00.invalid{SIGNED}",
        f"https://ho\ud800st.invalid{SIGNED}",
        f"https://{SIGNED}",
        SIGNATURE,
    ],
    ids=ascii,
)
def test_nothing_is_fetched_from_an_address_that_cannot_be_or_is_not_safe(url):
    with pytest.raises(UnreadableAnswerError) as caught:
        Service("http://127.0.0.1:9").rows(url)
    assert SIGNATURE not in f"{caught.value!r} {caught.value.text}"


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_followed_without_the_key_and_looked_at_again(status):
    with store(200, b"moved") as (there, asked):
        with store(status, Location=there + SIGNED) as (here, _):
            service = Service(here)
            with pytest.raises(UnreadableAnswerError, match="not https"):
                service.rows(here + SIGNED)
        assert asked == []
        with store(status, Location=there + SIGNED) as (here, _):
            client = ProvisioningClient(KEY, urls=base_urls(here, there), retry=NEVER)
            assert client.download(here + SIGNED) == "moved"
            client.close()
    assert "Authorization" not in asked[0][1]


def test_redirects_without_end_come_to_an_end():
    with (
        store(302, Location=SIGNED) as (url, asked),
        pytest.raises(ServiceError, match="answered 302") as caught,
    ):
        Service(url).rows(url + SIGNED)
    assert len(asked) == 6
    assert "a redirect to the same host" in str(caught.value)
    assert SIGNATURE not in str(caught.value)


@pytest.mark.parametrize(
    ("status", "location", "told"),
    [
        (307, "https://login.example/team/x?code=secret-code", "a redirect to login.example; (empty body)"),
        (307, "//user:secret-code@login.example/", "a redirect to login.example; (empty body)"),
        (303, "/secret-code", "a redirect to the same host; (empty body)"),
        (300, "https://[secret-code", "a redirect to an address that is not a URL; (empty body)"),
        (307, f"https://{KEY}.example/secret-code", "a redirect to <API key>.example; (empty body)"),
    ],
)
def test_a_redirect_of_an_operation_says_to_which_host_and_no_more(status, location, told):
    with store(status, b"", Location=location) as (url, asked), pytest.raises(ServiceError) as caught:
        Service(url).fetch_claimed_device("50646479-a1b2-4c3d-8e9f-0123456789ab")
    assert len(asked) == 1
    assert told in str(caught.value)
    assert "secret-code" not in str(caught.value)


def refused(status: int, body: bytes) -> NrfProvError:
    with store(status, body) as (url, _), pytest.raises(NrfProvError) as caught:
        Service(url).rows(url + SIGNED)
    return caught.value


@pytest.mark.parametrize("status", [403, 404, 410, 500, 200])
def test_a_download_that_fails_shows_the_host_and_nothing_that_lets_others_in(status):
    page = f"<Error><SignatureProvided>{SIGNATURE}=</SignatureProvided><Key>{KEY}</Key></Error>"
    error = refused(status, page.encode())
    shown = f"{error!r} {error.text}"
    assert "a file on 127.0.0.1" in shown
    assert not any(secret in shown for secret in (SIGNATURE, KEY, "X-Amz-Expires", "/team/"))


def test_a_store_that_is_not_there_shows_as_little_in_its_exception_and_in_the_log(caplog):
    service = Service("http://127.0.0.1:9", Retry(attempts=2, first_wait=0.001))
    with (
        caplog.at_level(logging.DEBUG, "airflow_provider_nrfprov"),
        pytest.raises(UnreachableError) as caught,
    ):
        service.rows("http://127.0.0.1:9" + SIGNED)
    assert "retrying in" in caplog.text
    assert "Connection refused" in str(caught.value)
    for text in (str(caught.value), caplog.text, repr(caught.value.__cause__)):
        assert not any(secret in text for secret in (SIGNATURE, "X-Amz-Expires", "/team/"))


@pytest.mark.parametrize(
    "body",
    [
        "[" * 100_000,
        '{"errors": ["[' + "9" * 5000 + ']: x"]}',
        '{"errors": [1e999, "\\ud800"]}',
        "\x00",
        "null",
    ],
)
def test_an_error_summary_of_any_kind_is_read(body):
    with store(200, body.encode()) as (url, _):
        summary = Service(url).fetch_error_summary(
            BulkOpsRequest("01", "FAILED", error_summary_url=url + SIGNED)
        )
    json.dumps(summary.others).encode()


def test_a_netrc_entry_does_not_go_along(tmp_path, monkeypatch):
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login someone password secret\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    with store(200) as (url, asked):
        Service(url).rows(url + SIGNED)
    assert "Authorization" not in asked[0][1]
