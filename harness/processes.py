"""Programs that run beside this one: each in a session of its own, its output in a file, ended without a trace.

A session of its own, because a terminal sends Ctrl-C to every process of its foreground group, and the order
of ending would be nobody's. And because whatever such a program starts stays in its session, so that
everything that belongs to it can be found, even after it has died itself.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil  # type: ignore[import-untyped,unused-ignore]

_ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_LAST_LINES_BYTES = 16_384
_SECONDS_TO_DIE = 5


@dataclass(frozen=True)
class Program:
    """A running program. ``pid`` is that of its session, too."""

    name: str
    process: subprocess.Popen[bytes]
    log: Path

    @property
    def pid(self) -> int:
        """The process id, and the id of the session."""
        return self.process.pid

    @property
    def is_running(self) -> bool:
        """Whether the program itself runs, whatever became of what it started."""
        return self.process.poll() is None

    def last_lines(self, count: int = 20) -> str:
        """Return the end of its output."""
        with suppress(OSError), self.log.open("rb") as stream:
            stream.seek(max(0, self.log.stat().st_size - _LAST_LINES_BYTES))
            return "\n".join(stream.read().decode(errors="replace").splitlines()[-count:])
        return ""


def start(
    name: str, command: Sequence[str], *, env: Mapping[str, str], folder: Path, log: Path, **identity: Any
) -> Program:
    """Start a program in a folder, in a session of its own; its output is added to ``log``.

    :param identity: who runs it, if not this user: ``user``, ``group`` and ``extra_groups`` of ``subprocess``.
    """
    # The signals wait until the program is known: one that came in between would leave it running.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _ENDING)
    try:
        with log.open("ab") as output:
            process = subprocess.Popen(
                command,
                env=dict(env),
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=_default_signals,  # noqa: PLW1509 - it makes system calls only
                **identity,
            )
        return Program(name, process, log)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def write_secret(path: Path, text: str) -> None:
    """Write a new file that only its owner may read."""
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as stream:
        stream.write(text)


def stop(programs: Sequence[Program], seconds: float = 10) -> list[int]:
    """Ask programs to end, all at once; kill what is left of their sessions after some seconds.

    Return the ids of processes that are there even then: none, as far as anybody knows.
    """
    for program in programs:
        if program.is_running:
            with suppress(ProcessLookupError):
                program.process.send_signal(signal.SIGTERM)
    sessions = {program.pid for program in programs}
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if not any(program.is_running for program in programs) and not pids_of_sessions(sessions):
            break
        time.sleep(0.05)
    return kill(pids_of_sessions(sessions), programs)


def require_stopped(stop: Callable[[], Sequence[int]]) -> None:
    """End what was started; fail if a process of it is there even then."""
    left = stop()
    assert not left, f"these processes would not end: {left}"


def kill(pids: Iterable[int], programs: Sequence[Program] = ()) -> list[int]:
    """Kill processes and, as long as they have any, what their sessions start meanwhile; return survivors."""
    sessions = {program.pid for program in programs}
    left = list(pids)
    end = time.monotonic() + _SECONDS_TO_DIE
    while left and time.monotonic() < end:
        for pid in left:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.05)
        for program in programs:
            program.process.poll()  # else it stays as a zombie
        left = sorted({*filter(is_alive, left), *pids_of_sessions(sessions)})
    for program in programs:
        # Python complains of one that is dropped before its end was noticed; the last of its threads may end after itself.
        with suppress(subprocess.TimeoutExpired):
            program.process.wait(0 if program.pid in left else 1)
    return left


def pids_of_sessions(sessions: set[int]) -> list[int]:
    """Return the living processes of sessions, also those whose parents are gone."""
    found = []
    for pid in psutil.pids():
        with suppress(OSError):
            if os.getsid(pid) in sessions and is_alive(pid):
                found.append(pid)
    return found


def pids_with_variable(name: str, value: str) -> list[int]:
    """Return the living processes that were started with an environment variable of this value."""
    found = []
    for process in psutil.process_iter():
        # Other users' processes keep theirs to themselves.
        with suppress(psutil.Error, OSError):
            if process.pid != os.getpid() and process.environ().get(name) == value:
                found.append(process.pid)
    return [pid for pid in found if is_alive(pid)]


def is_alive(pid: int) -> bool:
    """Whether there is a process of that id; one that has ended and that nobody took notice of is none."""
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.Error:
        return False


def _default_signals() -> None:
    # A background job of a shell ignores SIGINT, and would hand that down.
    for number in _ENDING:
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _ENDING)
