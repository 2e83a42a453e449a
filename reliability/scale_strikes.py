"""What is killed while many runs are under way: a Celery worker in the midst of claims, a triggerer in that of waits."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar

import psutil  # type: ignore[import-untyped,unused-ignore]

from reliability.engines import TRIGGERER_NAMES, WORKER_NAMES
from reliability.scale_runs import LONGEST_WAIT, Phase, Strike
from reliability.victims import TITLE, kill

FoundT = TypeVar("FoundT")

_LEAST_ACCEPTED = 0.1
"""Such a part of all rows is with the service before a worker is killed."""
_HALF = 0.5
"""A claim of which more is accepted may end before the blow falls."""
_TRIGGER_LOG = re.compile(r"/run_id=([^/]+)/.*\.trigger\.\d+\.log$")


def kill_a_worker(phase: Phase) -> Strike:
    """Kill the Celery worker that has most claims half sent, with the processes of its tasks, and for good."""
    tasks: dict[str, tuple[str, int]] = {}
    found = _wait_for(phase, lambda: _busiest_worker(phase, tasks))
    if found is None:
        return Strike("no worker was killed: none had a claim half sent", False)
    name, tries = found
    seconds = phase.elapsed
    left = phase.here.airflow.kill_part(name)
    accepted = phase.accepted()
    # What it managed to finish in its last moments was not interrupted.
    shares = {run_id: share for run_id in tries if 0 < (share := phase.share_accepted(run_id, accepted)) < 1}
    words = (
        f"{name} killed {seconds:.0f} s after the start, with {len(tries)} tasks in it; "
        f"of {len(shares)} of them some rows were accepted and some not "
        f"({', '.join(f'{share:.0%}' for share in sorted(shares.values()))})"
    )
    return Strike(words, bool(shares) and not left, {run_id: tries[run_id] for run_id in shares})


def kill_a_triggerer(phase: Phase) -> Strike:
    """Kill the triggerer in which most tasks wait for operations that have not ended, and for good."""
    least = max(1, len(phase.shifts) // 10)
    found = _wait_for(phase, lambda: _fullest_triggerer(phase, least))
    if found is None:
        return Strike(f"no triggerer was killed: none had {least} tasks waiting", False)
    name, run_ids = found
    seconds = phase.elapsed
    killed = kill(phase.here.airflow.pids[name])
    # The other one needs some seconds to notice: what this one had told Airflow shows by now.
    deferred = {task["dag_run_id"] for task in phase.tasks() if task["state"] == "deferred"} & run_ids
    words = f"{name} killed {seconds:.0f} s after the start, with {len(deferred)} tasks waiting in it"
    return Strike(words, killed and bool(deferred))


def _wait_for(phase: Phase, find: Callable[[], FoundT | None]) -> FoundT | None:
    next_look = time.monotonic() + 5
    while phase.elapsed < LONGEST_WAIT:
        if found := find():
            return found
        if time.monotonic() > next_look:
            if phase.is_over():
                return None
            # Asking keeps a part of Airflow busy that tasks need.
            next_look = time.monotonic() + 5
        time.sleep(0.1)
    return None


def _busiest_worker(phase: Phase, tasks: dict[str, tuple[str, int]]) -> tuple[str, dict[str, int]] | None:
    """Find the worker with most claims half sent; give its name, and the runs and tries of its tasks.

    :param tasks: what is known of task instances, by id: their run and try. More is added; Airflow is asked
        only about those that are new, since while it answers the moment may pass.
    """
    here = {name: _task_instances(phase.here.airflow.pids[name]) for name in WORKER_NAMES}
    if any(id_ not in tasks for ids in here.values() for id_ in ids):
        tasks.update({task["id"]: (task["dag_run_id"], int(task["try_number"])) for task in phase.tasks()})
    accepted = phase.accepted()
    if sum(accepted.values()) < _LEAST_ACCEPTED * sum(shift.sendable for shift in phase.shifts):
        return None
    half_sent = {
        name: sum(id_ in tasks and 0 < phase.share_accepted(tasks[id_][0], accepted) <= _HALF for id_ in ids)
        for name, ids in here.items()
    }
    name = max(half_sent, key=lambda each: half_sent[each])
    return (name, dict(tasks[id_] for id_ in here[name] if id_ in tasks)) if half_sent[name] else None


def _task_instances(worker: int) -> list[str]:
    """Return the ids of the task instances that the processes below a worker execute."""
    titles = []
    with suppress(psutil.Error):
        for process in psutil.Process(worker).children(recursive=True):
            with suppress(psutil.Error):
                titles.append(" ".join(process.cmdline()).strip())
    return [title.removeprefix(TITLE) for title in titles if title.startswith(TITLE)]


def _fullest_triggerer(phase: Phase, least: int) -> tuple[str, set[str]] | None:
    """Find the triggerer in which most tasks wait in earnest; give its name and their runs."""
    waiting = phase.waiting()
    found = {name: _runs_in(phase.here.airflow.pids[name]) & waiting for name in TRIGGERER_NAMES}
    name = max(found, key=lambda each: len(found[each]))
    return (name, found[name]) if len(found[name]) >= least else None


def _runs_in(triggerer: int) -> set[str]:
    """Return the runs whose tasks wait in a triggerer: it keeps a log open for each."""
    with suppress(psutil.Error):
        logs = [file.path for file in psutil.Process(triggerer).open_files()]
        return {found[1] for log in logs if (found := _TRIGGER_LOG.search(log))}
    return set()
