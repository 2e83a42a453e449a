"""The emulator as a process and as a thread: it starts at once, ends cleanly and speaks clearly."""

from __future__ import annotations

import csv
import logging
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
import requests

from airflow_provider_nrfprov.claiming.token import decode
from airflow_provider_nrfprov.emulator.mint import mint_devices, mint_token
from airflow_provider_nrfprov.emulator.server import running_emulator
from tests.unit.emulator.asking import port_of

EMULATOR = ["-m", "airflow_provider_nrfprov.emulator"]


def ended(*arguments: str) -> subprocess.CompletedProcess:
    """Run Python to its end."""
    return subprocess.run(
        [sys.executable, *arguments], capture_output=True, text=True, timeout=30, check=False
    )


def test_it_starts_in_half_a_second_and_leaves_no_thread_behind():
    with running_emulator():
        pass  # what is only slow the first time
    before = set(threading.enumerate())
    # Of processor time: the machine may be busy with others.
    started = time.process_time()
    with running_emulator() as emulator:
        assert time.process_time() - started < 0.5
        assert requests.get(f"{emulator.url}/emulator/health", timeout=5).status_code == 200
    # Not "the same as before": a thread that an earlier test left, Airflow's, may end meanwhile.
    assert not set(threading.enumerate()) - before
    with pytest.raises(requests.ConnectionError):
        requests.get(f"{emulator.url}/emulator/health", timeout=5)


def test_it_stops_when_the_block_fails_and_its_port_can_be_used_again():
    with pytest.raises(ZeroDivisionError), running_emulator() as emulator:
        raise ZeroDivisionError
    port = port_of(emulator)
    with running_emulator(port=port) as again:
        assert again.url == emulator.url


def test_several_run_side_by_side_and_share_nothing(start):
    one, other = start(), start()
    one.claim(mint_token())
    assert (len(one.service.claimed_ids()), len(other.service.claimed_ids())) == (1, 0)


def test_a_setting_that_does_not_exist_is_an_error():
    with pytest.raises(TypeError, match="bulk_minutes"), running_emulator(bulk_minutes=2):
        pass


def test_a_port_in_use_is_an_error_that_leaves_nothing_behind():
    with running_emulator() as emulator:
        before = set(threading.enumerate())
        port = port_of(emulator)
        with pytest.raises(OSError, match="in use"), running_emulator(port=port):
            pass
        assert not set(threading.enumerate()) - before


def test_a_small_request_is_answered_within_milliseconds(api):
    times = sorted(api.claim(device.token).elapsed.total_seconds() for device in mint_devices(50))
    assert times[25] < 0.02


def test_a_device_asked_for_by_many_at_once_is_claimed_once(api):
    devices = list(mint_devices(20))

    def claim_all(_: int) -> list[int]:
        with requests.Session() as session:
            session.headers["Authorization"] = "Bearer emulator-key"
            url = f"{api.emulator.url}/v1/claimed-devices"
            return [session.post(url, json={"claimToken": d.token}, timeout=10).status_code for d in devices]

    with ThreadPoolExecutor(8) as pool:
        statuses = [status for each in pool.map(claim_all, range(8)) for status in each]
    assert statuses.count(201) == 20
    assert statuses.count(409) == 140
    assert set(api.service.claim_counts().values()) == {1}


def test_claim_tokens_are_never_logged(start, caplog, capfd):
    for logger in (None, "uvicorn.error", "uvicorn.access", "uvicorn.asgi"):  # whose levels the server sets
        caplog.set_level(logging.DEBUG, logger)
    api = start(log_level="debug")
    token = mint_token()
    api.claim(token)
    api.claim(token)
    api.post_csv("/v1/claimed-devices", token)
    api.start_bulk(token)
    api.claim(token[:-9])
    assert "Started server process" in caplog.text
    assert token[:60] not in caplog.text + "".join(capfd.readouterr())


def started(*arguments: str) -> tuple[subprocess.Popen, str]:
    process = subprocess.Popen(
        [sys.executable, *EMULATOR, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    line = process.stdout.readline()
    found = re.fullmatch(r"nRF Cloud emulator on (http://127\.0\.0\.1:\d+)\n", line)
    assert found, process.stderr.read()
    return process, found.group(1)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_command_serves_until_a_signal_and_ends_cleanly(number):
    process, url = started("--port", "0", "--api-key", "my-key", "--contract", "sync", "--bulk-seconds", "0")
    with process:
        headers = {"Authorization": "Bearer my-key"}
        assert requests.get(f"{url}/v1/provisioning/tags", headers=headers, timeout=5).status_code == 200
        assert requests.get(f"{url}/v1/claimed-devices/tags", headers=headers, timeout=5).status_code == 403
        process.send_signal(number)
        out, err = process.communicate(timeout=10)
    assert (process.returncode, out, err) == (0, "", "")


def test_the_command_gives_faults_at_random_until_its_limit():
    process, url = started("--port", "0", "--fault-rate", "1", "--fault-seed", "7", "--fault-limit", "3")
    with process:
        outcomes = []
        for _ in range(5):
            try:
                outcomes.append(requests.get(f"{url}/v1/claimed-devices", timeout=5).status_code)
            except requests.RequestException as error:
                outcomes.append(type(error).__name__)
        faults = requests.get(f"{url}/emulator/faults", timeout=5).json()
        process.send_signal(signal.SIGTERM)
        assert process.communicate(timeout=10) == ("", "")
    assert outcomes[3:] == [401, 401]
    assert faults["schedule"].items() >= {"seed": 7, "rate": 1.0, "left": 0}.items()
    assert len(faults["injected"]) == 3


def test_the_command_says_in_one_sentence_that_its_port_is_in_use():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        process = ended(*EMULATOR, "--port", str(port))
    assert (process.returncode, process.stdout) == (1, "")
    assert (
        process.stderr == f"Port {port} of 127.0.0.1 is in use; choose another with --port (0 takes any).\n"
    )


def test_it_listens_on_loopback_only_unless_told_another_address():
    with running_emulator() as emulator, pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.2", port_of(emulator)), timeout=5)
    with running_emulator(host="127.0.0.2") as emulator:
        assert emulator.url.startswith("http://127.0.0.2:")
        assert requests.get(f"{emulator.url}/emulator/health", timeout=5).status_code == 200
        emulator.down()
        emulator.up()
        assert requests.get(f"{emulator.url}/emulator/health", timeout=5).status_code == 200


def test_the_command_says_in_one_sentence_that_an_address_is_not_of_this_machine():
    process = ended(*EMULATOR, "--port", "0", "--host", "192.0.2.1")
    assert (process.returncode, process.stdout) == (1, "")
    assert process.stderr == "Cannot listen on port 0 of 192.0.2.1: Cannot assign requested address.\n"


@pytest.mark.parametrize(
    "wrong",
    [["--port", "99999"], ["--host", "localhost"], ["--contract", "none"], ["--fault-rate", "2"]],
)
def test_the_command_refuses_a_wrong_argument_with_its_usage(wrong):
    process = ended(*EMULATOR, *wrong)
    assert process.returncode == 2
    assert "usage:" in process.stderr
    assert "Traceback" not in process.stderr


@pytest.mark.parametrize(("package", "options"), [("fastapi", []), ("trustme", ["--tls", "--port", "0"])])
def test_the_command_says_which_extra_is_missing(package, options):
    process = ended(
        "-c",
        f"import sys; sys.modules['{package}'] = None\n"
        f"from airflow_provider_nrfprov.emulator.__main__ import main; sys.exit(main({options}))",
    )
    wanted = f"The emulator needs {package}: pip install 'airflow-provider-nrfprov[emulator]'.\n"
    assert (process.returncode, process.stderr) == (1, wanted)


def test_it_needs_neither_airflow_nor_the_rest_of_the_provider():
    process = ended(
        "-c",
        "import sys, airflow_provider_nrfprov.emulator.server, airflow_provider_nrfprov.emulator.mint\n"
        "print([name for name in sys.modules if name.partition('.')[0] == 'airflow'])\n"
        "ours = [name for name in sys.modules if name.startswith('airflow_provider_nrfprov.')]\n"
        "print([name for name in ours if not name.startswith('airflow_provider_nrfprov.emulator')])",
    )
    none_of_airflow, of_ours = process.stdout.splitlines()
    assert none_of_airflow == "[]"
    assert of_ours == "['airflow_provider_nrfprov.claiming', 'airflow_provider_nrfprov.claiming.token']"


def mint(*arguments: str) -> list[list[str]]:
    command = [sys.executable, "-m", "airflow_provider_nrfprov.emulator.mint", *arguments]
    out = subprocess.run(command, capture_output=True, text=True, timeout=30, check=True).stdout
    return list(csv.reader(out.splitlines()))


def test_the_mint_writes_a_claim_file_with_tags():
    rows = mint("--rows", "30", "--tags", "lot=7,line=2")
    assert len({decode(token).device_id for token, _ in rows}) == 30
    assert {tags for _, tags in rows} == {"lot=7,line=2"}
    assert all(len(row) == 1 for row in mint("--rows", "3"))


def test_the_mint_writes_an_attestation_file_and_repeats_itself_for_a_seed():
    rows = mint("--rows", "10", "--format", "attestation", "--seed", "lot 7")
    assert [len(row) for row in rows] == [4] * 10
    for imei, device_id, token, moment in rows:
        assert re.fullmatch(r"\d{15}", imei)
        assert decode(token).device_id == device_id
        assert moment.startswith("2025-01-01T06:")
    again = mint("--rows", "10", "--format", "attestation", "--seed", "lot 7")
    assert [row[:2] for row in again] == [row[:2] for row in rows]


def test_a_device_has_the_imei_that_its_attestation_row_says(api):
    ((imei, _, token, _),) = mint("--rows", "1", "--format", "attestation")
    assert api.claim(token).json()["imei"] == imei
