"""One exchange over HTTP, limited in size and time, that knows whether any of the request was sent.

``requests`` bounds the time between two bytes only, unpacks whatever it is sent, and has one exception for a TLS
handshake that fails and for a connection that breaks while an answer is read. The first is no limit, the second no
defence, and the third decides whether a claim may be sent again. So the connections of this session note when they write
the first byte of a request, and every read from them ends with the exchange.
"""

from __future__ import annotations

import codecs
import http.client
import io
import re
import threading
import time
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import requests
import urllib3
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection

from airflow_provider_nrfprov import __version__

MAX_BYTES = 64 * 1024 * 1024
"""Of an answer, unpacked. A page of 100 devices has 50 kB, the rows of a bulk claim 0.2 MB."""
_PIECE = 64 * 1024
_CHARSET = re.compile(r"charset\s*=\s*[\"']?([\w.:-]{1,40})", re.IGNORECASE)
_NO_CA_FILE = re.compile(r"NO_CERTIFICATE_OR_CRL_FOUND|\[X509[^\]]*\] PEM lib|TLS CA")
_UNKNOWN_CA = re.compile("unable to get (local )?issuer certificate|self[- ]signed certificate")
_NO_TLS = re.compile("WRONG_VERSION_NUMBER|RECORD_LAYER_FAILURE|HTTP_REQUEST")
_OTHER_CHARSETS = {"iso8859-1", "iso8859-15", "cp1252", "utf-16", "utf-16-le", "utf-16-be"}
"""Python has more, some of which are no texts or take for ever."""


class _Exchange(threading.local):
    """What the exchange of this thread has come to."""

    deadline = float("inf")
    """On the monotonic clock."""
    is_written = False
    """Whether a byte of the request may have left."""


_exchange = _Exchange()


class BrokenExchangeError(Exception):
    """There was no whole answer.

    ``is_written`` is False only if no byte of the request left. ``is_setting`` says that the address or the CA bundle
    cannot be used, now or later. ``advice`` is what to change, in brackets and behind a blank, or empty.
    """

    def __init__(self, message: str, *, is_written: bool, is_setting: bool, advice: str = "") -> None:
        super().__init__(message)
        self.is_written = is_written
        self.advice = advice
        self.is_setting = is_setting


class UnreadableBodyError(Exception):
    """The body of a whole answer is too large, or cannot be unpacked."""

    def __init__(self, message: str, *, status: int) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True, slots=True)
class RawResponse:
    """A response, read whole and unpacked."""

    status: int
    headers: Mapping[str, str]
    text: str


class _ClockedReader(io.RawIOBase):
    """What a socket is read through; after the exchange's deadline nothing comes any more."""

    def __init__(self, raw: io.RawIOBase, sock: Any) -> None:
        self._raw = raw
        self._sock = sock
        self._timeout = sock.gettimeout()

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        left = _exchange.deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError("the response was not complete in time")
        self._sock.settimeout(left if self._timeout is None else min(left, self._timeout))
        return self._raw.readinto(buffer)

    def close(self) -> None:
        self._raw.close()
        super().close()


class _ClockedResponse(http.client.HTTPResponse):
    def __init__(self, sock: Any, *arguments: Any, **named: Any) -> None:
        super().__init__(sock, *arguments, **named)
        self.fp = io.BufferedReader(_ClockedReader(self.fp.detach(), sock))


class _NotesWriting:
    """Notes the first byte of a request; what makes the connection (CONNECT to a proxy) does not count."""

    response_class = _ClockedResponse
    _is_connecting = False

    def connect(self) -> None:
        self._is_connecting = True
        try:
            super().connect()  # type: ignore[misc]
        finally:
            self._is_connecting = False

    def send(self, data: Any) -> None:
        if not self._is_connecting:
            if self.sock is None:  # type: ignore[attr-defined]
                self.connect()
            _exchange.is_written = True
        super().send(data)  # type: ignore[misc]


class _Connection(_NotesWriting, HTTPConnection):  # type: ignore[misc]
    pass


class _TlsConnection(_NotesWriting, HTTPSConnection):  # type: ignore[misc]
    pass


class _Adapter(HTTPAdapter):
    """Makes connections of the kinds above, through a proxy too."""

    def get_connection_with_tls_context(self, *arguments: Any, **named: Any) -> Any:
        pool: Any = super().get_connection_with_tls_context(*arguments, **named)
        pool.ConnectionCls = _TlsConnection if pool.scheme == "https" else _Connection
        return pool


class _Session(requests.Session):
    """Looks once for what the environment says of a host: ``requests`` reads all of it at each request, twice."""

    def __init__(self) -> None:
        super().__init__()
        self._of_environment: dict[tuple[str, str, Any], dict[str, Any]] = {}

    def merge_environment_settings(self, url: Any, proxies: Any, stream: Any, verify: Any, cert: Any) -> Any:
        place = urlsplit(url)
        key = place.scheme, place.netloc, verify
        if key not in self._of_environment:
            settings = super().merge_environment_settings(url, proxies, stream, verify, cert)
            self._of_environment[key] = dict(settings)
        return {**self._of_environment[key]}


def new_session() -> requests.Session:
    """Return a session for one thread. ``REQUESTS_CA_BUNDLE`` and the proxies of the environment hold for it."""
    session = _Session()
    session.headers["User-Agent"] = f"airflow-provider-nrfprov/{__version__}"
    # The only packing that is unpacked below.
    session.headers["Accept-Encoding"] = "gzip"
    for scheme in ("http://", "https://"):
        session.mount(scheme, _Adapter())
    return session


def exchange(
    session: requests.Session,
    method: str,
    url: str,
    *,
    auth: Callable[[requests.PreparedRequest], requests.PreparedRequest],
    timeout: tuple[float, float],
    verify: str | None = None,
    **content: Any,
) -> RawResponse:
    """Send one request and read its answer, within twice the read timeout. No redirect is followed.

    :param timeout: seconds until a connection has to be made, and between two bytes of an answer.
    :param verify: path of a CA bundle; the environment's or Mozilla's without it. Verification cannot be switched off.
    :param content: ``params``, ``data``, ``json`` and ``headers`` as ``requests`` takes them.
    :raises BrokenExchangeError: if there was no whole answer.
    :raises UnreadableBodyError: if it is larger than 64 MiB or cannot be unpacked.
    """
    connect_timeout, read_timeout = timeout
    _exchange.deadline = time.monotonic() + connect_timeout + 2 * read_timeout
    _exchange.is_written = False
    try:
        # A redirected POST becomes a GET, and an API has no reason to redirect.
        with session.request(
            method,
            url,
            auth=auth,
            timeout=timeout,
            verify=verify,
            stream=True,
            allow_redirects=False,
            **content,
        ) as response:
            body = _read(response)
            return RawResponse(
                response.status_code,
                response.headers,
                _decode(body, response.headers.get("Content-Type", "")),
            )
    except (
        requests.RequestException,
        urllib3.exceptions.HTTPError,
        http.client.HTTPException,
        OSError,
        ValueError,
    ) as error:
        raise BrokenExchangeError(
            f"{type(error).__name__}: {error}",
            is_written=_exchange.is_written,
            is_setting=_is_setting(error) and not _exchange.is_written,
            advice=_advice(str(error), verify),
        ) from error


def _advice(words: str, verify: str | None) -> str:
    """Return what to change about a TLS handshake that failed, where its words leave no doubt of that."""
    if _NO_CA_FILE.search(words):
        file = (
            f"the file of extra 'verify', {verify},"
            if verify
            else "the file that REQUESTS_CA_BUNDLE or CURL_CA_BUNDLE names"
        )
        advice = f"{file} has no CA certificate that can be read (PEM)"
    elif not _UNKNOWN_CA.search(words):
        advice = "the service has no https: begin the address with http://" if _NO_TLS.search(words) else ""
    elif verify:
        advice = f"its certificate is not from a CA in {verify}, the file of extra 'verify'"
    else:
        advice = "its certificate is from no CA that is known; if it is of your own, name the CA's file in extra 'verify'"
    return advice and f" ({advice})"


def _is_setting(error: Exception) -> bool:
    if (type(error) is OSError and "TLS CA" in str(error)) or _NO_CA_FILE.search(str(error)):
        # The only ways in which requests says that there is no file, or that it is none.
        return True
    kinds = (
        requests.exceptions.InvalidURL,
        requests.exceptions.InvalidSchema,
        requests.exceptions.MissingSchema,
        urllib3.exceptions.LocationValueError,
        UnicodeError,
    )
    return isinstance(error, kinds)


def _read(response: requests.Response) -> bytes:
    """Read a body whole. It is unpacked here, since ``urllib3`` unpacks without a limit."""
    status, packing = response.status_code, response.headers.get("Content-Encoding", "").strip().lower()
    pieces = _at_most(response.raw.stream(_PIECE, decode_content=False), status)
    if packing in {"gzip", "x-gzip"}:
        pieces = _at_most(_unpacked(pieces, status), status)
    elif packing not in {"", "identity"}:
        raise UnreadableBodyError(
            f"is compressed as {packing[:40]!r}, which was not requested", status=status
        )
    return b"".join(pieces)


def _at_most(pieces: Iterator[bytes], status: int) -> Iterator[bytes]:
    size = 0
    for piece in pieces:
        size += len(piece)
        if size > MAX_BYTES:
            raise UnreadableBodyError(f"has more than {MAX_BYTES // 1024**2} MiB", status=status)
        yield piece


def _unpacked(pieces: Iterator[bytes], status: int) -> Iterator[bytes]:
    unpacker, is_whole = _new_unpacker(), True
    for piece in pieces:
        packed = piece
        while packed:
            try:
                yield unpacker.decompress(packed, _PIECE)
            except zlib.error:
                raise UnreadableBodyError("cannot be unpacked", status=status) from None
            packed, is_whole = unpacker.unconsumed_tail, unpacker.eof
            if is_whole:
                # One gzip file may follow another.
                packed, unpacker = unpacker.unused_data, _new_unpacker()
    if not is_whole:
        raise UnreadableBodyError("cannot be decompressed: its end is missing", status=status)


def _new_unpacker() -> zlib._Decompress:
    return zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)


def _decode(body: bytes, content_type: str) -> str:
    """Decode a body: UTF-8 unless its type says otherwise; nothing is guessed."""
    declared = _CHARSET.search(content_type)
    try:
        name = codecs.lookup(declared[1]).name if declared else ""
    except LookupError:
        name = ""
    return body.decode(name if name in _OTHER_CHARSETS else "utf-8-sig", "replace")
