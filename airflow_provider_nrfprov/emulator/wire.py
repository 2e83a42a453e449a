"""A request as a handler sees it, and what it gives back. Reads bodies and queries; decides nothing."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from typing import Any

from airflow_provider_nrfprov.emulator.accounts import Caller
from airflow_provider_nrfprov.emulator.errors import Invalid, MalformedRequest, UnsupportedContentType
from airflow_provider_nrfprov.emulator.paging import PageRequest
from airflow_provider_nrfprov.emulator.service import Service

MAX_PAGE = 100


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer: a status and a JSON value, or a text of another kind, or nothing at all."""

    status: int
    body: Any = None
    text: str | None = None
    media_type: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict)
    operation_id: str = ""
    """Of the bulk operation that was started."""


@dataclass(frozen=True, kw_only=True)
class Incoming:
    """A request that nothing has been decided about yet."""

    method: str
    path: Mapping[str, str]
    query: Mapping[str, str]
    content_type: str | None
    raw_body: bytes = field(repr=False)
    base_url: str
    authorization: str | None = field(repr=False)
    target: str
    """The path and, if there is one, the query, as they came."""
    repeated: bool = False
    """Whether this is the second time that it is carried out, because of a ``Twice``."""
    list_lag_seconds: float = 0.0
    """How old what a list shows is because of a ``LaggingList``."""

    @property
    def is_csv(self) -> bool:
        """Whether the body counts as CSV.

        Nordic's own tool sends its CSV with no Content-Type at all, so then the first character
        that is not blank decides.
        """
        if self.content_type is None:
            return not self.raw_body.lstrip().startswith(b"{")
        return self.content_type == "text/csv"

    def json_object(self) -> dict[str, Any]:
        """Return the body, a JSON object.

        :raises UnsupportedContentType: if it says that it is something else.
        :raises MalformedRequest: if it is not JSON.
        :raises Invalid: if it is JSON but not an object.
        """
        if self.content_type not in {None, "application/json"}:
            raise UnsupportedContentType("Content-Type is application/json")
        try:
            body = json.loads(self.raw_body)
        except ValueError:  # UnicodeDecodeError is one; its text would quote the body
            raise MalformedRequest("the body is not JSON") from None
        if not isinstance(body, dict):
            raise Invalid("the body is a JSON object")
        return body

    def csv_text(self) -> str:
        """Return the body, a CSV text; raise ``UnsupportedContentType`` or ``MalformedRequest``."""
        if self.content_type not in {None, "text/csv"}:
            raise UnsupportedContentType("Content-Type is text/csv")
        try:
            return self.raw_body.decode("utf-8")
        except UnicodeDecodeError:
            raise MalformedRequest("the body is not UTF-8") from None

    def page_request(self) -> PageRequest:
        """Return which page the query asks for; raise ``Invalid``.

        The names of the parameters are those of nRF Cloud's other lists; inferred here.
        """
        limit, sort = self.query.get("pageLimit", "10"), self.query.get("pageSort", "asc")
        if not (limit.isascii() and limit.isdigit() and 1 <= int(limit) <= MAX_PAGE):
            raise Invalid(f"pageLimit is a number from 1 to {MAX_PAGE}")
        if sort not in {"asc", "desc"}:
            raise Invalid("pageSort is asc or desc")
        return PageRequest(int(limit), self.query.get("pageNextToken"), sort == "desc")

    def moment(self, name: str) -> datetime | None:
        """Return a time of the query (ISO-8601; UTC if it names no zone) or None; raise ``Invalid``."""
        text = self.query.get(name)
        if text is None:
            return None
        try:
            moment = datetime.fromisoformat(text.replace("Z", "+00:00"))
        except ValueError:
            raise Invalid(f"{name} is an ISO-8601 time") from None
        return moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc)


@dataclass(frozen=True, kw_only=True)
class Call(Incoming):
    """A request that is being carried out. The caller is None only if no API key is needed."""

    service: Service
    now: datetime
    caller: Caller | None

    def lists_as_of(self) -> datetime | None:
        """Return the time whose truth a list shows, or None for now."""
        lag = self.list_lag_seconds or self.service.settings.list_lag_seconds
        return self.now - timedelta(seconds=lag) if lag else None

    @property
    def team(self) -> str:
        """The team of the caller."""
        if self.caller is None:
            raise RuntimeError("an operation without an API key has no team")
        return self.caller.team


def text_field(body: Mapping[str, Any], name: str, default: str | None = None) -> str:
    """Return a field that is a string; raise ``Invalid``. Without a default it must be there."""
    value = body.get(name, default)
    if not isinstance(value, str):
        raise Invalid(f"{name} is a string" + (" and must be given" if value is None else ""))
    return value


def texts_field(body: Mapping[str, Any], name: str, default: list[str] | None = None) -> list[str]:
    """Return a field that is a list of strings; raise ``Invalid``. Without a default it must be there."""
    value = body.get(name, default)
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise Invalid(f"{name} is a list of strings" + (" and must be given" if value is None else ""))
    return value


def page_body(items: list[dict[str, Any]], next_token: str | None) -> dict[str, Any]:
    """Return the body of a list. ``total`` counts this page, as documented of nRF Cloud's lists."""
    body: dict[str, Any] = {"items": items, "total": len(items)}
    return body if next_token is None else {**body, "pageNextToken": next_token}
