"""Which devices an operator over many devices is about, from what a user wrote."""

from __future__ import annotations

import uuid
from collections.abc import Sequence

from airflow_provider_nrfprov.claiming.report import Outcome, read_device_ids
from airflow_provider_nrfprov.claiming.storage import lines
from airflow_provider_nrfprov.paths import to_path
from airflow_provider_nrfprov.rendered import listed


def select_devices(device_ids: Sequence[str] | str | None, report: str | None) -> list[str]:
    """Give the UUIDs of the devices, each once, lower case.

    :param device_ids: a list of UUIDs, or the text of one, which is what a rendered template gives.
    :param report: path of a bulk claim's ``report.csv``: its rows that are ours.
    :raises ValueError: if both or none is given, or something is no device UUID.
    """
    if (device_ids is None) == (report is None):
        raise ValueError("give either device_ids or report: the devices have to be named one way")
    if report is not None:
        with to_path(report).open("r", encoding="utf-8", newline="") as stream:
            ours = read_device_ids(lines(stream), (Outcome.CLAIMED, Outcome.ALREADY_CLAIMED))
            return list(dict.fromkeys(ours))
    return list(dict.fromkeys(_uuid(text) for text in listed(device_ids)))


def _uuid(text: str) -> str:
    try:
        return str(uuid.UUID(text))
    except (ValueError, AttributeError, TypeError):
        raise ValueError(f"{text!r} is no device UUID, like 4961c873-408c-45ce-b1ba-7c0d99d88179") from None
