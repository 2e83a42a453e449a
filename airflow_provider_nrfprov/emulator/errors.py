"""Why the service refuses something. Knows no HTTP: a numeric code, as nRF Cloud's, and words."""

from __future__ import annotations

from collections.abc import Sequence


class ServiceError(Exception):
    """A refusal. ``code`` is a five-digit nRF code; its first three digits are the HTTP status.

    The codes of api.nrfcloud.com are documented; that the provisioning service uses the same
    ones, and the codes 40300, 40900 and 41500, are choices of the emulator. ``causes`` are what is wrong with single
    rows (the new API).
    """

    code = 40000

    def __init__(self, message: str, causes: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.message, self.causes = message, causes


class BadRequest(ServiceError):
    """The body cannot be read, perhaps because of single rows."""


class Unauthenticated(ServiceError):
    """No API key, or one that is not known (any more)."""

    code = 40100


class Forbidden(ServiceError):
    """A known API key whose role does not allow the operation."""

    code = 40300


class NotFound(ServiceError):
    """No such thing, or not one of this team."""

    code = 40410


class Conflict(ServiceError):
    """It conflicts with what is there: claimed already, a name that is taken."""

    code = 40900


class UnsupportedContentType(ServiceError):
    """The body is of a kind that the operation does not take."""

    code = 41500


class Gone(ServiceError):
    """What was served here was switched off."""

    code = 41000


class BodyTooLarge(ServiceError):
    """The body has more bytes than are taken."""

    code = 41300


class Unprocessable(ServiceError):
    """One row makes the service refuse the whole body, with the status that the settings say."""

    def __init__(self, status: int) -> None:
        super().__init__("the request cannot be processed")
        self.code = status * 100


class Invalid(ServiceError):
    """The body can be read, but what it says is not allowed."""

    code = 42200
