"""Whatever happens in whatever order: every row ends in one outcome, and nothing is done twice.

What may happen is what may happen to a seeded schedule, done by the same :class:`reliability.ours.Run`; Hypothesis chooses what and when,
and finds the shortest way to what is wrong. A second run of the same file beside the first is here alone.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from airflow_provider_nrfprov.emulator.faults import ANY, RECOVERABLE, DropAfter, FailAfter, HtmlAfter, Refuse
from reliability.dying import Fate, Killed
from reliability.judge import REFUSED, faults_of_end
from reliability.ours import DAMAGE, OUR_KEY, Run, World, world
from reliability.scenario import AN_HOUR, CHANGES, LIES, OUTSIDE, Device, Scenario, mint_devices
from tests import planted_bugs

FAULTS = [*RECOVERABLE, *LIES, *OUTSIDE, Refuse(401), Refuse(403)]
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
MOST_TRIES = 20
"""Once all is well: each of what was planned happens in one of them at most."""
NUMBERS = itertools.count()
STEPS = st.none() | st.none() | st.integers(0, 25)


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
            self._steps_left = 0  # all threads of a worker die together
            raise Killed


class ClaimMachine(RuleBasedStateMachine):
    """A claim file, a service, and all that may happen to them."""

    world: World

    @initialize(
        contract=st.sampled_from(["async", "sync"]),
        owners=st.lists(
            st.sampled_from(["nobody", "nobody", "ours", "theirs", "poison"]), min_size=1, max_size=7
        ),
        rows_per_request=st.sampled_from([1, 2, 3, 1000]),
        bulk_seconds=st.sampled_from([0.0, 0.03]),
        clock_offset=st.sampled_from([0.0, 0.0, -AN_HOUR, AN_HOUR]),
        poison_status=st.sampled_from([400, 409, 413, 415, 422]),
        file_change=st.sampled_from([None, None, *CHANGES]),
        second_place=st.booleans(),
        object_store=st.sampled_from([False, False, True]),
        second_service=st.sampled_from([False, False, True]),
    )
    def begin(self, owners, rows_per_request, file_change, second_place, object_store, second_service, **drawn):  # fmt: skip
        """Write the file; some devices are ours, or another team's, before."""
        minted = zip(mint_devices(len(owners), seed="machine"), owners, strict=True)
        devices = tuple(Device(device.device_id, device.token, owner) for device, owner in minted)
        self.scenario = Scenario(
            seed=next(NUMBERS),  # folders are named for it
            settings={
                "contract": drawn["contract"],
                "bulk_seconds": drawn["bulk_seconds"],
                "clock_offset_seconds": drawn["clock_offset"],
                "poison_status": drawn["poison_status"],
                "poison_ids": [device.device_id for device in devices if device.owner == "poison"],
            },
            devices=devices,
            lines=(*((device.token, device.device_id) for device in devices), ("rubbish", None)),
            rows_per_request=rows_per_request, fault_rate=0.0, fault_limit=0, faults=RECOVERABLE,
            kill_rate=0.0, revoke_rate=0.0, down_rate=0.0,
            second_place=second_place, object_store=object_store, file_change=file_change,
        )  # fmt: skip
        self.run = Run(self.scenario, self.world)
        self.runs, self.others = 1, 0
        if second_service:
            self.run.claim_elsewhere()

    @rule(
        operation=st.sampled_from(OPERATIONS),
        fault=st.sampled_from(FAULTS),
        nth=st.integers(1, 3),
        times=st.integers(1, 3),
    )
    def something_will_go_wrong(self, operation, fault, nth, times):
        if operation == ANY or fault.fits(operation):
            self.world.service.faults.plan(operation, fault, nth=nth, times=times)

    @rule(step=STEPS)
    def a_try_runs(self, step):
        self._try(step)

    @rule(step=STEPS)
    @precondition(lambda self: self.runs < 3)
    def a_second_run_of_the_same_file_is_triggered(self, step):
        self.runs = 2
        self._try(step, "another run")

    @rule(fault=st.sampled_from([DropAfter(), HtmlAfter(), FailAfter(502)]), step=STEPS)
    def a_try_runs_whose_answers_are_lost(self, fault, step):
        for operation in ("BulkClaimDeviceOwnership", "ClaimDeviceOwnershipCsv"):
            self.world.service.faults.plan(operation, fault, times=2)
        self._try(step)

    @rule()
    def the_key_is_revoked(self):
        self.world.service.keys.revoke(OUR_KEY)

    @rule()
    def the_key_is_restored(self):
        self.world.service.keys.restore(OUR_KEY)

    @rule(step=st.none() | st.integers(0, 10))
    def a_try_runs_while_the_service_is_down(self, step):
        self.world.emulator.down()
        self._try(step)
        self.world.emulator.up()

    @rule(kind=st.sampled_from(DAMAGE), which=st.integers(0, 3))
    def an_entry_of_the_ledger_is_damaged(self, kind, which):
        for entry in self.run.entries()[which : which + 1]:
            self.run.damage(entry, kind)

    @rule()
    @precondition(lambda self: self.scenario.second_place and not self.others)
    def the_folder_is_lost(self):
        self.run.lose_folder()

    @rule()
    def another_file_is_claimed_into_the_same_folder(self):
        self.others += 1
        self.run.claim_another_file()

    @invariant()
    def no_report_was_wrong(self):
        assert not self.run.wrong

    @invariant()
    def nothing_is_claimed_twice(self):
        assert max(self.world.service.claim_counts().values(), default=0) <= 1

    @invariant()
    def no_run_starts_two_operations_for_the_same_rows(self):
        counts = self.world.service.submission_counts()
        # What was refused is sent again at each try.
        others = [device.device_id for device in self.scenario.devices if device.owner not in REFUSED]
        assert max((counts.get(device_id, 0) for device_id in others), default=0) <= self.runs

    def teardown(self) -> None:
        """In the end all is well again: a try gets through, and says what is true."""
        if not hasattr(self, "run"):
            return
        self.world.service.faults.clear()
        self.world.service.keys.restore(OUR_KEY)
        assert any(self._try(None) for _ in range(MOST_TRIES))
        wrong = faults_of_end(self.scenario, self.run.report(), self.world.service)
        # The other run may have claimed what this one finds to be ours, and sent it once, too.
        by_the_other = ("sent", "already_claimed instead of claimed") if self.runs > 1 else ()
        assert not [each for each in wrong if not any(words in each for words in by_the_other)]
        self.run.run_once_more()
        self.no_report_was_wrong()
        self.nothing_is_claimed_twice()

    def _try(self, step: int | None, run_id: str = "run") -> bool:
        if not self.run.is_unfinished(run_id):
            self.run.restore_file()
        return self.run.attempt(DiesAt(step), run_id)


def run_machine(folder: Path, examples: int, phases: Sequence[Phase] = tuple(Phase)) -> None:
    with world(folder) as here:
        ClaimMachine.world = here
        machine = ClaimMachine.TestCase
        machine.settings = settings(
            max_examples=examples,
            stateful_step_count=14,
            deadline=None,
            derandomize=True,
            phases=phases,
            suppress_health_check=list(HealthCheck),
        )
        machine().runTest()


@pytest.mark.slow
def test_whatever_happens_every_row_ends_in_one_outcome_and_nothing_is_done_twice(tmp_path):
    run_machine(tmp_path, examples=80)


@pytest.mark.slow
@pytest.mark.parametrize(
    "bug",
    [
        planted_bugs.blind_repetition,
        planted_bugs.nothing_ever_found,
        planted_bugs.ledger_left_behind,
        planted_bugs.everything_claimed,
        planted_bugs.ours_said_to_be_new,
        planted_bugs.report_without_its_last_row,
        planted_bugs.last_row_never_sent,
    ],
    ids=lambda bug: bug.__name__,
)
def test_it_finds_a_planted_bug_in_at_most_as_many_examples(bug, tmp_path, monkeypatch):
    bug(monkeypatch)
    # Two more it finds at times only; the seeded schedules find all nine. How far Hypothesis could shorten the way to it does not matter here.
    with pytest.raises(AssertionError):
        run_machine(tmp_path, examples=80, phases=[Phase.generate])
