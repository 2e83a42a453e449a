"""After a lost answer: the bulk operation is found again, or nothing is sent until it can be."""

from __future__ import annotations

import pytest

from airflow_provider_nrfprov.claiming.job import ClaimJob
from airflow_provider_nrfprov.claiming.recovery import UnsettledError
from airflow_provider_nrfprov.claiming.report import Outcome
from airflow_provider_nrfprov.emulator.faults import DropAfter, HtmlBefore, Refuse
from airflow_provider_nrfprov.emulator.mint import mint_devices
from airflow_provider_nrfprov.emulator.server import running_emulator
from airflow_provider_nrfprov.files.storage import Folder
from airflow_provider_nrfprov.hooks.nrfprov import NrfProvHook

OURS, THEIRS = mint_devices(2, seed="recovery")
DOWNLOAD = "DownloadBulkOpsData"


@pytest.fixture
def lost(connect, tmp_path):
    """A claim whose answer was lost: its operation has ended, and refused the second of its two rows."""
    with running_emulator(contract="async", bulk_seconds=0.0) as emulator:
        connect(emulator.url, "other-team-key")
        NrfProvHook().claim_device(THEIRS.token)
        connect(emulator.url)
        emulator.service.faults.plan("BulkClaimDeviceOwnership", DropAfter())
        (tmp_path / "shift.csv").write_text(f"{OURS.token}\n{THEIRS.token}\n")
        yield emulator


def plan(tmp_path):
    folder = Folder(tmp_path / "report")
    return folder, ClaimJob.plan(tmp_path / "shift.csv", folder, NrfProvHook(), visible_after=0.0)


@pytest.mark.parametrize(
    "fault", [Refuse(503), HtmlBefore(), DropAfter()], ids=lambda fault: type(fault).__name__
)
def test_nothing_is_sent_again_while_the_rows_of_an_ended_operation_cannot_be_had(lost, tmp_path, fault):
    lost.service.faults.plan(DOWNLOAD, fault)
    with pytest.raises(UnsettledError, match="nothing is sent again until that is known"):
        plan(tmp_path)[1].send()
    _, again = plan(tmp_path)
    assert len(again.send()) == 1
    assert len(lost.service.bulk_submissions()) == 1
    counts = again.report().counts
    assert (counts[Outcome.CLAIMED], counts[Outcome.FAILED]) == (1, 1)


def test_rows_that_are_gone_for_good_are_settled_by_the_list_of_our_devices(lost, tmp_path):
    lost.service.faults.plan(DOWNLOAD, Refuse(404))
    _, job = plan(tmp_path)
    # Only what is not ours is sent again; that it was refused before, nobody can say any more.
    assert len(job.send()) == 1
    counts = job.report().counts
    assert (counts[Outcome.CLAIMED], counts[Outcome.FAILED]) == (1, 1)
    assert lost.service.claim_counts()[OURS.device_id] == 1
