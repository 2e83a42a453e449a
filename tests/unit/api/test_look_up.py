"""What it costs to find which of many devices are ours, and that the answer is right whatever the service makes of the question."""

from __future__ import annotations

import json
from collections.abc import Iterator
from urllib.parse import parse_qs, urlsplit
from uuid import UUID

import pendulum
import pytest

from airflow_provider_nrfprov.api import (
    ClaimedDevice,
    GoneError,
    ProvisioningClient,
    UnreadableAnswerError,
    base_urls,
)
from airflow_provider_nrfprov.api.claimed_devices import find_claimed_devices
from airflow_provider_nrfprov.api.retry import NEVER
from harness.small_server import QuietHandler, serving

BEGAN = pendulum.datetime(2026, 11, 26, 6)
YESTERDAY, LATER = BEGAN.subtract(days=1), BEGAN.add(seconds=5)
OLD = [str(UUID(int=number)) for number in range(20_000)]
NEW = [str(UUID(int=2**100 + number)) for number in range(1000)]


class Team:
    """A service that has devices of a team, in the order of claiming, and counts what it is asked."""

    def __init__(self) -> None:
        self.old: list[str] = []
        self.new: list[str] = []
        self.filters = "applied"
        self.requests = 0

    def page(self, query: dict[str, list[str]]) -> tuple[int, object]:
        old = self.old
        match query.get("claimedAfter"), self.filters:
            case [after], "applied":
                old = self.old if pendulum.parse(after) <= YESTERDAY else []
            case [_], "refused":
                return 400, {"message": "unknown parameter claimedAfter"}
            case [_], "misunderstood":
                return 200, {"items": []}
        start, size = int(query.get("pageNextToken", ["0"])[0]), int(query["pageLimit"][0])
        ids, end = [*old, *self.new], start + size
        items = [
            {"id": id_, "claimedAt": (YESTERDAY if number < len(old) else LATER).isoformat()}
            for number, id_ in enumerate(ids[start:end], start)
        ]
        return 200, {"items": items, **({"pageNextToken": str(end)} if end < len(ids) else {})}

    def device(self, device_id: str) -> tuple[int, object]:
        return (200, {"id": device_id}) if device_id in {*self.old, *self.new} else (404, {})


@pytest.fixture
def team() -> Team:
    return Team()


@pytest.fixture
def client(team) -> Iterator[ProvisioningClient]:
    class Handler(QuietHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = -1

        def do_GET(self) -> None:
            team.requests += 1
            path = urlsplit(self.path)
            name = path.path.rpartition("/")[2]
            status, body = team.page(parse_qs(path.query)) if name == "claimed-devices" else team.device(name)
            self.answer(status, json.dumps(body).encode())
            self.wfile.flush()

    with serving(Handler) as url, ProvisioningClient("a-key", urls=base_urls(url), retry=NEVER) as client:
        yield client


@pytest.mark.parametrize("refused", [1, 3])
def test_a_chunk_with_few_refused_rows_costs_at_most_13_requests_in_a_team_of_20000(team, client, refused):
    team.old, team.new = OLD, NEW[refused:]
    assert set(find_claimed_devices(client, NEW, BEGAN)) == set(NEW[refused:])
    assert team.requests <= 13


@pytest.mark.parametrize("filters", ["applied", "overlooked", "refused", "misunderstood"])
@pytest.mark.parametrize("was_ours_before", [0, 3, 30])
def test_it_is_right_whatever_the_service_makes_of_the_filter(team, client, filters, was_ours_before):
    team.filters = filters
    team.old = OLD[:250] + NEW[:was_ours_before]
    team.new = NEW[was_ours_before:90]
    assert set(find_claimed_devices(client, NEW[:100], BEGAN)) == set(NEW[:90])
    # Never more than without the filter, but for one page that showed that it is of no use.
    assert team.requests <= 1 + 11 + 100


def test_a_team_of_many_others_that_is_listed_from_the_oldest_is_not_read_whole(team, client):
    team.filters, team.old, team.new = "overlooked", OLD, NEW[:9]
    assert set(find_claimed_devices(client, NEW[:10], BEGAN)) == set(NEW[:9])
    assert team.requests == 1 + 2 + 10


def test_only_what_the_service_lists_is_ours(team, client):
    team.new = [OLD[0]]
    assert find_claimed_devices(client, NEW[:50], BEGAN) == {}


def test_devices_are_asked_for_in_lower_case_however_they_are_written(team, client):
    team.new = NEW[:10]
    assert set(find_claimed_devices(client, [each.upper() for each in NEW[:8]], BEGAN)) == set(NEW[:8])
    assert set(find_claimed_devices(client, [NEW[0].upper()])) == {NEW[0]}


def test_a_path_that_was_switched_off_says_nothing_of_a_device(team, client):
    team.device = lambda device_id: (410, {"message": "Gone"})
    with pytest.raises(GoneError, match="switched this path off"):
        find_claimed_devices(client, NEW[:1])


def test_tags_that_are_not_told_are_not_the_same_as_none():
    assert ClaimedDevice("a", tags=()).known_tags() == ()
    with pytest.raises(UnreadableAnswerError, match="does not say which tags device a has"):
        ClaimedDevice("a").known_tags()
