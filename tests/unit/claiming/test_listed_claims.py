"""What an answer at once says of rows, also where it contradicts itself or speaks of others."""

from __future__ import annotations

import logging
from dataclasses import replace

import pytest

from airflow_provider_nrfprov.api.models import BulkClaim, FailedClaim
from airflow_provider_nrfprov.claiming.listed_claims import not_claimed
from airflow_provider_nrfprov.emulator.mint import mint_devices
from tests.service_in_memory import ServiceInMemory
from tests.unit.claiming.desk import Desk, counts

DEVICES = list(mint_devices(4, seed="listed"))
IDS = [device.device_id for device in DEVICES]
NO = "belongs to another team"


def failed(**where: int | str) -> FailedClaim:
    return FailedClaim(NO, **where)


@pytest.mark.parametrize(
    ("failures", "in_doubt"),
    [
        ([], {}),
        ([failed(device_id=IDS[2])], {2: NO}),
        ([failed(claim_token=DEVICES[1].token)], {1: NO}),
        ([failed(row=row) for row in range(4)], dict.fromkeys(range(4), NO)),
        ([failed(row=row) for row in range(1, 5)], dict.fromkeys(range(4), NO)),
        # Row 1 or row 2, counted from 1 or 0.
        ([failed(row=2)], {1: "", 2: ""}),
        ([failed(row=0), failed(device_id=IDS[3])], {0: NO, 3: NO}),
        ([failed(row=9)], {}),
        ([failed(device_id="8c9e6a5e-1f0b-4a53-9a6e-0e3b1d4f9a77")], {}),
    ],
)
def test_a_row_that_is_claimed_and_failed_is_in_doubt(failures, in_doubt):
    assert (
        not_claimed(IDS, range(4), BulkClaim(201, claimed_ids=tuple(IDS), failed=tuple(failures))) == in_doubt
    )


def test_rows_are_places_in_what_was_sent():
    answer = BulkClaim(201, claimed_ids=(IDS[1], IDS[3]), failed=(failed(row=0), failed(row=1)))
    assert not_claimed(IDS, [1, 3], answer) == {1: NO, 3: NO}
    assert not_claimed(IDS, [1, 3], BulkClaim(201, claimed_ids=(IDS[1],), failed=(failed(row=1),))) == {3: NO}


def test_devices_that_nobody_sent_are_told_in_one_line(caplog):
    caplog.set_level(logging.WARNING)
    assert not_claimed(IDS, [0, 1], BulkClaim(201, claimed_ids=tuple(IDS))) == {}
    assert [record.getMessage() for record in caplog.records] == [
        "the service lists as claimed 2 devices that nobody sent"
    ]
    assert IDS[2] not in caplog.text
    caplog.clear()
    not_claimed(IDS, range(4), BulkClaim(201, claimed_ids=tuple(IDS)))
    assert not caplog.records


def test_an_answer_that_contradicts_itself_is_not_believed(tmp_path):
    """Two rows are claimed, and every row is listed as claimed and as failed."""
    service = ServiceInMemory()
    carry_out, failures = service._carry_out, tuple(failed(row=row) for row in range(4))
    service._carry_out = lambda csv, ids: replace(
        carry_out(csv, ids[:2]), claimed_ids=tuple(IDS), failed=failures
    )
    desk = Desk(tmp_path, service)
    desk.write(*DEVICES)
    assert counts(desk.run()) == {"claimed": 2, "failed": 2}
