"""The files that an answer links to: which may be fetched, and what of their addresses may be shown.

The address of an error summary or of uploaded rows may be signed: whoever reads it in a log can fetch every claim token.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, urljoin, urlsplit

from airflow_provider_nrfprov.api.errors import UnreadableAnswerError

_SHORTEST_SECRET = 8


@dataclass(frozen=True, slots=True)
class DownloadSource:
    """An address that may be asked. Only ``host`` may be shown."""

    url: str = field(repr=False)
    host: str

    @classmethod
    def of(cls, url: str, own_urls: Iterable[str]) -> DownloadSource:
        """Return the source that a URL names.

        :param own_urls: base URLs of the connection; what is on one of these hosts need not be https.
        :raises UnreadableAnswerError: if it cannot be a URL, or nothing is fetched from there.
        """
        try:
            parts = urlsplit(url)
            host, place = parts.hostname or "", _place(url)
            is_own = place in {_place(own) for own in own_urls}
        except ValueError:
            raise _refused("an address that is not a URL") from None
        shown = host.encode("ascii", "replace").decode()[:100]
        if (
            not host
            or any(character.isspace() for character in url)
            or not url.isprintable()
            or "@" in parts.netloc
        ):
            raise _refused("an address that is not a URL")
        if parts.scheme != "https" and not is_own:
            raise _refused(f"an address on {shown} that is not https")
        return cls(url, shown)

    @property
    def secrets(self) -> tuple[str, ...]:
        """What of the address would let others in: the values of its query, as they are and decoded."""
        query = urlsplit(self.url).query
        written = (part.partition("=")[2] for part in query.split("&"))
        decoded = (value for _, value in parse_qsl(query))
        return tuple({value for value in (*written, *decoded) if len(value) >= _SHORTEST_SECRET})

    def join(self, location: str) -> str:
        """Return where a redirect leads."""
        try:
            return urljoin(self.url, location)
        except ValueError:
            raise _refused("a redirect that is not a URL") from None

    def without_address(self, text: str) -> str:
        """Return a text without path and query."""
        parts = urlsplit(self.url)
        for piece in (self.url, f"{parts.path}?{parts.query}", parts.query):
            if len(piece) > 1:
                text = text.replace(piece, "…")
        return text


def require_own(url: str, own_urls: Iterable[str]) -> None:
    """Check that a URL is on one of the connection's own hosts, by the same scheme and port.

    :raises ValueError: if it is not, or is none.
    """
    if _place(url) not in {_place(own) for own in own_urls}:
        raise ValueError(f"{urlsplit(url).hostname} is not a host of this connection; nothing is sent to it")


def _place(url: str) -> tuple[str, str | None, int | None]:
    parts = urlsplit(url)
    return parts.scheme, parts.hostname, parts.port or {"http": 80, "https": 443}.get(parts.scheme)


def _refused(what: str) -> UnreadableAnswerError:
    return UnreadableAnswerError(
        f"the service points to {what}; nothing is fetched from there", status=200, text=""
    )
