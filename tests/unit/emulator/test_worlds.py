"""One running emulator, many worlds: reset with other settings, and down for a while."""

from __future__ import annotations

import os
import socket
import stat
import sys
import threading
import time
from contextlib import ExitStack
from pathlib import Path

import pytest
import requests

from airflow_provider_nrfprov.emulator.faults import ANY, DropBefore, Slow
from airflow_provider_nrfprov.emulator.mint import documented_key, mint_devices, mint_token
from airflow_provider_nrfprov.emulator.server import running_emulator
from tests.unit.emulator.asking import CLAIMS, DEVICE, port_of, raw_claim, wait_for


def test_a_reset_takes_much_less_than_a_millisecond(api):
    started = time.process_time()
    for _ in range(200):
        api.emulator.reset(contract="sync", max_rows=7)
    assert (time.process_time() - started) / 200 < 0.001


def test_a_reset_without_settings_goes_back_to_those_it_was_started_with(start):
    api = start(max_rows=3)
    api.emulator.reset(max_rows=5, bulk_seconds=7)
    assert (api.emulator.settings.max_rows, api.emulator.settings.bulk_seconds) == (5, 7)
    api.emulator.reset()
    assert (api.emulator.settings.max_rows, api.emulator.settings.bulk_seconds) == (3, 2.0)


def test_a_wrong_setting_is_an_error_and_nothing_is_forgotten(api):
    api.claim(mint_token(DEVICE))
    with pytest.raises(TypeError, match="bulk_minutes"):
        api.emulator.reset(bulk_minutes=2)
    with pytest.raises(ValueError, match="contract"):
        api.emulator.reset(contract="none")
    assert api.service.claimed_ids() == {DEVICE}


def test_a_reset_forgets_faults_counts_and_trusted_keys(api):
    api.emulator.reset(token_check="signature")
    api.service.tokens.trust(DEVICE, documented_key())
    assert api.claim(mint_token(DEVICE)).status_code == 422
    api.service.faults.plan(ANY, DropBefore(), times=None)
    with pytest.raises(requests.ConnectionError):
        api.claim(mint_token(DEVICE))
    api.emulator.reset(token_check="signature")
    assert api.claim(mint_token(DEVICE)).status_code == 201
    assert api.service.faults.injected == []
    assert api.service.request_counts() == {"ClaimDeviceOwnership": 1}


def test_what_is_down_refuses_connections_and_keeps_its_state(api):
    a, b = mint_devices(2)
    api.claim(a.token)
    api.emulator.down()
    assert not api.emulator.is_up
    for _ in range(3):
        with pytest.raises(requests.ConnectionError, match="refused"):
            api.claim(b.token)
    api.emulator.up()
    assert api.emulator.is_up
    assert api.claim(b.token).status_code == 201
    assert api.service.claimed_ids() == {a.device_id, b.device_id}
    assert api.service.request_counts() == {"ClaimDeviceOwnership": 2}


def test_going_down_drops_the_connections_that_are_open(api):
    with socket.create_connection(("127.0.0.1", port_of(api.emulator)), timeout=5) as idle:
        idle.sendall(b"GET /emulator/health HTTP/1.1\r\nHost: x\r\n\r\n")
        answer = b""
        while not answer.endswith(b"}"):  # it may come in more than one piece
            answer += idle.recv(1000)
        api.emulator.down()
        assert idle.recv(1000) == b""
    api.emulator.up()


def test_time_goes_on_while_it_is_down(api, clock):
    operation_id = api.start_bulk(mint_token())
    api.emulator.down()
    clock.advance(2)
    api.emulator.up()
    assert api.operation(operation_id)["status"] == "SUCCEEDED"


def test_a_request_that_waits_is_not_carried_out_once_it_is_down(api):
    api.service.faults.plan("ClaimDeviceOwnership", Slow(before=30))
    with ExitStack() as stack:
        waiting = stack.enter_context(
            socket.create_connection(("127.0.0.1", port_of(api.emulator)), timeout=5)
        )
        waiting.sendall(raw_claim())
        wait_for(lambda: api.service.faults.injected)
        api.emulator.down()
        assert waiting.recv(1000) == b""
    api.emulator.up()
    time.sleep(0.05)
    assert api.service.claimed_ids() == set()


def test_its_port_is_kept_from_others_while_it_is_down(api):
    api.emulator.down()
    with socket.socket() as other, pytest.raises(OSError, match="in use"):
        other.bind(("127.0.0.1", port_of(api.emulator)))
    api.emulator.up()


def test_down_and_up_may_be_said_twice_and_again_and_again(api):
    for _ in range(50):
        for go in (api.emulator.down, api.emulator.down, api.emulator.up, api.emulator.up):
            go()
        assert api.get(CLAIMS).status_code == 200


def test_a_reset_brings_it_up(api):
    api.emulator.down()
    api.emulator.reset()
    assert api.get(CLAIMS).status_code == 200


def test_it_can_end_while_it_is_down_and_leaves_nothing_behind():
    before = set(threading.enumerate())
    with running_emulator() as emulator:
        emulator.down()
    # Not "the same as before": a thread that an earlier test left, Airflow's, may end meanwhile.
    assert not set(threading.enumerate()) - before
    with running_emulator(port=port_of(emulator)) as again:
        assert requests.get(f"{again.url}/emulator/health", timeout=5).status_code == 200


def test_it_ends_at_once_though_a_slow_answer_is_due():
    with running_emulator() as emulator:
        emulator.service.faults.plan(ANY, Slow(after=30))
        with socket.create_connection(("127.0.0.1", port_of(emulator))) as waiting:
            waiting.sendall(raw_claim())
            wait_for(emulator.service.claimed_ids)
            started = time.monotonic()
            emulator.reset()
            assert waiting.recv(1000) == b""
            assert time.monotonic() - started < 5
        emulator.service.faults.plan(ANY, Slow(before=30))
        last = socket.create_connection(("127.0.0.1", port_of(emulator)))
        last.sendall(raw_claim())
        wait_for(lambda: emulator.service.faults.injected)
        started = time.monotonic()
    last.close()
    assert time.monotonic() - started < 5


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks for open files where Linux has them")
def test_it_goes_down_even_if_a_forked_process_holds_its_sockets(api):
    api.get(CLAIMS)
    held = [os.dup(number) for number in open_sockets()]
    try:
        api.emulator.down()
        with pytest.raises(requests.ConnectionError, match="refused"):
            api.get(CLAIMS)
        api.emulator.up()
        assert api.get(CLAIMS).status_code == 200
        held += [os.dup(number) for number in open_sockets()]
        api.service.faults.plan("ListClaimedDevices", DropBefore())
        with pytest.raises(requests.ConnectionError, match="without response"):
            api.get(CLAIMS)
    finally:
        for number in held:
            os.close(number)


def open_sockets() -> list[int]:
    numbers = []
    for link in list(Path("/proc/self/fd").iterdir()):
        try:
            if stat.S_ISSOCK(os.fstat(int(link.name)).st_mode):
                numbers.append(int(link.name))
        except OSError:  # the file in which we read the folder itself
            continue
    return numbers
