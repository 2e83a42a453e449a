"""The processes of a running Airflow that are killed: how each is found, and SIGKILL for it alone."""

from __future__ import annotations

import os
import signal
import time
from contextlib import suppress
from enum import Enum

import psutil  # type: ignore[import-untyped,unused-ignore]

from harness.local_airflow import LocalAirflow
from harness.processes import is_alive

TITLE = "airflow worker -- "
"""Airflow gives the process of a task this title, and then the id of the task instance, which is another one
for each try."""
_SECONDS_TO_DIE = 60
"""It takes no time, but on a machine whose disk is busy."""


class Victim(str, Enum):
    """What is killed."""

    TASK = "task"
    """The process that executes the operator."""
    WORKER = "worker"
    """The executor's process that has the task's process as its child, and speaks to Airflow for it. The
    task's process is left behind: nobody tells it to stop."""
    TRIGGERER = "triggerer"
    """The triggerer, or its child in which the triggers run."""
    SCHEDULER = "scheduler"
    """The scheduler; its workers are left behind, with their tasks."""


def task_process(airflow: LocalAirflow, task_instance_id: str) -> int | None:
    """Find the process that executes a try of a task; ``None`` if there is none (yet, or any more)."""
    for pid in airflow.all_pids():
        with suppress(psutil.Error):
            if " ".join(psutil.Process(pid).cmdline()).strip() == TITLE + task_instance_id:
                return pid
    return None


def worker_process(airflow: LocalAirflow, task_pid: int) -> int | None:
    """Find the worker that has a task's process as its child."""
    with suppress(psutil.Error):
        parent = psutil.Process(task_pid).parent()
        if parent is not None and parent.pid in airflow.all_pids() and TITLE in " ".join(parent.cmdline()):
            return int(parent.pid)
    return None


def child_process(pid: int) -> int | None:
    """Find the only child of a process; ``None`` if it has none, or several."""
    with suppress(psutil.Error):
        children = psutil.Process(pid).children()
        return int(children[0].pid) if len(children) == 1 else None
    return None


def kill(pid: int) -> bool:
    """Send SIGKILL to one process; return whether it was alive, and is not any more."""
    if not is_alive(pid):
        return False
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
        return wait_until_gone(pid)
    return False


def wait_until_gone(pid: int) -> bool:
    """Wait until a process has ended, whether or not its parent took notice; return whether it has."""
    end = time.monotonic() + _SECONDS_TO_DIE
    while time.monotonic() < end:
        if not is_alive(pid):
            return True
        time.sleep(0.01)
    return False
