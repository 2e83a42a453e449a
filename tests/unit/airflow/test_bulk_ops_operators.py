"""Listing bulk operations and showing what became of one, through the wire to the emulator."""

from __future__ import annotations

import json

import pytest

from airflow_provider_nrfprov.api.errors import NotFoundError
from airflow_provider_nrfprov.claiming.token import decode
from airflow_provider_nrfprov.emulator.clock import ManualClock
from airflow_provider_nrfprov.emulator.mint import mint_devices
from airflow_provider_nrfprov.emulator.server import running_emulator
from airflow_provider_nrfprov.exceptions import TooManyForXComError
from airflow_provider_nrfprov.hooks.nrfprov import NrfProvHook
from airflow_provider_nrfprov.operators.bulk_ops import (
    NrfProvFetchBulkOpsOperator,
    NrfProvListBulkOpsOperator,
)


def start(*rows: str) -> str:
    return str(NrfProvHook().bulk_claim("".join(f'"{row}"\n' for row in rows)).bulk_ops_request_id)


def test_lists_operations_by_status_and_time(connect, tokens):
    clock = ManualClock()
    with running_emulator(clock=clock, contract="async", bulk_seconds=60) as emulator:
        connect(emulator.url)
        good, bad = start(tokens[0]), start("rubbish")
        clock.advance(3600)
        pending = start(tokens[1])
        hour = clock.now.replace(microsecond=0).isoformat()

        def ids(**conditions) -> list[str]:
            return NrfProvListBulkOpsOperator(task_id="list", **conditions).execute({})

        assert ids() == [good, bad, pending]
        assert ids(status="FAILED") == [bad]
        assert ids(requested_after=hour) == [pending]
        assert ids(requested_before=hour, status="SUCCEEDED") == [good]
        with pytest.raises(TooManyForXComError, match="more than 2"):
            ids(limit=2)


@pytest.mark.parametrize("form", ["list", "legacy"])
def test_shows_the_error_summary_and_the_result_data_without_a_token(nrfcloud, tokens, written, form):
    nrfcloud.reset(contract="async", bulk_seconds=0, error_summary=form)
    operation = start(tokens[0], tokens[0], "rubbish")
    shown = NrfProvFetchBulkOpsOperator(task_id="show", bulk_ops_request_id=operation).execute({})
    device_id = decode(tokens[0]).device_id
    assert (shown["id"], shown["status"], shown["errors"]) == (operation, "FAILED", 2)
    assert shown["endpoint"] == "CLAIM_DEVICE_OWNERSHIP"
    assert shown["requested_at"] <= shown["completed_at"]
    assert [example.split(":")[0] for example in shown["examples"]] == ["row 1", "row 2"]
    assert f"device {device_id} is already claimed" in shown["examples"][0]
    assert json.loads(shown["result"]) == {"claimedIds": [device_id]}
    log = written()
    for words in (*shown["examples"], f'{{"claimedIds": ["{device_id}"]}}'):
        assert words in log
    assert tokens[0][:60] not in log + json.dumps(shown)


def test_what_is_given_to_xcom_stays_small_however_much_there_is(nrfcloud, written):
    rows = [device.token for device in mint_devices(500, seed="shown")]
    operation = start(*rows, *["rubbish"] * 500)
    shown = NrfProvFetchBulkOpsOperator(task_id="show", bulk_ops_request_id=operation).execute({})
    assert (shown["errors"], len(shown["examples"]), len(shown["result"])) == (500, 10, 2000)
    assert len(json.dumps(shown)) < 4096
    assert "and 400 more" in written()


def test_an_operation_that_goes_on_has_neither_errors_nor_a_result(nrfcloud, tokens):
    nrfcloud.reset(contract="async", bulk_seconds=60)
    operation = start(tokens[0])
    shown = NrfProvFetchBulkOpsOperator(task_id="show", bulk_ops_request_id=operation).execute({})
    assert (shown["status"], shown["completed_at"]) == ("PENDING", None)
    assert (shown["errors"], shown["examples"], shown["result"]) == (0, [], None)


def test_an_operation_that_is_not_there_is_an_error(nrfcloud):
    with pytest.raises(NotFoundError):
        NrfProvFetchBulkOpsOperator(task_id="show", bulk_ops_request_id="01G4ACS60SAEK1YNGSSJHBEET0").execute(
            {}
        )
