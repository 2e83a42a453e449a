"""What the emulator's tests share: a running emulator, one who asks it, and a clock moved by hand."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import datetime, timezone

import pytest
import requests

from airflow_provider_nrfprov.emulator.clock import ManualClock
from airflow_provider_nrfprov.emulator.server import Emulator, running_emulator


class Asker:
    """Asks an emulator with one API key, over one connection."""

    def __init__(self, emulator: Emulator, session: requests.Session, api_key: str) -> None:
        self.emulator = emulator
        self.service = emulator.service
        self._session = session
        self._api_key = api_key

    def with_key(self, api_key: str) -> Asker:
        return Asker(self.emulator, self._session, api_key)

    def ask(self, method: str, path: str, **kwargs) -> requests.Response:
        headers = {"Authorization": f"Bearer {self._api_key}", **kwargs.pop("headers", {})}
        named = {"timeout": 10, **kwargs}
        return self._session.request(method, self.emulator.url + path, headers=headers, **named)

    def get(self, path: str, **kwargs) -> requests.Response:
        return self.ask("GET", path, **kwargs)

    def post(self, path: str, **kwargs) -> requests.Response:
        return self.ask("POST", path, **kwargs)

    def put(self, path: str, **kwargs) -> requests.Response:
        return self.ask("PUT", path, **kwargs)

    def delete(self, path: str) -> requests.Response:
        return self.ask("DELETE", path)

    def claim(self, token: str, *tags: str) -> requests.Response:
        body = {"claimToken": token, "tags": list(tags)} if tags else {"claimToken": token}
        return self.post("/v1/claimed-devices", json=body)

    def post_csv(self, path: str, text: str) -> requests.Response:
        return self.post(path, data=text.encode(), headers={"Content-Type": "text/csv"})

    def start_bulk(self, text: str) -> str:
        answer = self.post_csv("/v1/claimed-devices/bulk", text)
        assert answer.status_code == 202, answer.text
        return answer.json()["bulkOpsRequestId"]

    def operation(self, operation_id: str) -> dict:
        return self.get(f"/v1/bulk-ops-requests/{operation_id}").json()

    def walk(self, **query) -> list[str]:
        """The ids of the claimed devices, page after page."""
        ids = []
        while True:
            page = self.get("/v1/claimed-devices", params=query).json()
            assert page["total"] == len(page["items"])
            ids += [item["id"] for item in page["items"]]
            if "pageNextToken" not in page:
                return ids
            query["pageNextToken"] = page["pageNextToken"]

    def tags_of(self, device_id: str) -> list[str]:
        return self.get(f"/v1/claimed-devices/{device_id}").json()["tags"]


@pytest.fixture(scope="session")
def shared_clock() -> ManualClock:
    return ManualClock(datetime(2026, 3, 4, 5, 6, 7, 891234, tzinfo=timezone.utc))


@pytest.fixture(scope="session")
def shared_asker(shared_clock) -> Iterator[Asker]:
    with running_emulator(clock=shared_clock) as emulator, requests.Session() as session:
        yield Asker(emulator, session, emulator.settings.api_key)


@pytest.fixture
def clock(shared_clock) -> ManualClock:
    """A clock that shows the same time at the beginning of every test."""
    shared_clock.restart()
    return shared_clock


@pytest.fixture
def api(shared_asker, clock) -> Asker:
    """One who asks an emulator with default settings that has nothing in it yet."""
    shared_asker.emulator.reset()
    return shared_asker


@pytest.fixture
def world(api) -> Callable[..., Asker]:
    """Begin a world with settings of its own in the emulator that all tests share."""

    def begin(**settings) -> Asker:
        api.emulator.reset(**settings)
        return api.with_key(api.emulator.settings.api_key)

    return begin


@pytest.fixture
def carried_out(api, clock) -> Callable[[str], dict]:
    """Start a bulk operation and let it end; return what is said of it then."""

    def carry_out(text: str) -> dict:
        operation_id = api.start_bulk(text)
        clock.advance(2)
        return api.operation(operation_id)

    return carry_out


@pytest.fixture
def start() -> Iterator[Callable[..., Asker]]:
    """Start emulators of the test's own, with settings of their own."""
    with ExitStack() as stack:

        def start_one(**arguments) -> Asker:
            emulator = stack.enter_context(running_emulator(**arguments))
            session = stack.enter_context(requests.Session())
            return Asker(emulator, session, emulator.settings.api_key)

        yield start_one
