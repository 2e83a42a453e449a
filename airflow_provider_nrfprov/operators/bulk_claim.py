"""The operators that claim the devices of a file and report what became of each row."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from airflow.configuration import conf

from airflow_provider_nrfprov.api.errors import NrfProvError
from airflow_provider_nrfprov.api.retry import NEVER
from airflow_provider_nrfprov.api.wait_policy import BulkOpsWatch, pause_on_worker, poll_briefly
from airflow_provider_nrfprov.arguments import (
    Argument,
    Arguments,
    choice,
    claim_tags,
    count,
    duration,
    fields,
    flag,
    interval,
    path,
    text,
)
from airflow_provider_nrfprov.asset_events import describe
from airflow_provider_nrfprov.counted import counted
from airflow_provider_nrfprov.exceptions import ClaimFileChangedError, RowsFailedError, RowsRejectedError
from airflow_provider_nrfprov.files.paths import default_report_dir, to_path
from airflow_provider_nrfprov.files.storage import Folder
from airflow_provider_nrfprov.operators.base import READABLE, SECONDS_ON_WORKER, WRITABLE, push
from airflow_provider_nrfprov.operators.claim_reporting import ClaimReportingOperator, in_xcom, owner_of
from airflow_provider_nrfprov.operators.task_state import second_place
from airflow_provider_nrfprov.triggers.deferral import backstop, read_event, seconds_to_wait

if TYPE_CHECKING:
    import os
    from datetime import timedelta

    from airflow.providers.common.compat.sdk import Context

    from airflow_provider_nrfprov.api.models import BulkOpsRequest
    from airflow_provider_nrfprov.claiming.job import ClaimJob
    from airflow_provider_nrfprov.hooks.nrfprov import NrfProvHook


class NrfProvBulkClaimOperator(ClaimReportingOperator):
    """Claims the devices of a claim file, in chunks of 1,000 rows, and accounts for every row.

    Takes the service's own form (``token`` or ``token,"tag1,tag2"``) and what Nordic's
    ``gather_attestation_tokens`` writes (``imei,uuid,token,time``). Rows that cannot be sent are
    rejected one by one, with a reason; the others are claimed.

    A retried or cleared task goes on where the last one ended: what was sent and answered is in a
    ledger beside the report, and from Airflow 3.3 on in the task's state store, too. A chunk whose answer
    was lost is not simply sent again.

    With ``wait_for_completion`` the task ends when the report is written: ``report.csv`` (a line a row),
    ``failed_rows.csv`` (a claim file of the rows to run again) and ``summary.json``. Without, it ends when
    everything is sent; :class:`~airflow_provider_nrfprov.sensors.bulk_ops.NrfProvBulkOpsSensor` waits then, and
    :class:`NrfProvBulkClaimReportOperator` writes the report.

    :param claim_file: path or URL of the file: local to the worker, or on an object store
        (``s3://conn_id@bucket/key``).
    :param report_dir: folder for report and ledger, local or on an object store; ``None`` for
        ``NAME-reports/RUN_ID`` beside the claim file. Workers, retries and later tasks have to see the same.
    :param tags: given to each device besides the row's own tags, as it is claimed.
    :param columns: the file's own names of its columns, where they are not the usual ones: ``{"token": "Token ID"}`` (also ``tags``,
        ``uuid``); ``None`` for the usual names.
    :param wait_for_completion: wait for the bulk operations and write the report.
    :param deferrable: wait in the triggerer and give the worker slot up.
    :param poll_interval: seconds between two rounds of asking at most, or a ``timedelta``. Up to ten operations are asked about
        sooner while the wait is young; deferred, later ones less often (docs/operators.md).
    :param timeout: seconds, or a ``timedelta``, until the wait is given up; the operations go on in nRF Cloud.
    :param max_failed_rows: how many rows may fail or be unknown before the task fails, after the report is
        written; ``None`` for any number.
    :param max_failed_ratio: the share of the file's rows that may, from 0 to 1; the larger limit counts. ``None`` for no share.
    :param max_rejected_rows: how many rows may be rejected, each a device that ships unclaimed, before the task fails; ``None``
        for any number, as long as some row is claimed. A file of which every row is rejected fails. Rows that repeat a device
        do not count.
    :param max_rejected_ratio: the share of the file's rows that may, from 0 to 1; the larger limit counts. ``None`` for no share.
    :param on_invalid_rows: ``claim_rest`` claims the rows that can be sent and rejects the others;
        ``fail`` sends nothing if any row is bad, and fails with the report written.
    :param dry_run_rows: how many rows of the file, drawn at random, the service is asked about before the first chunk of a new
        job, whether they could be claimed. If more of them are refused than may fail, nothing is
        sent.
    :param rows_per_request: how many rows one request claims; 1,000 is the most (inferred).
    :param max_in_flight: how many requests are under way at the same time; the service's limits are unknown.
    :param nrfprov_conn_id: Airflow connection of type ``nrfprov``.
    :return: counts by outcome, ``rows``, and the paths ``report`` and ``failed_rows``: under 2 KB. Without
        waiting: ``claim_file``, ``report_dir`` and the number of ``bulk_operations``. Also pushed, by key:
        ``bulk_ops_request_ids`` (past 40 of them the path of their list), ``report_dir`` and ``report``. The events of
        the task's ``outlets`` have all of these, and ``claim_file``, in their ``extra``.
    :raises ArgumentError: for an argument that renders to nothing or is not valid; nothing is sent then.
    :raises ClaimFileError: if the file is missing, empty or not a text file.
    :raises ClaimFileChangedError: if the file is not what an earlier try of the run began to claim (a retry claims the new one).
    :raises RowsFailedError: if too many rows failed, or were refused in the dry run (not retried).
    :raises RowsRejectedError: if rows cannot be sent and ``on_invalid_rows`` is ``fail`` (not retried).
    :raises RowsUnknownError: if too many failed or are unknown (a retry asks again).
    :raises NrfProvError: if the service could not be asked; a report of what was done is left all the same.
    :raises NotInThisApiError: for tags or ``dry_run_rows`` on a connection of a project; nothing is sent then.
    """

    arguments: ClassVar[Arguments] = {
        "claim_file": Argument(path),
        "report_dir": Argument(path, optional=True),
        "tags": Argument(claim_tags),
        "columns": Argument(fields, optional=True),
        "wait_for_completion": Argument(flag),
        "deferrable": Argument(flag),
        "poll_interval": Argument(interval),
        "timeout": Argument(duration),
        "on_invalid_rows": Argument(choice("claim_rest", "fail")),
        "dry_run_rows": Argument(count()),
        "rows_per_request": Argument(count(1)),
        "max_in_flight": Argument(count(1)),
    }
    xcoms: ClassVar[Mapping[str, str]] = {
        "report_dir": "folder of the job's report and ledger",
        "job": "id of the job, as ``NrfProvBulkClaimReportOperator(job=…)`` takes it",
        "bulk_ops_request_ids": "ids of the bulk operations; the path of their list if there are more than 40",
        **ClaimReportingOperator.xcoms,
    }
    template_fields_renderers = {"tags": "json"}  # noqa: RUF012 - as Airflow declares it
    _seconds_before_deferral = SECONDS_ON_WORKER

    def __init__(
        self,
        *,
        claim_file: str | os.PathLike[str],
        report_dir: str | os.PathLike[str] | None = None,
        tags: Sequence[str] | str = (),
        columns: Mapping[str, str] | str | None = None,
        wait_for_completion: bool | str = True,
        deferrable: bool | str = conf.getboolean("operators", "default_deferrable", fallback=False),
        poll_interval: float | timedelta | str = 10,
        timeout: float | timedelta | str = 24 * 60 * 60,
        on_invalid_rows: Literal["claim_rest", "fail"] | str = "claim_rest",
        dry_run_rows: int | str = 0,
        rows_per_request: int | str = 1000,
        max_in_flight: int | str = 1,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.on_invalid_rows = on_invalid_rows
        self.dry_run_rows = dry_run_rows
        self.rows_per_request = rows_per_request
        self.max_in_flight = max_in_flight
        self.claim_file = claim_file
        self.report_dir = report_dir
        self.tags = tags
        self.columns = columns
        self.wait_for_completion = wait_for_completion
        self.deferrable = deferrable
        self.poll_interval = poll_interval
        self.timeout = timeout
        self._check_constants()

    def execute(self, context: Context) -> dict[str, Any]:
        """Send what is not ours yet; then wait, defer, or leave the waiting to others."""
        from airflow_provider_nrfprov.api.contract import DRY_RUN
        from airflow_provider_nrfprov.claiming.job import ClaimJob

        # All of them before anything is sent.
        value = self._values()
        hook = self.hook
        # A connection that cannot work ends the task before anything is on record as sent.
        hook.get_conn()
        hook.require(*([DRY_RUN] if value["dry_run_rows"] else []))
        report_dir = self._report_dir(context)
        with self._naming_path("report_dir", report_dir, WRITABLE):
            job = ClaimJob.plan(
                to_path(value["claim_file"]),
                Folder(to_path(report_dir)),
                hook,
                owner=owner_of(context),
                tags=value["tags"],
                columns=value["columns"],
                rows_per_request=value["rows_per_request"],
                second_place=second_place(context),
            )
        push(self, context, report_dir=str(job.folder), job=job.job_id)
        with self._working_on(job):
            if job.is_new:
                self._look_first(job, hook, context)
            operations = self._send(job, context)
            ids = in_xcom(operations, job.folder)
            push(self, context, bulk_ops_request_ids=ids)
            if not value["wait_for_completion"]:
                return self._sent(job, operations, ids, context)
            if operations:
                self._wait(job, operations, context)
            return self._end(job, context)

    def execute_complete(
        self,
        context: Context,
        event: dict[str, Any] | None,
        report_dir: str | None = None,
        job: str | None = None,
        turn: str | None = None,
        *,
        file_has_changed: bool = False,
    ) -> dict[str, Any]:
        """Write the report once the operations have ended, or the wait was given up.

        :param report_dir: the job's own folder.
        :param job: its id.
        :param turn: names the try that was deferred.
        :param file_has_changed: whether the claim file is not what was claimed. None of the four, if Airflow loses them: ``dag.test()`` of 3.3 does;
            then the job is found by its task and run.
        """
        from airflow_provider_nrfprov.claiming.job import ClaimJob

        folder = Folder(to_path(report_dir or self._report_dir(context)))
        claim = ClaimJob.reopen(
            folder,
            self.hook,
            job_id=job,
            owner=owner_of(context),
            turn=turn,
            second_place=second_place(context),
        )
        with self._working_on(claim):
            try:
                _, waiting = read_event(event)
            except NrfProvError:
                self._report(claim, context)
                raise
            if waiting:
                words = "bulk operation has not ended in time", "bulk operations have not ended in time"
                self.log.warning("%s", counted(len(waiting), *words))
            claim.file_has_changed = file_has_changed
            return self._end(claim, context)

    def _end(self, job: ClaimJob, context: Context) -> dict[str, Any]:
        """Report and judge; fail if the file that was claimed is not the file that is there."""
        receipt = self._verdict(self._report(job, context))
        if job.file_has_changed:
            raise ClaimFileChangedError(
                f"{job.details.claim_file} has changed since this run began to claim it. What was read then is claimed; the report "
                f"is {receipt['report']}. The next try claims the file as it is now, to a report of its own"
            )
        return receipt

    def _sent(
        self, job: ClaimJob, operations: Sequence[str], ids: list[str] | str, context: Context
    ) -> dict[str, Any]:
        receipt = {
            "claim_file": job.details.claim_file,
            "report_dir": str(job.folder),
            "job": job.job_id,
            "bulk_operations": len(operations),
        }
        describe(context, self.outlets, {**receipt, "bulk_ops_request_ids": ids})
        return receipt

    def _look_first(self, job: ClaimJob, hook: NrfProvHook, context: Context) -> None:
        """Stop before anything is sent if the file's rows, or the service's word on some of them, say so."""
        from airflow_provider_nrfprov.claiming.preflight import refusals

        on_invalid_rows, sample_size = self._value("on_invalid_rows"), self._value("dry_run_rows")
        if on_invalid_rows != "fail" and not sample_size:
            return
        found = job.inspect(sample_size=sample_size)
        if on_invalid_rows == "fail" and found.rejected:
            words = f"{found.rejected:,} of {counted(found.rows, 'row')} cannot be sent, and on_invalid_rows is 'fail'"
            raise self._nothing_sent(RowsRejectedError, words, found.examples, job, context)
        if not found.sample:
            return
        refused, asked = refusals(found.sample, hook), counted(len(found.sample), "row")
        self.log.info("dry run: %d of %s refused", len(refused), asked)
        if len(refused) > self._tolerance().allowed(found.rows):
            words = f"the service would refuse {len(refused)} of {asked} that it was asked about"
            raise self._nothing_sent(RowsFailedError, words, refused[:10], job, context)

    def _nothing_sent(
        self, kind: type[Exception], words: str, examples: Iterable[str], job: ClaimJob, context: Context
    ) -> Exception:
        """Report, and return the error."""
        report = self._report(job, context).report
        job.forget_copy()
        return kind(f"nothing was sent: {words}. Report: {report}\n" + "\n".join(examples))

    def _report_dir(self, context: Context) -> str:
        report_dir: str | None = self._value("report_dir")
        if report_dir is not None:
            return report_dir
        owner = owner_of(context)
        return default_report_dir(self._value("claim_file"), owner.run_id or "manual", owner.map_index)

    def _send(self, job: ClaimJob, context: Context) -> list[str]:
        try:
            return job.send(max_in_flight=self._value("max_in_flight"))
        except NrfProvError:
            # What was done until now is on record even if no retry follows.
            self._report(job, context)
            raise

    def _wait(self, job: ClaimJob, operations: Sequence[str], context: Context) -> None:
        from airflow_provider_nrfprov.hooks.nrfprov import NrfProvHook
        from airflow_provider_nrfprov.triggers.bulk_ops import NrfProvBulkOpsTrigger

        watch = BulkOpsWatch(operations)
        # One for all polls; the next poll is the repetition, as in the triggerer.
        hook = NrfProvHook(self._value("nrfprov_conn_id"), NEVER)
        # Here, for Airflow may be asked for a connection by the main thread only.
        hook.get_conn()
        fetch = job.stoppable(hook.fetch_bulk_ops_request)
        # By a clock that nobody sets.
        seconds = seconds_to_wait(self._value("timeout"), self.execution_timeout)
        poll_interval = self._value("poll_interval")
        begun, end_time = time.monotonic(), time.time() + seconds
        try:
            self._ask(watch, fetch)
            deferrable = self._value("deferrable")
            if deferrable:
                # What ends within seconds needs no deferral, which takes Airflow longer and may cost the task.
                poll_briefly(watch, fetch, min(self._seconds_before_deferral, seconds), job.wait)
            if deferrable and not watch.is_done:
                self.defer(
                    trigger=NrfProvBulkOpsTrigger(
                        self._value("nrfprov_conn_id"), watch.waiting, poll_interval, end_time
                    ),
                    method_name="execute_complete",
                    timeout=backstop(poll_interval, end_time),
                    kwargs={
                        "report_dir": str(job.folder),
                        "job": job.job_id,
                        "turn": job.turn,
                        "file_has_changed": job.file_has_changed,
                    },
                )
            while not watch.is_done and (age := time.monotonic() - begun) < seconds:
                job.wait(min(pause_on_worker(watch, age, poll_interval), seconds - age))
                self._ask(watch, fetch)
        except NrfProvError:
            self._report(job, context)
            raise

    def _ask(self, watch: BulkOpsWatch, fetch: Callable[[str], BulkOpsRequest]) -> None:
        watch.poll(fetch)
        for note in watch.notes:
            self.log.info("%s", note)


class NrfProvBulkClaimReportOperator(ClaimReportingOperator):
    """Writes the report of a bulk claim that was sent without waiting.

    Reads the ledger that :class:`NrfProvBulkClaimOperator` left, asks what became of each operation and
    which devices are ours, and writes one outcome for each row. May run again at any time: rows that
    were unknown then may be known now.

    :param report_dir: the folder that the bulk claim reported to: ``claim.output["report_dir"]``.
    :param job: id of the job, ``claim.output["job"]``; has to be given if several jobs report to the folder.
    :param max_failed_rows: how many rows may fail or be unknown before the task fails, after the report is
        written; ``None`` for any number.
    :param max_failed_ratio: the share of the file's rows that may, from 0 to 1; the larger limit counts. ``None`` for no share.
    :param max_rejected_rows: how many rows may be rejected, each a device that ships unclaimed, before the task fails; ``None``
        for any number, as long as some row is claimed. A file of which every row is rejected fails. Rows that repeat a device
        do not count.
    :param max_rejected_ratio: the share of the file's rows that may, from 0 to 1; the larger limit counts. ``None`` for no share.
    :param nrfprov_conn_id: Airflow connection of type ``nrfprov``.
    :return: as of :class:`NrfProvBulkClaimOperator` with ``wait_for_completion``; ``report`` is also pushed
        by key.
    :raises FileNotFoundError: if no bulk claim was sent with this folder.
    :raises ClaimFileError: if the claim file is gone or has changed since.
    :raises RowsFailedError: if too many rows failed (not retried).
    :raises RowsUnknownError: if too many failed or are unknown (a retry asks again).
    """

    arguments: ClassVar[Arguments] = {
        "report_dir": Argument(path),
        "job": Argument(text, optional=True),
    }

    def __init__(
        self,
        *,
        report_dir: str | os.PathLike[str],
        job: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.report_dir = report_dir
        self.job = job
        self._check_constants()

    def execute(self, context: Context) -> dict[str, Any]:
        """Settle every row and write the report."""
        from airflow_provider_nrfprov.claiming.job import ClaimJob

        value = self._values()
        folder = Folder(to_path(value["report_dir"]))
        with self._naming_path("report_dir", folder, READABLE):
            job = ClaimJob.reopen(folder, self.hook, job_id=value["job"], second_place=second_place(context))
        with self._working_on(job):
            return self._verdict(self._report(job, context))
