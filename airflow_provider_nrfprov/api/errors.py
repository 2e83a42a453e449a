"""One tree of exceptions for everything that can go wrong between here and the service.

No exception carries an API key or a claim token: text of the service is redacted where it becomes
an exception (:func:`service_error`), and is otherwise shown unedited, with its status.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from airflow_provider_nrfprov.api.operations import Answer

SHOWN_CHARACTERS = 2000
"""How much of an answer's text a message shows; the whole text is in :attr:`ServiceError.text`."""

_HINTS = {
    401: (
        "The Provisioning API takes the team's API key of the legacy nRF Cloud app "
        "(User Account > Current Team Details); a User API key of the new app is answered 401. "
        "Set it as the password of the Airflow connection."
    ),
    403: (
        "Claiming, tagging, blocking and unclaiming want the role Editor, Admin or Owner in the team "
        "that the API key belongs to."
    ),
}
_NO_SUCH_PATH_HINT = (
    "That is what the gateway says of a path that does not exist on this host: check the connection's "
    "base URL, or name the path in its extra 'endpoints'."
)


class NrfProvError(Exception):
    """Base of everything this provider raises about the service."""


class ConfigurationError(NrfProvError):
    """The connection cannot be used as it is: no API key, a malformed URL, an unknown setting."""


class UnreachableError(NrfProvError):
    """No answer, or only a part of one.

    ``maybe_sent`` is False only if the request provably never reached the service (no connection
    could be made), so that even a claim may be repeated.
    """

    def __init__(self, message: str, *, maybe_sent: bool) -> None:
        super().__init__(message)
        self.maybe_sent = maybe_sent


class UnreadableAnswerError(NrfProvError):
    """The service said yes in a form that cannot be read; what it was asked to do may be done."""

    def __init__(self, message: str, *, status: int, text: str) -> None:
        super().__init__(message)
        self.status = status
        self.text = text


@dataclass(frozen=True, slots=True)
class Problem:
    """What the service said of an error, taken from whichever of the known body shapes it used."""

    message: str
    """``message``, else ``detail``, else ``title`` of the body, else its whole text."""
    code: int | None = None


class ServiceError(NrfProvError):
    """The service answered with an error status. ``problem.message`` is its own words."""

    def __init__(
        self, message: str, *, status: int, text: str, problem: Problem, retry_after: str | None
    ) -> None:
        super().__init__(message)
        self.status = status
        self.text = text
        self.problem = problem
        self.retry_after = retry_after
        """The ``Retry-After`` header as sent: seconds or an HTTP date."""


class UnauthorizedError(ServiceError):
    """401: no API key, a revoked one, or one of the wrong kind."""


class ForbiddenError(ServiceError):
    """403: the key's role is too low (or, from an API gateway, the path does not exist)."""


class NotFoundError(ServiceError):
    """404: the device, tag or operation is not there, or not ours."""


class ConflictError(ServiceError):
    """409: already so; for a claim: the device is claimed already (status inferred)."""


class RateLimitedError(ServiceError):
    """429: too many requests; nothing was done."""


class UnavailableError(ServiceError):
    """5xx: the service failed; whether it did what was asked is not known, but for 503."""


_BY_STATUS: dict[int, type[ServiceError]] = {
    401: UnauthorizedError,
    403: ForbiddenError,
    404: NotFoundError,
    409: ConflictError,
    429: RateLimitedError,
}


def service_error(operation: str, answer: Answer) -> ServiceError:
    """Build the exception for an answer with an error status."""
    if answer.status >= 500:
        kind: type[ServiceError] = UnavailableError
    else:
        kind = _BY_STATUS.get(answer.status, ServiceError)
    problem = answer.problem()
    hint = _NO_SUCH_PATH_HINT if answer.says_no_such_path_exists() else _HINTS.get(answer.status, "")
    shown = answer.text[:SHOWN_CHARACTERS] or "(empty body)"
    message = f"{operation} was answered {answer.status} ({answer.method} {answer.url}): {shown}"
    return kind(
        f"{message}\n{hint}" if hint else message,
        status=answer.status,
        text=answer.text,
        problem=problem,
        retry_after=answer.headers.get("Retry-After"),
    )
