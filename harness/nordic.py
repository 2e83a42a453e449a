"""Nordic's own client, unmodified, made to speak to the emulator.

``python -m harness.nordic URL [arguments of claim_devices]``, run by :func:`nordic_python`, is ``claim_devices``. Only
where the client looks for the service is changed: three globals of ``nrf_cloud_diap``.

What it needs cannot be beside every Airflow, so it has an environment of its own, and this module imports nothing else.
"""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
_PACKAGE = "nrfcloud-utils"


def nordic_python() -> str:
    """Return the Python that has Nordic's client: that of ``NORDIC_PYTHON``, of ``.venv-nordic``, or this one.

    :raises FileNotFoundError: if none has it; with how to install it.
    """
    if named := os.environ.get("NORDIC_PYTHON"):
        return named
    if (python := ROOT / ".venv-nordic" / "bin" / "python").exists():
        return str(python)
    if find_spec("nrfcloud_utils"):
        return sys.executable
    raise FileNotFoundError(
        f"there is no {_PACKAGE}: python3 harness/environment.py --nordic --venv .venv-nordic installs it (make test does so)"
    )


def environment() -> dict[str, str]:
    """Return the environment of a process that sees this project; its packages are those of its own Python."""
    return os.environ | {"PYTHONPATH": str(ROOT)}


def nordic_version() -> str:
    """Return the version of Nordic's client."""
    code = f"from importlib.metadata import version; print(version({_PACKAGE!r}))"
    return subprocess.check_output([nordic_python(), "-c", code], text=True).strip()


def speak_to(url: str) -> None:
    """Let the client of this process look for the service at a URL."""
    from nrfcloud_utils import nrf_cloud_diap  # type: ignore[import-not-found,import-untyped,unused-ignore]

    nrf_cloud_diap.API_URL_START = url
    nrf_cloud_diap.DEV_STAGE_DICT = {"": "/"}
    nrf_cloud_diap.API_URL_END = "v1/"
    nrf_cloud_diap.set_dev_stage("")


def main(url: str, arguments: list[str]) -> None:
    """Run ``claim_devices``; it ends the process itself."""
    from nrfcloud_utils import claim_devices

    speak_to(url)
    claim_devices.main(arguments)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
