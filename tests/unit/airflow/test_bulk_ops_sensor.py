"""The sensor in both modes, and its trigger, through the wire to the emulator."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

import pytest

from airflow_provider_nrfprov.api import wait_policy
from airflow_provider_nrfprov.api.errors import NrfProvError
from airflow_provider_nrfprov.arguments import ArgumentError
from airflow_provider_nrfprov.exceptions import BulkOpsFailedError
from airflow_provider_nrfprov.hooks.nrfprov import NrfProvHook
from airflow_provider_nrfprov.sensors.bulk_ops import NrfProvBulkOpsSensor
from airflow_provider_nrfprov.triggers.bulk_ops import NrfProvBulkOpsTrigger
from tests.event_loop_lag import Lag
from tests.unit.airflow.running import both_modes, finish, only_event


@pytest.fixture
def claim(nrfcloud) -> Callable[..., str]:
    """Start a bulk operation, which takes 0.4 seconds; return its id."""
    nrfcloud.reset(bulk_seconds=0.4)

    def start(*tokens: str) -> str:
        rows = "".join(f'"{token}"\n' for token in tokens)
        return str(NrfProvHook().bulk_claim(rows).bulk_ops_request_id)

    return start


def sensor(ids: Any, **arguments: Any) -> NrfProvBulkOpsSensor:
    defaults = {"task_id": "wait", "poke_interval": 0.1, "timeout": 10}
    return NrfProvBulkOpsSensor(bulk_ops_request_ids=ids, **{**defaults, **arguments})


@both_modes
def test_a_claim_file_in_the_place_of_a_file_of_ids_is_refused_and_no_token_is_shown(
    claim, tokens, tmp_path, caplog, deferrable
):
    file = tmp_path / "shift.csv"
    file.write_text(f"{tokens[0]},lot=7\n")
    with pytest.raises(ValueError, match=r"shift\.csv, line 1: this is a claim token") as caught:
        finish(sensor(str(file), deferrable=deferrable, silent_fail=True))
    assert tokens[0][:12] not in str(caught.value) + caplog.text


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", "ids.txt names no bulk operation: the file is empty"),
        ("\n \n", "ids.txt names no bulk operation"),
        ("01G4ACS60SAEK1YNGSSJHBEET0 01G4ACS60SAEK1YNGSSJHBEET1", "ids.txt, line 1: .* is not the id"),
        ("01G4ACS60SAEK1YNGSSJHBEET0\n{half}", "ids.txt, line 2: this is a claim token or a key"),
        ("oat_0123456789abcdef", "ids.txt, line 1: this is a claim token or a key"),
    ],
    ids=["empty", "blank lines", "two in a line", "the second half of a token", "a key"],
)
def test_a_file_of_what_is_no_id_is_an_error_that_names_argument_and_line(tokens, tmp_path, content, words):
    half = tokens[0].partition(".")[2]
    (tmp_path / "ids.txt").write_text(content.replace("{half}", half))
    whole = f"bulk_ops_request_ids of task 'wait' cannot be used: .*{words}"
    with pytest.raises(ArgumentError, match=whole) as caught:
        sensor(str(tmp_path / "ids.txt")).poke({})
    assert half[:12] not in str(caught.value)
    assert "oat_" not in str(caught.value)


@pytest.mark.parametrize("id_", ["", "a b", "{half}", "oat_0123456789abcdef"])
def test_what_is_no_id_is_an_error_that_names_the_argument(tokens, id_):
    half = tokens[0].partition(".")[2]
    with pytest.raises(ArgumentError, match="bulk_ops_request_ids of task 'wait'") as caught:
        sensor([id_.replace("{half}", half)]).poke({})
    assert half[:12] not in str(caught.value)
    assert "oat_" not in str(caught.value)


@both_modes
def test_waits_until_the_operations_have_ended(claim, tokens, deferrable):
    ids = [claim(tokens[0]), claim(tokens[1])]
    assert finish(sensor(ids, deferrable=deferrable)) in {None, True}
    assert all(NrfProvHook().fetch_bulk_ops_request(id_).is_finished for id_ in ids)


@both_modes
def test_a_failed_operation_fails_the_task_and_is_named(claim, tokens, deferrable):
    failing = claim(tokens[0], "rubbish")
    with pytest.raises(BulkOpsFailedError, match=failing):
        finish(sensor([claim(tokens[1]), failing], deferrable=deferrable))


@pytest.mark.parametrize("ids", [[], "[]"])
@both_modes
def test_nothing_to_wait_for_is_done_at_once_without_a_connection(ids, deferrable):
    finish(sensor(ids, deferrable=deferrable, nrfprov_conn_id="nowhere"))


def test_ids_may_be_the_text_of_a_list_one_id_or_a_file(claim, tokens, tmp_path):
    operation = claim(tokens[0])
    listed = tmp_path / "ids.txt"
    listed.write_text(f"{operation}\n")
    for ids in (operation, f"['{operation}']", str(listed)):
        finish(sensor(ids))


def test_a_file_of_ids_that_is_not_there_is_an_error_that_names_the_argument(claim):
    words = "bulk_ops_request_ids of task 'wait' is .*, which cannot be used: No such file or directory; check the path"
    with pytest.raises(FileNotFoundError, match=words):
        finish(sensor("/nowhere/ids.txt"))


def test_a_dictionary_is_no_list_of_ids(claim):
    with pytest.raises(ArgumentError, match="must be a list"):
        sensor({"bulk_ops_request_ids": ["01"]})


@pytest.mark.parametrize("poll_interval", [0.05, 10])
def test_the_trigger_asks_no_sooner_than_airflow_can_bear_whatever_its_interval(
    nrfcloud, claim, tokens, monkeypatch, poll_interval
):
    monkeypatch.setattr(wait_policy, "SOONEST_EVENT", 0.3)
    operation = claim(tokens[0])
    time.sleep(0.5)
    before = nrfcloud.service.request_counts().get("FetchBulkOpsRequest", 0)
    started = time.monotonic()
    trigger = NrfProvBulkOpsTrigger("nrfprov_default", [operation], poll_interval, time.time() + 10)
    assert asyncio.run(only_event(trigger)) == {"status": "ended", "failed": []}
    assert 0.3 <= time.monotonic() - started < 5
    after = nrfcloud.service.request_counts()
    assert sum(v for k, v in after.items() if "Fetch" in k and "Bulk" in k) - before <= 1


def test_the_trigger_lets_the_event_loop_breathe(connect):
    async def wait() -> float:
        lag = Lag()
        trigger = NrfProvBulkOpsTrigger("nrfprov_default", ["X"], 0.05, time.time() + 1)
        async with lag.measured():
            await only_event(trigger)
        return lag.worst

    import socket

    with socket.create_server(("127.0.0.1", 0)) as silent:
        connect(f"http://127.0.0.1:{silent.getsockname()[1]}", read_timeout=0.5)
        asyncio.run(wait())  # the first one pays for imports
        assert asyncio.run(wait()) < 0.1


def test_the_judge_of_the_event_loop_sees_what_keeps_it():
    async def wait() -> float:
        lag = Lag()
        async with lag.measured():
            await asyncio.sleep(0.05)
            time.sleep(0.3)  # noqa: ASYNC251 - what no trigger may do
        return lag.worst

    assert asyncio.run(wait()) > 0.2


@pytest.mark.parametrize("event", [None, {}, {"status": "success"}, {"status": "ended"}, "done"])
def test_an_event_that_is_not_understood_is_an_error_and_no_success(event):
    with pytest.raises(NrfProvError, match="unknown form"):
        sensor([]).execute_complete({}, event)
