"""Runs a scenario with our claim job, try after try, as Airflow retries a task whose worker died."""

from __future__ import annotations

import random
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from pathlib import Path

from airflow_provider_nrfprov.api import operations
from airflow_provider_nrfprov.api.client import ProvisioningClient
from airflow_provider_nrfprov.api.contract import base_urls
from airflow_provider_nrfprov.api.errors import NrfProvError
from airflow_provider_nrfprov.api.retry import Retry
from airflow_provider_nrfprov.api.waiting import BulkOpsWatch
from airflow_provider_nrfprov.claiming.job import ClaimJob
from airflow_provider_nrfprov.emulator.faults import HtmlBefore
from airflow_provider_nrfprov.emulator.server import Emulator, running_emulator
from airflow_provider_nrfprov.paths import to_path
from reliability.dying import Fate, Killed, MortalFolder, MortalSecondPlace, MortalService
from reliability.judge import faults_of_end, faults_of_report, read_report
from reliability.scenario import Scenario

MOST_TRIES = 60
VISIBLE_AFTER = 0.0
"""The emulator shows at once what it did."""
OUR_KEY, THEIR_KEY = "emulator-key", "other-team-key"
_RETRY = Retry(attempts=3, first_wait=0.001, longest_wait=0.002, deadline=5.0)


class Clock:
    """The service's clock; it can be put back for what happened before a run."""

    def __init__(self) -> None:
        self.ago = timedelta()

    def __call__(self) -> datetime:
        return datetime.now(timezone.utc) - self.ago


@dataclass
class Verdict:
    """What a scenario came to."""

    seed: int
    wrong: list[str] = field(default_factory=list)
    tries: int = 0
    deaths: int = 0
    injected: int = 0
    rows: int = 0


class World:
    """A running emulator that plays one scenario after the other."""

    def __init__(self, emulator: Emulator, clock: Clock, folder: Path) -> None:
        self.emulator = emulator
        self.service = emulator.service
        self.kept: dict[str, str] = {}
        """What is kept besides the folder, in the place of Airflow's state store."""
        self._clock = clock
        self._folder = folder

    def begin(self, scenario: Scenario) -> Path:
        """Reset the emulator to a scenario; give a folder with its claim file, ``shift.csv``."""
        self.emulator.reset(**scenario.settings)
        self.kept.clear()
        self._clock.ago = timedelta(days=1)
        for owner, key in (("ours", OUR_KEY), ("theirs", THEIR_KEY)):
            with self.client(key) as client:
                for device in scenario.devices:
                    if device.owner == owner:
                        client.send(operations.claim_device(device.token))
        self._clock.ago = timedelta()
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

    def client(self, key: str = OUR_KEY) -> ProvisioningClient:
        """Give a client that waits no longer than a test can."""
        return ProvisioningClient(
            key, urls=base_urls(self.emulator.url), connect_timeout=1, read_timeout=2, retry=_RETRY
        )


@contextmanager
def world(folder: Path) -> Iterator[World]:
    """Run an emulator for scenarios."""
    clock = Clock()
    with running_emulator(clock=clock) as emulator:
        yield World(emulator, clock, folder)


def run(scenario: Scenario, world: World) -> Verdict:
    """Claim the file until a try gets through; judge every report on the way, and the end."""
    folder = world.begin(scenario)
    verdict = Verdict(scenario.seed, rows=len(scenario.lines))
    fate = Fate(scenario.seed, scenario.kill_rate)
    chance = random.Random(scenario.seed)
    done = False
    while not done and verdict.tries < MOST_TRIES:
        verdict.tries += 1
        if chance.random() < scenario.folder_loss_rate:
            shutil.rmtree(folder / "report", ignore_errors=True)
        with _trouble(world, scenario, chance):
            done = _try(scenario, world, folder, fate, verdict)
    verdict.deaths, verdict.injected = fate.deaths, len(world.service.faults.injected)
    if not done:
        verdict.wrong.append(f"not done after {MOST_TRIES} tries")
        return verdict
    verdict.wrong += faults_of_end(scenario, read_report(folder / "report"), world.service)
    _run_once_more(scenario, world, folder, verdict)
    return verdict


def _try(scenario: Scenario, world: World, folder: Path, fate: Fate, verdict: Verdict) -> bool:
    """Do what the operator does in one try; say whether nothing is left to do."""
    fate.revive()
    with world.client() as client:
        service, report_folder = MortalService(client, fate), MortalFolder(folder / "report", fate)
        try:
            job = ClaimJob.plan(
                to_path(str(folder / "shift.csv")),
                report_folder,
                service,
                rows_per_request=scenario.rows_per_request,
                second_place=MortalSecondPlace(world.kept, fate) if scenario.second_place else None,
                visible_after=VISIBLE_AFTER,
            )
            try:
                operation_ids = job.send(max_in_flight=scenario.max_in_flight)
                _wait(operation_ids, service)
            except NrfProvError:
                job.report()
                verdict.wrong += faults_of_report(scenario, read_report(folder / "report"), world.service)
                return False
            summary = job.report()
            report = read_report(folder / "report")
            verdict.wrong += faults_of_report(scenario, report, world.service)
            return not any(row["outcome"] == "unknown" for row in report) and summary.rows == len(report)
        except Killed:
            return False


def _wait(operation_ids: list[str], service: MortalService) -> None:
    watch = BulkOpsWatch(operation_ids)
    while not watch.is_done:
        watch.ask(service.fetch_bulk_ops_request)
        if not watch.is_done:
            time.sleep(0.005)


@contextmanager
def _trouble(world: World, scenario: Scenario, chance: random.Random) -> Iterator[None]:
    """Let the key be revoked, or the service be down, during a try."""
    revoked, down = chance.random() < scenario.revoke_rate, chance.random() < scenario.down_rate
    if revoked:
        world.service.keys.revoke(OUR_KEY)
    if down:
        world.emulator.down()
    try:
        yield
    finally:
        world.service.keys.restore(OUR_KEY)
        if down:
            world.emulator.up()


def _run_once_more(scenario: Scenario, world: World, folder: Path, verdict: Verdict) -> None:
    """Clear the finished task and run it again: only what was refused may be sent, and nothing else be said."""
    world.service.faults.clear()
    before, submissions = _outcomes(folder), len(world.service.bulk_submissions())
    _try(scenario, world, folder, Fate(0, 0.0), verdict)
    if _outcomes(folder) != before:
        verdict.wrong.append("the report of the cleared task differs")
    theirs = {device.device_id for device in scenario.devices if device.owner == "theirs"}
    sent = [device for each in world.service.bulk_submissions()[submissions:] for device in each.device_ids]
    if set(sent) - theirs or len(sent) != len(set(sent)):
        verdict.wrong.append("the cleared task sent what was claimed, or something twice")


def _outcomes(folder: Path) -> list[tuple[str, str]]:
    return [(row["line"], row["outcome"]) for row in read_report(folder / "report")]
