"""Makes the virtual environment that `make` works in, with pip and the user's own pip configuration.

Run by whatever `python3` is there, so it imports nothing that has to be installed, and is written so that a
Python 3.6 can still parse it and be told that it is too old.
"""

import argparse
import collections
import hashlib
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
STAMP = "made-by-make"
"""Lies in an environment from its first moment on; says what is in it once everything is."""

_TESTED = {
    # Airflow: constraints, oldest and newest Python
    "3.3.2": ("constraints/airflow-3.3.2.txt", (3, 10), (3, 14)),
    "2.11.2": ("constraints/airflow-2.11.2.txt", (3, 10), (3, 12)),
}
_SHOWN_LINES = 15
_ENDING = {signal.SIGINT, signal.SIGTERM, signal.SIGHUP}


class Problem(Exception):
    """Ends the program with a sentence instead of a traceback."""


class Interrupted(BaseException):
    """A signal that asks to end; its number is the argument."""


def check_airflow(airflow: str) -> None:
    """Raise a Problem if there are no constraints for this version of Airflow."""
    if airflow not in _TESTED:
        raise Problem(f"Airflow {airflow} is none of those tested here: {' and '.join(_TESTED)}.")


def check_python(version: "tuple[int, int]", airflow: str) -> None:
    """Raise a Problem if a Python (major, minor) is one that this Airflow does not take."""
    _, oldest, newest = _TESTED[airflow]
    if oldest <= version <= newest:
        return
    wrong = "old" if version < oldest else "new"
    raise Problem(
        f"Python {_dotted(version)} is too {wrong} for Airflow {airflow}, which takes {_dotted(oldest)} to "
        f"{_dotted(newest)}; choose another with PYTHON=, for example make PYTHON=python{_dotted(oldest)}."
    )


def install(airflow: str, venv: Path) -> None:
    """Make the environment, or bring it up to date; return at once if there is nothing to do."""
    python = _base_python()
    foundation = f"{sys.version.split()[0]} {python} {ROOT}"
    contents = _digest(foundation, airflow)
    stamp = venv / STAMP
    found = stamp.read_text().splitlines() if stamp.exists() else []
    if found == [foundation, contents]:
        return
    started = time.time()
    if venv.exists() and found[:1] != [foundation]:
        _remove(venv)
    if not venv.exists():
        _check_venv_module(python)
        print(f"Making {venv.name} with Python {sys.version.split()[0]}.", flush=True)
        venv.mkdir(parents=True)
        stamp.write_text("")
        _run([python, "-m", "venv", str(venv)], f"The environment {venv.name} could not be made")
    # From here on it is half done until the stamp says otherwise; nothing that was interrupted counts.
    stamp.write_text("")
    _pip_install(airflow, venv)
    complete = stamp.with_name(f"{STAMP}.new")
    complete.write_text(f"{foundation}\n{contents}\n")
    complete.replace(stamp)
    print(f"{venv.name} is ready after {time.time() - started:.0f} s.", flush=True)


def _pip_install(airflow: str, venv: Path) -> None:
    constraints = _TESTED[airflow][0]
    print(f"Installing Airflow {airflow}, this provider and its tools: a minute or two.", flush=True)
    _run(
        [
            *(str(venv / "bin" / "python"), "-m", "pip", "install"),
            *("--disable-pip-version-check", "--no-input", "--progress-bar", "off"),
            *("-c", str(ROOT / constraints), "-e", f"{ROOT}[dev]", f"apache-airflow=={airflow}"),
        ],
        "pip could not install everything",
    )


def _base_python() -> str:
    # An environment made from a virtual environment would break as soon as that one goes.
    python = getattr(sys, "_base_executable", None) or sys.executable
    if not python:
        raise Problem("This Python does not know its own path; name another with PYTHON=/path/to/python3.")
    return str(python)


def _check_venv_module(python: str) -> None:
    found = subprocess.call([python, "-c", "import venv, ensurepip"], stderr=subprocess.DEVNULL)
    if found != 0:
        raise Problem(
            f"{python} cannot make virtual environments; on Debian and Ubuntu: apt-get install python3-venv."
        )


def _remove(venv: Path) -> None:
    if not (venv / STAMP).exists():
        raise Problem(
            f"{venv} was not made by this Makefile, which makes one of its own there; move it away."
        )
    shutil.rmtree(str(venv))


def _run(command: "list[str]", failure: str) -> None:
    """Run a command and show the time that it takes; if it fails, raise a Problem with its last lines."""
    started = time.time()
    tail = collections.deque(maxlen=_SHOWN_LINES)  # type: collections.deque[str]
    with _start(command) as process:
        try:
            assert process.stdout is not None
            for line in process.stdout:
                # pip warns about every index that it cannot use; those are not why it failed.
                if line.strip() and not line.startswith("WARNING:"):
                    tail.append(line.rstrip())
                _show(f"  {time.time() - started:3.0f} s  {line.strip()}")
            code = process.wait()
        except Interrupted:
            _end(process)
            raise
        finally:
            _show("")
    if code != 0:
        last_lines = "".join(f"\n  {line}" for line in tail)
        raise Problem(f"{failure} (exit code {code}); its last lines:{last_lines}")


def _start(command: "list[str]") -> "subprocess.Popen[str]":
    # In a session of its own, so that a Ctrl-C reaches this program only, which ends it in order. The
    # signals wait until the process is known: one that came in between would leave it running.
    signal.pthread_sigmask(signal.SIG_BLOCK, _ENDING)
    try:
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            universal_newlines=True,
            errors="replace",
            start_new_session=True,
            preexec_fn=_unblock,  # noqa: PLW1509 - there are no threads
        )
    finally:
        _unblock()


def _unblock() -> None:
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _ENDING)


def _end(process: "subprocess.Popen[str]") -> None:
    for number in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, number)
            process.wait(timeout=5)
        except (ProcessLookupError, subprocess.TimeoutExpired):
            pass


def _show(line: str) -> None:
    """Put one line in the place of the last, if somebody is watching."""
    if sys.stdout.isatty():
        width = shutil.get_terminal_size().columns - 1
        print(f"\r\033[K{line[:width]}", end="", flush=True)


def _digest(foundation: str, airflow: str) -> str:
    digest = hashlib.sha256(f"{foundation} {airflow}".encode())
    for name in ("pyproject.toml", _TESTED[airflow][0]):
        digest.update((ROOT / name).read_bytes())
    return digest.hexdigest()


def _dotted(version: "tuple[int, int]") -> str:
    return ".".join(str(part) for part in version)


def _interrupt(number: int, _: object) -> None:
    for each in _ENDING:
        signal.signal(each, signal.SIG_IGN)
    raise Interrupted(number)


def main() -> int:
    """Make the environment; 0 when it is complete, 1 after a sentence that says why not."""
    parser = argparse.ArgumentParser(description="Makes the virtual environment that make works in.")
    parser.add_argument("--airflow", required=True, help="version of Airflow")
    parser.add_argument("--venv", help="folder of the environment")
    options = parser.parse_args()
    for number in _ENDING:
        signal.signal(number, _interrupt)
    try:
        check_airflow(options.airflow)
        check_python(sys.version_info[:2], options.airflow)
        # Without a folder, only whether this Python will do is asked.
        if options.venv:
            install(options.airflow, Path(os.path.abspath(options.venv)))  # noqa: PTH100 - keeps links
    except Problem as problem:
        print(problem, file=sys.stderr)
        return 1
    except OSError as error:
        print(f"The environment could not be made: {error}.", file=sys.stderr)
        return 1
    except Interrupted as interrupted:
        print("Interrupted; the environment will be made anew next time.", file=sys.stderr)
        return 128 + int(interrupted.args[0])
    return 0


if __name__ == "__main__":
    sys.exit(main())
