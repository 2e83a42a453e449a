"""An emulator with a watcher in front: what is on the wire at the same time, when it came, and who meddles."""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any

from airflow_provider_nrfprov.emulator.accounts import TEAM_A, TEAM_B
from airflow_provider_nrfprov.emulator.app import create_app
from airflow_provider_nrfprov.emulator.devices import Device
from airflow_provider_nrfprov.emulator.faults import ANY, Slow
from airflow_provider_nrfprov.emulator.mint import mint_devices
from airflow_provider_nrfprov.emulator.server import Emulator, Server
from airflow_provider_nrfprov.emulator.service import Service
from airflow_provider_nrfprov.emulator.settings import Settings

Meddler = Callable[[dict[str, Any]], "tuple[int, dict[str, str]] | tuple[int, dict[str, str], bytes] | None"]


@dataclass
class Traffic:
    """What the watcher saw."""

    in_flight: int = 0
    most_in_flight: int = 0
    arrivals: list[float] = field(default_factory=list)
    answers: list[tuple[float, int]] = field(default_factory=list)
    """When each answer began, and its status."""
    meddle: Meddler | None = None
    """Is shown each request (an ASGI scope, which it may change); may answer it with a status, headers, and a body."""
    lock: threading.Lock = field(default_factory=threading.Lock)

    def statuses(self) -> list[int]:
        return [status for _, status in self.answers]

    def forget(self) -> None:
        with self.lock:
            self.most_in_flight = 0
            self.arrivals.clear()
            self.answers.clear()


def _watched(app: Any, traffic: Traffic) -> Any:
    async def watched(scope: Any, receive: Any, send: Any) -> None:
        async def noted(message: Any) -> None:
            if message["type"] == "http.response.start":
                traffic.answers.append((time.monotonic(), message["status"]))
            await send(message)

        with traffic.lock:
            traffic.arrivals.append(time.monotonic())
            traffic.in_flight += 1
            traffic.most_in_flight = max(traffic.most_in_flight, traffic.in_flight)
        try:
            answer = traffic.meddle(scope) if traffic.meddle else None
            if answer is None:
                await app(scope, receive, noted)
            else:
                await _answer(receive, noted, *answer)
        finally:
            with traffic.lock:
                traffic.in_flight -= 1

    return watched


async def _answer(
    receive: Any, send: Any, status: int, headers: dict[str, str], body: bytes | None = None
) -> None:
    if body is None:
        body = json.dumps({"code": status * 100, "message": "because the test says so"}).encode()
    while (await receive()).get("more_body"):
        pass
    pairs = {"Content-Type": "application/json", "Content-Length": str(len(body)), **headers}
    raw = [(name.lower().encode(), value.encode()) for name, value in pairs.items()]
    await send({"type": "http.response.start", "status": status, "headers": raw})
    await send({"type": "http.response.body", "body": body})


@contextmanager
def watched_emulator(**settings: Any) -> Iterator[tuple[Emulator, Traffic]]:
    """Run an emulator behind a watcher while the ``with`` block runs."""
    traffic = Traffic()
    service = Service(Settings(**settings))
    server = Server(_watched(create_app(service=service), traffic), 0, "warning")
    try:
        server.start()
        yield Emulator(service, server), traffic
    finally:
        service.faults.interrupt()
        server.stop()


def claimed(
    emulator: Emulator, count: int, *, tags: tuple[str, ...] = (), seed: str = "claimed"
) -> list[str]:
    """Let a team have claimed devices, without a request; return their UUIDs."""
    now = datetime.now(timezone.utc)
    with emulator.service.turn():
        return [
            emulator.service.devices.claim(TEAM_A, device.token, tags, now).id
            for device in mint_devices(count, seed=seed)
        ]


def claimed_by_another_team(emulator: Emulator, *tokens: str) -> list[Device]:
    """Let another team have claimed the devices of these tokens, without a request."""
    with emulator.service.turn() as now:
        return [emulator.service.devices.claim(TEAM_B, token, (), now) for token in tokens]


def statuses(emulator: Emulator) -> Counter[str]:
    """Count the claimed devices by status."""
    return Counter(device.status for device in emulator.service.claimed_devices())


def slow(emulator: Emulator, seconds: float) -> None:
    """Let every request take so long, so that several are under way."""
    emulator.service.faults.plan(ANY, Slow(before=seconds), times=None)


def only(rate: float) -> Meddler:
    """A service that takes a number of requests a second and refuses the others, without a Retry-After."""
    lock, state = threading.Lock(), {"tokens": 5.0, "at": time.monotonic()}

    def meddle(_: object) -> tuple[int, dict[str, str]] | None:
        with lock:
            now = time.monotonic()
            state["tokens"] = min(5.0, state["tokens"] + (now - state["at"]) * rate)
            state["at"] = now
            if state["tokens"] < 1:
                return 429, {}
            state["tokens"] -= 1
            return None

    return meddle
