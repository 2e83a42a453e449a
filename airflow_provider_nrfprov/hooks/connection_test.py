"""The *Test* of a connection: what it asks, and what it reports."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TypeGuard
from urllib.parse import urlsplit

from airflow_provider_nrfprov.api import operations
from airflow_provider_nrfprov.api.client import ProvisioningClient
from airflow_provider_nrfprov.api.contract import CHANGING_ROLES, NO_SUCH_PATH, Host
from airflow_provider_nrfprov.api.errors import (
    ForbiddenError,
    NotFoundError,
    NrfProvError,
    ServiceError,
    UnauthorizedError,
    UnavailableError,
    UnreachableError,
    UnreadableAnswerError,
)

_NO_TOKEN = "not a claim token"  # noqa: S105 - just what it says
"""Sent in a dry run. Were it no dry run, this could claim nothing either."""

_NO_JOB = "connection-test"

_SHOWN_CHARACTERS = 80
_NOT_FOUND = 404


def try_out(client: ProvisioningClient, urls: Mapping[Host, str]) -> tuple[bool, str]:
    """Ask for one claimed device and one bulk operation, and whether the key's role may claim; of a project, for a device and a job.

    The last is asked with a dry run of a text that is not a claim token: 403 is taken to mean that the role is too low,
    any other answer that it is not (inferred: that the service looks at the role before it looks at the token).

    :param urls: where the client asks, to be named in the sentence.
    :return: whether all is well, and a sentence for the person who asked.
    """
    if Host.DEVICES in urls:
        return _try_out_project(client, urls)
    try:
        client.send(operations.list_claimed_devices(page_limit=1))
    except NrfProvError as error:
        return False, in_words(error, urls[Host.PROVISIONING])
    try:
        client.send(operations.list_bulk_ops_requests(page_limit=1))
    except NrfProvError as error:
        words = in_words(error, urls[Host.CLOUD])
        return False, f"Claimed devices can be listed, but bulk operations cannot. {words}"
    listed = "The Provisioning Service answered: claimed devices and bulk operations can be listed"
    try:
        client.send(operations.dry_run_claim(_NO_TOKEN))
    except ForbiddenError as error:
        if _is_no_such_path(error):
            return False, f"{listed}, but there is no path to claim. {error}"
        *others, last = CHANGING_ROLES
        return False, (
            "The API key can list devices, but its role is too low to claim them (403): that requires the role "
            f"{', '.join(others)} or {last} in the team. The service says: {error.problem.message}"
        )
    except NrfProvError:
        return True, f"{listed}. Whether the key's role may claim could not be determined."
    return True, f"{listed}, and the service does not refuse a claim because of the key's role."


def _try_out_project(client: ProvisioningClient, urls: Mapping[Host, str]) -> tuple[bool, str]:
    """Ask for one device, and on the host that creates them for a job that nobody has started: it is answered, whatever it says."""
    try:
        client.send(client.api.list_claimed_devices(page_limit=1))
    except (NotFoundError, ForbiddenError) as error:
        return False, f"{urls[Host.DEVICES]} cannot be listed ({error.status}). {error.hint}"
    except NrfProvError as error:
        return False, in_words(error, urls[Host.DEVICES])
    listed = "The project answered: its devices can be listed"
    try:
        client.send(client.api.fetch_bulk_ops_request(_NO_JOB))
    except (UnauthorizedError, ForbiddenError, UnreachableError) as error:
        # Where a job is asked about is inferred: that nothing is there says nothing of where devices are created.
        if not _is_no_such_path(error):
            return False, f"{listed}, but devices cannot be created. {in_words(error, urls[Host.CLOUD])}"
    except NrfProvError:
        pass
    return (
        True,
        f"{listed}. Whether the token may create devices shows only when it does: there is no public way to ask without creating one.",
    )


def in_words(error: NrfProvError, url: str) -> str:
    """Return an error as a sentence: what is wrong and what to look at, then the service's own words."""
    if isinstance(error, UnreachableError):
        return f"{url} did not answer: {_cause(error)}. {_advice(str(error), url)}"
    if isinstance(error, UnauthorizedError):
        return (
            f"The service refused the API key (401). {error.hint} The service says: {error.problem.message}"
        )
    if isinstance(error, UnavailableError):
        return f"The service was reached, but it failed ({error.status}): try again later. ({error})"
    if isinstance(error, UnreadableAnswerError) or (
        isinstance(error, ServiceError) and (error.status == _NOT_FOUND or _is_no_such_path(error))
    ):
        return (
            f"{url} answers, but not as nRF Cloud does ({error.status}): check the base URL. "
            f"The answer begins: {error.text[:_SHOWN_CHARACTERS]!r}"
        )
    return str(error)


def _is_no_such_path(error: NrfProvError) -> TypeGuard[ForbiddenError]:
    return isinstance(error, ForbiddenError) and error.problem.message == NO_SUCH_PATH


_NO_TLS = re.compile("WRONG_VERSION_NUMBER|RECORD_LAYER_FAILURE|UNEXPECTED_MESSAGE|HTTP_REQUEST")
_ADVICE = (
    (
        _NO_TLS,
        "It does not speak https: begin the base URL with http:// (for an emulator; Nordic's own service has https).",
    ),
    (
        re.compile("CERTIFICATE_VERIFY_FAILED"),
        "Name the file of the CA that its certificate is from in the extra field CA bundle.",
    ),
    (
        re.compile("Failed to resolve|Name or service not known|getaddrinfo"),
        "There is no host of that name: check the spelling of the base URL.",
    ),
)


def _advice(reason: str, url: str) -> str:
    """Return the one thing to do about a service that could not be reached."""
    parts = urlsplit(url)
    for words, advice in _ADVICE:
        if words.search(reason):
            return advice
    if "refused" in reason and parts.port is None:
        usual = {"http": 80, "https": 443}[parts.scheme]
        return f"Nothing listens on port {usual}, the default: set the field Port to that of the service."
    if "refused" in reason:
        return f"Nothing listens on port {parts.port}: check the field Port, and that the service is running."
    if "Connection aborted" in reason and parts.scheme == "http":
        return "If it has https, begin the base URL with https://."
    return "Check the base URL and the port, and that Airflow's web server may reach it."


def _cause(error: UnreachableError) -> str:
    """Return the innermost reason of what requests says, without the pool that it happened in."""
    text = str(error)
    if tls := re.search(r"\[SSL: \w+\] ([^(']*\w)", text):
        return tls[1]
    if aborted := re.search(r"'Connection aborted\.', \w+\((?:\d+, )?[\"']([^\"']*)", text):
        return aborted[1].rstrip(".")
    # What it happened in ends with ")", before urllib3 2.6 with ">".
    return re.sub(r"[\"']\)+$", "", re.sub(r"^.*[)>]: ", "", text, flags=re.DOTALL))
