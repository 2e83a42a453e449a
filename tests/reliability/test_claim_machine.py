"""Whatever happens in whatever order: every row ends in one outcome, and nothing is done twice.

Hypothesis chooses what happens: faults of every kind, deaths of the worker at any of its steps, a key that
is revoked, a service that is down, a cleared task, and a second run of the same file beside the first.
"""

from __future__ import annotations

import tempfile
from collections import Counter
from contextlib import ExitStack
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from airflow_provider_nrfprov.api.errors import NrfProvError
from airflow_provider_nrfprov.claiming.job import ClaimJob
from airflow_provider_nrfprov.emulator.accounts import TEAM_A
from airflow_provider_nrfprov.emulator.faults import ANY, RECOVERABLE, DropAfter, FailAfter, HtmlAfter, Refuse
from airflow_provider_nrfprov.files.paths import to_path
from reliability.dying import Fate, Killed, MortalFolder, MortalService
from reliability.judge import faults_of_report, read_report
from reliability.ours import OUR_KEY, World, _wait, world
from reliability.scenario import LIES, Device, Scenario, mint_devices

FAULTS = [*RECOVERABLE, *LIES, Refuse(401), Refuse(403)]
OPERATIONS = [
    "BulkClaimDeviceOwnership",
    "ClaimDeviceOwnershipCsv",
    "FetchBulkOpsRequest",
    "ListBulkOpsRequests",
    "DownloadBulkOpsData",
    "ListClaimedDevices",
    "FetchClaimedDevice",
    ANY,
]


class DiesAt(Fate):
    """A worker that dies at one given step of a try; never, if the step is beyond its end."""

    def __init__(self, step: int | None) -> None:
        super().__init__(0, 0.0)
        self._steps_left = step

    def strike(self) -> None:
        if self._steps_left is None:
            return
        self._steps_left -= 1
        if self._steps_left < 0:
            self._steps_left = None
            raise Killed


class ClaimMachine(RuleBasedStateMachine):
    """A claim file, a service, and all that may happen to them."""

    world: World

    @initialize(
        contract=st.sampled_from(["async", "sync"]),
        owners=st.lists(st.sampled_from(["nobody", "nobody", "ours", "theirs"]), min_size=1, max_size=7),
        rows_per_request=st.sampled_from([1, 2, 3, 1000]),
        bulk_seconds=st.sampled_from([0.0, 0.03]),
    )
    def begin(self, contract: str, owners: list[str], rows_per_request: int, bulk_seconds: float) -> None:
        """Write the file; some devices are ours, or another team's, before."""
        self._stack = ExitStack()
        minted = zip(mint_devices(len(owners), seed="machine"), owners, strict=True)
        devices = tuple(Device(device.device_id, device.token, owner) for device, owner in minted)
        self.scenario = Scenario(
            seed=0, settings={"contract": contract, "bulk_seconds": bulk_seconds}, devices=devices,
            lines=(*((device.token, device.device_id) for device in devices), ("rubbish", None)),
            rows_per_request=rows_per_request, fault_rate=0.0, fault_limit=0, faults=RECOVERABLE,
            kill_rate=0.0, revoke_rate=0.0, down_rate=0.0,
        )  # fmt: skip
        self.world._folder = Path(self._stack.enter_context(tempfile.TemporaryDirectory()))
        self.folder = self.world.begin(self.scenario)
        self.runs = 1

    @rule(
        operation=st.sampled_from(OPERATIONS),
        fault=st.sampled_from(FAULTS),
        nth=st.integers(1, 3),
        times=st.integers(1, 3),
    )
    def something_will_go_wrong(self, operation, fault, nth, times):
        if operation == ANY or fault.fits(operation):
            self.world.service.faults.plan(operation, fault, nth=nth, times=times)

    @rule(step=st.none() | st.integers(0, 25))
    def a_try_runs(self, step):
        self._try("report", step)

    @rule(step=st.none() | st.integers(0, 25))
    @precondition(lambda self: self.runs < 3)
    def a_second_run_of_the_same_file_is_triggered(self, step):
        self.runs = 2
        self._try("report of another run", step)

    @rule(
        fault=st.sampled_from([DropAfter(), HtmlAfter(), FailAfter(502)]), step=st.none() | st.integers(0, 25)
    )
    def a_try_runs_whose_first_answer_is_lost(self, fault, step):
        for operation in ("BulkClaimDeviceOwnership", "ClaimDeviceOwnershipCsv"):
            self.world.service.faults.plan(operation, fault)
        self._try("report", step)

    @rule()
    def the_key_is_revoked(self):
        self.world.service.keys.revoke(OUR_KEY)

    @rule()
    def the_key_is_restored(self):
        self.world.service.keys.restore(OUR_KEY)

    @rule(step=st.none() | st.integers(0, 10))
    def a_try_runs_while_the_service_is_down(self, step):
        self.world.emulator.down()
        self._try("report", step)
        self.world.emulator.up()

    @invariant()
    def nothing_is_claimed_twice(self):
        assert not [
            device for device, times in Counter(self.world.service.claim_counts()).items() if times > 1
        ]

    @invariant()
    def no_run_starts_two_operations_for_the_same_rows(self):
        if self.scenario.settings["contract"] == "async":
            counts = self.world.service.submission_counts()
            # What was refused is sent again at each try.
            others = [device.device_id for device in self.scenario.devices if device.owner != "theirs"]
            assert max((counts.get(device_id, 0) for device_id in others), default=0) <= self.runs

    def teardown(self) -> None:
        """In the end all is well again: the next try gets through, and says what is true."""
        if not hasattr(self, "folder"):
            return
        self.world.service.faults.clear()
        self.world.service.keys.restore(OUR_KEY)
        assert self._try("report", None)
        self.nothing_is_claimed_twice()
        self.no_run_starts_two_operations_for_the_same_rows()
        ours = self.world.service.claimed_ids(TEAM_A)
        for row, device in zip(read_report(self.folder / "report"), self.scenario.devices, strict=False):
            claimed = row["outcome"] in {"claimed", "already_claimed"}
            assert claimed == (device.owner != "theirs"), row
            assert claimed == (device.device_id in ours), row
            assert device.owner != "ours" or row["outcome"] == "already_claimed", row
        self._stack.close()

    def _try(self, name: str, step: int | None) -> bool:
        fate = DiesAt(step)
        with self.world.client() as client:
            service, folder = MortalService(client, fate), MortalFolder(self.folder / name, fate)
            try:
                job = ClaimJob.plan(
                    to_path(str(self.folder / "shift.csv")), folder, service,
                    rows_per_request=self.scenario.rows_per_request, visible_after=0.0,
                )  # fmt: skip
                try:
                    _wait(job.send(), service)
                    error = None
                except NrfProvError as caught:
                    error = caught
                job.report()
            except Killed:
                return False
        wrong = list(faults_of_report(self.scenario, read_report(self.folder / name), self.world.service))
        assert not wrong, wrong
        return error is None


@pytest.mark.slow
def test_whatever_happens_every_row_ends_in_one_outcome_and_nothing_is_done_twice(tmp_path):
    with world(tmp_path) as here:
        ClaimMachine.world = here
        machine = ClaimMachine.TestCase
        machine.settings = settings(
            max_examples=80,
            stateful_step_count=14,
            deadline=None,
            derandomize=True,
            suppress_health_check=list(HealthCheck),
        )
        machine().runTest()
