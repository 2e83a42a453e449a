"""The client against a network that breaks at the worst moment, and against answers without end."""

from __future__ import annotations

import gzip
import json
import socket
import ssl
import threading
import time
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress

import pytest
import trustme

from airflow_provider_nrfprov.api import operations, transport
from airflow_provider_nrfprov.api.client import ProvisioningClient
from airflow_provider_nrfprov.api.contract import BulkContract, endpoints
from airflow_provider_nrfprov.api.error_summary import parse_error_summary
from airflow_provider_nrfprov.api.errors import (
    ConfigurationError,
    NrfProvError,
    ServiceError,
    UnreachableError,
    UnreadableAnswerError,
)
from airflow_provider_nrfprov.api.operations import Operation
from airflow_provider_nrfprov.api.retry import NEVER, Retry, nothing_was_done
from harness.small_server import answering
from tests import calls
from tests.unit.api.test_roles import CHANGES, DEVICE, TOKEN

AGAIN = Retry(attempts=4, first_wait=0.001, longest_wait=0.002)
NOT_REPEATABLE = {
    name: operation
    for name, operation in CHANGES.items()
    if name.startswith(("ClaimDevice", "BulkClaim", "Create"))
}


def client_of(url: str, retry: Retry = AGAIN, key: str = "emulator-key", **settings) -> ProvisioningClient:
    chosen = endpoints(BulkContract.ASYNC)
    return calls.client_of(url, key, endpoint_candidates=chosen, retry=retry, **settings)


class Received(list[bytes]):
    """The requests that a server has read whole, the first line of each."""


@contextmanager
def listening(
    talk: Callable[[socket.socket], None], context: ssl.SSLContext | None = None
) -> Iterator[tuple[str, Received]]:
    """A server that reads each request whole, and then says what it is told to."""
    received = Received()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(0.05)
        over = threading.Event()

        def serve(connection: socket.socket) -> None:
            with suppress(OSError), connection:
                connection.settimeout(10)
                stream = connection if context is None else context.wrap_socket(connection, server_side=True)
                with stream:
                    head = read_request(stream)
                    received.append(head)
                    talk(stream)

        def accept() -> None:
            while not over.is_set():
                with suppress(TimeoutError):
                    threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()

        thread = threading.Thread(target=accept)
        thread.start()
        try:
            scheme = "http" if context is None else "https"
            yield f"{scheme}://localhost:{listener.getsockname()[1]}", received
        finally:
            over.set()
            thread.join()


def read_request(stream: socket.socket) -> bytes:
    data = b""
    while b"\r\n\r\n" not in data:
        data += stream.recv(65536) or _gone()
    head, _, body = data.partition(b"\r\n\r\n")
    lengths = [line for line in head.split(b"\r\n") if line.lower().startswith(b"content-length")]
    while lengths and len(body) < int(lengths[0].split(b":")[1]):
        body += stream.recv(65536) or _gone()
    return head.split(b"\r\n")[0]


def _gone() -> bytes:
    raise ConnectionError


# --- TLS -----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="module")
def server_context(authority) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    return context


@pytest.fixture(scope="module")
def bundle(authority, tmp_path_factory) -> str:
    path = tmp_path_factory.mktemp("ca") / "ca.pem"
    authority.cert_pem.write_to_path(path)
    return str(path)


def answer_claim(stream: socket.socket) -> None:
    body = json.dumps({"id": DEVICE}).encode()
    stream.sendall(
        b"HTTP/1.1 201 Created\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s" % (len(body), body)
    )


def break_tls(stream: socket.socket) -> None:
    """Send, in the place of an answer, a TLS record that nobody can decrypt."""
    with socket.socket(fileno=stream.detach()) as plain:
        plain.sendall(b"\x17\x03\x03\x00\x20" + b"\x00" * 32)


def end_without_a_word(stream: socket.socket) -> None:
    stream.shutdown(socket.SHUT_RDWR)


def test_a_claim_goes_over_tls_with_a_bundle_of_ones_own(server_context, bundle):
    with listening(answer_claim, server_context) as (url, _), client_of(url, verify=bundle) as client:
        assert client.send(operations.claim_device(TOKEN)).id == DEVICE


def test_the_bundle_of_the_environment_is_honoured(server_context, bundle, monkeypatch):
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", bundle)
    with listening(answer_claim, server_context) as (url, _), client_of(url) as client:
        assert client.send(operations.claim_device(TOKEN)).id == DEVICE


def test_a_bundle_of_the_environment_that_is_not_there_is_a_setting_to_mend(monkeypatch):
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/nowhere/ca.pem")
    client = client_of("https://localhost:9")
    with client, pytest.raises(ConfigurationError, match=r"REQUESTS_CA_BUNDLE .*/nowhere/ca"):
        client.send(operations.claim_device(TOKEN))


@pytest.mark.parametrize("talk", [break_tls, end_without_a_word], ids=["a broken record", "the end"])
@pytest.mark.parametrize("name", NOT_REPEATABLE)
def test_what_may_not_be_repeated_is_sent_once_if_tls_breaks_while_the_answer_is_read(
    name, talk, server_context, bundle
):
    with listening(talk, server_context) as (url, received), client_of(url, verify=bundle) as client:
        with pytest.raises(UnreachableError, match="may have been carried out") as caught:
            client.send(NOT_REPEATABLE[name])
        assert len(received) == 1
    assert caught.value.maybe_sent
    assert TOKEN not in str(caught.value)


def test_a_certificate_that_nobody_vouches_for_is_a_handshake_that_failed(server_context):
    with listening(answer_claim, server_context) as (url, received), client_of(url) as client:
        with pytest.raises(
            UnreachableError, match=r"could not be reached.*CERTIFICATE_VERIFY_FAILED"
        ) as caught:
            client.send(operations.claim_device(TOKEN))
        assert received == []
    assert nothing_was_done(caught.value)


# --- proxies -------------------------------------------------------------------------------------------


def refuse_tunnel(stream: socket.socket) -> None:
    stream.sendall(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")


def test_a_proxy_that_refuses_the_tunnel_proves_that_nothing_was_sent(monkeypatch):
    with listening(refuse_tunnel) as (proxy, received), client_of("https://service.invalid", NEVER) as client:
        monkeypatch.setenv("HTTPS_PROXY", proxy)
        with pytest.raises(UnreachableError, match="502 Bad Gateway") as caught:
            client.send(operations.claim_device(TOKEN))
    assert received == [b"CONNECT service.invalid:443 HTTP/1.0"] or received[0].startswith(b"CONNECT")
    assert nothing_was_done(caught.value)


def test_a_proxy_that_is_not_there_proves_that_nothing_was_sent(monkeypatch):
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    with client_of("https://service.invalid", NEVER) as client, pytest.raises(UnreachableError) as caught:
        client.send(operations.claim_device(TOKEN))
    assert nothing_was_done(caught.value)


@pytest.mark.parametrize("talk", [refuse_tunnel, end_without_a_word], ids=["502", "no answer"])
def test_a_plain_proxy_has_the_whole_request_so_whatever_breaks_then_proves_nothing(talk, monkeypatch):
    with listening(talk) as (proxy, received), client_of("http://service.invalid") as client:
        monkeypatch.setenv("HTTP_PROXY", proxy)
        with pytest.raises(NrfProvError) as caught:
            client.send(operations.claim_device(TOKEN))
        assert len(received) == 1
    assert not nothing_was_done(caught.value)


# --- after the fact ------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308, 408, 500, 502, 503, 504])
@pytest.mark.parametrize("name", NOT_REPEATABLE)
def test_what_may_not_be_repeated_is_sent_once_whatever_a_gateway_says(name, status):
    def talk(stream: socket.socket) -> None:
        stream.sendall(
            b"HTTP/1.1 %d x\r\nLocation: /elsewhere\r\nRetry-After: 0\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
            % status
        )

    with listening(talk) as (url, received), client_of(url) as client:
        with pytest.raises(ServiceError) as caught:
            client.send(NOT_REPEATABLE[name])
        assert len(received) == 1
    assert caught.value.status == status
    assert not nothing_was_done(caught.value)


# --- answers without end -------------------------------------------------------------------------------


def drip(first: bytes, piece: bytes = b"x") -> Callable[[socket.socket], None]:
    def talk(stream: socket.socket) -> None:
        stream.sendall(first)
        while True:
            time.sleep(0.05)
            stream.sendall(piece)

    return talk


@pytest.mark.parametrize(
    "talk",
    [
        lambda stream: stream.recv(1),
        drip(b""),
        drip(b"HTTP/1.1 200 OK\r\nX-Slow: "),
        drip(b"HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n"),
        drip(b"HTTP/1.1 200 OK\r\n\r\n"),
    ],
    ids=["silence", "nothing", "a header", "a body of known length", "a body"],
)
def test_an_answer_that_drips_or_never_begins_is_given_up_in_time_and_may_have_been_carried_out(talk):
    with (
        listening(talk) as (url, _),
        client_of(url, NEVER, connect_timeout=0.2, read_timeout=0.3) as client,
    ):
        started = time.monotonic()
        with pytest.raises(UnreachableError, match="may have been carried out") as caught:
            client.send(operations.claim_device(TOKEN))
        assert time.monotonic() - started < 5
    assert caught.value.maybe_sent
    assert TOKEN not in str(caught.value)


def test_a_download_that_drips_is_given_up_in_time():
    slow = drip(b"HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n")
    with listening(slow) as (url, _), client_of(url, NEVER, connect_timeout=0.2, read_timeout=0.3) as client:
        started = time.monotonic()
        with pytest.raises(UnreachableError, match="localhost is unavailable"):
            client.download(f"{url}/x.csv")
        assert time.monotonic() - started < 5


def endless(stream: socket.socket) -> None:
    stream.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n")
    while True:
        stream.sendall(b"[" * 65536)


def assert_is_cut_off(client: ProvisioningClient, operation: Operation, monkeypatch) -> None:
    """At a smaller limit, and without much more memory."""
    monkeypatch.setattr(transport, "MAX_BYTES", 4 * 1024**2)
    tracemalloc.start()
    with pytest.raises(UnreadableAnswerError, match="more than 4 MiB"):
        client.send(operation)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 4 * transport.MAX_BYTES


def test_a_limit_of_64_mib_holds():
    assert transport.MAX_BYTES == 64 * 1024**2


def test_a_body_without_end_is_cut_off(monkeypatch):
    with listening(endless) as (url, _), client_of(url, NEVER) as client:
        assert_is_cut_off(client, operations.claim_device(TOKEN), monkeypatch)


@contextmanager
def client_of_packed(content: bytes, packing: str = "gzip") -> Iterator[ProvisioningClient]:
    headers = {"Content-Encoding": packing, "Content-Type": "application/json"}
    with answering(200, content, headers) as url, client_of(url, NEVER) as client:
        yield client


def test_a_gzip_bomb_is_not_unpacked_whole(monkeypatch):
    bomb = gzip.compress(b"[" * 200 * 1024**2)
    assert len(bomb) < 300_000
    with client_of_packed(bomb) as client:
        assert_is_cut_off(client, operations.list_claimed_devices(), monkeypatch)


PAGE = b'{"items": [{"id": "%s"}]}' % DEVICE.encode()


@pytest.mark.parametrize(
    "content",
    [gzip.compress(PAGE), gzip.compress(PAGE[:9]) + gzip.compress(PAGE[9:])],
    ids=["one file", "two files"],
)
def test_what_is_packed_is_unpacked(content):
    with client_of_packed(content) as client:
        assert client.send(operations.list_claimed_devices()).items[0].id == DEVICE


@pytest.mark.parametrize(
    ("content", "packing", "words"),
    [
        (gzip.compress(PAGE)[:-9], "gzip", "end is missing"),
        (b"no gzip at all", "gzip", "cannot be unpacked"),
        (PAGE, "br", "compressed as 'br'"),
    ],
    ids=["truncated", "not packed", "packed otherwise"],
)
def test_what_cannot_be_unpacked_is_unreadable(content, packing, words):
    with client_of_packed(content, packing) as client, pytest.raises(UnreadableAnswerError, match=words):
        client.send(operations.list_claimed_devices())


# --- what is in an answer ------------------------------------------------------------------------------


def saying(
    body: bytes, content_type: str = "application/json", status: int = 200
) -> AbstractContextManager[str]:
    return answering(status, body, {"Content-Type": content_type})


@pytest.mark.parametrize(
    "body",
    [
        b"[" * 200_000,
        b'{"items":' * 100_000,
        b'{"items": ' + b"[" * 70 + b"]" * 70 + b"}",
        b'{"items": [{"id": 1' + b"0" * 5000 + b"}]}",
        b'{"items": [{"id": 1' + b"0" * 400 + b"}]}",
        b'{"items": [], "x": NaN}',
        b'{"items": [], "x": 1e999}',
        b'{"items": [{"id": "a", "tags": [{"no": "name"}]}]}',
        b'{"items": [{"id": "a", "tags": "abc"}]}',
        b'{"items": [{"id": null}]}',
        b'{"items": [], "pageNextToken": {"a": 1}}',
        b"\xff\xfe\x00",
        b"<html>welcome</html>",
        b"",
        b"[1, 2]",
        b'{"items": 5}',
        b'{"items": [{"no": "id"}]}',
        b"null",
    ],
    ids=lambda body: body[:40].decode("latin-1"),
)
def test_what_no_answer_can_be_is_unreadable(body):
    with saying(body) as url, client_of(url, NEVER) as client, pytest.raises(UnreadableAnswerError):
        client.send(operations.list_claimed_devices())


@pytest.mark.parametrize(
    "time_",
    [
        "9999-12-31T23:59:59.999-14:00",
        "0001-01-01T00:00:00+14:00",
        "9999-12-31T23:59:59Z",
        "now",
        5,
        None,
        ["x"],
        "",
    ],
)
def test_a_time_that_cannot_be_is_none(time_):
    body = {"items": [{"id": DEVICE, "claimedAt": time_}]}
    with saying(json.dumps(body).encode()) as url, client_of(url, NEVER) as client:
        assert client.send(operations.list_claimed_devices()).items[0].claimed_at is None


def test_tags_that_are_objects_are_read_by_name_and_odd_fields_become_texts():
    body = {
        "items": [
            {
                "id": DEVICE,
                "tags": [{"id": "1", "tag": "a"}, "b"],
                "imei": 351358815340515,
                "status": {"a": 1},
            }
        ]
    }
    with saying(json.dumps(body).encode()) as url, client_of(url, NEVER) as client:
        (device,) = client.send(operations.list_claimed_devices()).items
    assert device.tags == ("a", "b")
    assert (device.imei, device.status) == ("351358815340515", '{"a": 1}')


@pytest.mark.parametrize("status", [200, 400])
def test_half_a_surrogate_pair_becomes_a_character_that_can_be_written(status):
    body = (
        b'{"items": [{"id": "%s", "tags": ["a\\ud800"]}], "message": "x\\udfff \\ud83d\\ude00"}'
        % DEVICE.encode()
    )
    with saying(body, status=status) as url, client_of(url, NEVER) as client:
        try:
            text = client.send(operations.list_claimed_devices()).items[0].tags[0]
        except ServiceError as error:
            text = error.problem.message
            assert text == "x\ufffd \U0001f600"
    assert "\ufffd" in text
    text.encode()


@pytest.mark.parametrize(
    ("content_type", "encoding"),
    [
        ("text/plain", "utf-8"),
        ("text/csv", "utf-8"),
        ("application/json", "utf-8"),
        ("application/json", "utf-8-sig"),
        ("text/plain; charset=UTF-8", "utf-8"),
        ('text/plain; charset="iso-8859-1"', "iso-8859-1"),
        ("text/plain; charset=no-such-thing", "utf-8"),
        ("text/plain; charset=punycode", "utf-8"),
    ],
)
def test_a_text_is_utf8_unless_it_says_otherwise(content_type, encoding):
    body = '{"message": "Gerät ist vergeben"}'.encode(encoding)
    with saying(body, content_type, 409) as url, client_of(url, NEVER) as client:
        with pytest.raises(ServiceError) as caught:
            client.send(operations.claim_device(TOKEN))
        assert caught.value.problem.message == "Gerät ist vergeben"


@pytest.mark.parametrize("key", ["short-k1", "emulator-key", "claimedIds", "x" * 16, "x" * 40])
def test_no_key_is_shown_in_what_is_said_of_a_row(key):
    rows = [{"row": 0, "message": f"not for Bearer {key}"}, {"row": 1, "error": f"key {key}"}, f"[2]: {key}!"]
    body = json.dumps({"claimedIds": ["a"], "failed": rows}).encode()
    with saying(body) as url, client_of(url, NEVER, key) as client:
        answer = client.send(operations.bulk_claim("row"))
    assert answer.claimed_ids == ("a",)
    assert [each.message for each in answer.failed] == [
        "not for Bearer <API key>",
        "key <API key>",
        "<API key>!",
    ]


@pytest.mark.parametrize("key", ["short-k1", "x" * 40])
def test_no_key_is_shown_of_an_error_summary(key):
    body = json.dumps({"errors": [f"[0]: not for {key}", f"nor {key}"]}).encode()
    with saying(body) as url, client_of(url, NEVER, key) as client:
        summary = parse_error_summary(client.download(f"{url}/summary"), client.redacted)
    assert (summary.rows, summary.others) == ({0: "not for <API key>"}, ("nor <API key>",))


@pytest.mark.parametrize("key", ["k", "b", "1", "items", '"', "x" * 40])
def test_a_short_key_is_not_cut_out_of_what_is_read_and_no_key_is_shown(key):
    body = json.dumps(
        {"bulkOpsRequestId": "01GK0NECBULK1", "status": "SUCCEEDED", "note": f"for {key}"}
    ).encode()
    with saying(body) as url, client_of(url, NEVER, key) as client:
        operation = client.send(operations.fetch_bulk_ops_request("01GK0NECBULK1"))
    assert (operation.id, operation.status) == ("01GK0NECBULK1", "SUCCEEDED")
    words = json.dumps({"message": f"bulk claim refused for {key} today"}).encode()
    with (
        saying(words, status=400) as url,
        client_of(url, NEVER, key) as client,
        pytest.raises(ServiceError) as caught,
    ):
        client.send(operations.claim_device(TOKEN))
    assert caught.value.problem.message == "bulk claim refused for <API key> today"
