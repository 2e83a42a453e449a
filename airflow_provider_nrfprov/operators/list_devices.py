"""The operator that lists claimed devices."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import islice
from typing import TYPE_CHECKING, Any, ClassVar

from airflow_provider_nrfprov.arguments import Argument, Arguments, count, moment, path, text
from airflow_provider_nrfprov.counted import counted
from airflow_provider_nrfprov.exceptions import TooManyForXComError
from airflow_provider_nrfprov.files.csv_cells import csv_line
from airflow_provider_nrfprov.files.paths import folder_and_name, to_path
from airflow_provider_nrfprov.files.storage import Folder
from airflow_provider_nrfprov.operators.base import WRITABLE, ConnectedOperator, push

if TYPE_CHECKING:
    import os
    from datetime import datetime
    from typing import TextIO

    from airflow.providers.common.compat.sdk import Context

    from airflow_provider_nrfprov.api.models import ClaimedDevice

COLUMNS = (
    "device_id",
    "status",
    "tags",
    "claimed_at",
    "device_type",
    "imei",
    "firmware_id",
    "ownership_status",
)
_DEVICES_PER_LINE_OF_LOG = 10_000


class NrfProvListDevicesOperator(ConnectedOperator):
    """Lists the claimed devices: all, or those for which every condition holds.

    Without ``output_path`` the ids are the result, ready for ``.expand``. A team may have very many devices, so more than
    ``limit`` of them fail the task; name a file for those, which costs no more memory however many they are.

    The service's names of the conditions are inferred. Its answer is checked once more, so a service that knows
    none of them only takes longer. A condition that renders to nothing is refused: it would mean every device.

    :param tag: devices that have this tag; ``None`` for no such condition.
    :param status: devices of this status, as the service writes it: ``READY``; ``None`` for no such condition.
    :param claimed_after: ``None``, or devices that were claimed at this time or later: a datetime, or ISO 8601 (UTC unless it names
        a zone), like ``{{ dag_run.run_after - macros.timedelta(hours=8) }}``.
    :param output_path: file to write, local (then whole or not at all) or on an object store: CSV with the columns ``device_id``,
        ``status``, ``tags`` (separated by commas), ``claimed_at``, ``device_type``, ``imei``, ``firmware_id`` and
        ``ownership_status``. If its name ends in ``.txt``: one id a line, which the operators over many devices take
        as their ``device_file``.
    :param limit: how many ids are pushed to XCom at most.
    :param nrfprov_conn_id: Airflow connection of type ``nrfprov``.
    :return: without ``output_path`` the list of ids; with it ``{"path", "count"}``, both also pushed by key.
    :raises TooManyForXComError: if there are more than ``limit`` and no ``output_path``.
    :raises ArgumentError: for a condition that renders to nothing or is not a time.
    :raises NrfProvError: if the service could not be asked.
    """

    arguments: ClassVar[Arguments] = {
        "tag": Argument(text, optional=True),
        "status": Argument(text, optional=True),
        "claimed_after": Argument(moment, optional=True),
        "output_path": Argument(path, optional=True),
        "limit": Argument(count(1)),
    }
    xcoms: ClassVar[Mapping[str, str]] = {
        "path": "of the file, with ``output_path``",
        "count": "how many devices are in it, with ``output_path``",
    }

    def __init__(
        self,
        *,
        tag: str | None = None,
        status: str | None = None,
        claimed_after: datetime | str | None = None,
        output_path: str | os.PathLike[str] | None = None,
        limit: int | str = 200,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.tag = tag
        self.status = status
        self.claimed_after = claimed_after
        self.output_path = output_path
        self.limit = limit
        self._check_constants()

    def execute(self, context: Context) -> list[str] | dict[str, Any]:
        """Read the list page by page."""
        output, limit = self._value("output_path"), self._value("limit")
        conditions = {name: self._value(name) for name in ("tag", "status", "claimed_after")}
        devices = self.hook.list_claimed_devices(**conditions)
        if output is None:
            return self._ids(devices, limit)
        with self._naming_path("output_path", output, WRITABLE):
            written = self._write(devices, output)
        # By their own keys, so that list.output["path"] works.
        push(self, context, **written)
        return written

    def _ids(self, devices: Iterable[ClaimedDevice], limit: int) -> list[str]:
        ids = [device.id for device in islice(devices, limit + 1)]
        if len(ids) > limit:
            raise TooManyForXComError(
                f"there are more than {limit} such devices: name a file for them with output_path=, or raise limit"
            )
        self.log.info("claimed devices: %d", len(ids))
        return ids

    def _write(self, devices: Iterable[ClaimedDevice], output: str) -> dict[str, Any]:
        parent, name = folder_and_name(output)
        write = _write_ids if name.endswith(".txt") else _write_csv
        count = 0
        with Folder(to_path(parent)).writing(name) as stream:
            for count, device in enumerate(write(stream, devices), start=1):
                if count % _DEVICES_PER_LINE_OF_LOG == 0:
                    self.log.info("%s so far, the last one %s", counted(count, "device"), device.id)
        self.log.info("%s in %s", counted(count, "claimed device is", "claimed devices are"), output)
        return {"path": output, "count": count}


def _write_csv(stream: TextIO, devices: Iterable[ClaimedDevice]) -> Iterable[ClaimedDevice]:
    stream.write(csv_line(COLUMNS))
    for device in devices:
        attributes = {**device.as_dict(), "device_id": device.id, "tags": ",".join(device.tags or ())}
        stream.write(csv_line(attributes[column] for column in COLUMNS))
        yield device


def _write_ids(stream: TextIO, devices: Iterable[ClaimedDevice]) -> Iterable[ClaimedDevice]:
    for device in devices:
        stream.write(f"{device.id}\n")
        yield device
