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
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent
STAMP = "made-by-make"
"""Lies in an environment from its first moment on; lists what is in it once everything is."""


class Recipe(NamedTuple):
    """What an environment is made of: arguments of pip, what they are called, and the newest Python that will do."""

    contents: str
    arguments: "tuple[str, ...]"
    constraints: "str | None"
    newest: "tuple[int, int]"


def _airflow(
    version: str, group: str, newest: "tuple[int, int]", constraints: "str | None" = ""
) -> "tuple[str, Recipe]":
    """Return the name of an Airflow's environment and what it is made of; no constraints (None): the newest of everything."""
    return version, Recipe(
        f"Airflow {version}",
        (
            "-e",
            f"{ROOT}[emulator]",
            "--group",
            f"{ROOT / 'pyproject.toml'}:{group}",
            f"apache-airflow=={version}",
        ),
        f"constraints/airflow-{version}.txt" if constraints == "" else constraints,
        newest,
    )


def _client(group: str, contents: str) -> "tuple[str, Recipe]":
    """Return the name of the environment of one of Nordic's own clients and what it is made of."""
    arguments = ("--group", f"{ROOT / 'pyproject.toml'}:{group}")
    return group, Recipe(contents, arguments, f"constraints/{group}.txt", (3, 14))


NORDIC = "nordic"
MEMFAULT = "memfault"
TESTED = ("2.11.2", "3.0.6", "3.1.8", "3.2.2", "3.3.2")
_RECIPES = dict(
    [
        _airflow("2.11.2", "dev", (3, 12)),
        _airflow("3.0.6", "test", (3, 12)),
        _airflow("3.1.8", "test", (3, 13)),
        _airflow("3.2.2", "test", (3, 14)),
        _airflow("3.3.2", "dev-newest", (3, 14)),
        # The lowest of everything that pyproject.toml names, and what comes next: make test-lowest and test-canary.
        _airflow("2.11.0", "test", (3, 12), "constraints/lowest.txt"),
        _airflow("3.4.0b2", "test", (3, 14), None),
        # Nordic's own clients, of either API, have an environment each: pyproject.toml says why.
        _client(NORDIC, "Nordic's client"),
        _client(MEMFAULT, "Nordic's client of the new API"),
    ]
)
_OLDEST_PYTHON = (3, 10)
_PIP = "pip>=25.1"
"""The first that installs dependency groups."""
_SHOWN_LINES = 15
_ENDING = {signal.SIGINT, signal.SIGTERM, signal.SIGHUP}


class Problem(Exception):
    """Ends the program with a sentence instead of a traceback."""


class Interrupted(BaseException):
    """A signal that asks to end; its number is the argument."""


def recipe_of(name: str) -> Recipe:
    """Return what the environment of an Airflow (its version) or of Nordic's client is made of, or raise a Problem."""
    if name not in _RECIPES:
        raise Problem(f"Airflow {name} is none of those tested here: {', '.join(TESTED)}.")
    return _RECIPES[name]


def check_python(version: "tuple[int, int]", name: str) -> None:
    """Raise a Problem if a Python (major, minor) is one that this environment cannot be made with."""
    recipe = recipe_of(name)
    if _OLDEST_PYTHON <= version <= recipe.newest:
        return
    wrong = "old" if version < _OLDEST_PYTHON else "new"
    raise Problem(
        f"Python {_dotted(version)} is too {wrong} for {recipe.contents}, which takes {_dotted(_OLDEST_PYTHON)} to "
        f"{_dotted(recipe.newest)}; choose another with PYTHON=, for example make PYTHON=python{_dotted(_OLDEST_PYTHON)}."
    )


def install(name: str, venv: Path) -> None:
    """Make the environment, or bring it up to date; return at once if there is nothing to do."""
    python = _base_python()
    foundation = f"{sys.version.split()[0]} {python} {ROOT}"
    recipe = recipe_of(name)
    contents = _digest(foundation, recipe)
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
    _pip_install(recipe, venv)
    complete = stamp.with_name(f"{STAMP}.new")
    complete.write_text(f"{foundation}\n{contents}\n")
    complete.replace(stamp)
    print(f"{venv.name} is ready after {time.time() - started:.0f} s.", flush=True)


def _pip_install(recipe: Recipe, venv: Path) -> None:
    pip = [str(venv / "bin" / "python"), "-m", "pip", "install"]
    pip += ["--disable-pip-version-check", "--no-input", "--progress-bar", "off"]
    print(f"Installing {recipe.contents} and what its tests need: a minute or two.", flush=True)
    _run([*pip, "--upgrade", _PIP], "pip could not be brought up to date")
    constraints = ("-c", str(ROOT / recipe.constraints)) if recipe.constraints else ()
    _run([*pip, *constraints, *recipe.arguments], "pip could not install everything")


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


def _digest(foundation: str, recipe: Recipe) -> str:
    digest = hashlib.sha256(f"{foundation} {recipe.arguments}".encode())
    for name in ("pyproject.toml", recipe.constraints):
        if name:
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
    made = parser.add_mutually_exclusive_group(required=True)
    made.add_argument("--airflow", dest="name", help="version of Airflow")
    made.add_argument("--nordic", dest="name", action="store_const", const=NORDIC, help="Nordic's client")
    made.add_argument(
        "--memfault", dest="name", action="store_const", const=MEMFAULT, help="Nordic's client of the new API"
    )
    parser.add_argument("--venv", help="folder of the environment")
    options = parser.parse_args()
    for number in _ENDING:
        signal.signal(number, _interrupt)
    try:
        check_python(sys.version_info[:2], options.name)
        # Without a folder, only whether this Python will do is asked.
        if options.venv:
            install(options.name, Path(os.path.abspath(options.venv)))  # noqa: PTH100 - keeps links
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
