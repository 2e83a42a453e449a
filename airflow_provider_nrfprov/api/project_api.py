"""The API of a project: how its requests are built and its answers read. Pure, no I/O; the facts are in ``project_contract``.

A job is known by its status URL, which the service chooses. It is kept as an id without a slash, so that it can be whatever the
id of a bulk operation can be: short where the URL lies below the path of bulk creations, else the URL's path, its characters
written as ``~2F``. Only the service's own hosts are ever asked.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any
from urllib.parse import unquote, urljoin, urlsplit

from airflow_provider_nrfprov.api import project_contract as contract
from airflow_provider_nrfprov.api.apis import check_key
from airflow_provider_nrfprov.api.claim_form import ClaimForm
from airflow_provider_nrfprov.api.contract import (
    CLAIMED_DEVICES_FILTERS,
    DEVICE_FILTERS,
    MAX_ROWS_PER_REQUEST,
    SUCCEEDED,
    Host,
    base_url,
)
from airflow_provider_nrfprov.api.error_summary import ErrorSummary
from airflow_provider_nrfprov.api.errors import (
    ConfigurationError,
    ForeignStatusUrlError,
    NotInThisApiError,
    UnknownJobError,
)
from airflow_provider_nrfprov.api.ids import checked_device_id
from airflow_provider_nrfprov.api.models import BulkClaim, BulkOpsRequest, ClaimedDevice, Page
from airflow_provider_nrfprov.api.operations import Operation, read_object
from airflow_provider_nrfprov.api.project_contract import JobWords
from airflow_provider_nrfprov.api.redaction import redact
from airflow_provider_nrfprov.api.response import Response

_log = logging.getLogger(__name__)

_SHORT_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,199}", re.ASCII)
_LONG_ID = re.compile(r"at((?:~2F|~68)(?:[A-Za-z0-9._-]|~[0-9A-F]{2})*)", re.ASCII)
_LONGEST_PATH = 1000
_LONGEST_STATUS = 100
_PLAIN = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-")
_NO_URL = re.compile(r"[^\x21-\x5b\x5d-\x7e]")


def project_urls(
    organization: str, project: str, host: str | None = None, devices_url: str | None = None
) -> dict[Host, str]:
    """Return the base URLs of a project: where devices are created, and where they are listed.

    ``host`` is Nordic's own by default. Where another is given (an emulator, a proxy), it is taken to serve both.

    :raises ConfigurationError: if one cannot be a URL, is that of the team's API, or organization or project is no slug.
    """
    for what, value in (("organization", organization), ("project", project)):
        if not isinstance(value, str) or not contract.SLUG.fullmatch(value):
            raise ConfigurationError(
                f"extra {what!r} is {value!r}; it must be a slug of lower-case letters, digits and hyphens, as in the addresses of the new app"
            )
    creating = base_url(host or contract.PROJECT_URL, contract.PROJECT_URL)
    name = urlsplit(creating).hostname or ""
    if name.startswith("api.provisioning."):
        raise ConfigurationError(
            f"the connection's base URL is that of the team's API; a project is on {contract.PROJECT_URL}: leave the field empty"
        )
    if devices_url is not None and not isinstance(devices_url, str):
        raise ConfigurationError(
            f"extra 'devices_url' is {devices_url!r}; it is a URL like {contract.DEVICES_URL}"
        )
    if not devices_url:
        is_nordics = name == urlsplit(contract.PROJECT_URL).hostname
        devices_url = contract.DEVICES_URL if is_nordics else re.sub(r"/v\d+$", "", creating)
    path = contract.PROJECT_PATH.format(organization=organization, project=project)
    listing = base_url(devices_url, contract.DEVICES_URL, "/api/v0", "extra 'devices_url'")
    return {Host.CLOUD: f"{creating}{path}", Host.DEVICES: f"{listing}{path}"}


def project_page(organization: str | None, project: str | None, host: str | None = None) -> str | None:
    """Return the page of a project in the new app; ``None`` if the service of a connection is not Nordic's own.

    :raises ConfigurationError: as :func:`project_urls`.
    """
    urls = project_urls(organization or "", project or "", host)
    is_nordics = urlsplit(urls[Host.CLOUD]).hostname == urlsplit(contract.PROJECT_URL).hostname
    path = contract.PROJECT_PATH.format(organization=organization, project=project)
    return f"{contract.APP_URL}{path}" if is_nordics else None


class ProjectApi:
    """The API of one project.

    :param urls: see :func:`project_urls`.
    :param words: the names of a job's statuses.
    """

    claim_form = ClaimForm.DEVICES
    list_is_proof = False
    conflicts_as_a_whole = True
    asks_job_by_job = True
    page_size = contract.PAGE_SIZE

    def __init__(self, urls: Mapping[Host, str], words: JobWords | None = None) -> None:
        self._urls = urls
        self._words = words or JobWords()
        self._told: set[str] = set()

    def check_key(self, api_key: str) -> None:
        """Check that a key is an organization token.

        :raises ConfigurationError: if not; nothing is sent then.
        """
        what = f"an organization token of the {contract.WHERE_A_PROJECTS_KEY_IS}"
        check_key(api_key, what)
        if not contract.ORGANIZATION_TOKEN.fullmatch(api_key):
            raise ConfigurationError(
                f"the API key is not of the form oat_…: a project takes {what}. A key of the legacy app belongs to the team's "
                "API (extra api 'team')"
            )

    def missing(self, operation: str) -> NotInThisApiError | None:
        """Return why there is no way for an operation, ``None`` if there is one."""
        if operation in contract.PROJECT_ENDPOINTS:
            return None
        missing = contract.NOT_IN_PROJECT.get(operation, operation)
        return NotInThisApiError(f"The API of projects has no public way for {missing}.")

    def hint(self, operation: str, status: int) -> str | None:
        """Return what to do about a refusal; an empty text for nothing to say."""
        if operation not in contract.PROJECT_ENDPOINTS:
            return ""
        if status == 404 and operation in contract.MAY_MEAN_THE_DEVICE:
            return ""
        return contract.PROJECT_HINTS.get(status, "")

    def bulk_claim(self, csv: str) -> Operation[BulkClaim]:
        """Create devices from a header and rows of a device and its token."""
        return Operation("CreateDevicesInBulk", self._read_accepted, csv=csv, repeatable=False)

    def fetch_bulk_ops_request(self, bulk_ops_request_id: str) -> Operation[BulkOpsRequest]:
        """Ask for the state of a bulk creation.

        :raises ValueError: if it is not the id of an accepted one.
        """

        def read(body: Any) -> BulkOpsRequest:
            return self._job(bulk_ops_request_id, body)

        if _SHORT_ID.fullmatch(bulk_ops_request_id):
            return Operation(
                "FetchBulkCreation", read_object(read), path_parts={"job_id": bulk_ops_request_id}
            )
        return Operation("FetchBulkCreation", read_object(read), url=self._status_url(bulk_ops_request_id))

    def list_claimed_devices(
        self,
        page_token: str | None = None,
        *,
        page_limit: int | None = None,
        filters: Mapping[str, str] | None = None,
    ) -> Operation[Page[ClaimedDevice]]:
        """List the devices of the project.

        :param page_token: the number of a page.
        :raises NotInThisApiError: for a filter by tag or status.
        """
        by_time = CLAIMED_DEVICES_FILTERS["claimed_after"]
        if filters and (missing := self.missing(DEVICE_FILTERS)) and filters.keys() - {by_time}:
            raise missing
        query: dict[str, str | int] = {
            contract.PAGE_PARAMETER: page_token or 1,
            contract.PAGE_SIZE_PARAMETER: page_limit or contract.PAGE_SIZE,
        }
        return Operation("ListDevices", _read_devices, query=query)

    def fetch_claimed_device(self, device_id: str) -> Operation[ClaimedDevice]:
        """Fetch one device of the project.

        :raises ValueError: if it can be no serial of one.
        """
        return Operation(
            "FetchDevice",
            read_object(lambda body: _device(body[contract.PAGE_DATA])),
            path_parts={"device_id": _checked_serial(device_id)},
        )

    def _read_accepted(self, answer: Response) -> BulkClaim:
        if answer.status != contract.ACCEPTED:
            raise answer.unreadable(
                f"is not {contract.ACCEPTED}, the only status that is known to mean that devices are created"
            )
        location = answer.headers.get(contract.STATUS_HEADER) or self._url_in(answer)
        if not location:
            raise _unknown_job(answer, "names no status URL")
        return BulkClaim(answer.status, bulk_ops_request_id=self._id_of(location, answer))

    def _url_in(self, answer: Response) -> str | None:
        body = answer.json()
        url = body.get(contract.STATUS_FIELD) if isinstance(body, dict) else None
        return url if isinstance(url, str) else None

    def _id_of(self, location: str, answer: Response) -> str:
        """Return the id of a job whose status URL this is.

        :raises ForeignStatusUrlError: if it is on no host of the service's own.
        """
        base = self._urls[Host.CLOUD]
        try:
            # Relative to the host, as Nordic's client takes it.
            parts = urlsplit(urljoin(f"{_origin(base)}/", location))
            origin = _origin(parts.geturl())
        except ValueError:
            raise _unknown_job(answer, "names a status URL that cannot be used") from None
        path = parts.path + (f"?{parts.query}" if parts.query else "")
        if _NO_URL.search(location) or len(path) > _LONGEST_PATH:
            raise _unknown_job(answer, "names a status URL that cannot be used")
        if contract.HOLDS_A_KEY.search(unquote(location)):
            # The id of a job is shown everywhere.
            raise _unknown_job(answer, "names a status URL that holds a key")
        if origin not in map(_origin, self._urls.values()):
            names = {urlsplit(url).hostname for url in self._urls.values()}
            # By its name alone, unless only scheme or port is another one.
            elsewhere = origin if parts.hostname in names else parts.hostname or "another address"
            raise ForeignStatusUrlError(
                f"the service accepted a bulk creation, but refers to {redact(elsewhere)[:100]} for its status, which is not a host of this "
                "connection: nothing is sent there, since it would get the key; what became of the rows is looked up among the devices",
                status=answer.status,
                text="",
            )
        below = f"{urlsplit(base).path}{contract.PROJECT_ENDPOINTS['CreateDevicesInBulk'][0].path}/"
        short = path.removeprefix(below)
        if origin == _origin(base) and short != path and _SHORT_ID.fullmatch(short):
            return short
        return "at" + _escaped(path if origin == _origin(base) else f"{origin}{path}")

    def _status_url(self, id_: str) -> str:
        long = _LONG_ID.fullmatch(id_)
        if long is None:
            raise ValueError(f"{redact(repr(id_))[:100]} is not the id of a bulk creation; nothing is sent")
        path = re.sub("~(..)", lambda found: chr(int(found[1], 16)), long[1])
        return path if not path.startswith("/") else f"{_origin(self._urls[Host.CLOUD])}{path}"

    def _job(self, id_: str, body: Any) -> BulkOpsRequest:
        status, words = body["status"], self._words
        if not isinstance(status, str) or not status:
            raise ValueError("is no status")
        ends = words.succeeded | words.failed
        shown = redact(status)[:_LONGEST_STATUS]
        if status not in ends | words.running and status not in self._told:
            self._told.add(status)
            _log.warning(
                "bulk creation %s is %r, which is not a known status: the wait goes on; if it is a final status, name it in the "
                "connection's extra 'job_statuses'",
                id_, shown,
            )  # fmt: skip
        return BulkOpsRequest(
            id_,
            SUCCEEDED if status in words.succeeded else shown,
            is_end=status in ends,
            errors=_errors(body.get(contract.ERROR_SUMMARY)),
        )


def _unknown_job(answer: Response, why: str) -> UnknownJobError:
    error = answer.unreadable(why)
    return UnknownJobError(str(error), status=error.status, text=error.text)


def _escaped(text: str) -> str:
    # A URL is ASCII; what is not was escaped by whoever wrote it, or is no URL.
    return "".join(
        each if each in _PLAIN and number else f"~{ord(each):02X}" for number, each in enumerate(text)
    )


def _origin(url: str) -> str:
    """Return scheme, host and port of a URL, as far as they tell one service from another."""
    parts = urlsplit(url)
    port = parts.port or {"https": 443, "http": 80}.get(parts.scheme)
    usual = {"https": 443, "http": 80}.get(parts.scheme) == port
    host = parts.hostname or ""
    host = f"[{host}]" if ":" in host else host
    return f"{parts.scheme}://{host}" + ("" if usual else f":{port}")


def _errors(summary: Any) -> ErrorSummary:
    """Read what a job says of rows that it refused; what is not understood is in ``others``."""
    if summary is None:
        return ErrorSummary(unnamed_are_done=False)
    listed = summary.get(contract.ERRORS, []) if isinstance(summary, dict) else [summary]
    devices: dict[str, str] = {}
    rows: dict[int, str] = {}
    others: list[str] = []
    for each in listed if isinstance(listed, list) else [listed]:
        entry = each if isinstance(each, dict) else {}
        device_id, row = _device_of(entry), _row_of(entry)
        if device_id is not None:
            devices[device_id] = _words_of(entry)
        elif row is not None:
            rows[row] = _words_of(entry)
        else:
            others.append(_as_text(each))
    named = bool(devices or rows) and not others
    return ErrorSummary(rows, tuple(others), devices, unnamed_are_done=named)


def _device_of(entry: Mapping[str, Any]) -> str | None:
    """Return the device that an error names; ``None`` for what can be none that was sent, whose row counts then."""
    device_id = entry.get(contract.DEVICE_ID)
    return device_id.lower() if isinstance(device_id, str) and _is_device_id(device_id) else None


def _row_of(entry: Mapping[str, Any]) -> int | None:
    """Return the row that an error names; ``None`` for one that no request has: nobody knows which is meant."""
    row = entry.get(contract.ROW)
    is_row = isinstance(row, int) and not isinstance(row, bool) and 0 <= row < MAX_ROWS_PER_REQUEST
    return row if is_row else None


def _words_of(entry: Mapping[str, Any]) -> str:
    """Return why a row was refused, and what else is said of it where that is not in its place."""
    placed = {contract.ERROR, contract.DEVICE_ID, contract.ROW}
    others = {name: value for name, value in entry.items() if name not in placed}
    return _as_text(entry.get(contract.ERROR) or others or "refused without a reason")


def _as_text(value: Any) -> str:
    return redact(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))


def _read_devices(answer: Response) -> Page[ClaimedDevice]:
    def build(body: Any) -> Page[ClaimedDevice]:
        paging = body[contract.PAGING]
        page, pages = int(paging[contract.PAGE_NUMBER]), int(paging[contract.PAGE_COUNT])
        listed = tuple(map(_device, body[contract.PAGE_DATA]))
        return Page(listed, str(page + 1) if page < pages and listed else None)

    return read_object(build)(answer)


def _device(body: Any) -> ClaimedDevice:
    others = {name: value for name, value in body.items() if name not in {contract.SERIAL, contract.CREATED}}
    serial = body[contract.SERIAL]
    device = ClaimedDevice.from_json({**others, "id": serial, "claimedAt": body.get(contract.CREATED)})
    # UUIDs are the same in either case; other devices of the project have serials in which it counts.
    return device if _is_device_id(device.id) else replace(device, id=serial)


def _is_device_id(text: str) -> bool:
    """Return whether a text is a UUID, as all devices have that are created from a token."""
    try:
        return bool(checked_device_id(text))
    except ValueError:
        return False


def _checked_serial(serial: str) -> str:
    if _is_device_id(serial):
        return checked_device_id(serial)
    # What looks like a part of a token is not sent where a device's name belongs.
    if not isinstance(serial, str) or not contract.SERIAL_FORM.fullmatch(serial) or redact(serial) != serial:
        raise ValueError(
            f"{redact(repr(serial))[:100]} is no device of a project: a UUID, or a serial of letters, digits, hyphens and "
            "underscores; nothing was sent"
        )
    return serial
