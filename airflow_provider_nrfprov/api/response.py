"""An HTTP answer: read whole, and read as what it says of an error."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from airflow_provider_nrfprov.api.contract import wanted_roles
from airflow_provider_nrfprov.api.errors import (
    ConflictError,
    ForbiddenError,
    NotFoundError,
    Problem,
    RateLimitedError,
    ServiceError,
    UnauthorizedError,
    UnavailableError,
    UnreadableAnswerError,
)
from airflow_provider_nrfprov.api.redaction import redact

SHOWN_CHARACTERS = 2000
"""How much of an answer's text a message shows; the whole text is in ``ServiceError.text``."""

_HINTS = {
    401: (
        "The Provisioning API takes the team's API key of the legacy nRF Cloud app "
        "(User Account > Current Team Details); a User API key of the new app is answered 401. "
        "Set it as the password of the Airflow connection."
    ),
}
NO_SUCH_PATH = "Missing Authentication Token"
"""What an AWS API gateway says, with 403, of a path that it does not serve (inferred for this service)."""

_NO_SUCH_PATH_HINT = (
    "That is what the gateway says of a path that does not exist on this host: check the connection's "
    "base URL, or name the path in its extra 'endpoints'."
)

_BY_STATUS: dict[int, type[ServiceError]] = {
    401: UnauthorizedError,
    403: ForbiddenError,
    404: NotFoundError,
    409: ConflictError,
    429: RateLimitedError,
}


@dataclass(frozen=True, slots=True)
class Response:
    """An HTTP answer, read whole. ``text`` is redacted; ``body`` is what JSON is read from."""

    method: str
    url: str
    status: int
    headers: Mapping[str, str]
    text: str
    body: str = field(repr=False)

    def json(self) -> Any:
        """Parse the body.

        :raises UnreadableAnswerError: if it is not JSON (an HTML page, a truncated answer).
        """
        try:
            return json.loads(self.body)
        except ValueError:
            raise self.unreadable("is not JSON") from None

    @property
    def is_web_page(self) -> bool:
        """Whether it is HTML, which the service itself never sends."""
        return "text/html" in self.headers.get("Content-Type", "").lower() or self.body.lstrip().startswith(
            "<"
        )

    def problem(self) -> Problem:
        """Read the reason of an error from whichever of the known body shapes it has."""
        try:
            body = json.loads(self.body)
        except ValueError:
            return Problem(self.text)
        if not isinstance(body, dict):
            return Problem(self.text)
        code = body.get("code")
        for key in ("message", "detail", "title"):
            if isinstance(body.get(key), str):
                return Problem(redact(body[key]), code if isinstance(code, int) else None)
        return Problem(self.text, code if isinstance(code, int) else None)

    def says_no_such_path_exists(self) -> bool:
        """Whether an AWS API gateway says that it serves no such path (inferred for this service)."""
        return self.status == 403 and self.problem().message == NO_SUCH_PATH

    def unreadable(self, why: str) -> UnreadableAnswerError:
        """Build the exception that says that this answer cannot be read, and shows its start."""
        return UnreadableAnswerError(
            f"the answer {self.status} to {self.method} {self.url} {why}: {self.text[:200]!r}",
            status=self.status,
            text=self.text,
        )

    def error(self, operation: str) -> ServiceError:
        """Build the exception that this answer to an operation is, if its status is an error."""
        kind = UnavailableError if self.status >= 500 else _BY_STATUS.get(self.status, ServiceError)
        hint = self._hint(operation)
        shown = self.text[:SHOWN_CHARACTERS] or "(empty body)"
        message = f"{operation} was answered {self.status} ({self.method} {self.url}): {shown}"
        return kind(
            f"{message}\n{hint}" if hint else message,
            status=self.status,
            text=self.text,
            problem=self.problem(),
            retry_after=self.headers.get("Retry-After"),
        )

    def _hint(self, operation: str) -> str:
        if self.says_no_such_path_exists():
            return _NO_SUCH_PATH_HINT
        if self.status == 403 and (roles := wanted_roles(operation)):
            *others, last = roles
            return (
                f"{operation} wants the role {', '.join(others)} or {last} in the team that the API key belongs to "
                "(by the guides, which do not say it of each operation)."
            )
        return _HINTS.get(self.status, "")
