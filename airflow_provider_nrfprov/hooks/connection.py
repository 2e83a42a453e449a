"""From an Airflow connection to a client of the service."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, fields, replace
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow_provider_nrfprov.api.access import Access
from airflow_provider_nrfprov.api.client import CONNECT_TIMEOUT, READ_TIMEOUT, ProvisioningClient
from airflow_provider_nrfprov.api.contract import (
    DEFAULT_BASE_URL,
    BulkContract,
    base_urls,
    claimed_devices_page,
    endpoints,
    overridden,
)
from airflow_provider_nrfprov.api.errors import LONGEST_WAIT, ConfigurationError
from airflow_provider_nrfprov.api.project_api import ProjectApi, project_page, project_urls
from airflow_provider_nrfprov.api.project_contract import PROJECT_ENDPOINTS, PROJECT_URL, JobWords
from airflow_provider_nrfprov.api.retry import Retry
from airflow_provider_nrfprov.hooks.metrics import count_requests

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Connection


def client_from(
    connection: Connection, retry: Retry | None = None, reread: Callable[[], Connection] | None = None
) -> ProvisioningClient:
    """Build the client that a connection describes.

    ``password`` is the API key, ``host`` the base URL (default: Nordic's). Extra, all optional:
    ``cloud_url``, ``bulk_contract`` (``auto``, ``async``, ``sync``), ``connect_timeout`` and
    ``read_timeout`` (seconds), ``retry_deadline`` (seconds, 0 for one attempt), ``longest_wait`` (seconds, 3600),
    ``verify`` (path of a bundle of CA certificates), ``endpoints`` (operation name to ``"METHOD /path"``). ``api`` is ``team``
    or ``project`` (experimental), which has ``organization`` and ``project``, ``devices_url`` and ``job_statuses`` in place of
    ``cloud_url`` and ``bulk_contract``.

    :param retry: how long an operation is tried that may be sent again, instead of what the connection says.
    :param reread: returns the connection as it is by now; called once after each 401 or 403. If key, address, paths or
        CA bundle differ, the client goes on with those.
    :raises ConfigurationError: naming the connection and the field that is wrong.
    """
    count_requests()
    with _naming(connection):
        extra = _extra(connection.extra)
        return ProvisioningClient(
            access_of(connection),
            connect_timeout=_seconds(extra, "connect_timeout", CONNECT_TIMEOUT),
            read_timeout=_seconds(extra, "read_timeout", READ_TIMEOUT),
            retry=retry or Retry(deadline=_seconds(extra, "retry_deadline", Retry().deadline, least=0.0)),
            longest_wait=_seconds(extra, "longest_wait", LONGEST_WAIT),
            renew=None if reread is None else lambda: access_of(reread()),
        )


def access_of(connection: Connection) -> Access:
    """Return how the service is reached: all of a connection that may change while a client is used.

    :raises ConfigurationError: naming the connection and the field that is wrong.
    """
    with _naming(connection):
        extra = _extra(connection.extra)
        return _of_project(connection, extra) if _is_project(extra) else _of_team(connection, extra)


def _of_team(connection: Connection, extra: Mapping[str, Any]) -> Access:
    for name in ("organization", "project", "devices_url", "job_statuses"):
        if extra.get(name):
            raise ConfigurationError(
                f"extra {name!r} belongs to a project: set extra 'api' to 'project' as well"
            )
    return Access(
        connection.password,
        urls=base_urls(_host(connection), extra.get("cloud_url")),
        endpoint_candidates=endpoints(_bulk_contract(extra), _object(extra, "endpoints")),
        verify=_verify(extra),
    )


def _of_project(connection: Connection, extra: Mapping[str, Any]) -> Access:
    if extra.get("cloud_url") or _bulk_contract(extra) is not BulkContract.AUTO:
        raise ConfigurationError(
            "extra 'cloud_url' and 'bulk_contract' belong to the team's API, and extra 'api' is 'project'"
        )
    organization, project = extra.get("organization") or "", extra.get("project") or ""
    urls = project_urls(organization, project, _host(connection, PROJECT_URL), extra.get("devices_url"))
    return Access(
        connection.password,
        urls=urls,
        endpoint_candidates=overridden(PROJECT_ENDPOINTS, _object(extra, "endpoints")),
        verify=_verify(extra),
        api=ProjectApi(urls, _job_words(extra)),
    )


def _is_project(extra: Mapping[str, Any]) -> bool:
    name = extra.get("api") or "team"
    if name not in ("team", "project"):
        raise ConfigurationError(f"extra 'api' is {name!r}; it can be team or project")
    return bool(name == "project")


def _job_words(extra: Mapping[str, Any]) -> JobWords:
    given = _object(extra, "job_statuses")
    kinds = [each.name for each in fields(JobWords)]
    for kind, words in given.items():
        if (
            kind not in kinds
            or not isinstance(words, list)
            or not all(isinstance(each, str) and each.strip() for each in words)
        ):
            raise ConfigurationError(
                f"extra 'job_statuses' gives {kind!r} as {words!r}; it must hold lists of words, by {', '.join(sorted(kinds))}"
            )
    job_words = replace(JobWords(), **{kind: frozenset(words) for kind, words in given.items()})
    for one, other in combinations(kinds, 2):
        if both := getattr(job_words, one) & getattr(job_words, other):
            raise ConfigurationError(
                f"extra 'job_statuses' has {min(both)!r} as {one} and as {other}; a list that is not given has its usual words"
            )
    return job_words


@contextmanager
def _naming(connection: Connection) -> Iterator[None]:
    """Let an error say in which connection it is, once."""
    name = f"Airflow connection {connection.conn_id!r}: "
    try:
        yield
    except ConfigurationError as error:
        raise ConfigurationError(f"{name}{str(error).removeprefix(name)}") from None


def portal_page_of(connection: Connection) -> str | None:
    """Return the page of claimed devices in the portal of the service that a connection leads to.

    Extra ``portal_url`` is that page's address; without it the address of Nordic's own (inferred) is given, for a project that of
    the project, and ``None`` for any other host: an emulator has no portal.

    :raises ConfigurationError: if the base URL or ``portal_url`` cannot be one.
    """
    extra = _extra(connection.extra)
    url = extra.get("portal_url")
    if not url:
        return (
            _page_of_project(connection, extra)
            if _is_project(extra)
            else claimed_devices_page(_host(connection))
        )
    if not isinstance(url, str) or not re.match(r"https?://[^\s/@]+(/\S*)?$", url):
        # It becomes a link that people click on.
        raise ConfigurationError("extra 'portal_url' is not a URL that begins with https:// or http://")
    return url


def device_page_of(connection: Connection) -> str | None:
    """Return the address of a device's page in the portal, with ``{device_id}`` in it; ``None`` where it is not known.

    Extra ``device_url`` is it; without it, that of Nordic's own is given for a project (inferred).

    :raises ConfigurationError: if the base URL or ``device_url`` cannot be one.
    """
    extra = _extra(connection.extra)
    url = extra.get("device_url")
    if url:
        if not isinstance(url, str) or not re.match(r"https?://[^\s/@{]+/\S*\{device_id\}", url):
            raise ConfigurationError(
                "extra 'device_url' is not a URL that begins with https:// or http:// and has {device_id} in its path"
            )
        return url
    page = _page_of_project(connection, extra) if _is_project(extra) else None
    return f"{page}/devices/{{device_id}}" if page else None


def _page_of_project(connection: Connection, extra: Mapping[str, Any]) -> str | None:
    return project_page(extra.get("organization"), extra.get("project"), _host(connection, PROJECT_URL))


@dataclass(frozen=True, slots=True)
class Inbox:
    """Where claim files go that people send from their browser, and the DAGs that claim them."""

    folder: str
    dags: tuple[str, ...]


def inbox_of(connection: Connection) -> Inbox | None:
    """Return what extra ``inbox``, a folder, and ``inbox_dags``, a list of DAG ids, say; ``None`` if a connection lacks one of them.

    :raises ConfigurationError: naming the connection and the field that is wrong.
    """
    with _naming(connection):
        extra = _extra(connection.extra)
        folder, dags = extra.get("inbox"), extra.get("inbox_dags")
        if connection.conn_type != "nrfprov" or not folder or not dags:
            return None
        dags = [each.strip() for each in dags.split(",")] if isinstance(dags, str) else dags
        if (
            not isinstance(folder, str)
            or not isinstance(dags, list)
            or not all(isinstance(each, str) for each in dags)
        ):
            raise ConfigurationError(
                "extra 'inbox' is the path of a folder, and 'inbox_dags' a list of DAG ids"
            )
        return Inbox(folder, tuple(dags))


def _host(connection: Connection, default: str = DEFAULT_BASE_URL) -> str | None:
    host: str | None = connection.host
    if connection.port:
        host = _with_port(host or default, connection.port)
    if host and "://" not in host and connection.schema in {"http", "https"}:
        host = f"{connection.schema}://{host}"
    return host


def _with_port(url: str, port: int) -> str:
    """Put the port behind the host's name, unless it is there."""
    scheme, separator, rest = url.rpartition("://")
    name, slash, path = rest.partition("/")
    said = re.search(r":(\d+)$", name)
    if said and int(said[1]) != port:
        raise ConfigurationError(f"the base URL has port {said[1]}, but the field Port has {port}")
    return url if said else f"{scheme}{separator}{name}:{port}{slash}{path}"


def _extra(text: str | None) -> Mapping[str, Any]:
    # Not extra_dejson: in a trigger it can dead-lock the whole triggerer (apache/airflow#65286).
    if not text:
        return {}
    try:
        extra = json.loads(text)
    except ValueError:
        raise ConfigurationError("extra is not JSON") from None
    if not isinstance(extra, dict):
        raise ConfigurationError("extra is not a JSON object")
    return extra


def _bulk_contract(extra: Mapping[str, Any]) -> BulkContract:
    text = extra.get("bulk_contract") or BulkContract.AUTO.value
    try:
        return BulkContract(text)
    except ValueError:
        known = ", ".join(contract.value for contract in BulkContract)
        raise ConfigurationError(f"extra 'bulk_contract' is {text!r}; it must be one of {known}") from None


def _object(extra: Mapping[str, Any], name: str) -> Mapping[str, str]:
    value = extra.get(name) or {}
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except ValueError:
            value = None
    if not isinstance(value, dict):
        raise ConfigurationError(f"extra {name!r} is not a JSON object")
    return value


def _verify(extra: Mapping[str, Any]) -> str | None:
    path = extra.get("verify")
    if path is None or path is True:
        return None
    if not isinstance(path, str) or not path.strip() or path.strip().lower() in {"false", "no", "off", "0"}:
        raise ConfigurationError(
            f"extra 'verify' is {path!r}; it must be the path of a bundle of CA certificates (PEM), and certificates are always "
            "verified: for a proxy or a test server of your own, name its CA here"
        )
    if path.lower() == "true":
        return None
    if not Path(path).exists():
        raise ConfigurationError(f"extra 'verify' is {path!r}: there is no such file on this machine")
    return path


def _seconds(extra: Mapping[str, Any], name: str, default: float, least: float = 0.001) -> float:
    value = extra.get(name)
    if value is None or value == "":
        return default
    try:
        seconds = float(value)
    except (TypeError, ValueError):
        seconds = -1.0
    if not least <= seconds < float("inf"):
        raise ConfigurationError(
            f"extra {name!r} is {value!r}; it must be a number of seconds, {least} or more"
        )
    return seconds
