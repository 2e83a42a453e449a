"""Runs a scenario with our claim job, try after try, as Airflow retries a task whose worker died."""

from __future__ import annotations

import io
import random
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from fsspec.implementations.memory import MemoryFileSystem  # type: ignore[import-untyped]

from airflow_provider_nrfprov.api.access import Access
from airflow_provider_nrfprov.api.client import ProvisioningClient
from airflow_provider_nrfprov.api.contract import base_urls
from airflow_provider_nrfprov.api.errors import NrfProvError
from airflow_provider_nrfprov.api.project_api import ProjectApi, project_urls
from airflow_provider_nrfprov.api.project_contract import PROJECT_ENDPOINTS, JobWords
from airflow_provider_nrfprov.api.retry import Retry
from airflow_provider_nrfprov.api.service import ProvisioningService
from airflow_provider_nrfprov.api.wait_policy import BulkOpsWatch
from airflow_provider_nrfprov.claiming.job import ClaimJob
from airflow_provider_nrfprov.claiming.plan import Owner
from airflow_provider_nrfprov.claiming.report import Outcome, Summary
from airflow_provider_nrfprov.emulator.faults import HtmlBefore
from airflow_provider_nrfprov.emulator.mint import mint_devices
from airflow_provider_nrfprov.emulator.server import Emulator, running_emulator
from airflow_provider_nrfprov.emulator.settings import Settings
from airflow_provider_nrfprov.files.paths import PathLike, to_path
from airflow_provider_nrfprov.files.storage import Folder
from reliability.dying import Fate, Killed, MortalFolder, MortalSecondPlace, MortalService
from reliability.judge import REFUSED, expected_outcomes, faults_of_end, faults_of_report, read_report
from reliability.scenario import PARTIAL, Scenario

MOST_TRIES = 60
_TRIES_BEFORE_A_BREAK = 30
_A_BREAK = timedelta(minutes=16)
"""Whoever runs the task again after this number of tries does it later: what cannot be told until a quarter of an hour after an operation
has ended, can be then."""
_VISIBLE_AFTER = 2.5, 1.0
"""Times the lag of the service's lists, and seconds more (its clock is known to the second): how long a job looks for what
it may have done."""
OUR_KEY = Settings.api_key
KEY_OF = {"project": Settings.organization_token}
_OUR_KEYS = (OUR_KEY, *KEY_OF.values())
_JOB_SECONDS = 1.0
"""For so long a job of a project is looked for after its answer was lost: longer than any takes here, on a busy machine, too (seed 845)."""
_BLIND_TRIES = 4
DAMAGE = ("empty", "zeros", "half")
_RETRY = Retry(attempts=3, first_wait=0.001, longest_wait=0.002, deadline=5.0)


class Clock:
    """The service's clock; it can be put forward."""

    def __init__(self) -> None:
        self.ahead = timedelta()

    def __call__(self) -> datetime:
        return datetime.now(timezone.utc) + self.ahead


@dataclass
class Verdict:
    """What a scenario came to."""

    seed: int
    wrong: list[str] = field(default_factory=list)
    tries: int = 0
    deaths: int = 0
    injected: int = 0
    rows: int = 0
    unknown: int = 0
    """Rows of which nobody can say at the end what became of them."""


class World:
    """A running emulator that plays one scenario after the other, and a second one beside it."""

    def __init__(self, emulator: Emulator, other: Emulator, clock: Clock, folder: Path) -> None:
        self.emulator = emulator
        self.service = emulator.service
        self.other = other
        """Another service, to which the same connection led before."""
        self.kept: dict[str, str] = {}
        """What is kept besides the folder, in the place of Airflow's state store."""
        self.api = "team"
        """Which API the scenario's client speaks."""
        self._clock = clock
        self._folder = folder

    def begin(self, scenario: Scenario) -> Path:
        """Reset the emulator to a scenario; return a folder with its claim file, ``shift.csv``."""
        self.emulator.reset(**scenario.settings)
        self.other.reset(contract=scenario.settings.get("contract", "both"))
        self.kept.clear()
        self.api = scenario.api
        self._clock.ahead = timedelta()
        scenario.give_to_owners(self.service)
        folder = self._folder / str(scenario.seed)
        folder.mkdir(parents=True)
        (folder / "shift.csv").write_text(scenario.text)
        self.service.faults.schedule(
            seed=scenario.seed,
            rate=scenario.fault_rate,
            limit=scenario.fault_limit,
            kinds=scenario.faults + ((HtmlBefore(),) * 3 if scenario.pages_instead else ()),
        )
        return folder

    def go_on_after(self, break_: timedelta) -> None:
        """Let time go by for the service."""
        self._clock.ahead += break_

    def client(self, url: str | None = None) -> ProvisioningClient:
        """Return a client of the scenario's API that waits no longer than a test can."""
        access = _ACCESS[self.api](url or self.emulator.url)
        return ProvisioningClient(access, connect_timeout=1, read_timeout=2, retry=_RETRY)


def _team_access(url: str) -> Access:
    return Access(OUR_KEY, urls=base_urls(url))


def _project_access(url: str) -> Access:
    urls = project_urls(Settings.organization, Settings.project, url)
    words = JobWords(failed=frozenset({"FAILED", PARTIAL}))
    paths = dict(PROJECT_ENDPOINTS)
    return Access(
        Settings.organization_token, urls=urls, endpoint_candidates=paths, api=ProjectApi(urls, words)
    )


_ACCESS = {"team": _team_access, "project": _project_access}


@contextmanager
def world(folder: Path) -> Iterator[World]:
    """Run an emulator for scenarios, and an object store in memory."""
    clock = Clock()
    # Airflow 2 has it elsewhere, and nothing at all where it is now.
    where = "airflow.sdk.io.store" if find_spec("airflow.sdk") else "airflow.io.store"
    import_module(where).attach(protocol="memory", fs=_ObjectStore())
    with running_emulator(clock=clock) as emulator, running_emulator(bulk_seconds=0.0) as other:
        yield World(emulator, other, clock, folder)


class _ObjectStore(MemoryFileSystem):  # type: ignore[misc]
    """As real ones are: an object is whole or absent, and who reads it has a stream of his own. fsspec's has neither."""

    def _open(self, path: str, mode: str = "rb", **more: Any) -> Any:
        stream = super()._open(path, mode, **more)
        return io.BytesIO(stream.getvalue()) if mode == "rb" else stream

    def put_file(self, lpath: str, rpath: str, **more: Any) -> None:
        self.pipe_file(rpath, Path(lpath).read_bytes())


def run(scenario: Scenario, world: World) -> Verdict:
    """Claim the file until a try gets through; judge every report on the way, and the end."""
    return Run(scenario, world).to_its_end()


class Run:
    """One scenario on its way. Seeds choose what happens to it in :meth:`to_its_end`; the tests' state machine does so call by call."""

    def __init__(self, scenario: Scenario, world: World) -> None:
        self._scenario = scenario
        self._world = world
        self._folder = world.begin(scenario)
        self._reports: Any = (
            to_path(f"memory://reliability/{scenario.seed}")
            if scenario.object_store
            else self._folder / "report"
        )
        self._verdict = Verdict(scenario.seed, rows=len(scenario.lines))
        self._fate = Fate(scenario.seed, scenario.kill_rate)
        self._chance = random.Random(scenario.seed)
        self._others: list[tuple[Folder, str | None]] = []
        self._folders: dict[str, Any] = {}
        """That of the report of each DAG run."""

    def to_its_end(self) -> Verdict:
        """Try until nothing is left to do, then clear the task and run it once more."""
        scenario, verdict = self._scenario, self._verdict
        if scenario.second_service:
            self.claim_elsewhere()
        if scenario.shared_folder:
            self.claim_another_file()
        done = False
        while not done and verdict.tries < MOST_TRIES:
            verdict.tries += 1
            if verdict.tries == _TRIES_BEFORE_A_BREAK:
                self._world.go_on_after(_A_BREAK)
            self._lose_or_damage()
            with _trouble(self._world, scenario, self._chance):
                done = self.attempt(self._fate)
        faults = self._world.service.faults
        verdict.deaths, verdict.injected = self._fate.deaths, len(faults.injected)
        if not done:
            verdict.wrong.append(f"not done after {MOST_TRIES} tries")
            return verdict
        report = self.report()
        verdict.unknown = sum(row["outcome"] == "unknown" for row in report)
        verdict.wrong += faults_of_end(scenario, report, self._world.service)
        faults.clear()
        if scenario.shared_folder:
            self.claim_another_file()
        self.run_once_more()
        return verdict

    @property
    def wrong(self) -> list[str]:
        """What was wrong so far."""
        return self._verdict.wrong

    def _job(
        self,
        service: ProvisioningService,
        folder: Folder,
        file: str,
        task: str,
        run_id: str = "run",
        **more: Any,
    ) -> ClaimJob:
        return ClaimJob.plan(
            to_path(str(self._folder / file)),
            folder,
            service,
            owner=Owner("reliability", run_id, task),
            rows_per_request=self._scenario.rows_per_request,
            visible_after=self._visible_after(),
            **more,
        )

    def _visible_after(self) -> float:
        if lag := self._scenario.lag:
            return lag * _VISIBLE_AFTER[0] + _VISIBLE_AFTER[1]
        # A job that nobody can list is known by what it has done.
        return {"team": 0.0, "project": _JOB_SECONDS}[self._scenario.api]

    def attempt(self, fate: Fate, run_id: str = "run") -> bool:
        """Do what the operator does in one try; return whether nothing is left to do.

        :param run_id: another run of the DAG is another job of the same file, in the same folder.
        """
        fate.revive()
        scenario, kept = self._scenario, self._world.kept
        with self._world.client() as client:
            service = MortalService(client, fate, self._file_changes())
            try:
                job = self._job(
                    service,
                    MortalFolder(self._reports, fate),
                    "shift.csv",
                    "claim",
                    run_id,
                    second_place=MortalSecondPlace(kept, fate) if scenario.second_place else None,
                )
                self._folders[run_id] = job.folder.path
                try:
                    operation_ids = job.send(max_in_flight=scenario.max_in_flight)
                    _wait(operation_ids, service)
                except NrfProvError:
                    job.report()
                    self._judge(run_id)
                    return False
                summary = job.report()
                report = self._judge(run_id)
                # Where nobody can see what was created, it may stay unknown.
                unknown = any(row["outcome"] == "unknown" for row in report)
                is_known = not unknown or self._may_stay_unknown(report)
                return is_known and summary.rows == len(report)
            except Killed:
                return False

    def _may_stay_unknown(self, report: list[dict[str, str]]) -> bool:
        scenario = self._scenario
        refused = {device.device_id for device in scenario.devices if device.owner in REFUSED}
        others = any(row["outcome"] == "unknown" and row["device_id"] not in refused for row in report)
        is_over = self._verdict.tries >= _BLIND_TRIES
        return scenario.may_stay_unknown and is_over and (scenario.is_blind or not others)

    def report(self, run_id: str = "run") -> list[dict[str, str]]:
        """Return the newest report."""
        return read_report(self._folders[run_id])

    def _judge(self, run_id: str) -> list[dict[str, str]]:
        report = self.report(run_id)
        self._verdict.wrong += faults_of_report(self._scenario, report, self._world.service)
        return report

    def _lose_or_damage(self) -> None:
        """Let the folder be gone, or entries of the ledger be damaged, before a try."""
        if not (self.is_unfinished() and self._chance.random() < 0.5):
            self.restore_file()
        if self._chance.random() < self._scenario.folder_loss_rate:
            self.lose_folder()
        for entry in self.entries():
            if self._chance.random() < self._scenario.damage_rate:
                self.damage(entry, self._chance.choice(DAMAGE))

    def lose_folder(self) -> None:
        """Let the folder be gone; then the file is there, or nothing could be done."""
        self.restore_file()
        if not self._scenario.object_store:
            shutil.rmtree(self._reports, ignore_errors=True)
        elif self._reports.exists():
            self._reports.fs.rm(self._reports.path, recursive=True)

    def restore_file(self) -> None:
        """Let the claim file be as it was."""
        (self._folder / "shift.csv").write_text(self._scenario.text)

    def entries(self) -> list[Path]:
        """Return the entries of the ledger, where the folder is on a disk."""
        return [] if self._scenario.object_store else sorted(self._reports.rglob("ledger/0*.json"))

    @staticmethod
    def damage(entry: Path, kind: str) -> None:
        """Damage an entry of the ledger, in one of the ways of :data:`DAMAGE`."""
        text = entry.read_bytes()
        entry.write_bytes({"empty": b"", "zeros": bytes(len(text)), "half": text[: len(text) // 2]}[kind])

    def is_unfinished(self, run_id: str = "run") -> bool:
        """Return whether a try would find what an earlier one read, and does not need the file itself."""
        if run_id not in self._folders:
            return False
        names = Folder(self._folders[run_id]).folder("ledger").names()
        return "claim_file.csv" in names and any(name[0].isdigit() for name in names)

    def _file_changes(self) -> Callable[[], None]:
        change, file = self._scenario.file_change, self._folder / "shift.csv"

        def happen() -> None:
            if change == "grows":
                with file.open("a") as stream:
                    stream.write("another row\n")
            elif change == "shrinks":
                file.write_text(self._scenario.text[: len(self._scenario.text) // 3])
            elif change == "vanishes":
                file.unlink(missing_ok=True)

        return happen

    def claim_elsewhere(self) -> None:
        """Claim the same file into the same folder, by the same task, at the service that the connection led to before."""
        self._claim_there("shift.csv", "claim")

    def claim_another_file(self) -> None:
        """Claim another file, by another task, into the same folder."""
        number = len(self._others)
        name = f"other-{number}.csv"
        devices = mint_devices(3, seed=f"another file {number} of {self._scenario.seed}")
        (self._folder / name).write_text("".join(f"{device.token}\n" for device in devices))
        summary, folder = self._claim_there(name, f"claim {number}")
        if summary.counts[Outcome.CLAIMED] != 3:
            self._verdict.wrong.append(f"another file in the same folder: {summary}")
        self._others.append((Folder(folder), Folder(folder).read("report.csv")))

    def _claim_there(self, file: str, task: str) -> tuple[Summary, PathLike]:
        """Claim a file at the other service; return what came of it, and the folder of its report."""
        with self._world.client(url=self._world.other.url) as client:
            service = MortalService(client, Fate(0, 0.0))
            job = self._job(service, Folder(self._reports), file, task)
            _wait(job.send(), service)
            return job.report(), job.folder.path

    def run_once_more(self) -> None:
        """Clear the finished task and run it again: only what was refused may be sent, and nothing else be said."""
        self.restore_file()
        before, submissions = self._outcomes(), len(self._world.service.bulk_submissions())
        self.attempt(Fate(0, 0.0))
        if any(folder.read("report.csv") != text for folder, text in self._others):
            self._verdict.wrong.append("lost: the report of another file in the same folder")
        if self._scenario.is_blind:
            return
        if self._is_other_than(before):
            self._verdict.wrong.append("the report of the cleared task differs")
        refused = {device.device_id for device in self._scenario.devices if device.owner in REFUSED}
        since = self._world.service.bulk_submissions()[submissions:]
        sent = [device for each in since for device in each.device_ids]
        if set(sent) - refused or len(sent) != len(set(sent)):
            self._verdict.wrong.append("sent by the cleared task: what was claimed, or something twice")

    def _is_other_than(self, before: list[tuple[str, str]]) -> bool:
        """Return whether a report differs, but for rows of which either may be said: nothing tells them apart."""
        expected = expected_outcomes(self._scenario)
        may_be_said = [expected[id_] if id_ else set() for _, id_ in self._scenario.lines]
        pairs = zip(before, self._outcomes(), strict=True)
        return any(old != new and not {old[1], new[1]} <= may_be_said[int(old[0]) - 1] for old, new in pairs)

    def _outcomes(self) -> list[tuple[str, str]]:
        return [(row["line"], row["outcome"]) for row in self.report()]


def _wait(operation_ids: list[str], service: MortalService) -> None:
    watch = BulkOpsWatch(operation_ids)
    while not watch.is_done:
        watch.poll(service.fetch_bulk_ops_request)
        if not watch.is_done:
            time.sleep(0.005)


@contextmanager
def _trouble(world: World, scenario: Scenario, chance: random.Random) -> Iterator[None]:
    """Let the key be revoked, or the service be down, during a try."""
    revoked, down = chance.random() < scenario.revoke_rate, chance.random() < scenario.down_rate
    if revoked:
        for key in _OUR_KEYS:
            world.service.keys.revoke(key)
    if down:
        world.emulator.down()
    try:
        yield
    finally:
        for key in _OUR_KEYS:
            world.service.keys.restore(key)
        if down:
            world.emulator.up()
