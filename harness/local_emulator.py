"""The emulator of nRF Cloud as a program beside this one."""

from __future__ import annotations

import json
import os
import re
import secrets
import sys
import time
from pathlib import Path
from typing import Any

import requests

from airflow_provider_nrfprov.emulator.accounts import OTHER_TEAM_KEY, TEAM_A
from harness import processes
from harness.processes import Program

_LISTENING = re.compile(r"nRF Cloud emulator on (\S+)\n(?:Its certificate is of the CA in (.+))?")
_SECONDS_TO_START = 60


class EmulatorError(Exception):
    """The emulator did not start, or does not answer as it should."""


class LocalEmulator:
    """One emulator with an API key of its own, on any free port.

    :param log: the file that its output is added to.
    :param contract: which generation of the service it is: ``async``, ``sync`` or ``both``.
    :param bulk_seconds: how long a bulk operation takes.
    :param tls: whether it speaks TLS, with a certificate of a CA of its own (``ca_file``).
    """

    team = TEAM_A
    """The id of the team that the API key belongs to."""

    def __init__(
        self, log: Path, *, contract: str = "both", bulk_seconds: float = 3, tls: bool = False
    ) -> None:
        self.api_key = secrets.token_hex(16)
        self.url = ""
        self.ca_file = ""
        self._log = log
        self._options = ["--contract", contract, "--bulk-seconds", str(bulk_seconds)]
        if tls:
            self._options.append("--tls")
        self._program: Program | None = None
        self._session = requests.Session()
        self._session.trust_env = False

    def start(self) -> None:
        """Start it and wait until it listens; ``url`` is where, and ``ca_file`` what to trust there."""
        self._log.unlink(missing_ok=True)
        command = [sys.executable, "-m", "airflow_provider_nrfprov.emulator", "--port", "0"]
        self._program = processes.start(
            "emulator",
            [*command, "--api-key", self.api_key, *self._options],
            env=os.environ,
            folder=Path.cwd(),
            log=self._log,
        )
        end = time.monotonic() + _SECONDS_TO_START
        while not (found := _LISTENING.search(f"{self._program.last_lines()}\n")):
            if not self._program.is_running or time.monotonic() > end:
                raise EmulatorError(f"The emulator did not start:\n{self._program.last_lines()}")
            time.sleep(0.05)
        self.url, self.ca_file = found[1], found[2] or ""
        self._session.verify = self.ca_file or True

    def stop(self) -> list[int]:
        """End it; return the ids of its processes that nothing could end."""
        self._session.close()
        return processes.stop([self._program]) if self._program else []

    def connection(self) -> dict[str, str]:
        """Return Airflow's default connection to it, as a variable of the environment; links lead to its own lists."""
        devices = f"{self.url}/emulator/devices"
        extra = {"portal_url": devices, "device_url": f"{devices}/{{device_id}}"}
        if self.ca_file:
            extra["verify"] = self.ca_file
        connection = {"conn_type": "nrfprov", "host": self.url, "password": self.api_key, "extra": extra}
        return {"AIRFLOW_CONN_NRFPROV_DEFAULT": json.dumps(connection)}

    def claim(self, claim_token: str, *, for_other_team: bool = False) -> None:
        """Claim a device for our team, or for the other one."""
        api_key = OTHER_TEAM_KEY if for_other_team else self.api_key
        answer = self._session.post(
            f"{self.url}/v1/claimed-devices",
            json={"claimToken": claim_token},
            headers={"Authorization": f"Bearer {api_key}"},
            timeout=30,
        )
        if answer.status_code != requests.codes.created:
            raise EmulatorError(f"The emulator answers {answer.status_code} to a claim: {answer.text[:500]}")

    def devices(self) -> list[dict[str, Any]]:
        """Return all claimed devices of all teams, with ``id``, ``team``, ``tags`` and ``claimCount``."""
        try:
            answer = self._session.get(f"{self.url}/emulator/devices", timeout=30)
            answer.raise_for_status()
            return list(answer.json()["items"])
        except requests.RequestException as error:
            raise EmulatorError(f"The emulator does not answer: {error}") from error

    def count_ours(self) -> int:
        """Count the devices of our team."""
        return sum(device["team"] == self.team for device in self.devices())
