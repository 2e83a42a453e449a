"""Sends an operation with ``requests`` and reads its answer."""

from __future__ import annotations

import itertools
import logging
import threading
import time
import weakref
from collections.abc import Callable, Iterator, Mapping
from typing import TypeVar
from urllib.parse import quote

import pendulum
import requests

from airflow_provider_nrfprov.api.access import Access
from airflow_provider_nrfprov.api.apis import Api
from airflow_provider_nrfprov.api.contract import Endpoint, Host
from airflow_provider_nrfprov.api.downloads import DownloadSource, require_own
from airflow_provider_nrfprov.api.errors import (
    LONGEST_WAIT,
    ConfigurationError,
    ForbiddenError,
    NrfProvError,
    RateLimitedError,
    ServiceError,
    UnauthorizedError,
    UnreachableError,
    UnreadableAnswerError,
)
from airflow_provider_nrfprov.api.models import Page
from airflow_provider_nrfprov.api.operations import Operation
from airflow_provider_nrfprov.api.redaction import redact
from airflow_provider_nrfprov.api.response import Response
from airflow_provider_nrfprov.api.retry import Retry
from airflow_provider_nrfprov.api.service_clock import ServiceClock
from airflow_provider_nrfprov.api.tally import TALLY
from airflow_provider_nrfprov.api.throttle import Throttle
from airflow_provider_nrfprov.api.transport import (
    BrokenExchangeError,
    UnreadableBodyError,
    new_session,
)

ResultT = TypeVar("ResultT")
ItemT = TypeVar("ItemT")

_log = logging.getLogger(__name__)

CONNECT_TIMEOUT = 5.0
READ_TIMEOUT = 60.0
_REDIRECTS = {301, 302, 303, 307, 308}
_MOST_REDIRECTS = 5


def _no_auth(request: requests.PreparedRequest) -> requests.PreparedRequest:
    """Set nothing, so that no ``.netrc`` entry goes along with a download."""
    return request


class ProvisioningClient:
    """Talks to one team's Provisioning Service. Several threads may use one client.

    Each thread has a ``requests.Session`` of its own, since requests promises nothing of a shared one (its
    cookies and headers are changed as it is used). All of them keep one :class:`~airflow_provider_nrfprov.api.throttle.Throttle`:
    a 429, or whatever has a ``Retry-After``, slows every thread down.

    :param access: an API key, or all of how the service is reached.
    :param urls: see :class:`Access`, as ``endpoint_candidates`` and ``verify``; only beside an API key.
    :param connect_timeout: seconds until a connection must be made.
    :param read_timeout: seconds between two bytes of an answer, which has to be whole after twice as many.
    :param retry: how long an operation is tried that may be sent again.
    :param longest_wait: seconds; a longer wait that the service asks for is cut off.
    :param renew: called once after a 401 or 403; returns how the service is reached by now. If that differs, the
        operation is sent once more, and all threads go on with it.
    :raises ConfigurationError: if the API key is missing or cannot be one.
    """

    def __init__(
        self,
        access: Access | str | None,
        *,
        urls: Mapping[Host, str] | None = None,
        endpoint_candidates: Mapping[str, tuple[Endpoint, ...]] | None = None,
        verify: str | None = None,
        connect_timeout: float = CONNECT_TIMEOUT,
        read_timeout: float = READ_TIMEOUT,
        retry: Retry | None = None,
        longest_wait: float = LONGEST_WAIT,
        renew: Callable[[], Access] | None = None,
    ) -> None:
        if not isinstance(access, Access):
            access = Access(access, urls=urls, endpoint_candidates=endpoint_candidates, verify=verify)
        self._access = access
        self._renew = renew
        self._renewing = threading.Lock()
        self._timeout = (connect_timeout, read_timeout)
        self._retry = retry or Retry()
        self._longest_wait = longest_wait
        self._throttle = Throttle()
        self._clock = ServiceClock()
        self._of_thread = threading.local()
        # Weak: the connections of a thread that ends are closed.
        self._sessions: weakref.WeakSet[requests.Session] = weakref.WeakSet()
        self._sessions_lock = threading.Lock()

    @property
    def urls(self) -> tuple[str, ...]:
        """The base URLs of the service, each once."""
        return tuple(dict.fromkeys(self._access.urls.values()))

    @property
    def api(self) -> Api:
        """The API that is spoken."""
        return self._access.api

    def now(self) -> pendulum.DateTime:
        """Return the service's time, as its newest answer told it; local time before there was one."""
        return self._clock.now()

    @property
    def knows_time(self) -> bool:
        """Whether an answer has told the service's time."""
        return self._clock.is_told

    def redacted(self, text: str) -> str:
        """Return a text as it may be shown: without claim tokens, parts of them, and the API key."""
        return redact(text, self._access.api_key)

    def __enter__(self) -> ProvisioningClient:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections that are kept open, those of all threads."""
        with self._sessions_lock:
            for session in self._sessions:
                session.close()

    def _session(self) -> requests.Session:
        session: requests.Session | None = getattr(self._of_thread, "session", None)
        if session is None:
            session = self._of_thread.session = new_session()
            with self._sessions_lock:
                self._sessions.add(session)
        return session

    def send(self, operation: Operation[ResultT]) -> ResultT:
        """Send an operation, on the first of its paths that the service has, and read the answer.

        What may be sent again is, for as long as the client's ``retry`` says.

        :raises ServiceError: if the service refused or failed.
        :raises UnreachableError: if there was no whole answer.
        :raises UnreadableAnswerError: if the answer could not be read.
        :raises NotInThisApiError: if the API that is spoken has no way for it; nothing is sent then.
        """
        if missing := self.api.missing(operation.name):
            raise missing
        return self._repeatedly(
            lambda: self._send_with_access(operation), operation.name, repeatable=operation.repeatable
        )

    def _send_with_access(self, operation: Operation[ResultT]) -> ResultT:
        access = self._access
        try:
            return self._send_once(operation, access)
        except (UnauthorizedError, ForbiddenError) as error:
            renewed = self._renewed(access)
            if renewed is None:
                raise
            _log.info(
                "%s was answered %d; retrying with the connection's new settings",
                operation.name,
                error.status,
            )
            return self._send_once(operation, renewed)

    def _renewed(self, refused: Access) -> Access | None:
        """Return how the service is reached now, ``None`` if that was refused just before."""
        if self._renew is None:
            return None
        with self._renewing:
            # Another thread may have been here since.
            if self._access is refused:
                now = self._renew()
                if now.is_same(refused):
                    return None
                self._access = now
            return self._access

    def _send_once(self, operation: Operation[ResultT], access: Access) -> ResultT:
        candidates = access.candidates[operation.name]
        refusals: list[Response] = []
        for endpoint in candidates:
            answer = self._exchange(operation, endpoint, access)
            if len(candidates) == 1 or not answer.says_no_such_path_exists():
                break
            refusals.append(answer)
        else:
            # None of the paths is there, or what they should find is not: the first says it as well.
            answer = refusals[0]
        if not operation.is_result(answer):
            raise answer.error(operation.name)
        # Asked first and only from now on; a plain assignment, so that threads can share a client.
        access.candidates[operation.name] = (endpoint,)
        return operation.read(answer)

    def iterate(self, list_page: Callable[[str | None], Operation[Page[ItemT]]]) -> Iterator[ItemT]:
        """Yield the items of a list, page after page. ``list_page`` gets a page token, at first ``None``.

        :raises NrfProvError: also if the service returns the same page token twice, which has no end.
        """
        for page in self.pages(list_page):
            yield from page.items

    def pages(self, list_page: Callable[[str | None], Operation[Page[ItemT]]]) -> Iterator[Page[ItemT]]:
        """Yield the pages of a list, as :meth:`iterate` yields their items."""
        token: str | None = None
        seen: set[str] = set()
        before: tuple[ItemT, ...] = ()
        while True:
            page = self.send(list_page(token))
            if page.items and page.items == before:
                raise NrfProvError("the service returned the same page twice; the list would never end")
            before = page.items
            yield page
            token = page.next_page_token
            if token is None:
                return
            if token in seen:
                raise NrfProvError(
                    "the service returned the same pageNextToken twice; the list would never end"
                )
            seen.add(token)

    def download(self, url: str) -> str:
        """Fetch a file that an answer points to (an error summary), without the API key, as Nordic's tool does.

        The text is not redacted: the uploaded data of an operation holds claim tokens. Errors show the host alone, since
        whoever has the whole address can fetch the file.

        :raises ServiceError: if it is unavailable.
        :raises UnreachableError: if there was no whole answer.
        :raises UnreadableAnswerError: if it is a web page, or is where nothing is fetched from: by plain HTTP, but for
            the connection's own host.
        """
        return self._repeatedly(lambda: self._download_once(url), "download", repeatable=True)

    def _download_once(self, url: str) -> str:
        for _ in range(_MOST_REDIRECTS + 1):
            source = DownloadSource.of(url, self._access.urls.values())
            answer = self._download_from(source)
            location = answer.headers.get("Location")
            if answer.status not in _REDIRECTS or not location:
                break
            url = source.join(location)
        if answer.status != 200:
            raise answer.error("download")
        if answer.is_web_page:
            # Something in between answered: a proxy, a login page.
            raise answer.unreadable("is a web page")
        return answer.body

    def _download_from(self, source: DownloadSource) -> Response:
        access = self._access
        secrets = (*source.secrets, access.api_key)
        try:
            raw = TALLY.exchange(
                "download",
                self._session(),
                "GET",
                source.url,
                auth=_no_auth,
                timeout=self._timeout,
                verify=access.verify,
            )
        except BrokenExchangeError as error:
            reason = redact(source.without_address(str(error)), *secrets)
            if error.is_setting:
                raise UnreadableAnswerError(
                    f"the service points to a file at an unusable address on {source.host}",
                    status=200,
                    text="",
                ) from None
            raise UnreachableError(
                f"a file on {source.host} is unavailable: {reason}", maybe_sent=True
            ) from None
        except UnreadableBodyError as error:
            raise UnreadableAnswerError(
                f"a file on {source.host} {error}", status=error.status, text=""
            ) from None
        return Response(
            "GET", f"a file on {source.host}", raw.status, raw.headers, raw.text, secrets,
            longest_wait=self._longest_wait,
        )  # fmt: skip

    def _repeatedly(self, send: Callable[[], ResultT], name: str, *, repeatable: bool) -> ResultT:
        asked = time.monotonic()
        sent_at = started = self._throttle.wait_for_turn()
        TALLY.add_wait(started - asked)
        for attempt in itertools.count(1):
            try:
                return send()
            except NrfProvError as error:
                wait = self._retry.wait(
                    error, repeatable=repeatable, attempt=attempt, elapsed=time.monotonic() - started
                )
                if wait is None:
                    raise
                TALLY.add_retry(name)
                failed = time.monotonic()
                self._wait(name, error, sent_at, wait)
            sent_at = self._throttle.wait_for_turn()
            TALLY.add_wait(sent_at - failed)
        raise AssertionError("unreachable")

    def _wait(self, name: str, error: NrfProvError, sent_at: float, seconds: float) -> None:
        why = str(error).splitlines()[0]
        if not _asks_to_wait(error):
            _log.info("%s: %s; retrying in %.1f s", name, why, seconds)
            time.sleep(seconds)
        elif interval := self._throttle.slow_down(sent_at, seconds):
            # One line for all the threads that are told the same now.
            _log.info(
                "%s: %s; sending nothing for %.1f s, then at most %.3g requests per second",
                name, why, seconds, 1 / interval,
            )  # fmt: skip

    def _exchange(self, operation: Operation[ResultT], endpoint: Endpoint, access: Access) -> Response:
        parts = {name: quote(part, safe="") for name, part in operation.path_parts.items()}
        method = endpoint.method
        url = operation.url or access.urls[endpoint.host] + endpoint.path.format(**parts)
        if operation.url is not None:
            # The key goes nowhere else, whatever an answer said.
            require_own(url, access.urls.values())
        csv = operation.csv
        try:
            raw = TALLY.exchange(
                operation.name, self._session(), method, url,
                auth=access.auth, timeout=self._timeout, verify=access.verify,
                params=operation.query,
                json=operation.json,
                data=None if csv is None else csv.encode(),
                headers=None if csv is None else {"Content-Type": "text/csv"},
            )  # fmt: skip
        except BrokenExchangeError as error:
            reason = redact(str(error), access.api_key)
            if error.is_setting:
                raise ConfigurationError(f"{url} cannot be used{error.advice}: {reason}") from None
            maybe_sent = error.is_written
            what = (
                "got no complete response; it may have been carried out"
                if maybe_sent
                else "could not be reached"
            )
            raise UnreachableError(
                f"{method} {url} {what}{error.advice}: {reason}", maybe_sent=maybe_sent
            ) from None
        except UnreadableBodyError as error:
            raise UnreadableAnswerError(
                f"the answer {error.status} to {method} {url} {error}", status=error.status, text=""
            ) from None
        if 200 <= raw.status < 300 or not self._clock.is_told:
            # A refusal may be the word of something in between, with a clock of its own.
            self._clock.note(raw.headers.get("Date"))
        return Response(
            method, url, raw.status, raw.headers, raw.text, (access.api_key,),
            api_key=access.api_key, longest_wait=self._longest_wait, hint=access.api.hint,
        )  # fmt: skip


def _asks_to_wait(error: NrfProvError) -> bool:
    return isinstance(error, RateLimitedError) or (
        isinstance(error, ServiceError) and bool(error.retry_after)
    )
