"""Whether the report says what must have happened, and whether the service says the same.

Compared row for row, with what the demo knows of its claim file and with the emulator's own list of devices.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from demo.claim_file import Expected

_OURS = {"claimed", "already_claimed"}


def differences(
    expected: Sequence[Expected],
    report: Sequence[Mapping[str, str]],
    devices: Iterable[Mapping[str, Any]],
    team: str,
) -> list[str]:
    """Return what does not agree, a sentence each; nothing if everything does.

    :param expected: what must become of each row.
    :param report: the rows of ``report.csv``.
    :param devices: the items of the emulator's ``/emulator/devices``.
    :param team: the id of our team there.
    """
    ours = {device["id"]: device for device in devices if device["team"] == team}
    return [
        *_in_the_report(expected, report),
        *_in_the_service(expected, report, ours),
        *_in_the_service_only(report, ours),
    ]


def _in_the_report(expected: Sequence[Expected], report: Sequence[Mapping[str, str]]) -> Iterator[str]:
    reported: dict[int, Mapping[str, str]] = {}
    lines = {row.line for row in expected}
    for row in report:
        line = int(row["line"])
        if line in reported:
            yield f"line {line} is in the report twice"
        elif line not in lines:
            yield f"line {line} is in the report, but it is no row of the claim file"
        reported[line] = row
    for want in expected:
        row_found = reported.get(want.line)
        if row_found is None:
            yield f"line {want.line} ({want.why}) is not in the report"
        else:
            yield from _of_one_row(want, row_found)


def _of_one_row(want: Expected, found: Mapping[str, str]) -> Iterator[str]:
    name = f"line {want.line} ({want.why})"
    if found["outcome"] != want.outcome:
        message = found["message"] or found["status"]
        yield f"{name} is reported as {found['outcome']} instead of {want.outcome}: {message}"
    elif want.status and found["status"] != want.status:
        yield f"{name} is {want.outcome} for {found['status']} instead of {want.status}"
    if want.device_id and found["device_id"] != want.device_id:
        yield f"{name} is reported of device {found['device_id'] or 'none'} instead of {want.device_id}"


def _in_the_service(
    expected: Sequence[Expected], report: Iterable[Mapping[str, str]], ours: Mapping[str, Mapping[str, Any]]
) -> Iterator[str]:
    """Look every device that is ours, as the report says or as it must be, up in the service's list."""
    tags_of = {row.device_id: row.tags for row in expected if row.outcome in _OURS}
    reported = {row["device_id"]: None for row in report if row["outcome"] in _OURS}
    for device_id in {**dict.fromkeys(tags_of), **reported}:
        device = ours.get(device_id)
        if device is None:
            yield f"device {device_id} should be ours, but the service does not list it"
            continue
        if device["claimCount"] != 1:
            yield f"device {device_id} was claimed {device['claimCount']} times"
        if device_id in tags_of and set(device["tags"]) != tags_of[device_id]:
            yield (
                f"device {device_id} has the tags {_listed(device['tags'])} instead of {_listed(tags_of[device_id])}"
            )


def _in_the_service_only(
    report: Iterable[Mapping[str, str]], ours: Mapping[str, Mapping[str, Any]]
) -> Iterator[str]:
    reported = {row["device_id"] for row in report if row["outcome"] in _OURS}
    for device_id in ours:
        if device_id not in reported:
            yield f"device {device_id} is ours in the service, but not in the report"


def _listed(tags: Iterable[str]) -> str:
    return ", ".join(sorted(tags)) or "(none)"
