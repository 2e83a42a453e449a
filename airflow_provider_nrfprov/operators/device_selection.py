"""Which devices an operator over many devices is about, from what a user wrote."""

from __future__ import annotations

import csv
import logging
import uuid
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from airflow_provider_nrfprov.arguments import ArgumentError, shown
from airflow_provider_nrfprov.counted import counted
from airflow_provider_nrfprov.files.paths import to_path
from airflow_provider_nrfprov.files.storage import lines

if TYPE_CHECKING:
    from airflow_provider_nrfprov.api.service import ProvisioningService

_log = logging.getLogger(__name__)
_UUID_BYTES = 16


class Selection(Collection[str]):
    """UUIDs of devices, each once, in their order and in lower case; 16 bytes each.

    :param device_ids: in any form of a UUID.
    :raises ValueError: if something is no UUID.
    """

    def __init__(self, device_ids: Iterable[str]) -> None:
        seen: set[bytes] = set()
        packed = bytearray()
        for text in device_ids:
            device_id = _uuid(text).bytes
            if device_id not in seen:
                seen.add(device_id)
                packed += device_id
        self._packed = bytes(packed)

    def __len__(self) -> int:
        return len(self._packed) // _UUID_BYTES

    def __iter__(self) -> Iterator[str]:
        for start in range(0, len(self._packed), _UUID_BYTES):
            yield str(uuid.UUID(bytes=self._packed[start : start + _UUID_BYTES]))

    def __contains__(self, device_id: object) -> bool:
        return any(each == device_id for each in self)


def select_devices(way: str, value: Any) -> Selection:
    """Select devices that are named one by one.

    :param way: ``report``, of which those are meant that are ours; ``device_file``; or ``device_ids``.
    :param value: path of a ``report.csv``, or of a text file with one UUID a line; or UUIDs.
    :raises ValueError: if something is not a device UUID.
    """
    if way == "report":
        selection = _of_report(value)
    elif way == "device_file":
        with to_path(value).open("r", encoding="utf-8-sig", errors="replace") as stream:
            selection = Selection(_of_file(lines(stream), value))
    else:
        selection = Selection(value)
    if not selection:
        _log.warning("%s names no device: there is nothing to do", way)
    return selection


def select_tagged(service: ProvisioningService, tag: str) -> Selection:
    """Select all claimed devices that have a tag, as the list shows them now.

    The whole list is read before anything is done to its devices: what is done may change it.

    :raises NrfProvError: if the service cannot be asked.
    """
    selection = Selection(device.id for device in service.list_claimed_devices(tag=tag))
    _log.info("%s the tag %r", counted(len(selection), "claimed device has", "claimed devices have"), tag)
    return selection


def only_way(ways: Mapping[str, Any]) -> tuple[str, Any]:
    """Return the one way in which devices are named, and what it names them by.

    :raises ArgumentError: if they are named in no way, or in several.
    """
    given = {name: value for name, value in ways.items() if value is not None}
    if len(given) != 1:
        *others, last = ways
        raise ArgumentError(
            f"give exactly one of {', '.join(others)} or {last} to name the devices"
            f" (given: {', '.join(given) or 'none'})"
        )
    return next(iter(given.items()))


def _of_report(path: str) -> Selection:
    from airflow_provider_nrfprov.claiming.report import Outcome, read_device_ids
    from airflow_provider_nrfprov.fleet.engine import DeviceOutcome

    ours = (Outcome.CLAIMED, Outcome.ALREADY_CLAIMED, DeviceOutcome.DONE, DeviceOutcome.UNCHANGED)
    try:
        with to_path(path).open("r", encoding="utf-8-sig", errors="replace", newline="") as stream:
            return Selection(_checked(read_device_ids(lines(stream), ours)))
    except (ValueError, csv.Error) as error:
        raise ValueError(f"{path}, given as report: {error}") from None


def _of_file(text: Iterable[str], path: str) -> Iterator[str]:
    try:
        yield from _checked(
            (number, line.strip()) for number, line in enumerate(text, start=1) if line.strip()
        )
    except ValueError as error:
        raise ValueError(f"{path}, {error}") from None


def _checked(device_ids: Iterable[tuple[int, str]]) -> Iterator[str]:
    for line, device_id in device_ids:
        try:
            _uuid(device_id)
        except ValueError as error:
            raise ValueError(f"line {line}: {error}") from None
        yield device_id


def _uuid(text: str) -> uuid.UUID:
    try:
        return uuid.UUID(text)
    except (ValueError, AttributeError, TypeError):
        words = shown(text)
        advice = ""
        if "<claim token>" in words:
            advice = "; this looks like a claim file, which is for a bulk claim"
        elif "\N{REPLACEMENT CHARACTER}" in words:
            advice = "; if it comes from a file, save that as UTF-8"
        raise ValueError(
            f"{words} is not a device UUID like 4961c873-408c-45ce-b1ba-7c0d99d88179{advice}"
        ) from None
