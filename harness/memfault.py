"""Nordic's own client of the new API, memfault-cli, unmodified, made to speak to the emulator.

It has an environment of its own, and is told by its hidden option ``--url`` where the service is.
"""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

from harness.nordic import ROOT

TOKEN = "oat_emulator-token"


@dataclass(frozen=True)
class Run:
    """How a run of the client ended."""

    code: int
    text: str
    """What it printed."""
    results: dict[str, str]
    """What its result file says of each device: ``OK``, or words; empty if it wrote none."""


def memfault_program() -> str:
    """Return the path of the client's program, in ``.venv-memfault`` or where ``MEMFAULT_BIN`` says.

    :raises FileNotFoundError: if it is not there; with how to install it.
    """
    folder = Path(os.environ.get("MEMFAULT_BIN") or ROOT / ".venv-memfault" / "bin")
    program = folder / "nrfcloud"
    if not program.exists():
        raise FileNotFoundError(
            "there is no memfault-cli: python3 harness/environment.py --memfault --venv .venv-memfault installs it (make test does so)"
        )
    return str(program)


def memfault_command(
    url: str,
    csv: Path,
    *,
    token: str = TOKEN,
    organization: str = "acme-inc",
    project: str = "smart-sink",
) -> list[str]:
    """Return the command ``nrfcloud device create``, with all that it needs to know.

    :param url: of the service, without a path.
    :param csv: file of devices and their credentials; the results are written beside it.
    """
    options = ["--url", url, "--org-token", token, "--org", organization, "--project", project]
    return [
        memfault_program(), *options, "device", "create", "--csv", str(csv), "--res", str(_results_of(csv)),
    ]  # fmt: skip


def create_devices(url: str, csv: Path, *, seconds: float = 60.0, **access: str) -> Run:
    """Run ``nrfcloud device create``, as :func:`memfault_command` says.

    :raises subprocess.TimeoutExpired: if it has not ended in time; it is ended then.
    """
    results = _results_of(csv)
    results.unlink(missing_ok=True)
    ended = subprocess.run(
        memfault_command(url, csv, **access),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=seconds,
        check=False,
    )  # fmt: skip
    return Run(ended.returncode, ended.stdout, _results(results))


def _results_of(csv: Path) -> Path:
    return csv.with_name(f"{csv.stem}-results.csv")


def _results(path: Path) -> dict[str, str]:
    if not path.exists():
        return {}
    lines = path.read_text(encoding="utf-8").splitlines()[1:]
    return dict(line.split(",", 1) for line in lines)
