"""A program that is stopped leaves nothing behind, however it and its children behave."""

from __future__ import annotations

import os
import sys
import time

import pytest

from harness import processes

STUBBORN = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('ready', flush=True); time.sleep(60)"


@pytest.fixture
def start(tmp_path):
    started = []

    def start(code, **variables):
        program = processes.start(
            "test",
            [sys.executable, "-c", code],
            env={**os.environ, **variables},
            folder=tmp_path,
            log=tmp_path / f"{len(started)}.log",
        )
        started.append(program)
        return program

    yield start
    processes.stop(started, seconds=0)


def wait_for_line(program, text="ready"):
    end = time.monotonic() + 10
    while text not in program.last_lines():
        assert time.monotonic() < end, program.last_lines()
        time.sleep(0.02)


def test_a_program_that_ends_when_asked_is_not_killed(start):
    program = start(
        "import signal, sys, time; signal.signal(signal.SIGTERM, lambda *_: sys.exit(7)); "
        "print('ready', flush=True); time.sleep(60)"
    )
    wait_for_line(program)
    assert processes.stop([program]) == []
    assert program.process.returncode == 7


def test_a_program_that_will_not_end_is_killed_after_a_while(start):
    program = start(STUBBORN)
    wait_for_line(program)
    assert processes.stop([program], seconds=0.2) == []
    assert program.process.returncode == -9


def test_children_of_a_program_that_is_dead_already_are_found_and_ended(start):
    program = start(f"import subprocess, sys; subprocess.Popen([sys.executable, '-c', {STUBBORN!r}])")
    wait_for_line(program)
    program.process.wait()
    assert len(processes.pids_of_sessions({program.pid})) == 1
    assert processes.stop([program], seconds=0.2) == []
    assert processes.pids_of_sessions({program.pid}) == []


def test_a_process_with_a_session_of_its_own_is_found_by_its_environment(start):
    program = start(
        f"import subprocess, sys; subprocess.Popen([sys.executable, '-c', {STUBBORN!r}], start_new_session=True)",
        DEMO_TEST_HOME="somewhere of this test",
    )
    wait_for_line(program)
    processes.stop([program], seconds=0.2)
    strangers = processes.pids_with_variable("DEMO_TEST_HOME", "somewhere of this test")
    assert len(strangers) == 1
    assert processes.kill(strangers) == []


def test_the_last_lines_are_the_end_of_the_output(start):
    program = start("print(*range(100), sep='\\n')")
    program.process.wait()
    assert program.last_lines(3) == "97\n98\n99"
