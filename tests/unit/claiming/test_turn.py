"""Two tries of one job at a time, as Airflow lets happen when its scheduler dies: only the newer one sends."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from airflow_provider_nrfprov.claiming.job import ClaimJob
from airflow_provider_nrfprov.claiming.ledger import SupersededError
from airflow_provider_nrfprov.emulator.faults import Slow
from airflow_provider_nrfprov.emulator.mint import mint_devices
from airflow_provider_nrfprov.files.storage import Folder
from airflow_provider_nrfprov.hooks.nrfprov import NrfProvHook


class WatchedHook(NrfProvHook):
    """Does something while its second bulk claim is under way."""

    then = staticmethod(lambda: None)
    claims = 0

    def bulk_claim(self, csv):
        self.claims += 1
        answer = super().bulk_claim(csv)
        if self.claims == 2:
            self.then()
        return answer


@pytest.fixture
def claim_file(tmp_path: Path) -> Path:
    path = tmp_path / "shift.csv"
    path.write_text("".join(f"{device.token}\n" for device in mint_devices(20, seed="turn")))
    return path


def plan(claim_file: Path, hook: NrfProvHook, visible_after: float = 0.0) -> ClaimJob:
    folder = Folder(claim_file.parent / "report")
    return ClaimJob.plan(claim_file, folder, hook, rows_per_request=5, visible_after=visible_after)


def test_a_try_sends_nothing_more_once_another_has_begun(claim_file, nrfcloud) -> None:
    first = WatchedHook()
    first.then = lambda: plan(claim_file, NrfProvHook())
    with pytest.raises(SupersededError, match="another try"):
        plan(claim_file, first).send()
    assert first.claims == 2
    plan(claim_file, NrfProvHook()).send()
    assert set(nrfcloud.service.submission_counts().values()) == {1}
    assert len(nrfcloud.service.submission_counts()) == 20


def test_a_try_that_is_told_to_end_sends_nothing_more(claim_file, nrfcloud) -> None:
    hook = WatchedHook()
    job = plan(claim_file, hook)
    hook.then = job.stop
    with pytest.raises(SupersededError, match="asked to stop"):
        job.send()
    assert hook.claims == 2
    assert len(nrfcloud.service.submission_counts()) == 10


def test_a_request_that_is_still_under_way_is_waited_for(claim_file, nrfcloud) -> None:
    nrfcloud.service.faults.plan("BulkClaimDeviceOwnership", Slow(before=1.0), nth=2)
    older = plan(claim_file, NrfProvHook())
    with ThreadPoolExecutor(1) as pool:
        sending = pool.submit(older.send)
        while nrfcloud.service.request_counts().get("BulkClaimDeviceOwnership", 0) < 2:
            time.sleep(0.01)
        plan(claim_file, NrfProvHook(), visible_after=10.0).send()
    assert type(sending.exception()) is SupersededError
    assert set(nrfcloud.service.submission_counts().values()) == {1}
