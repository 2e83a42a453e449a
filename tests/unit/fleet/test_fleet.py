"""The engine over many devices, over the wire to the emulator: bounds, failures, early ends, crashes."""

from __future__ import annotations

import csv
import itertools
import json
import logging
import os
import signal
import subprocess
import sys
import time
import tracemalloc
import uuid
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_nrfprov.api.errors import (
    ForbiddenError,
    GoneError,
    RateLimitedError,
    UnauthorizedError,
    UnavailableError,
    UnreachableError,
)
from airflow_provider_nrfprov.api.retry import Retry
from airflow_provider_nrfprov.emulator.accounts import TEAM_A
from airflow_provider_nrfprov.emulator.faults import DropAfter, DropBefore, Refuse, Slow
from airflow_provider_nrfprov.emulator.server import Emulator, running_emulator
from airflow_provider_nrfprov.files.storage import Folder
from airflow_provider_nrfprov.fleet import engine as many_devices
from airflow_provider_nrfprov.fleet import record as device_record
from airflow_provider_nrfprov.fleet.actions import TagMode, blocking, tagging, unclaiming, wanted_tags
from airflow_provider_nrfprov.fleet.engine import (
    Action,
    DeviceOutcome,
    DeviceResult,
    Step,
    Stop,
    carry_out,
)
from airflow_provider_nrfprov.fleet.job import DeviceJob, JobEnd
from reliability.dying import Killed
from tests.calls import Calls
from tests.traffic import claimed, only, slow, statuses


@pytest.fixture
def emulator(watched) -> Emulator:
    return watched[0]


def block(emulator: Emulator, **settings: Any) -> Action:
    return blocking(Calls(emulator.url, **settings), blocked=True)


def job(action: Any, ids: Sequence[str], folder: Path | None = None, **settings: Any) -> DeviceJob:
    settings = {"name": "block", "work": ("run 1",), **settings}
    return DeviceJob(action=action, device_ids=ids, folder=Folder(folder) if folder else None, **settings)


def counts(end: JobEnd) -> dict[str, int]:
    return {outcome.value: count for outcome, count in end.tally.counts.items() if count}


def report_of(folder: Path) -> list[dict[str, str]]:
    with (folder / "report.csv").open(newline="") as stream:
        return list(csv.DictReader(stream))


@pytest.mark.parametrize(
    ("settings", "limit"),
    [
        pytest.param({"max_in_flight": 1}, 1, id="one"),
        pytest.param({"max_in_flight": 3}, 3, id="three"),
        pytest.param({"max_in_flight": 8}, 8, id="eight"),
        pytest.param({}, 8, id="eight unless told otherwise"),
    ],
)
def test_as_many_requests_are_in_flight_as_allowed_and_never_one_more(emulator, traffic, settings, limit):
    ids = claimed(emulator, 60)
    slow(emulator, 0.05)
    assert counts(job(block(emulator), ids, **settings).run()) == {"done": 60}
    assert traffic.most_in_flight == limit
    assert statuses(emulator) == {"BLOCKED": 60}


def test_fewer_than_one_request_in_flight_is_refused(emulator):
    with pytest.raises(ValueError, match="at least 1"):
        job(block(emulator), [], max_in_flight=0).run()


def test_what_is_so_already_is_unchanged_and_costs_the_request_that_asks(emulator):
    ids = claimed(emulator, 150)
    assert counts(job(block(emulator), ids).run()) == {"done": 150}
    assert counts(job(block(emulator), ids).run()) == {"unchanged": 150}
    assert emulator.service.request_counts() == {"FetchClaimedDevice": 300, "BlockClaimedDevice": 150}


def test_unblocking_sends_also_to_what_does_not_look_blocked_since_the_word_for_it_is_inferred():
    with running_emulator(blocked_status="SUSPENDED") as emulator:
        ids = claimed(emulator, 12)
        job(block(emulator), ids[:6]).run()
        assert statuses(emulator) == {"SUSPENDED": 6, "READY": 6}
        # Blocked devices that do not say BLOCKED are sent the block again.
        assert counts(job(block(emulator), ids[:6]).run()) == {"done": 6}
        unblock = blocking(Calls(emulator.url), blocked=False)
        assert counts(job(unblock, ids).run()) == {"unchanged": 12}
        assert statuses(emulator) == {"READY": 12}


def test_a_conflict_is_believed_only_if_the_device_is_as_wanted(emulator, traffic):
    ids = claimed(emulator, 20)

    def somebody_was_faster(scope: dict[str, Any]) -> tuple[int, dict[str, str]] | None:
        if not scope["path"].endswith("/block"):
            return None
        if ids[3] in scope["path"]:
            emulator.service.block(emulator.service.devices.get(TEAM_A, ids[3]))
        return 409, {}

    traffic.meddle = somebody_was_faster
    end = job(block(emulator), ids).run()
    assert counts(end) == {"unchanged": 1, "failed": 19}
    assert end.tally.examples[0] == f"{ids[0]}: 409 because the test says so"


def test_devices_that_fail_do_not_keep_the_others_from_being_done(emulator, tmp_path):
    ids = claimed(emulator, 30)
    strangers = [str(uuid.uuid4()) for _ in range(3)]
    mixed = [*ids[:10], strangers[0], *ids[10:20], *strangers[1:], *ids[20:]]
    end = job(block(emulator), mixed, tmp_path).run()
    assert counts(end) == {"done": 30, "failed": 3}
    assert end.error is None
    assert end.tally.may_succeed_later == 0
    rows = report_of(tmp_path)
    assert [row["device_id"] for row in rows] == mixed
    assert [row for row in rows if row["outcome"] == "failed"] == [
        {
            "device_id": each,
            "outcome": "failed",
            "status": "not_ours",
            "message": "is not among our claimed devices",
        }
        for each in strangers
    ]
    assert (tmp_path / "failed_devices.txt").read_text().split() == strangers
    assert json.loads((tmp_path / "summary.json").read_text()) == {
        "action": "block", "devices": 33, "done": 30, "unchanged": 0, "failed": 3, "not_tried": 0,
        "report": str(tmp_path / "report.csv"), "failed_devices": str(tmp_path / "failed_devices.txt"),
        "ended_early": None,
    }  # fmt: skip


def test_the_report_is_in_the_order_of_the_selection_though_answers_come_in_another(emulator, tmp_path):
    ids = claimed(emulator, 40)
    emulator.service.faults.plan("BlockClaimedDevice", Slow(before=0.5))
    slow_one_first = job(block(emulator), ids, tmp_path).run()
    assert counts(slow_one_first) == {"done": 40}
    assert [row["device_id"] for row in report_of(tmp_path)] == ids


def test_a_key_that_is_revoked_in_the_middle_ends_the_work_and_the_rest_is_not_tried(
    emulator, traffic, tmp_path
):
    ids = claimed(emulator, 200)

    def revoked_at_the_fiftieth(scope: dict[str, Any]) -> None:
        if emulator.service.request_counts().get("BlockClaimedDevice", 0) >= 50:
            emulator.service.keys.revoke("emulator-key")

    traffic.meddle = revoked_at_the_fiftieth
    end = job(block(emulator), ids, tmp_path).run()
    assert isinstance(end.error, UnauthorizedError)
    # All that met the 401 was in flight together; what was done is done, on both sides.
    failed = counts(end)["failed"]
    assert 1 <= failed <= 8
    assert counts(end) == {"done": 50, "failed": failed, "not_tried": 150 - failed}
    assert statuses(emulator) == {"BLOCKED": 50, "READY": 150}
    rows = report_of(tmp_path)
    assert [row["device_id"] for row in rows] == ids
    assert {row["status"] for row in rows if row["outcome"] == "failed"} == {"401"}
    assert (tmp_path / "failed_devices.txt").read_text().split() == [
        row["device_id"] for row in rows if row["outcome"] != "done"
    ]
    assert "legacy" in json.loads((tmp_path / "summary.json").read_text())["ended_early"]


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        (Refuse(403), ForbiddenError),
        (Refuse(429), RateLimitedError),
        (DropBefore(), UnreachableError),
    ],
    ids=["403", "429", "no answer"],
)
def test_what_every_device_would_meet_ends_the_work(emulator, fault, error):
    ids = claimed(emulator, 100)
    emulator.service.faults.plan("BlockClaimedDevice", fault, nth=11, times=None)
    end = job(block(emulator), ids).run()
    assert isinstance(end.error, error)
    assert counts(end)["done"] == 10
    assert counts(end)["not_tried"] >= 100 - 10 - 8
    assert sum(counts(end).values()) == 100


def test_a_path_that_was_switched_off_ends_the_work_and_is_no_device_that_is_not_ours(emulator):
    ids = claimed(emulator, 3)
    emulator.service.faults.plan("UnclaimDevice", Refuse(410), times=None)
    end = job(unclaiming(Calls(emulator.url)), ids, max_in_flight=1).run()
    assert counts(end) == {"failed": 1, "not_tried": 2}
    assert isinstance(end.error, GoneError)
    assert end.tally.examples[0].startswith(f"{ids[0]}: 410 ")


def test_a_service_that_is_down_ends_the_work_but_single_failures_do_not(emulator):
    ids = claimed(emulator, 100)
    for nth in range(4, 100, 4):
        emulator.service.faults.plan("BlockClaimedDevice", Refuse(500), nth=nth)
    end = job(block(emulator), ids, max_in_flight=1).run()
    assert counts(end) == {"done": 76, "failed": 24}
    assert (end.error, end.tally.may_succeed_later, len(end.tally.examples)) == (None, 24, 10)
    emulator.service.faults.clear()
    emulator.service.faults.plan("UnblockClaimedDevice", Refuse(503), times=None)
    end = job(blocking(Calls(emulator.url), blocked=False), ids, max_in_flight=1).run()
    assert isinstance(end.error, UnavailableError)
    assert counts(end) == {"failed": 20, "not_tried": 80}


def test_if_not_even_the_devices_can_be_looked_up_nothing_is_done_to_any(emulator, tmp_path):
    ids = claimed(emulator, 10)
    end = job(block(emulator, key="wrong"), ids, tmp_path).run()
    assert isinstance(end.error, UnauthorizedError)
    assert counts(end)["failed"] + counts(end)["not_tried"] == 10
    assert emulator.service.request_counts()["FetchClaimedDevice"] <= 8
    assert (tmp_path / "failed_devices.txt").read_text().split() == ids


def test_a_limit_of_the_service_costs_time_and_no_device(emulator, traffic):
    ids = claimed(emulator, 120)
    traffic.meddle = only(60)
    retry = Retry(first_wait=0.05, longest_wait=0.2)
    end = job(block(emulator, retry=retry), ids).run()
    assert counts(end) == {"done": 120}
    assert 1 <= traffic.statuses().count(429) < 60
    assert statuses(emulator) == {"BLOCKED": 120}


def test_told_to_end_it_finishes_what_is_in_flight_and_tries_nothing_else(emulator, traffic, tmp_path):
    ids = claimed(emulator, 100)
    stop = Stop()

    def told_at_the_thirtieth(scope: dict[str, Any]) -> None:
        if emulator.service.request_counts().get("BlockClaimedDevice", 0) >= 30:
            stop.now()

    traffic.meddle = told_at_the_thirtieth
    end = job(block(emulator), ids, tmp_path, stop=stop).run()
    assert end.error is None
    assert 30 < counts(end)["done"] <= 38
    assert counts(end)["done"] == statuses(emulator)["BLOCKED"]
    assert sum(counts(end).values()) == 100
    assert json.loads((tmp_path / "summary.json").read_text())["ended_early"] == "asked to stop"


def test_unclaims_several_at_a_time_and_what_is_not_ours_is_as_wanted(emulator, traffic, tmp_path):
    ids = claimed(emulator, 40)
    slow(emulator, 0.05)
    stranger = str(uuid.uuid4())
    end = job(unclaiming(Calls(emulator.url)), [stranger, *ids], tmp_path).run()
    assert counts(end) == {"done": 40, "unchanged": 1}
    assert traffic.most_in_flight == 8
    assert not emulator.service.claimed_ids()
    assert report_of(tmp_path)[0] == {
        "device_id": stranger, "outcome": "unchanged", "status": "404",
        "message": "was not ours, or no longer is",
    }  # fmt: skip


def test_a_lost_answer_to_an_unclaim_is_no_failure(emulator):
    ids = claimed(emulator, 3)
    emulator.service.faults.plan("UnclaimDevice", DropAfter(), nth=2)
    end = job(unclaiming(Calls(emulator.url, retry=Retry(first_wait=0.01))), ids).run()
    assert counts(end) == {"done": 2, "unchanged": 1}
    assert not emulator.service.claimed_ids()


def test_tags_of_a_device_cost_a_request_that_asks_and_one_that_sets(emulator):
    ids = claimed(emulator, 300, tags=("a",))
    tag = tagging(Calls(emulator.url), ["b"], TagMode.ADD)
    assert counts(job(tag, [*ids, str(uuid.uuid4())]).run()) == {"done": 300, "failed": 1}
    assert {tuple(device.tags) for device in emulator.service.claimed_devices()} == {("a", "b")}
    assert emulator.service.request_counts() == {"FetchClaimedDevice": 301, "UpdateClaimedDevice": 300}
    assert counts(job(tag, ids).run()) == {"unchanged": 300}
    assert emulator.service.request_counts()["UpdateClaimedDevice"] == 300


@pytest.mark.parametrize(
    ("mode", "wanted"), [("add", ("a", "b", "c")), ("remove", ("a",)), ("replace", ("c", "b"))]
)
def test_the_present_tags_come_first_and_none_twice(mode, wanted):
    assert wanted_tags(("a", "b"), ("c", "b"), TagMode(mode)) == wanted


class Dying:
    """An action whose worker dies at the ``at``-th device."""

    def __init__(self, action: Any, at: int) -> None:
        self._action, self._at, self._devices = action, at, itertools.count(1)

    def __call__(self, device_id: str, only_look: bool) -> DeviceResult | Step:
        if next(self._devices) == self._at:
            raise Killed
        return self._action(device_id, only_look)


@pytest.fixture
def small_segments(monkeypatch) -> None:
    monkeypatch.setattr(device_record, "_DEVICES", 20)


@pytest.mark.usefixtures("small_segments")
def test_after_a_crash_what_is_on_record_is_looked_at_and_done_again_only_where_it_is_so_no_longer(
    emulator, tmp_path
):
    ids = claimed(emulator, 100)
    with pytest.raises(Killed):
        job(Dying(block(emulator), 71), ids, tmp_path).run()
    assert not (tmp_path / "report.csv").exists()
    assert emulator.service.request_counts()["BlockClaimedDevice"] >= 70
    emulator.service.requests.clear()
    emulator.service.unblock(emulator.service.devices.get(TEAM_A, ids[5]))
    end = job(block(emulator), ids, tmp_path).run()
    assert counts(end)["done"] >= 60
    assert sum(counts(end).values()) == 100
    assert [row["device_id"] for row in report_of(tmp_path)] == ids
    assert emulator.service.request_counts()["BlockClaimedDevice"] <= 31
    assert statuses(emulator) == {"BLOCKED": 100}


@pytest.mark.usefixtures("small_segments")
@pytest.mark.parametrize(
    "another",
    [{"work": ("run 2",)}, {"name": "unblock"}],
    ids=["run", "action"],
)
def test_another_run_or_action_in_the_same_folder_skips_nothing(emulator, tmp_path, another):
    ids = claimed(emulator, 100)
    with pytest.raises(Killed):
        job(Dying(block(emulator), 71), ids, tmp_path).run()
    end = job(block(emulator), ids, tmp_path, **another).run()
    assert sum(counts(end).values()) == 100
    assert counts(end)["unchanged"] >= 70  # asked, and found blocked; not skipped as done


@pytest.mark.usefixtures("small_segments")
def test_what_failed_is_tried_again_and_a_job_that_is_over_begins_anew(emulator, tmp_path):
    ids = claimed(emulator, 60)
    for nth in (3, 30):
        emulator.service.faults.plan("BlockClaimedDevice", Refuse(500), nth=nth)
    assert counts(job(block(emulator), ids, tmp_path).run()) == {"done": 58, "failed": 2}
    emulator.service.requests.clear()
    second = job(block(emulator), ids, tmp_path)
    assert counts(second.run()) == {"done": 60}
    assert emulator.service.request_counts()["BlockClaimedDevice"] == 2
    assert not (tmp_path / "failed_devices.txt").read_text()
    second.close()
    assert counts(job(block(emulator), ids, tmp_path).run()) == {"unchanged": 60}


@pytest.mark.parametrize("segment", [20, 500], ids=["some on record", "none on record"])
def test_devices_that_are_not_selected_any_more_stay_in_the_report(emulator, tmp_path, monkeypatch, segment):
    """They were selected by a tag that the first try took from them, and it died before it wrote that down."""
    monkeypatch.setattr(device_record, "_DEVICES", segment)
    ids = claimed(emulator, 100, tags=("lot=7",))
    untag = tagging(Calls(emulator.url), ["lot=7"], TagMode.REMOVE, only_with="lot=7")
    with pytest.raises(Killed):
        job(Dying(untag, 71), ids, tmp_path).run()
    left = [device.id for device in emulator.service.claimed_devices() if device.tags]
    assert 0 < len(left) <= 30
    end = job(untag, left, tmp_path).run()
    assert {row["device_id"] for row in report_of(tmp_path)} == set(ids)
    assert sum(counts(end).values()) == 100
    assert not any(device.tags for device in emulator.service.claimed_devices())


def test_nothing_is_done_to_a_device_that_the_next_try_does_not_name(emulator, tmp_path):
    ids = claimed(emulator, 40)
    with pytest.raises(Killed):
        job(Dying(block(emulator), 11), ids, tmp_path, max_in_flight=1).run()
    end = job(block(emulator), ids[30:], tmp_path).run()
    assert counts(end) == {"done": 10, "unchanged": 10}
    assert statuses(emulator) == {"BLOCKED": 20, "READY": 20}
    assert [row["device_id"] for row in report_of(tmp_path)] == [*ids[30:], *ids[:10]]


def test_what_an_earlier_try_unclaimed_and_is_ours_again_is_left_alone(emulator, tmp_path):
    ids = claimed(emulator, 10)
    emulator.service.faults.plan("UnclaimDevice", Refuse(500), nth=10)
    work = unclaiming(Calls(emulator.url))
    assert counts(job(work, ids, tmp_path, max_in_flight=1).run()) == {"done": 9, "failed": 1}
    device = emulator.service.devices.get(TEAM_A, ids[9])
    emulator.service.devices.add(replace(device, id=ids[0]))
    end = job(work, ids, tmp_path).run()
    assert counts(end) == {"done": 9, "failed": 1}
    assert report_of(tmp_path)[0]["status"] == "claimed_again"
    assert emulator.service.claimed_ids() == {ids[0]}


@pytest.mark.parametrize("damage", ["", "x", "a,b\n", "\x00", '"'])
def test_a_damaged_record_is_looked_at_again_and_costs_no_try(emulator, tmp_path, damage, caplog):
    ids = claimed(emulator, 30)
    emulator.service.faults.plan("BlockClaimedDevice", Refuse(500), nth=30)
    assert counts(job(block(emulator), ids, tmp_path, max_in_flight=1).run()) == {"done": 29, "failed": 1}
    for part in (tmp_path / "progress").rglob("*-000001.*"):
        part.write_text(damage)
    end = job(block(emulator), ids, tmp_path).run()
    assert counts(end) == {"done": 1, "unchanged": 29}
    assert statuses(emulator) == {"BLOCKED": 30}


def test_a_device_whose_tags_are_not_told_is_not_tagged(emulator):
    (id_,) = claimed(emulator, 1, tags=("keep",))
    service = Calls(emulator.url)
    told = service.fetch_claimed_device(id_)
    service.fetch_claimed_device = lambda _: replace(told, tags=None)  # type: ignore[method-assign]
    for mode in (TagMode.ADD, TagMode.REMOVE):
        end = job(tagging(service, ["a"], mode), [id_]).run()
        assert counts(end) == {"failed": 1}
        assert "does not say which tags" in end.tally.examples[0]
        assert end.tally.may_succeed_later == 1
    assert counts(job(tagging(service, ["a"], TagMode.REPLACE), [id_]).run()) == {"done": 1}
    assert emulator.service.claimed_devices()[0].tags == ["a"]


def test_a_device_that_has_lost_the_tag_that_it_was_selected_by_stays_as_it_is(emulator):
    ids = claimed(emulator, 2)
    for action in (
        blocking(Calls(emulator.url), blocked=True, only_with="lot=7"),
        tagging(Calls(emulator.url), ["a"], TagMode.ADD, only_with="lot=7"),
    ):
        assert counts(job(action, ids).run()) == {"unchanged": 2}
    assert statuses(emulator) == {"READY": 2}
    assert not any(device.tags for device in emulator.service.claimed_devices())


@pytest.mark.parametrize(
    ("status", "body", "headers"),
    [
        (200, b"<html>log in</html>", {"Content-Type": "text/html"}),
        (200, b'{"error": {"message": "no", "status": 403}}', {}),
        (200, b'{"statusCode": 403}', {}),
        (200, b'{"code": 40310, "message": "no"}', {}),
        (307, b"", {"Location": "https://login.example.com/x"}),
        (404, b"<html>nginx</html>", {"Content-Type": "text/html"}),
    ],
)
@pytest.mark.parametrize("what", ["block", "tag", "unclaim"])
def test_what_is_no_answer_of_the_service_is_not_taken_for_one(
    emulator, traffic, what, status, body, headers
):
    ids = claimed(emulator, 3)
    traffic.meddle = lambda scope: None if scope["method"] == "GET" else (status, headers, body)
    service = Calls(emulator.url)
    actions = {
        "block": blocking(service, blocked=True),
        "tag": tagging(service, ["a"], TagMode.ADD),
        "unclaim": unclaiming(service),
    }
    end = job(actions[what], ids).run()
    assert counts(end) == {"failed": 3}
    assert end.tally.may_succeed_later == (0 if status == 404 else 3)
    assert emulator.service.claimed_ids() == set(ids)
    if status == 307:
        assert "a redirect to login.example.com" in end.tally.examples[0]


_VICTIM = """
import sys
from pathlib import Path
from airflow_provider_nrfprov.fleet import record as device_record
from airflow_provider_nrfprov.fleet.actions import blocking
from airflow_provider_nrfprov.fleet.job import DeviceJob
from airflow_provider_nrfprov.files.storage import Folder
from tests.calls import Calls

device_record._DEVICES = 20
url, folder = sys.argv[1:]
ids = Path(folder, "ids.txt").read_text().split()
job = DeviceJob("block", blocking(Calls(url), blocked=True), ids, folder=Folder(Path(folder)), work=("1",))
print(job.run().tally)
"""


def test_a_worker_that_is_killed_has_left_what_the_next_one_needs(emulator, tmp_path):
    """SIGKILL to a real process."""
    ids = claimed(emulator, 200)
    (tmp_path / "ids.txt").write_text("\n".join(ids))
    slow(emulator, 0.02)
    command = [sys.executable, "-c", _VICTIM, emulator.url, str(tmp_path)]
    root = Path(__file__).parents[3]
    with subprocess.Popen(command, cwd=root, stdout=subprocess.PIPE, text=True) as victim:
        give_up = time.monotonic() + 60
        while emulator.service.request_counts().get("BlockClaimedDevice", 0) < 120:
            assert time.monotonic() < give_up
            assert victim.poll() is None
            time.sleep(0.002)
        os.kill(victim.pid, signal.SIGKILL)
    assert not (tmp_path / "report.csv").exists()
    segments = list((tmp_path / "progress").rglob("done-*.csv"))
    recorded = sum(len(segment.read_text().splitlines()) for segment in segments)
    assert recorded >= 80
    time.sleep(1)  # what was in flight arrives
    emulator.service.requests.clear()
    result = subprocess.run(command, cwd=root, capture_output=True, text=True, check=True)
    assert "0 failed" in result.stdout
    assert statuses(emulator) == {"BLOCKED": 200}
    assert [row["device_id"] for row in report_of(tmp_path)] == ids
    assert {row["outcome"] for row in report_of(tmp_path)} <= {"done", "unchanged"}
    assert emulator.service.request_counts()["BlockClaimedDevice"] <= 200 - recorded


def instant(device_id: str, _only_look: bool) -> DeviceResult:
    """Do something that asks nobody."""
    return DeviceResult(device_id, DeviceOutcome.DONE)


def test_memory_does_not_grow_with_the_number_of_devices():
    def peak(devices: int) -> int:
        ids = (str(uuid.UUID(int=number)) for number in range(devices))
        tracemalloc.start()
        try:
            assert sum(1 for _ in carry_out(instant, ids)) == devices
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    assert peak(9_000) < 1.3 * peak(3_000) < 20_000_000


def test_progress_is_a_line_each_thousand_devices_and_one_at_the_end(caplog, tmp_path):
    caplog.set_level(logging.INFO)
    ids = [str(uuid.UUID(int=number)) for number in range(3500)]
    job(instant, ids).run()
    told = [record.getMessage() for record in caplog.records]
    assert [line.split(";")[0] for line in told] == [
        f"block: {done} of 3,500 devices: {done} done, 0 unchanged, 0 failed"
        for done in ("1,000", "2,000", "3,000", "3,500")
    ]
    assert all(line.endswith(" devices/s") for line in told)


def test_progress_is_told_each_few_seconds_too(caplog, monkeypatch):
    caplog.set_level(logging.INFO)
    monkeypatch.setattr(many_devices, "_SECONDS_A_LINE", 0.05)

    def slowly(device_id: str, _only_look: bool) -> DeviceResult:
        time.sleep(0.02)
        return DeviceResult(device_id, DeviceOutcome.DONE)

    started = time.monotonic()
    job(slowly, [str(uuid.UUID(int=number)) for number in range(20)], max_in_flight=1).run()
    # At most one each 0.05 s, and one at the end.
    assert 3 <= len(caplog.records) <= (time.monotonic() - started) / 0.05 + 1
