"""One tree of exceptions for everything that can go wrong between here and the service.

No exception carries an API key or a claim token: text of the service is redacted where it becomes
an exception (module ``response``), and is otherwise shown unedited, with its status.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


class NrfProvError(Exception):
    """Base of everything this provider raises about the service."""


class ConfigurationError(NrfProvError):
    """The connection cannot be used as it is: no API key, a malformed URL, an unknown setting."""


class NotInThisApiError(ConfigurationError):
    """The API that the connection speaks has no public way for what was asked; nothing was read or sent."""


class UnreachableError(NrfProvError):
    """No answer, or only a part of one.

    ``maybe_sent`` is False only if no byte of the request was written (no connection, a TLS handshake
    that failed), so that even a claim may be repeated.
    """

    def __init__(self, message: str, *, maybe_sent: bool) -> None:
        super().__init__(message)
        self.maybe_sent = maybe_sent


class UnreadableAnswerError(NrfProvError):
    """The service answered that it succeeded, in a form that cannot be read; what it was asked to do may be done."""

    def __init__(self, message: str, *, status: int, text: str) -> None:
        super().__init__(message)
        self.status = status
        self.text = text


class UnknownJobError(UnreadableAnswerError):
    """The service accepted a claim, and does not say where to ask what becomes of it; what it does is under way."""


class ForeignStatusUrlError(UnknownJobError):
    """The service accepted a claim and names another host to ask about it, which gets no key."""


class ClaimRefusedError(NrfProvError):
    """The job that was to claim one device has ended without it; the message has the service's words."""


class NotEndedError(NrfProvError):
    """The job that was to claim one device has not ended in time; it goes on."""


@dataclass(frozen=True, slots=True)
class Problem:
    """What the service said of an error, taken from the known body shape that it used."""

    message: str
    """``message``, else ``detail``, else ``title`` of the body, else its whole text."""
    code: int | None = None


LONGEST_WAIT = 3600.0
"""Seconds; no wait that a service asks for is longer, unless its connection says otherwise."""


class ServiceError(NrfProvError):
    """The service answered with an error status. ``problem.message`` is the service's message."""

    def __init__(
        self,
        message: str,
        *,
        status: int,
        text: str,
        problem: Problem,
        retry_after: str | None,
        longest_wait: float = LONGEST_WAIT,
        hint: str = "",
    ) -> None:
        super().__init__(message)
        self.status = status
        self.text = text
        self.problem = problem
        self.retry_after = retry_after
        """The ``Retry-After`` header, a date as seconds from the ``Date`` of the same response; what it means in seconds is read by ``retry.retry_after`` alone."""
        self.longest_wait = longest_wait
        """Seconds; a longer wait than this is cut off."""
        self.hint = hint
        """What to do about it, in our words; part of the message."""


class UnauthorizedError(ServiceError):
    """401: no API key, a revoked one, or one of the wrong kind."""


class ForbiddenError(ServiceError):
    """403: the key's role is too low (or, from an API gateway, the path does not exist)."""


class NotFoundError(ServiceError):
    """404: the device, tag or operation is not there, or not ours."""


class GoneError(ServiceError):
    """410: Nordic has switched this path off. Says nothing of a device, a tag or an operation."""


class ConflictError(ServiceError):
    """409: already so; for a claim: the device is claimed already (status inferred)."""


class RateLimitedError(ServiceError):
    """429: too many requests; nothing was done."""


class UnavailableError(ServiceError):
    """5xx: the service failed, or a gateway gave up on it; whether it did what was asked is unknown."""


class TagError(NrfProvError):
    """A tag cannot be renamed or deleted as asked: it is not there, a name is taken, or devices carry it."""


def as_data(error: NrfProvError) -> dict[str, Any]:
    """Describe an exception in JSON, for a process that raises it again: ``kind``, ``message`` and what decides."""
    data: dict[str, Any] = {"kind": type(error).__name__, "message": str(error)}
    if isinstance(error, ServiceError):
        return {
            **data,
            "status": error.status,
            "problem": error.problem.message,
            "code": error.problem.code,
            "retry_after": error.retry_after,
            "longest_wait": error.longest_wait,
        }
    return data


def from_data(data: Mapping[str, Any], prefix: str = "") -> NrfProvError:
    """Build the exception that :func:`as_data` described; where its kind is not known, an ``NrfProvError``.

    The whole text of the answer is gone; what the message shows of it is there.

    :param prefix: put before the message.
    """
    kind, message = _kinds().get(str(data.get("kind")), NrfProvError), f"{prefix}{data.get('message')}"
    match data:
        case {"status": int(status), "problem": str(problem), "code": code, "retry_after": retry_after} if (
            issubclass(kind, ServiceError)
        ):
            return kind(
                message,
                status=status,
                text="",
                problem=Problem(problem, code),
                retry_after=retry_after,
                longest_wait=data.get("longest_wait", LONGEST_WAIT),
            )
    if kind is UnreachableError:
        return UnreachableError(message, maybe_sent=True)
    if kind is UnreadableAnswerError:
        return UnreadableAnswerError(message, status=200, text="")
    return NrfProvError(message) if issubclass(kind, ServiceError) else kind(message)


def _kinds() -> dict[str, type[NrfProvError]]:
    direct = NrfProvError.__subclasses__()
    return {kind.__name__: kind for kind in (*direct, *ServiceError.__subclasses__())}
