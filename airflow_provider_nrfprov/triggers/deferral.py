"""What operators and sensors share of waiting, in a worker or deferred.

Both ways end in the same state: FAILED operations and deadlines raise the same exceptions,
everything else is an error of the service.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from typing import Any

from airflow_provider_nrfprov.api.errors import NrfProvError, from_data
from airflow_provider_nrfprov.api.ids import checked_id
from airflow_provider_nrfprov.api.wait_policy import at_least
from airflow_provider_nrfprov.arguments import check_no_token, shown
from airflow_provider_nrfprov.counted import counted
from airflow_provider_nrfprov.exceptions import BulkOpsFailedError
from airflow_provider_nrfprov.files.paths import to_path
from airflow_provider_nrfprov.files.storage import lines

_LONGEST_DEFERRAL = 10 * 365 * 86400.0


def operation_ids(values: Iterable[str]) -> list[str]:
    """Return ids of bulk operations; each value is one, or the path of a file with one a line.

    :raises OSError: if a file cannot be read.
    :raises ValueError: if one is no id, or a file has none, or holds claim tokens.
    """
    return [id_ for value in values for id_ in (_ids_of_file(value) if "/" in value else [checked_id(value)])]


def _ids_of_file(path: str) -> list[str]:
    found: list[str] = []
    with to_path(path).open("r") as stream:
        for number, line in enumerate(lines(stream), start=1):
            id_ = line.strip().removeprefix("\ufeff")
            try:
                check_no_token(id_)
            except ValueError:
                # Ids are shown, and go to the triggerer by way of Airflow's database.
                raise ValueError(
                    f"{path}, line {number}: this is a claim token or a key, not the id of a bulk operation; "
                    "a claim file is for a bulk claim"
                ) from None
            try:
                found += [checked_id(id_)] if id_ else []
            except ValueError as error:
                raise ValueError(f"{path}, line {number}: {error}") from None
    if not found:
        raise ValueError(f"{path} names no bulk operation: the file is empty")
    return found


def seconds_to_wait(timeout: float, execution_timeout: timedelta | None) -> float:
    """Return for how long a task waits: Airflow does not enforce ``execution_timeout`` while it is deferred."""
    return timeout if execution_timeout is None else min(timeout, execution_timeout.total_seconds())


def backstop(poll_interval: float, end_time: float) -> timedelta:
    """Return Airflow's own time-out for a deferral: later than the trigger's, in case that never speaks."""
    seconds = max(0.0, end_time - time.time()) + 2 * at_least(poll_interval) + 60
    # Airflow adds it to the time of day, which has an end.
    return timedelta(seconds=min(seconds, _LONGEST_DEFERRAL))


def read_event(event: Mapping[str, Any] | None) -> tuple[list[str], list[str]]:
    """Return the ids of what failed, and of what still waits, from a trigger's event.

    :raises NrfProvError: if the trigger met an error, or sent an unknown event.
    """
    match event:
        case {"status": "ended", "failed": [*failed]}:
            return failed, []
        case {"status": "timeout", "waiting": [*waiting]}:
            return [], waiting
        case {"status": "error", "error": {"kind": str(), "message": str()} as error}:
            raise from_data(error, "while waiting in the triggerer: ")
        case {"status": "error", "message": str(message)}:
            raise NrfProvError(f"the wait in the triggerer failed with {message}")
    raise NrfProvError(f"the trigger sent an event of an unknown form: {shown(event)}")


def check_failed(failed: Sequence[str]) -> None:
    """Raise if operations ended FAILED.

    :raises BulkOpsFailedError: naming at most ten of them.
    """
    if failed:
        shown = ", ".join(failed[:10]) + (", …" if len(failed) > 10 else "")
        raise BulkOpsFailedError(
            f"{counted(len(failed), 'bulk operation')} ended FAILED: {shown}. Some of their rows may have been carried out: "
            "NrfProvBulkClaimReportOperator says which"
        )
