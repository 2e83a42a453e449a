"""An HTTP response, and the error that it describes."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlsplit

from airflow_provider_nrfprov.api.contract import (
    CAUSES,
    NESTED_ERROR,
    NO_SUCH_PATH,
    NO_SUCH_PATH_STATUSES,
    REASON_KEYS,
    key_advice,
    wanted_roles,
)
from airflow_provider_nrfprov.api.errors import (
    LONGEST_WAIT,
    ConflictError,
    ForbiddenError,
    GoneError,
    NotFoundError,
    Problem,
    RateLimitedError,
    ServiceError,
    UnauthorizedError,
    UnavailableError,
    UnreadableAnswerError,
)
from airflow_provider_nrfprov.api.redaction import redact, without_key, without_short_key

SHOWN_CHARACTERS = 2000
"""How much of an answer's text a message shows; the whole text is in ``ServiceError.text``."""
MAX_DEPTH = 64
"""Lists and objects within each other; no answer of the service has more than a handful."""
_LARGEST_NUMBER = 2**63
_ENTITIES_OF_CODE = re.compile(r"\\u[dD][89a-fA-F]")
"""How JSON writes half of a surrogate pair; half of one is not a character, and no file can hold it."""

_NO_SUCH_PATH_HINT = (
    "That is what the gateway answers for a path that does not exist on this host: check the connection's "
    "base URL, or name the path in its extra 'endpoints'."
)
_GONE_HINT = (
    "Nordic has switched this path off. See its guide to the transition "
    "(https://docs.memfault.com/docs/nrfcloud/rest-api-transition); if the operation has another path now, name it in "
    "the connection's extra 'endpoints'."
)

_BY_STATUS: dict[int, type[ServiceError]] = {
    401: UnauthorizedError,
    403: ForbiddenError,
    404: NotFoundError,
    409: ConflictError,
    410: GoneError,
    429: RateLimitedError,
}


def _no_hint(_operation: str, _status: int) -> str | None:
    return None


@dataclass(frozen=True, slots=True)
class Response:
    """An HTTP response, read whole."""

    method: str
    url: str
    """As it may be shown: that of a download is its host alone."""
    status: int
    headers: Mapping[str, str]
    body: str = field(repr=False)
    """The text as it came."""
    secrets: tuple[str, ...] = field(default=(), repr=False)
    """Texts that are never shown: the API key, or the signature in a download's URL."""
    api_key: str = field(default="", repr=False)
    longest_wait: float = LONGEST_WAIT
    hint: Callable[[str, int], str | None] = _no_hint
    """What to do about a refusal of an operation, by its status; ``None`` for what is said of the team's API."""

    @property
    def text(self) -> str:
        """The body as it may be shown."""
        return redact(self.body, *self.secrets)

    def json(self) -> Any:
        """Parse the body.

        :raises UnreadableAnswerError: if it is not JSON (an HTML page, a truncated answer), or JSON that is nested
            too deeply or holds invalid numbers.
        """
        try:
            body = parse_json(without_key(self.body, self.api_key))
        except ValueError as error:
            raise self.unreadable(str(error)) from None
        if self.api_key not in self.body and "\\" not in self.body:
            # As nearly always: not even escaped. An answer to a thousand rows is soon searched, and slowly walked through.
            return body
        return without_short_key(body, self.api_key)

    def json_object(self) -> Mapping[str, Any]:
        """Return the body if it is a JSON object, as it came; an empty one for whatever else it is."""
        try:
            body = parse_json(self.body)
        except ValueError:
            return {}
        return body if isinstance(body, dict) else {}

    @property
    def is_web_page(self) -> bool:
        """Whether it is HTML, which the service itself never sends."""
        return "text/html" in self.headers.get("Content-Type", "").lower() or self.body.lstrip().startswith(
            "<"
        )

    def problem(self) -> Problem:
        """Read the reason of an error from the known body shape that it has."""
        body = self.json_object()
        if isinstance(body.get(NESTED_ERROR), dict):
            body = body[NESTED_ERROR]
        code = body.get("code")
        code = code if isinstance(code, int) else None
        for key in REASON_KEYS:
            if isinstance(body.get(key), str):
                return Problem(redact(f"{body[key]}{_causes(body)}", *self.secrets), code)
        return Problem(self.text, code)

    def says_no_such_path_exists(self) -> bool:
        """Return whether the path is not there: 404, 405, 410, or what an AWS API gateway says (inferred)."""
        return self.status in NO_SUCH_PATH_STATUSES or self._is_from_gateway()

    def unreadable(self, why: str) -> UnreadableAnswerError:
        """Build the exception that says that this answer cannot be read, and shows its start."""
        text = self.text
        return UnreadableAnswerError(
            f"the answer {self.status} to {self.method} {self.url} {why}: {text[:200]!r}",
            status=self.status,
            text=text,
        )

    def error(self, operation: str) -> ServiceError:
        """Build the exception that this answer to an operation is, if its status is an error."""
        kind = UnavailableError if self.status >= 500 else _BY_STATUS.get(self.status, ServiceError)
        if kind is NotFoundError and self.is_web_page:
            # Another server's: it says nothing of what was asked for.
            kind = ServiceError
        hint, text = self._hint(operation), self.text
        shown = text[:SHOWN_CHARACTERS] or "(empty body)"
        if 300 <= self.status < 400 and (location := self.headers.get("Location")):
            shown = f"a redirect to {self._host_of(location)}; {shown}"
        message = f"{operation} was answered {self.status} ({self.method} {self.url}): {shown}"
        return kind(
            f"{message}\n{hint}" if hint else message,
            status=self.status,
            text=text,
            problem=self.problem(),
            retry_after=self._retry_after(),
            longest_wait=self.longest_wait,
            hint=hint,
        )

    def _host_of(self, location: str) -> str:
        """Return where a redirect leads in words, its host alone: the rest of an address may let others in."""
        try:
            host = urlsplit(location).hostname
        except ValueError:
            return "an address that is not a URL"
        return (
            redact(host.encode("ascii", "replace").decode(), *self.secrets)[:100] if host else "the same host"
        )

    def _retry_after(self) -> str | None:
        """Return the header; of a date, the seconds from the response's own ``Date``: the clock here may be another."""
        text, date = self.headers.get("Retry-After"), self.headers.get("Date")
        try:
            wait = parsedate_to_datetime(text) - parsedate_to_datetime(date)  # type: ignore[arg-type] # raises if None
        except (TypeError, ValueError, IndexError, OverflowError):
            return text
        return str(max(0.0, wait.total_seconds()))

    def _is_from_gateway(self) -> bool:
        return self.status == 403 and self.problem().message == NO_SUCH_PATH

    def _hint(self, operation: str) -> str:
        hint, roles = self.hint(operation, self.status), wanted_roles(operation)
        if hint is None and not roles:
            return ""
        if self._is_from_gateway():
            return _NO_SUCH_PATH_HINT
        if hint is not None:
            return hint
        if self.status == 403:
            *others, last = roles
            return (
                f"{operation} requires the role {', '.join(others)} or {last} in the team that the API key belongs to "
                "(according to the guides, which do not say so for each operation)."
            )
        return {401: key_advice(self.api_key), 410: _GONE_HINT}.get(self.status, "")


def _causes(body: Mapping[str, Any]) -> str:
    causes = body.get(CAUSES)
    return f" ({'; '.join(map(str, causes))})" if isinstance(causes, list) and causes else ""


def parse_json(text: str) -> Any:
    """Parse JSON from elsewhere into values that the rest of the program can hold, write and count with.

    Halves of surrogate pairs become U+FFFD.

    :raises ValueError: if it is not JSON, nested too deeply, or holds a number that is invalid or beyond 64 bits.
    """
    try:
        value = json.loads(text)
    except RecursionError:
        raise ValueError("is nested too deeply") from None
    except ValueError:
        raise ValueError("is not JSON") from None
    return _sound(value, MAX_DEPTH, mend=_ENTITIES_OF_CODE.search(text) is not None)


def _sound(value: Any, depth: int, *, mend: bool) -> Any:
    """Return a value of JSON, checked; texts are looked into only where there may be something to mend."""
    if isinstance(value, str):
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace") if mend else value
    if isinstance(value, (int, float)):
        if abs(value) > _LARGEST_NUMBER or not math.isfinite(value):
            raise ValueError("holds an invalid number, or one beyond 64 bits")
        return value
    if value is None:
        return value
    if depth == 0:
        raise ValueError("is nested too deeply")
    if isinstance(value, list):
        if not mend and set(map(type, value)) == {str}:
            # A thousand ids.
            return value
        return [_sound(each, depth - 1, mend=mend) for each in value]
    return {
        _sound(name, depth, mend=mend): each
        if isinstance(each, str) and not mend
        else _sound(each, depth - 1, mend=mend)
        for name, each in value.items()
    }
