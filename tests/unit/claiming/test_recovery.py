"""After a lost answer: the bulk operation is found again, or nothing is sent until it can be."""

from __future__ import annotations

import pytest

from airflow_provider_nrfprov.claiming.recovery import UnsettledError
from airflow_provider_nrfprov.emulator.faults import DropAfter, HtmlBefore, Refuse
from airflow_provider_nrfprov.emulator.mint import mint_devices
from airflow_provider_nrfprov.hooks.nrfprov import NrfProvHook
from tests.traffic import claimed_by_another_team
from tests.unit.claiming.desk import Desk, counts

OURS, THEIRS = mint_devices(2, seed="recovery")
DOWNLOAD = "DownloadBulkOpsData"


@pytest.fixture
def desk(nrfcloud, tmp_path) -> Desk:
    """A claim whose answer was lost: its operation has ended, and refused the second of its two rows."""
    nrfcloud.reset(contract="async", bulk_seconds=0.0)
    claimed_by_another_team(nrfcloud, THEIRS.token)
    nrfcloud.service.faults.plan("BulkClaimDeviceOwnership", DropAfter())
    desk = Desk(tmp_path, NrfProvHook())
    desk.write(OURS, THEIRS)
    return desk


@pytest.mark.parametrize(
    "fault", [Refuse(503), HtmlBefore(), DropAfter()], ids=lambda fault: type(fault).__name__
)
def test_nothing_is_sent_again_while_the_rows_of_an_ended_operation_cannot_be_had(desk, nrfcloud, fault):
    nrfcloud.service.faults.plan(DOWNLOAD, fault)
    with pytest.raises(UnsettledError, match="nothing is sent again until that is known"):
        desk.plan().send()
    again = desk.plan()
    assert len(again.send()) == 1
    assert len(nrfcloud.service.bulk_submissions()) == 1
    assert counts(again.report()) == {"claimed": 1, "failed": 1}


def test_rows_that_are_gone_for_good_are_settled_by_the_list_of_our_devices(desk, nrfcloud):
    nrfcloud.service.faults.plan(DOWNLOAD, Refuse(404))
    job = desk.plan()
    # Only what is not ours is sent again; that it was refused before, nobody can say any more.
    assert len(job.send()) == 1
    assert counts(job.report()) == {"claimed": 1, "failed": 1}
    assert nrfcloud.service.claim_counts()[OURS.device_id] == 1
