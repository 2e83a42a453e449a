"""An action on many devices as a job: resumed, counted, recorded and reported."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterator, Mapping
from contextlib import ExitStack, closing
from dataclasses import dataclass

from airflow_provider_nrfprov.api.errors import NrfProvError
from airflow_provider_nrfprov.counted import counted
from airflow_provider_nrfprov.files.job_folder import job_id_of, take_folder
from airflow_provider_nrfprov.files.storage import Folder
from airflow_provider_nrfprov.fleet.engine import (
    MAX_IN_FLIGHT,
    Action,
    DeviceResult,
    Progress,
    Stop,
    Tally,
    carry_out,
)
from airflow_provider_nrfprov.fleet.record import DeviceRecord
from airflow_provider_nrfprov.fleet.report import DeviceReport

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class JobEnd:
    """How a job ended."""

    tally: Tally
    paths: dict[str, str | None]
    """``report`` and ``failed_devices``; empty without a report."""
    error: NrfProvError | None = None
    """Why the last devices were not tried, if they were not."""


class DeviceJob:
    """An action on many devices. May be repeated: what is so already stays so.

    With a folder, what is done is on record while the job runs. A later job of the same ``work`` in that folder looks at what
    that did, and does it again where it is so no longer; the report is written there in the end, also if the job ended early.

    :param name: the action in a word, for log and report.
    :param device_ids: UUIDs, each once, lower case.
    :param folder: where record and report go; ``None`` for neither. If another task reports there, a folder inside it.
    :param work: texts that tell this work from any other in the folder.
    :param facts: put into ``summary.json`` besides the counts: whose report it is.
    """

    def __init__(
        self,
        name: str,
        action: Action,
        device_ids: Collection[str],
        *,
        folder: Folder | None = None,
        work: tuple[str, ...] = (),
        facts: Mapping[str, object] | None = None,
        max_in_flight: int = MAX_IN_FLIGHT,
        stop: Stop | None = None,
    ) -> None:
        self._name = name
        self._action = action
        self._device_ids = device_ids
        if folder is not None and facts:
            # Whose report it is: another task's, another run's or a claim's is never overwritten.
            about = {"action": name, **facts}
            # Each try of a task is the same.
            identity = {key: value for key, value in about.items() if key != "try_number"}
            folder = take_folder(folder, job_id_of(identity), about)
        self._folder = folder
        self._record = None if folder is None else DeviceRecord(folder, name, *work)
        self._facts = facts or {}
        self._max_in_flight = max_in_flight
        self._stop = stop or Stop()

    def run(self) -> JobEnd:
        """Do it. Nothing is raised for the service's sake."""
        done = self._record.read() if self._record else {}
        if done:
            _log.info("resuming: an earlier try did %s", counted(len(done), "device"))
        tally = Tally()
        # A removed tag chose them, or the file is another by now.
        not_named = self._record.begin(self._device_ids) if self._record else []
        progress = Progress(self._name, len(self._device_ids) + len(not_named), len(done))
        with ExitStack() as stack:
            report = stack.enter_context(closing(DeviceReport(self._folder))) if self._folder else None
            for result in self._results(done, not_named):
                tally.add(result)
                if report:
                    report.add(result)
                progress.see(tally)
            progress.say(tally)
            if self._record:
                self._record.write()
            paths = report.write(self._name, tally, self._why_early(), self._facts) if report else {}
            return JobEnd(tally, paths, self._stop.error)

    def close(self) -> None:
        """Record that the job is over: the same work starts over next time."""
        if self._record:
            self._record.close()

    def _results(self, done: dict[str, DeviceResult], not_named: Collection[str]) -> Iterator[DeviceResult]:
        work = carry_out(
            self._action,
            self._device_ids,
            max_in_flight=self._max_in_flight,
            done_before=done,
            not_named=not_named,
            stop=self._stop,
        )
        with closing(work) as results:
            for result in results:
                if done.pop(result.device_id, None) is not result and self._record:
                    self._record.add(result)
                yield result

    def _why_early(self) -> str | None:
        if self._stop.error is not None:
            return str(self._stop.error)
        return "asked to stop" if self._stop.wanted else None
