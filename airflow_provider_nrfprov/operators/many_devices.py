"""What the operators over many devices share: the selection, the job, its report, and the verdict."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from airflow_provider_nrfprov.arguments import Argument, Arguments, count, device_ids, path, ratio
from airflow_provider_nrfprov.counted import counted
from airflow_provider_nrfprov.exceptions import DevicesFailedError, DevicesNotTriedError, DevicesRefusedError
from airflow_provider_nrfprov.files.paths import to_path
from airflow_provider_nrfprov.files.storage import Folder
from airflow_provider_nrfprov.hooks.metrics import count_outcomes
from airflow_provider_nrfprov.links.nrf_cloud import NrfProvPortalLink
from airflow_provider_nrfprov.links.report import NrfProvReportLink
from airflow_provider_nrfprov.operators.base import READABLE, WRITABLE, ConnectedOperator, push, task_of
from airflow_provider_nrfprov.operators.device_selection import (
    Selection,
    only_way,
    select_devices,
    select_tagged,
)
from airflow_provider_nrfprov.operators.tolerance import Tolerance

if TYPE_CHECKING:
    import os

    from airflow.providers.common.compat.sdk import Context

    from airflow_provider_nrfprov.fleet.engine import Action, Stop
    from airflow_provider_nrfprov.fleet.job import DeviceJob, JobEnd
    from airflow_provider_nrfprov.hooks.nrfprov import NrfProvHook


class ManyDevicesOperator(ConnectedOperator):
    """The base of operators that do one thing to each of many devices. Not for use in DAGs."""

    arguments: ClassVar[Arguments] = {
        "device_ids": Argument(device_ids, optional=True),
        "report": Argument(path, optional=True),
        "device_file": Argument(path, optional=True),
        "report_dir": Argument(path, optional=True),
        "max_in_flight": Argument(count(1)),
        "max_failed_devices": Argument(count(), optional=True),
        "max_failed_ratio": Argument(ratio, optional=True),
    }
    template_fields_renderers = {"device_ids": "json"}  # noqa: RUF012 - as Airflow declares it
    xcoms: ClassVar[Mapping[str, str]] = {
        "report": "path of ``report.csv``, if there is a ``report_dir``",
        "failed_devices": "path of ``failed_devices.txt``, if some failed or were not tried",
    }
    operator_extra_links = (NrfProvPortalLink(), NrfProvReportLink())
    _verb = ""
    _participle = ""
    _needs = ""
    """The operation that is done to each device, as ``contract.ENDPOINTS`` names it."""
    _stop: Stop | None = None
    written_report: str | None = None
    """Path of the report, once it is written; the link to it asks."""

    def __init__(
        self,
        *,
        device_ids: Sequence[str] | str | None = None,
        report: str | os.PathLike[str] | None = None,
        device_file: str | os.PathLike[str] | None = None,
        report_dir: str | os.PathLike[str] | None = None,
        max_in_flight: int | str = 8,
        max_failed_devices: int | str | None = 0,
        max_failed_ratio: float | str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.device_ids = device_ids
        self.report = report
        self.device_file = device_file
        self.report_dir = report_dir
        self.max_in_flight = max_in_flight
        self.max_failed_devices = max_failed_devices
        self.max_failed_ratio = max_failed_ratio

    def on_kill(self) -> None:
        """Begin nothing more; what is in flight comes to its end and is reported."""
        if self._stop is not None:
            self._stop.now()

    def _connected_hook(self) -> NrfProvHook:
        # Here, for Airflow may be asked for a connection by the main thread only.
        self.hook.get_conn()
        return self.hook

    def _select(self, *, does_something: bool = True) -> Selection:
        """Find out which devices are meant.

        :param does_something: whether anything will be done to them, which takes an API that has a way for it.
        :raises NotInThisApiError: if the connection's API has no way to do it; nothing is read then.
        :raises ValueError: if they are not named in exactly one way, or what names them cannot be used.
        """
        self._tolerance()  # a number that cannot be one is said before anything is done
        ways = [name for name in ("device_ids", "report", "device_file", "tag") if name in self.arguments]
        way, value = only_way({name: self._value(name) for name in ways})
        self.hook.require(*([self._needs] if does_something else []))
        if way == "tag":
            return select_tagged(self.hook, value)
        with self._naming_path(way, value, READABLE):
            return select_devices(way, value)

    def _tolerance(self) -> Tolerance:
        return Tolerance(self._value("max_failed_devices"), self._value("max_failed_ratio"))

    def _run(self, action: Action, selection: Selection, context: Context, *options: str) -> dict[str, Any]:
        """Do it to all devices; return ``done``, ``unchanged``, ``failed``, and the paths if there is a report.

        :param options: what tells the action from others of its name.
        """
        from airflow_provider_nrfprov.fleet.engine import Stop
        from airflow_provider_nrfprov.fleet.job import DeviceJob

        report_dir, max_in_flight = self._value("report_dir"), self._value("max_in_flight")
        task = task_of(context, self)
        self._stop = Stop()
        with self._naming_path("report_dir", report_dir, WRITABLE):
            job = DeviceJob(
                self._verb,
                action,
                selection,
                folder=Folder(to_path(report_dir)) if report_dir else None,
                # Not which devices: what names them may be another at the next try, and what was done stays in the report.
                work=(
                    *self.hook.urls,
                    *(str(task[key]) for key in ("dag_id", "task_id", "map_index", "run_id")),
                    *options,
                ),
                facts=task,
                max_in_flight=max_in_flight,
                stop=self._stop,
            )
        try:
            end = job.run()
            self.written_report = end.paths.get("report")
            # So that block.output["report"] works, and also after a failure.
            push(self, context, **end.paths)
            count_outcomes("devices", {outcome.value: count for outcome, count in end.tally.counts.items()})
            return self._judge(job, end)
        finally:
            # Airflow copies operators, and a lock cannot be copied.
            self._stop = None

    def _judge(self, job: DeviceJob, end: JobEnd) -> dict[str, Any]:
        from airflow_provider_nrfprov.fleet.engine import DeviceOutcome

        tally, report = end.tally, end.paths.get("report")
        where, devices = f" Report: {report}" if report else "", counted(tally.devices, "device")
        failed, not_tried = tally.counts[DeviceOutcome.FAILED], tally.counts[DeviceOutcome.NOT_TRIED]
        if end.error is not None:
            if not_tried:
                self.log.warning("ended early: %d of %s not tried.%s", not_tried, devices, where)
            raise end.error
        if not_tried:
            raise DevicesNotTriedError(f"asked to stop: {not_tried:,} of {devices} not tried.{where}")
        allowed = self._tolerance().allowed(tally.devices)
        if failed > allowed:
            kind = DevicesFailedError if tally.may_succeed_later else DevicesRefusedError
            raise kind(
                f"{failed:,} of {devices} could not be {self._participle}, {allowed:,} allowed.{where}\n"
                + "\n".join(tally.examples)
            )
        job.close()
        counts = {
            each.value: tally.counts[each] for each in DeviceOutcome if each is not DeviceOutcome.NOT_TRIED
        }
        return {**counts, **end.paths}
