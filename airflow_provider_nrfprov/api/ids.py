"""Checks that an id can be part of a request's path. Anything else could name another path: ``..``, or all devices."""

from __future__ import annotations

import re

_DEVICE_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.ASCII)
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:~-]{0,199}", re.ASCII)
_NO_TAG_ID = re.compile(r"[/\\\x00-\x1f\x7f]")


def checked_device_id(device_id: str) -> str:
    """Return the UUID of a device in lower case.

    :raises ValueError: if it is not one.
    """
    lower = device_id.lower() if isinstance(device_id, str) else ""
    if not _DEVICE_ID.fullmatch(lower):
        raise ValueError(
            f"{_shown(device_id)} is not a device UUID like 7b21b4bc-1cc9-41df-b05c-61b4605e5bb0; nothing was sent"
        )
    return lower


def checked_id(id_: str) -> str:
    """Return the id of a bulk operation or a provisioning command.

    :raises ValueError: if it is not one: empty, or with other characters than letters, digits and ``. _ : ~ -``.
    """
    if not isinstance(id_, str) or not _ID.fullmatch(id_):
        raise ValueError(f"{_shown(id_)} is not the id of a bulk operation or a command; nothing was sent")
    return id_


def checked_tag_id(tag_id: str) -> str:
    """Return the id of a tag; where the service has none, the tag's name is taken for it.

    :raises ValueError: if it is blank, dots alone, or holds a slash or a control character.
    """
    if not isinstance(tag_id, str) or not tag_id.strip(" .") or _NO_TAG_ID.search(tag_id):
        raise ValueError(f"{_shown(tag_id)} is not the id of a tag; nothing was sent")
    return tag_id


def _shown(id_: object) -> str:
    # Somebody may have taken a token for an id.
    from airflow_provider_nrfprov.api.redaction import redact

    return redact(repr(id_))[:100]
