"""The bulk claim as a job: plan, send, settle, report.

A job is one service, one file's bytes, one set of tags, one task. The order in which things are written makes it
resumable: the ledger knows of a request before the service does. A request whose answer was lost is never blindly
repeated, and what an earlier try was told is looked at again rather than believed: what is not ours is sent.
"""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, replace
from itertools import chain
from typing import TYPE_CHECKING, ParamSpec, TypeVar

from airflow_provider_nrfprov.api.contract import CLAIM_TAGS, MAX_ROWS_PER_REQUEST
from airflow_provider_nrfprov.api.errors import NrfProvError
from airflow_provider_nrfprov.claiming import file_copy
from airflow_provider_nrfprov.claiming.claim_file import (
    Block,
    Chunk,
    Row,
    check_tags,
    chunks,
)
from airflow_provider_nrfprov.claiming.first_lines import FirstLines
from airflow_provider_nrfprov.claiming.ledger import Ledger, SecondPlace, SupersededError
from airflow_provider_nrfprov.claiming.plan import Owner, Plan
from airflow_provider_nrfprov.claiming.preflight import Inspection, claim_file_of, inspect, require_no_tags
from airflow_provider_nrfprov.claiming.recovery import VISIBLE_AFTER, Inquiry
from airflow_provider_nrfprov.claiming.report import SUMMARY, Outcome, RowOutcome, Summary, write_report
from airflow_provider_nrfprov.claiming.sending import Sender, in_words, service_time
from airflow_provider_nrfprov.claiming.settlement import Settlement, outcomes_of
from airflow_provider_nrfprov.counted import counted
from airflow_provider_nrfprov.files.job_folder import find_folder, jobs_in, take_folder
from airflow_provider_nrfprov.files.paths import PathLike
from airflow_provider_nrfprov.files.storage import Folder
from airflow_provider_nrfprov.ordered_map import StoppedError, has_ended, ordered_map

if TYPE_CHECKING:
    from airflow_provider_nrfprov.api.service import ProvisioningService
    from airflow_provider_nrfprov.claiming.file_copy import FileCopy

_log = logging.getLogger(__name__)

ItemT = TypeVar("ItemT")
ResultT = TypeVar("ResultT")
ParamsT = ParamSpec("ParamsT")

_CHUNKS_A_LOOK_AT_THE_TURN = 20
_REQUESTS_FOR_THE_TIME = 3
_STOPPED = "asked to stop while a request was under way; what was sent is in the ledger, and the next try asks what it did"


class ClaimJob:
    """A claim file on its way through the service. :meth:`plan` and :meth:`reopen` make one.

    :param folder: the job's own: of ledger and report.
    :param copy: what was read of the claim file.
    """

    def __init__(
        self,
        plan: Plan,
        folder: Folder,
        ledger: Ledger,
        copy: FileCopy,
        service: ProvisioningService,
        *,
        visible_after: float = VISIBLE_AFTER,
    ) -> None:
        self.details = plan
        """What it is about."""
        self.folder = folder
        self._ledger = ledger
        self._copy = copy
        self._first_lines = FirstLines()
        self._service = service
        self._stop = threading.Event()
        # One thread for all that is asked aside, and so one connection.
        self._aside = ThreadPoolExecutor(1, thread_name_prefix="nrfprov-aside")
        inquiry = Inquiry(service, self._stop, visible_after)
        self._settlement = Settlement(service, inquiry)
        self._sender = Sender(service, ledger, self._settlement, inquiry, self._stop, plan.tags)
        self.is_new = True
        """Whether nothing of it was about to be sent yet, as far as is known."""
        self.file_has_changed = False
        """Whether the claim file is not what an earlier try of the run read, and this one went on with what that read."""
        self.operations: list[str] = []
        """Ids of the bulk operations that :meth:`settle` has come across."""

    @classmethod
    def plan(
        cls,
        claim_file: PathLike,
        folder: Folder,
        service: ProvisioningService,
        *,
        owner: Owner | None = None,
        tags: Iterable[str] = (),
        rows_per_request: int = MAX_ROWS_PER_REQUEST,
        columns: Mapping[str, str] | None = None,
        second_place: SecondPlace | None = None,
        visible_after: float = VISIBLE_AFTER,
    ) -> ClaimJob:
        """Plan a job for the file as it is now, or take up the one that an earlier try of the run left unfinished.

        :param folder: where ledger and report go; a job that comes second to it has a folder inside it.
        :param owner: the task that the job belongs to.
        :param tags: added to the tags of each row.
        :param rows_per_request: how many rows one request claims, from 1 to 1,000.
        :param columns: names of the file's columns, by what they are: ``{"token": "Token ID"}``.
        :param second_place: where the ledger is kept besides the folder.
        :param visible_after: see :data:`~airflow_provider_nrfprov.claiming.recovery.VISIBLE_AFTER`.
        :raises ClaimFileUnavailableError: if the file is not there or cannot be read.
        :raises ValueError: if a tag cannot be one, or the number of rows is out of its bounds.
        """
        if not 1 <= rows_per_request <= MAX_ROWS_PER_REQUEST:
            raise ValueError(
                f"rows_per_request is {rows_per_request}; it must be from 1 to {MAX_ROWS_PER_REQUEST}"
            )
        tags = check_tags(tags)
        if tags:
            service.require(CLAIM_TAGS)
        plan = Plan(
            str(claim_file), "", service.urls, owner or Owner(), tags, rows_per_request, columns or {}
        )
        plan, own, copy, has_changed = _choose(claim_file, folder, plan, service)
        ledger = Ledger(own, plan.job_id, second_place)
        is_new = not ledger.begin()
        file_copy.keep(copy, own)
        job = cls(plan, own, ledger, copy, service, visible_after=visible_after)
        job.is_new, job.file_has_changed = is_new, has_changed
        _log.info("%s: %s %s", claim_file, "a new job" if is_new else "going on with job", plan.job_id)
        return job

    @classmethod
    def reopen(
        cls,
        folder: Folder,
        service: ProvisioningService,
        *,
        job_id: str | None = None,
        owner: Owner | None = None,
        turn: str | None = None,
        second_place: SecondPlace | None = None,
    ) -> ClaimJob:
        """Open a job that was sent, to settle and report it.

        :param job_id: which job; ``None`` if the folder has one only.
        :param owner: the task and run whose job it is, if it cannot be named.
        :param turn: that of the try which goes on with it; ``None`` for a look from outside.
        :raises FileNotFoundError: if there is no such job in the folder.
        :raises ValueError: if there are several and none is named, or if the job was sent to another service.
        :raises ClaimFileUnavailableError: if neither the job's copy of its claim file is left nor the file itself.
        """
        own, body = find_folder(folder, job_id, {} if owner is None else _of_task(owner))
        try:
            plan = Plan.from_dict(body)
        except KeyError as error:
            raise ValueError(
                f"{own.path_of('job.json')} lacks {error}: another program or an older version wrote it; claim the file again"
            ) from None
        if plan.service != tuple(service.urls):
            raise ValueError(
                f"the job in {own} was sent to {plan.service[0]}, and this connection leads to {service.urls[0]}; use the connection "
                "that claimed the file"
            )
        ledger = Ledger(own, plan.job_id, second_place)
        ledger.turn = turn
        job = cls(plan, own, ledger, _copy_of(plan, own), service)
        job.is_new = False
        return job

    @property
    def job_id(self) -> str:
        """Return the job's id."""
        return self.details.job_id

    @property
    def turn(self) -> str | None:
        """Return what names the try that works on it."""
        return self._ledger.turn

    def close(self) -> None:
        """Discard the local copy of the claim file; the job does no more then."""
        self._copy.close()
        self._aside.shutdown(wait=False, cancel_futures=True)

    def stop(self) -> None:
        """Send, wait for and settle nothing more: whoever does raises ``SupersededError``. May be called at any time."""
        self._stop.set()

    def wait(self, seconds: float) -> None:
        """Wait, unless :meth:`stop` is called.

        :raises SupersededError: if it was.
        """
        if self._stop.wait(max(0.0, seconds)):
            raise SupersededError("asked to stop while it waited; what was sent goes on")

    def stoppable(self, call: Callable[ParamsT, ResultT]) -> Callable[ParamsT, ResultT]:
        """Return the same call, which no longer waits for its end soon after :meth:`stop`: a request may take minutes.

        :return: raises SupersededError then.
        """

        def call_or_stop(*args: ParamsT.args, **kwargs: ParamsT.kwargs) -> ResultT:
            future = self._aside.submit(call, *args, **kwargs)
            if not has_ended(future, self._stop):
                raise SupersededError(_STOPPED)
            return future.result()

        return call_or_stop

    def inspect(self, *, sample_size: int = 0) -> Inspection:
        """Read the whole file and send nothing: which rows are bad, and a sample of the good ones."""
        return inspect(self._parts(), sample_size, seed=self.details.digest)

    def forget_copy(self) -> None:
        """Remove the job's copy of the claim file: nothing was sent, and the next try reads the file again."""
        file_copy.forget(self.folder)

    def report(self, owner: Owner | None = None) -> Summary:
        """Settle every row and write the report; remove the copy of the claim file if nothing more can need it.

        :param owner: the task that reports, if it is another than the job's.
        :raises SupersededError: if a newer try has begun, or ``stop`` was called.
        """
        started = self._service.now()
        about = {
            **self.details.as_dict(),
            "job": self.job_id,
            "try_number": (owner or self.details.owner).try_number,
            "reported_at": started.isoformat(),
        }
        unsent = 0

        def settled() -> Iterator[RowOutcome]:
            nonlocal unsent
            for each in self.settle():
                unsent += each.ending.status == "not_sent"
                yield each

            # Just before the files take their place: a newer try may have begun, and reported.
            self._require_still_ours()

        summary = write_report(self.folder, settled(), about=about)
        if not unsent and not summary.counts[Outcome.UNKNOWN]:
            self.forget_copy()
        return summary

    def settle(self) -> Iterator[RowOutcome]:
        """Yield what became of each row, in the order of the file, as far as the service knows by now.

        Rows of the usual form that ended alike come in blocks.
        Never raises for the service's sake: where it cannot be asked, rows are unknown.

        :raises SupersededError: if a newer try has begun, or ``stop`` was called.
        """
        self.operations.clear()
        for number, chunk in enumerate(self._chunks()):
            if number % _CHUNKS_A_LOOK_AT_THE_TURN == 0:
                self._require_still_ours()
            elif self._stop.is_set():
                raise SupersededError("asked to stop; what is known is in the ledger")
            sendings = self._ledger.sendings(chunk.number)
            self.operations += [each.bulk_ops_request_id for each in sendings if each.bulk_ops_request_id]
            endings = self.stoppable(self._settlement.settle)(chunk.device_ids, sendings)
            yield from outcomes_of(chunk, endings)

    def _require_still_ours(self) -> None:
        if self._stop.is_set():
            raise SupersededError("asked to stop; what is known is in the ledger")
        if self.turn is not None:
            self._ledger.require_turn()

    def send(self, *, max_in_flight: int = 1) -> list[str]:
        """Send every row that is not ours yet, a chunk at a time.

        :param max_in_flight: how many chunks are under way at the same time.
        :return: the ids of the bulk operations to wait for, in the order of the file; none under the
            synchronous contract.
        :raises NrfProvError: if the service could not be asked or would refuse every other chunk too.
            What was sent until then is in the ledger, and a later call goes on from there.
        :raises SupersededError: if another try of the job has begun meanwhile, or ``stop`` was called.
        """
        self._learn_time()
        self._ledger.note_beginning(service_time(self._service))
        operations: list[str] = []
        started, rows = time.monotonic(), 0
        sendable = (chunk for chunk in self._chunks() if chunk.device_ids)
        work = ordered_map(self._sender.send, sendable, max_in_flight, stop=self._stop)
        for chunk, sent in _until_stopped(work):
            rows += len(chunk.device_ids)
            running = list(
                dict.fromkeys(each.bulk_ops_request_id for each in sent if each.bulk_ops_request_id)
            )
            operations += running
            _log.info(
                "chunk %d: %s, %s; %s sent so far, %s rows/s",
                chunk.number,
                counted(len(chunk.device_ids), "row"),
                in_words(sent),
                counted(rows, "row"),
                f"{rows / max(time.monotonic() - started, 1e-9):,.0f}",
            )
        return operations

    def _learn_time(self) -> None:
        """Ask for the service's clock, before anything is on record with a time.

        Any answer tells it, a refusal as well.

        :raises NrfProvError: if there was none at all.
        """
        for left in reversed(range(_REQUESTS_FOR_THE_TIME)):
            try:
                self.stoppable(self._service.learn_time)()
            except NrfProvError as error:
                if not left:
                    raise
                _log.info("could not ask for the service's time: %s", error)
            else:
                return

    def _chunks(self) -> Iterator[Chunk]:
        return chunks(self._parts(), self.details.rows_per_request)

    def _parts(self) -> Iterator[Block | Row]:
        return claim_file_of(self._copy, self.details, self._service, self._first_lines).parts()


def _until_stopped(work: Iterator[tuple[ItemT, ResultT]]) -> Iterator[tuple[ItemT, ResultT]]:
    try:
        yield from work
    except StoppedError:
        raise SupersededError(_STOPPED) from None


def _choose(
    claim_file: PathLike, folder: Folder, plan: Plan, service: ProvisioningService
) -> tuple[Plan, Folder, FileCopy, bool]:
    """Read the claim file; or take up what an earlier try of the run read, if the file is not that any more."""
    unfinished = _unfinished(folder, plan)
    has_changed = False
    try:
        copy, digest = file_copy.read_once(claim_file)
    except file_copy.ClaimFileUnavailableError as error:
        if unfinished is None:
            for own, _ in _of_earlier_tries(folder, plan):
                if SUMMARY in own.names():
                    raise file_copy.ClaimFileUnavailableError(
                        f"{error}. An earlier try of this run has read it; its report is in {own}"
                    ) from None
            raise
        _log.warning("%s; the rows that were read of it before are claimed", error)
    else:
        plan = replace(plan, digest=digest)
        if unfinished is None or unfinished[1].digest == digest:
            # A file that holds no rows (yet) takes no folder, nor one with tags where they cannot be sent.
            parts = claim_file_of(copy, plan, service).parts()
            require_no_tags(chain([next(parts)], parts), plan.claim_file, service)
            return plan, take_folder(folder, plan.job_id, plan.as_dict()), copy, False
        has_changed = True
        _log.warning(
            "%s has changed since this run began to claim it: the rows that were read then are claimed, and no others",
            claim_file,
        )
    own, plan = unfinished
    return plan, own, _copy_of(plan, own), has_changed


def _of_task(owner: Owner) -> dict[str, object]:
    return {name: value for name, value in asdict(owner).items() if name != "try_number"}


def _unfinished(folder: Folder, plan: Plan) -> tuple[Folder, Plan] | None:
    """Return the job of which an earlier try of the same task and run has read the file, and has not settled all rows.

    Whether it sent any does not matter: what was read is what is claimed.
    """
    return next((job for job in _of_earlier_tries(folder, plan) if file_copy.is_kept(job[0])), None)


def _of_earlier_tries(folder: Folder, plan: Plan) -> Iterator[tuple[Folder, Plan]]:
    """Yield the jobs of the same task and run for the same file, whatever was in it."""
    ours = {name: value for name, value in plan.as_dict().items() if name != "file_sha256"}
    for own, body in jobs_in(folder):
        if all(body.get(name) == value for name, value in ours.items()):
            with contextlib.suppress(KeyError):
                yield own, Plan.from_dict(body)


def _copy_of(plan: Plan, folder: Folder) -> FileCopy:
    """Return the copy that was claimed; or the file itself, if it is the same still."""
    from airflow_provider_nrfprov.files.paths import to_path

    copy = file_copy.kept(folder, plan.digest)
    if copy is None:
        copy, digest = file_copy.read_once(to_path(plan.claim_file))
        if digest != plan.digest:
            raise file_copy.ClaimFileUnavailableError(
                f"{plan.claim_file} has changed since its rows were sent, and {folder} keeps no copy of it any more; its "
                "report is as it was written"
            )
    return copy
