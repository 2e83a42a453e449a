"""Sends an operation with ``requests`` and reads its answer."""

from __future__ import annotations

import itertools
import logging
import re
import threading
import time
import weakref
from collections.abc import Callable, Iterator, Mapping
from types import TracebackType
from typing import TypeVar
from urllib.parse import quote

import requests
from requests.auth import AuthBase
from urllib3.exceptions import ConnectTimeoutError, MaxRetryError, NewConnectionError

from airflow_provider_nrfprov import __version__
from airflow_provider_nrfprov.api.contract import Endpoint, Host, base_urls, endpoints
from airflow_provider_nrfprov.api.errors import (
    ConfigurationError,
    NrfProvError,
    RateLimitedError,
    ServiceError,
    UnreachableError,
)
from airflow_provider_nrfprov.api.models import Page
from airflow_provider_nrfprov.api.operations import Operation
from airflow_provider_nrfprov.api.pace import Pace
from airflow_provider_nrfprov.api.redaction import redact
from airflow_provider_nrfprov.api.response import Response
from airflow_provider_nrfprov.api.retry import Retry

ResultT = TypeVar("ResultT")
ItemT = TypeVar("ItemT")

_log = logging.getLogger(__name__)

CONNECT_TIMEOUT = 5.0
READ_TIMEOUT = 60.0


class _BearerAuth(AuthBase):
    """Sets the API key on the request itself, so that a ``.netrc`` entry cannot replace it."""

    def __init__(self, api_key: str) -> None:
        self._api_key = api_key

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["Authorization"] = f"Bearer {self._api_key}"
        return request


class ProvisioningClient:
    """Talks to one team's Provisioning Service. Several threads may use one client.

    Each thread has a ``requests.Session`` of its own, since requests promises nothing of a shared one (its
    cookies and headers are changed as it is used). All of them keep one :class:`~airflow_provider_nrfprov.api.pace.Pace`:
    a 429, or whatever has a ``Retry-After``, slows every thread down.

    :param api_key: the team's API key of the legacy nRF Cloud app; opaque, never shown.
    :param urls: base URL of each host, see :func:`~airflow_provider_nrfprov.api.contract.base_urls`.
    :param endpoint_candidates: see :func:`~airflow_provider_nrfprov.api.contract.endpoints`.
    :param connect_timeout: seconds until a connection must stand.
    :param read_timeout: seconds between two bytes of an answer.
    :param retry: how long an operation is tried that may be sent again.
    :raises ConfigurationError: if the API key is missing or cannot be one.
    """

    def __init__(
        self,
        api_key: str | None,
        *,
        urls: Mapping[Host, str] | None = None,
        endpoint_candidates: Mapping[str, tuple[Endpoint, ...]] | None = None,
        connect_timeout: float = CONNECT_TIMEOUT,
        read_timeout: float = READ_TIMEOUT,
        retry: Retry | None = None,
    ) -> None:
        api_key = (api_key or "").strip()
        if not api_key:
            raise ConfigurationError(
                "no API key: set the password of the Airflow connection to the team's API key of the legacy "
                "nRF Cloud app (User Account > Current Team Details)"
            )
        if not re.fullmatch(r"[\x21-\x7e]+", api_key):
            raise ConfigurationError("the API key holds white space or characters that no API key has")
        self._api_key = api_key
        self._auth = _BearerAuth(api_key)
        self._urls = urls or base_urls(None)
        self._candidates = dict(endpoint_candidates or endpoints())
        self._timeout = (connect_timeout, read_timeout)
        self._retry = retry or Retry()
        self._pace = Pace()
        self._of_thread = threading.local()
        # Weak: a thread that ends gives its connections up.
        self._sessions: weakref.WeakSet[requests.Session] = weakref.WeakSet()
        self._sessions_lock = threading.Lock()

    def __enter__(self) -> ProvisioningClient:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections that are kept open, those of all threads."""
        with self._sessions_lock:
            for session in self._sessions:
                session.close()

    def _session(self) -> requests.Session:
        session: requests.Session | None = getattr(self._of_thread, "session", None)
        if session is None:
            session = self._of_thread.session = requests.Session()
            session.headers["User-Agent"] = f"airflow-provider-nrfprov/{__version__}"
            with self._sessions_lock:
                self._sessions.add(session)
        return session

    def send(self, operation: Operation[ResultT]) -> ResultT:
        """Send an operation, on the first of its paths that the service has, and read the answer.

        What may be sent again is, for as long as the client's ``retry`` says.

        :raises ServiceError: if the service refused or failed.
        :raises UnreachableError: if there was no whole answer.
        :raises UnreadableAnswerError: if the answer could not be read.
        """
        return self._repeatedly(
            lambda: self._send_once(operation), operation.name, repeatable=operation.repeatable
        )

    def _send_once(self, operation: Operation[ResultT]) -> ResultT:
        candidates = self._candidates[operation.name]
        refusals: list[Response] = []
        for endpoint in candidates:
            answer = self._exchange(operation, endpoint)
            if len(candidates) == 1 or not _is_unknown_path(answer):
                break
            refusals.append(answer)
        else:
            # None of the paths is there, or what they should find is not: the first says it as well.
            answer = refusals[0]
        if not operation.is_result(answer):
            raise answer.error(operation.name)
        # Asked first and only from now on; a plain assignment, so that threads can share a client.
        self._candidates[operation.name] = (endpoint,)
        return operation.read(answer)

    def iterate(self, list_page: Callable[[str | None], Operation[Page[ItemT]]]) -> Iterator[ItemT]:
        """Yield the items of a list, page after page. ``list_page`` gets a page token, at first ``None``.

        :raises NrfProvError: also if the service gives the same page token twice, which has no end.
        """
        token: str | None = None
        seen: set[str] = set()
        while True:
            page = self.send(list_page(token))
            yield from page.items
            token = page.next_page_token
            if token is None:
                return
            if token in seen:
                raise NrfProvError("the service gave the same pageNextToken twice; the list has no end")
            seen.add(token)

    def download(self, url: str) -> str:
        """Fetch a file that an answer points to (an error summary), without the API key, as Nordic's tool does.

        The text is not redacted: the uploaded data of an operation holds claim tokens.

        :raises ServiceError: if it cannot be had.
        :raises UnreachableError: if there was no whole answer.
        :raises UnreadableAnswerError: if it is a web page.
        """
        return self._repeatedly(lambda: self._download_once(url), "download", repeatable=True)

    def _download_once(self, url: str) -> str:
        answer = self._answer("GET", url, authorized=False)
        if answer.status != 200:
            raise answer.error("download")
        if answer.is_web_page:
            # Something in between answered: a proxy, a login page.
            raise answer.unreadable("is a web page")
        return answer.body

    def _repeatedly(self, send: Callable[[], ResultT], name: str, *, repeatable: bool) -> ResultT:
        sent_at = started = self._pace.wait_for_turn()
        for attempt in itertools.count(1):
            try:
                return send()
            except NrfProvError as error:
                wait = self._retry.wait(
                    error, repeatable=repeatable, attempt=attempt, elapsed=time.monotonic() - started
                )
                if wait is None:
                    raise
                self._wait(name, error, sent_at, wait)
            sent_at = self._pace.wait_for_turn()
        raise AssertionError("unreachable")

    def _wait(self, name: str, error: NrfProvError, sent_at: float, seconds: float) -> None:
        why = str(error).splitlines()[0]
        if not _asks_to_wait(error):
            _log.info("%s: %s; asking again in %.1f s", name, why, seconds)
            time.sleep(seconds)
        elif distance := self._pace.slow_down(sent_at, seconds):
            # One line for all the threads that are told the same now.
            _log.info(
                "%s: %s; nothing is sent for %.1f s, and at most %.3g requests a second then",
                name, why, seconds, 1 / distance,
            )  # fmt: skip

    def _exchange(self, operation: Operation[ResultT], endpoint: Endpoint) -> Response:
        parts = {name: quote(part, safe="") for name, part in operation.path_parts.items()}
        url = self._urls[endpoint.host] + endpoint.path.format(**parts)
        return self._answer(
            endpoint.method, url, query=operation.query, json=operation.json, csv=operation.csv
        )

    def _answer(
        self,
        method: str,
        url: str,
        *,
        query: Mapping[str, str | int] | None = None,
        json: Mapping[str, object] | None = None,
        csv: str | None = None,
        authorized: bool = True,
    ) -> Response:
        try:
            response = self._session().request(
                method,
                url,
                params=query,
                json=json,
                data=None if csv is None else csv.encode(),
                headers=None if csv is None else {"Content-Type": "text/csv"},
                auth=self._auth if authorized else None,
                timeout=self._timeout,
                # A redirected POST becomes a GET, and an API has no reason to redirect.
                allow_redirects=not authorized,
            )
        except requests.RequestException as error:
            raise self._unreachable(method, url, error) from None
        text = redact(response.text, self._api_key)
        # Not even what is read from JSON needs the key; tokens in it tell which row is meant.
        body = response.text.replace(self._api_key, "<API key>")
        return Response(method, response.url, response.status_code, response.headers, text, body)

    def _unreachable(self, method: str, url: str, error: requests.RequestException) -> NrfProvError:
        if isinstance(error, (requests.exceptions.InvalidURL, requests.exceptions.InvalidSchema)):
            return ConfigurationError(f"{url} cannot be asked: {error}")
        maybe_sent = not _never_connected(error)
        what = "gave no whole answer; it may have been carried out" if maybe_sent else "could not be reached"
        reason = redact(str(error), self._api_key)
        return UnreachableError(
            f"{method} {url} {what}: {type(error).__name__}: {reason}", maybe_sent=maybe_sent
        )


def _asks_to_wait(error: NrfProvError) -> bool:
    return isinstance(error, RateLimitedError) or (
        isinstance(error, ServiceError) and bool(error.retry_after)
    )


def _is_unknown_path(answer: Response) -> bool:
    return answer.status in {404, 405} or answer.says_no_such_path_exists()


def _never_connected(error: requests.RequestException) -> bool:
    if isinstance(error, (requests.exceptions.ConnectTimeout, requests.exceptions.ProxyError)):
        return True
    if isinstance(error, requests.exceptions.SSLError):
        return True
    reason = error.args[0] if error.args else None
    if isinstance(reason, MaxRetryError):
        reason = reason.reason
    # NameResolutionError is a NewConnectionError.
    return isinstance(reason, (NewConnectionError, ConnectTimeoutError))
