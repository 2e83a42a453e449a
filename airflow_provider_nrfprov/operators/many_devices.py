"""What the operators over many devices share: the selection, the job, its report, and the verdict."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import BaseOperator

from airflow_provider_nrfprov.links.nrf_cloud import NrfCloudLink
from airflow_provider_nrfprov.links.report import NrfProvReportLink
from airflow_provider_nrfprov.retries import set_default_retry_policy

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context

    from airflow_provider_nrfprov.fleet.engine import Action, Stop
    from airflow_provider_nrfprov.fleet.job import DeviceJob, JobEnd
    from airflow_provider_nrfprov.hooks.nrfprov import NrfProvHook
    from airflow_provider_nrfprov.operators.device_selection import Selection


class ManyDevicesOperator(BaseOperator):
    """The base of operators that do one thing to each of many devices. Not for use in DAGs.

    :param device_ids: UUIDs of the devices, or a template that renders to a list of them.
    :param report: instead: path of a bulk claim's ``report.csv``, whose claimed and already claimed devices are
        meant; ``report.output["report"]`` fits. So does the report of such an operator: done and unchanged.
    :param device_file: instead: path of a text file with one UUID a line, as ``failed_devices.txt`` is.
    :param report_dir: folder for ``report.csv`` (a line a device: ``device_id``, ``outcome``, ``status``, ``message``),
        ``failed_devices.txt`` and ``summary.json``, and for the record that a retry goes on from; local or on an
        object store. Different for each run, task and map index; the same for each try.
    :param max_in_flight: so many requests are in flight at most; a 429 slows all of them down together.
    :param max_failed: so many devices may fail before the task fails, after all were tried; ``None`` for any number.
    :param nrfprov_conn_id: Airflow connection of type ``nrfprov``.
    """

    template_fields: Sequence[str] = (
        "device_ids",
        "report",
        "device_file",
        "report_dir",
        "max_failed",
        "nrfprov_conn_id",
    )
    template_fields_renderers = {"device_ids": "json"}  # noqa: RUF012 - as Airflow declares it
    operator_extra_links = (NrfCloudLink(), NrfProvReportLink())
    _verb = ""
    _participle = ""
    _stop: Stop | None = None
    tag: str | None = None
    written_report: str | None = None
    """Path of the report, once it is written; the link to it asks."""

    def __init__(
        self,
        *,
        device_ids: Sequence[str] | str | None = None,
        report: str | None = None,
        device_file: str | None = None,
        report_dir: str | None = None,
        max_in_flight: int = 8,
        max_failed: int | str | None = 0,
        nrfprov_conn_id: str = "nrfprov_default",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        set_default_retry_policy(self)
        self.device_ids = device_ids
        self.report = report
        self.device_file = device_file
        self.report_dir = report_dir
        self.max_in_flight = max_in_flight
        self.max_failed = max_failed
        self.nrfprov_conn_id = nrfprov_conn_id

    def on_kill(self) -> None:
        """Begin nothing more; what is in flight comes to its end and is reported."""
        if self._stop is not None:
            self._stop.now()

    def _hook(self) -> NrfProvHook:
        from airflow_provider_nrfprov.hooks.nrfprov import NrfProvHook

        hook = NrfProvHook(self.nrfprov_conn_id)
        # Here, for Airflow may be asked for a connection by the main thread only.
        hook.get_conn()
        return hook

    def _select(self) -> Selection:
        from airflow_provider_nrfprov.operators.device_selection import (
            check_one_way,
            select_devices,
            select_tagged,
        )

        check_one_way(
            device_ids=self.device_ids, report=self.report, device_file=self.device_file, tag=self.tag
        )
        if self.tag is not None:
            # A DAG that renders native objects makes a number of a tag of digits.
            return select_tagged(self._hook(), str(self.tag))
        return select_devices(device_ids=self.device_ids, report=self.report, device_file=self.device_file)

    def _run(self, action: Action, selection: Selection, context: Context, *options: str) -> dict[str, Any]:
        """Do it to all devices; give ``done``, ``unchanged``, ``failed``, and the paths if there is a report.

        :param options: what tells the action from others of its name.
        """
        from airflow_provider_nrfprov.fleet.engine import Stop
        from airflow_provider_nrfprov.fleet.job import DeviceJob
        from airflow_provider_nrfprov.paths import to_path
        from airflow_provider_nrfprov.storage import Folder
        from airflow_provider_nrfprov.tolerance import most

        # Said before anything is done, not after.
        allowed = most("max_failed", self.max_failed)
        self._stop = Stop()
        map_index = getattr(context.get("ti"), "map_index", -1)
        run_id = context.get("run_id", "")
        job = DeviceJob(
            self._verb,
            action,
            selection,
            folder=Folder(to_path(self.report_dir)) if self.report_dir else None,
            work=(selection.name, self.dag_id, self.task_id, str(map_index), str(run_id), *options),
            max_in_flight=int(self.max_in_flight),
            stop=self._stop,
        )
        try:
            end = job.run()
            self.written_report = end.paths.get("report")
            for key, path in end.paths.items():
                # So that block.output["report"] works, and also after a failure.
                context["ti"].xcom_push(key=key, value=path)
            return self._judge(job, end, allowed)
        finally:
            # Airflow copies operators, and a lock cannot be copied.
            self._stop = None

    def _judge(self, job: DeviceJob, end: JobEnd, allowed: int | None) -> dict[str, Any]:
        from airflow_provider_nrfprov.exceptions import (
            DevicesFailedError,
            DevicesNotTriedError,
            DevicesRefusedError,
        )
        from airflow_provider_nrfprov.fleet.engine import DeviceOutcome

        tally, report = end.tally, end.paths.get("report")
        where = f" Report: {report}" if report else ""
        failed, not_tried = tally.counts[DeviceOutcome.FAILED], tally.counts[DeviceOutcome.NOT_TRIED]
        if end.error is not None:
            self.log.warning(
                "ended early: %d of %d devices were not tried.%s", not_tried, tally.devices, where
            )
            raise end.error
        if not_tried:
            raise DevicesNotTriedError(
                f"told to end: {not_tried} of {tally.devices} devices were not tried.{where}"
            )
        if allowed is not None and failed > allowed:
            kind = DevicesFailedError if tally.may_succeed_later else DevicesRefusedError
            raise kind(
                f"{failed} of {tally.devices} devices could not be {self._participle}, {allowed} may fail.{where}\n"
                + "\n".join(tally.examples)
            )
        job.close()
        counts = {
            each.value: tally.counts[each] for each in DeviceOutcome if each is not DeviceOutcome.NOT_TRIED
        }
        return {**counts, **end.paths}
