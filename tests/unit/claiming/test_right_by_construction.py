"""The claim job outside of good weather: one bad row, lost answers, lists that lag, clocks that are off, tries at once."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pendulum
import pytest

from airflow_provider_nrfprov.api.errors import NrfProvError, UnreachableError
from airflow_provider_nrfprov.api.models import BulkClaim, BulkOpsRequest
from airflow_provider_nrfprov.claiming import recovery
from airflow_provider_nrfprov.claiming.file_copy import ClaimFileUnavailableError
from airflow_provider_nrfprov.claiming.job import ClaimJob
from airflow_provider_nrfprov.claiming.ledger import Ledger, SupersededError
from airflow_provider_nrfprov.claiming.recovery import UnsettledError
from airflow_provider_nrfprov.emulator.mint import mint_devices
from reliability.dying import Killed
from tests.service_in_memory import ServiceInMemory, raising, refusal
from tests.unit.claiming.desk import Desk, counts

DEVICES = list(mint_devices(1000, seed="construction"))
LOST = UnreachableError("the connection was dropped", maybe_sent=True)
AWAY = UnreachableError("away", maybe_sent=False)

both_contracts = pytest.mark.parametrize("service", ["sync", "async"], indirect=True)


@pytest.fixture
def service(request) -> ServiceInMemory:
    return ServiceInMemory(getattr(request, "param", "sync"))


@pytest.fixture
def bench(tmp_path: Path, service: ServiceInMemory) -> Desk:
    """With a claim file of ten rows, unless a test writes another."""
    bench = Desk(tmp_path, service)
    bench.write(*DEVICES[:10])
    return bench


# --- What is claimed is what was read.


def exchange_file(bench: Desk, then: str) -> None:
    bench.file.unlink()
    if then == "shrunk":
        bench.write(*DEVICES[:2])


@pytest.mark.parametrize("then", ["shrunk", "gone"])
def test_what_a_try_read_that_died_before_it_sent_anything_is_claimed(bench, then):
    bench.plan().close()
    exchange_file(bench, then)
    job = bench.plan()
    job.send()
    assert counts(job.report()) == {"claimed": 10}
    assert job.file_has_changed == (then == "shrunk")


@pytest.mark.parametrize("then", ["shrunk", "gone"])
def test_what_a_try_read_that_no_service_answered_is_claimed(bench, service, then):
    service.before = raising(UnreachableError("no connection was made", maybe_sent=False))
    job = bench.plan()
    with contextlib.suppress(NrfProvError):
        job.send()
    assert counts(job.report()) == {"failed": 10}
    service.before = lambda number: None
    exchange_file(bench, then)
    assert counts(bench.run()) == {"claimed": 10}


def test_a_file_that_is_gone_after_it_was_claimed_is_an_error_that_says_where_its_report_is(bench):
    bench.write(*DEVICES[:3])
    bench.run()
    bench.file.unlink()
    with pytest.raises(
        ClaimFileUnavailableError, match=r"there is no claim file .* its report is in .*report$"
    ):
        bench.plan()


def test_a_pipe_is_refused_before_anybody_waits_for_it(bench):
    bench.file.unlink()
    os.mkfifo(bench.file)
    with pytest.raises(ClaimFileUnavailableError, match=r"it is not a regular file \(a pipe"):
        bench.plan()


def test_a_file_that_is_corrected_after_a_look_is_read_anew(bench):
    bench.write(*DEVICES[:3])
    looked = bench.plan()
    looked.inspect()
    looked.forget_copy()
    bench.write(*DEVICES[:5])
    assert counts(bench.run()) == {"claimed": 5}


# --- A finished job is looked at, not believed.


@both_contracts
def test_a_new_try_of_a_finished_job_sends_what_is_not_ours_any_more_and_nothing_else(bench, service):
    bench.write(*DEVICES[:20])
    bench.run()
    for device in DEVICES[:3]:
        service.unclaim_device(device.device_id)
    assert counts(bench.run()) == {"claimed": 20}
    assert len(service.ours) == 20
    assert [service.sent[device.device_id] for device in DEVICES[:20]] == [2] * 3 + [1] * 17


@both_contracts
def test_a_row_whose_refusal_was_mended_is_claimed_by_the_next_try(bench, service):
    bench.write(*DEVICES[:3])
    service.theirs = {DEVICES[1].device_id}
    assert counts(bench.run()) == {"claimed": 2, "failed": 1}
    assert counts(bench.run()) == {"claimed": 2, "failed": 1}
    service.theirs.clear()
    assert counts(bench.run()) == {"claimed": 3}
    assert [service.sent[device.device_id] for device in DEVICES[:3]] == [1, 3, 1]


# --- A row never voids another.


@both_contracts
@pytest.mark.parametrize("status", [400, 409, 413, 415, 422])
@pytest.mark.parametrize("place", [0, 500, 999])
def test_one_row_that_makes_the_service_refuse_a_thousand_costs_itself_only(bench, service, status, place):
    bench.write(*DEVICES)
    bad = DEVICES[place].device_id
    service.refuse = lambda ids, csv: refusal(status) if bad in ids else None
    summary = bench.run()
    assert counts(summary) == {"claimed": 999, "failed": 1}
    assert service.requests["bulk_claim"] <= 25
    assert max(service.claims.values()) == 1
    assert f"line {place + 1}" in summary.examples[0]


def test_a_body_that_is_too_large_is_parted_until_it_fits(bench, service):
    bench.write(*DEVICES)
    service.refuse = lambda ids, csv: refusal(413, "too large") if len(csv) > 40_000 else None
    assert counts(bench.run()) == {"claimed": 1000}


@pytest.mark.parametrize("bad", [5, 20])
def test_several_bad_rows_void_no_other(bench, service, bad):
    bench.write(*DEVICES)
    wrong = {device.device_id for device in DEVICES[:: 1000 // bad]}
    service.refuse = lambda ids, csv: refusal(400) if wrong & set(ids) else None
    assert counts(bench.run()) == {"claimed": 1000 - bad, "failed": bad}
    assert service.requests["bulk_claim"] <= 400


def test_where_every_row_is_refused_it_ends_soon_and_sooner_in_the_next_chunk(bench, service):
    bench.write(*DEVICES)
    service.refuse = lambda ids, csv: refusal(400, "no such plan")
    summary = bench.run(rows_per_request=250)
    assert counts(summary) == {"failed": 1000}
    assert service.requests["bulk_claim"] <= 31 + 8 + 3 * (1 + 8)
    assert "no such plan" in summary.examples[0]
    service.refuse = lambda ids, csv: None
    assert counts(bench.run(rows_per_request=250)) == {"claimed": 1000}


def test_rows_that_are_bad_all_over_the_file_void_no_other_neither_behind_a_chunk_of_bad_ones(bench, service):
    bench.write(*DEVICES)
    wrong = {device.device_id for device in DEVICES[:250]}
    wrong |= {device.device_id for device in DEVICES[250::15]}
    service.refuse = lambda ids, csv: refusal(400) if wrong & set(ids) else None
    assert counts(bench.run(rows_per_request=250)) == {"claimed": 700, "failed": 300}


# --- After a lost answer, what is not known is unknown.


@both_contracts
def test_a_list_that_lags_is_looked_at_again_before_anything_is_sent_again(bench, service, monkeypatch):
    monkeypatch.setattr(recovery, "_FIRST_PAUSE", 0.01)
    bench.write(*DEVICES[:100])
    service.after = raising(LOST, 1)
    service.lag_looks = 3
    service.list_bulk_ops_requests = lambda **_: iter(())
    assert counts(bench.run(visible_after=10.0)) == {"claimed": 100}
    assert max(service.sent.values()) == 1


def test_where_the_list_does_not_show_what_is_ours_devices_are_fetched_one_by_one(bench, service):
    bench.write(*DEVICES[:100])
    service.after = raising(LOST, 1)
    service.lag_looks = 1000
    bench.plan().send()
    assert max(service.sent.values()) == 1
    assert service.requests["fetch_claimed_device"] == 100


def test_a_request_that_never_arrived_is_sent_again_after_a_sample_of_its_devices(bench, service):
    bench.write(*DEVICES[:100])
    service.before = raising(LOST, 1)
    assert counts(bench.run()) == {"claimed": 100}
    assert service.requests["fetch_claimed_device"] == 10
    assert set(service.claims.values()) == {1}


@pytest.mark.parametrize(
    "download",
    ["", "half", '{"message": "no"}', "<html></html>", "[]", "\x00"],
    ids=["nothing", "half", "JSON", "HTML", "[]", "0"],
)
def test_a_download_that_is_not_our_rows_for_certain_proves_nothing(bench, service, download):
    service.contract = "async"
    service.after = raising(LOST, 1)
    real = service.fetch_uploaded_data
    service.fetch_uploaded_data = lambda operation: real(operation)[:905] if download == "half" else download
    job = bench.plan()
    with pytest.raises(UnsettledError, match="nothing is sent again until that is known"):
        job.send()
    assert counts(job.report()) == {"claimed": 10}  # they are ours, whoever did it
    service.fetch_uploaded_data = real
    assert counts(bench.run()) == {"claimed": 10}
    assert max(service.sent.values()) == 1


@pytest.mark.parametrize("try_that_recovers", ["the same", "the next"])
def test_the_operation_of_another_chunk_is_not_taken_for_ours_whatever_its_download_holds(
    bench, service, try_that_recovers
):
    bench.write(*DEVICES[:20])
    service.contract = "async"
    service.after = raising(LOST, 2)
    real = service.fetch_uploaded_data
    # Whichever is asked for: each download holds the rows of the second operation.
    service.fetch_uploaded_data = lambda operation: real(dataclasses.replace(operation, id=f"01{1:024d}"))
    if try_that_recovers == "the next":
        usual, service.list_bulk_ops_requests = service.list_bulk_ops_requests, raising(AWAY)
        with pytest.raises(NrfProvError, match="away"):
            bench.plan(rows_per_request=10).send()
        service.list_bulk_ops_requests = usual
    job = bench.plan(rows_per_request=10)
    assert job.send()[-1] == f"01{1:024d}"
    assert counts(job.report()) == {"claimed": 20}
    assert max(service.sent.values()) == 1


class TwoAnswersLost:
    """Two rows, a request each; a try lost both answers, and the first download that the next one asks for holds other rows.

    :param arrived: whether the request of the first row did.
    """

    def __init__(self, bench: Desk, *, arrived: bool = True) -> None:
        self.first, self.second = (device.device_id for device in DEVICES[:2])
        self.service, self._bench = bench.service, bench
        self.service.contract = "async"
        bench.write(*DEVICES[:2])
        usual = self.service.list_bulk_ops_requests
        both_under_way = threading.Barrier(2)

        def lose_both(ids: list[str], csv: str) -> None:
            both_under_way.wait(5)
            if ids != [self.first] or arrived:
                self.service._carry_out(csv, ids)
            else:
                self.service.sent.subtract(ids)
            raise LOST

        self.service.refuse, self.service.list_bulk_ops_requests = lose_both, raising(AWAY)
        with pytest.raises(NrfProvError):
            self.plan().send(max_in_flight=2)
        self.service.refuse = lambda ids, csv: None
        # That of the second row comes first.
        self.service.list_bulk_ops_requests = lambda **filters: sorted(
            usual(**filters), key=lambda each: each.id != self.of(self.second).id
        )
        self._download, self._asked = self.service.fetch_uploaded_data, 0
        self.service.fetch_uploaded_data = self._lie_once
        self.service.requests.clear()

    def plan(self) -> ClaimJob:
        return self._bench.plan(rows_per_request=1)

    def of(self, device_id: str) -> BulkOpsRequest:
        token = next(device.token for device in DEVICES if device.device_id == device_id)
        id_ = next(id_ for id_, kept in self.service.operations.items() if token in kept["csv"])
        return self.service._operation(id_)

    def _lie_once(self, operation: BulkOpsRequest) -> str:
        self._asked += 1
        if self._asked == 1:
            return f"{DEVICES[0].token}\n"
        return self._download(operation)


def test_an_operation_that_is_found_by_the_wrong_rows_in_a_download_claims_nothing_by_its_word(bench):
    # The second operation seems to hold the first row, which is another team's, as the first one does.
    case = TwoAnswersLost(bench)
    case.service.ours.pop(case.first)
    case.service.theirs.add(case.first)
    assert counts(bench.run(rows_per_request=1)) == {"claimed": 1, "failed": 1}
    assert case.service.sent[case.second] == 1


def test_a_row_whose_request_never_arrived_is_unknown_then_claimed_though_a_download_seemed_to_hold_it(bench):
    case = TwoAnswersLost(bench, arrived=False)
    assert counts(bench.run(rows_per_request=1)) == {"claimed": 1, "unknown": 1}
    assert counts(bench.run(rows_per_request=1)) == {"claimed": 2}
    assert set(case.service.sent.values()) == {1}


def test_an_operation_under_way_is_found_though_a_download_seemed_to_hold_its_rows(bench):
    case = TwoAnswersLost(bench)
    own, late = case.of(case.first), case.service.ours.pop(case.first)
    usual = case.service._operation
    case.service._operation = lambda id_: (
        dataclasses.replace(usual(id_), status="IN_PROGRESS") if id_ == own.id else usual(id_)
    )
    lying = case.service.fetch_uploaded_data
    case.service.fetch_uploaded_data = lambda operation: "" if operation.id == own.id else lying(operation)
    assert counts(bench.run(rows_per_request=1)) == {"claimed": 1, "unknown": 1}
    with pytest.raises(UnsettledError, match="nothing is sent again until that is known"):
        case.plan().send()
    case.service.fetch_uploaded_data, case.service._operation = case._download, usual
    case.service.ours[case.first] = late
    assert counts(bench.run(rows_per_request=1)) == {"claimed": 2}
    assert set(case.service.sent.values()) == {1}


def test_the_operation_of_a_part_is_not_taken_for_that_of_the_whole_whose_refusal_is_forgotten(
    bench, service
):
    bench.write(*DEVICES[:3])
    service.contract = "async"
    poison = DEVICES[2].device_id
    service.theirs.add(DEVICES[0].device_id)
    service.refuse = lambda ids, csv: refusal(422) if poison in ids else None
    bench.plan().send()
    # As if the folder had been lost before an answer came to the second place: what was sent is known, no answer is.
    for entry in (Path(bench.folder.path) / "ledger").glob("0*.json"):
        body = json.loads(entry.read_text())
        entry.write_text(json.dumps({**body, "status": None, "bulk_ops_request_id": None, "refused": None}))
    assert counts(bench.run()) == {"claimed": 1, "failed": 2}
    assert service.sent[DEVICES[1].device_id] == 1


def deliver_twice(
    service: ServiceInMemory, in_between: Callable[[list[str]], None] = lambda ids: None
) -> None:
    carry_out, first = service._carry_out, []

    def twice(csv: str, ids: list[str]) -> BulkClaim:
        if not first:
            first.append(carry_out(csv, ids))
            in_between(ids)
        return carry_out(csv, ids)

    service._carry_out = twice


def test_the_rows_of_another_request_are_told_from_ours_even_if_they_are_cut_off(bench, service):
    service.contract = "async"
    service.bulk_claim("".join(f'"{device.token}"\n' for device in DEVICES[500:600]))
    service.after = raising(LOST, 2)
    real = service.fetch_uploaded_data
    service.fetch_uploaded_data = lambda operation: (
        real(operation)[:-40] if "00" * 12 in operation.id else real(operation)
    )
    assert counts(bench.run()) == {"claimed": 10}
    assert max(service.sent.values()) == 1


@both_contracts
def test_a_request_that_is_delivered_twice_claims_once_and_says_claimed(bench, service):
    service.ours[DEVICES[9].device_id] = service.now().subtract(days=1)
    deliver_twice(service)
    assert counts(bench.run()) == {"claimed": 9, "already_claimed": 1}
    assert set(service.claims.values()) == {1}


@both_contracts
def test_a_time_that_is_told_in_milliseconds_is_not_before_the_request_of_the_same_millisecond(
    bench, service
):
    now = pendulum.now("UTC").replace(microsecond=90_159)
    service.now = lambda: now
    told = now.replace(microsecond=90_000)
    deliver_twice(service, lambda ids: service.ours.update(dict.fromkeys(ids, told)))
    assert counts(bench.run()) == {"claimed": 10}


# --- Time is the service's.


@pytest.mark.parametrize("offset", [-3600.0, 3600.0])
@both_contracts
def test_an_hour_off_changes_no_outcome_and_no_duration(bench, service, offset):
    bench.write(*DEVICES[:20])
    service.clock_offset = offset
    service.ours[DEVICES[0].device_id] = service.now().subtract(minutes=10)
    service.after = raising(LOST, 1)
    started = time.monotonic()
    assert counts(bench.run(rows_per_request=10)) == {"claimed": 19, "already_claimed": 1}
    assert time.monotonic() - started < 15
    assert max(service.sent.values()) == 1


@pytest.mark.parametrize("step", [-3600.0, 3600.0])
def test_a_clock_that_is_set_between_two_tries_is_waited_for_no_longer_than_the_bound(
    bench, service, step, monkeypatch
):
    monkeypatch.setattr(recovery, "_FIRST_PAUSE", 0.05)
    bench.write(*DEVICES[:5])
    service.before = raising(Killed())
    with pytest.raises(Killed):
        bench.run()
    service.before = lambda number: None
    service.clock_offset = step
    started = time.monotonic()
    assert counts(bench.run(visible_after=0.5)) == {"claimed": 5}
    assert time.monotonic() - started < 5


# --- Turns.


def test_a_try_that_sends_while_the_next_one_begins_sends_nothing(bench, service, monkeypatch):
    older, look = bench.plan(rows_per_request=5), Ledger._look

    def look_late(self: Ledger) -> None:
        if self.turn is not None:
            with pytest.raises(SupersededError, match="another try"):
                older.send()
        look(self)

    monkeypatch.setattr(Ledger, "_look", look_late)
    assert counts(bench.run(rows_per_request=5)) == {"claimed": 10}
    assert set(service.sent.values()) == {1}


@both_contracts
def test_a_try_sends_nothing_more_once_another_has_begun(bench, service):
    service.after = lambda number: bench.plan(rows_per_request=2) if number == 2 else None
    with pytest.raises(SupersededError, match="another try"):
        bench.plan(rows_per_request=2).send()
    assert service.sent.total() == 4
    assert counts(bench.run(rows_per_request=2)) == {"claimed": 10}
    assert set(service.sent.values()) == {1}


# --- Asked to stop, it stops.


def test_a_try_that_is_told_to_end_sends_nothing_more(bench, service):
    job = bench.plan(rows_per_request=2)
    service.after = lambda number: job.stop() if number == 2 else None
    with pytest.raises(SupersededError, match="asked to stop"):
        job.send()
    assert service.sent.total() == 4


def test_a_job_that_sends_waits_or_looks_stops_within_five_seconds(bench, service):
    service.before = lambda number: time.sleep(8)
    job = bench.plan(rows_per_request=5)
    threading.Timer(0.2, job.stop).start()
    started = time.monotonic()
    with pytest.raises(SupersededError, match="asked to stop"):
        job.send()
    assert time.monotonic() - started < 5
    with pytest.raises(SupersededError, match="asked to stop"):
        job.wait(60)
    with pytest.raises(SupersededError, match="asked to stop"):
        list(job.settle())


def test_a_job_that_waits_for_a_lost_answer_to_show_stops_at_once(bench, service):
    service.before = raising(LOST, 1)
    job = bench.plan(visible_after=60.0)
    threading.Timer(0.3, job.stop).start()
    started = time.monotonic()
    with pytest.raises(SupersededError, match="asked to stop"):
        job.send()
    assert time.monotonic() - started < 5


# --- Whatever the service says.


@both_contracts
@pytest.mark.parametrize("damage", [b"", b"\0" * 200, b'{"number": 1, "tu'])
def test_a_damaged_ledger_sends_nothing_twice(bench, service, damage):
    bench.run(rows_per_request=5)
    for path in Path(str(bench.folder)).glob("ledger/0*.json"):
        path.write_bytes(damage)
    assert counts(bench.run(rows_per_request=5)) == {"claimed": 10}
    assert max(service.sent.values()) == 1


@pytest.mark.parametrize("entry", ["damaged", "old"])
def test_a_request_may_be_newer_than_its_entry_says(bench, service, monkeypatch, entry):
    """A power cut just after it was sent: long after the job began, or after the client was told to wait."""
    monkeypatch.setattr(recovery, "_FIRST_PAUSE", 0.05)
    carry_out = service._carry_out

    def late(csv, ids):
        threading.Timer(0.3, carry_out, (csv, ids)).start()
        raise KeyboardInterrupt

    service._carry_out = late
    with pytest.raises(KeyboardInterrupt):
        bench.plan().send()
    service._carry_out = carry_out
    ledger = Path(str(bench.folder)) / "ledger"
    a_minute_ago = pendulum.now("UTC").subtract(minutes=1).isoformat()
    (ledger / "begun.txt").write_text(a_minute_ago)
    (path,) = ledger.glob("0*.json")
    aged = json.dumps(json.loads(path.read_bytes()) | {"sent_at": a_minute_ago}).encode()
    path.write_bytes(bytes(200) if entry == "damaged" else aged)
    assert counts(bench.run(visible_after=10.0)) == {"claimed": 10}
    assert set(service.sent.values()) == {1}


@both_contracts
def test_a_superseded_try_that_did_nothing_hides_nothing_of_what_another_did(bench, service):
    """The older try wakes up after the newer one has sent all, and leaves its entry behind."""
    older = bench.plan()
    newer = bench.plan()
    newer.send()
    with pytest.raises(SupersededError):
        older.send()
    assert counts(ClaimJob.reopen(bench.folder, service).report()) == {"claimed": 10}
    bench.run()
    assert set(service.sent.values()) == {1}


def test_an_answer_that_is_lost_late_is_waited_for_from_then_on(bench, service, monkeypatch):
    """A gateway gives up after half a minute on a service that goes on a moment longer."""
    monkeypatch.setattr(recovery, "_FIRST_PAUSE", 0.05)
    carry_out = service._carry_out

    def late(csv, ids):
        time.sleep(2.1)
        threading.Timer(0.3, carry_out, (csv, ids)).start()
        raise LOST

    service._carry_out = late
    assert counts(bench.run(visible_after=2.0)) == {"claimed": 10}
    assert set(service.sent.values()) == {1}


@pytest.mark.parametrize(("shown", "told"), [(0, {"unknown": 10}), (9, {"claimed": 9, "unknown": 1})])
def test_of_an_operation_that_does_not_show_yet_the_list_of_devices_decides(bench, service, shown, told):
    """Neither is what does not show refused, nor is anything sent again: it may be still to come."""
    service.contract = "async"

    def forget(number: int) -> None:
        service.operations.clear()
        for device in DEVICES[shown:10]:
            service.unclaim_device(device.device_id)

    service.after = forget
    assert counts(bench.run()) == told
    again = bench.plan()
    assert len(again.send()) == 1
    assert counts(again.report()) == told
    assert set(service.sent.values()) == {1}


@pytest.mark.parametrize("status", [403, 404, 410])
def test_a_service_that_answers_with_operations_has_a_list_of_them_whatever_is_in_between(
    bench, service, status
):
    service.contract = "async"
    service.after = raising(LOST, 2)
    service.list_bulk_ops_requests = raising(refusal(status))
    with pytest.raises(NrfProvError, match="malformed"):
        bench.plan(rows_per_request=5).send()
    assert set(service.sent.values()) == {1}


def test_a_report_while_the_service_is_away_asks_once_for_all_chunks(bench, service):
    bench.write(*DEVICES[:100])
    service.contract = "async"
    job = bench.plan(rows_per_request=5)
    job.send()
    asked = []

    def away(id_):
        asked.append(id_)
        raise LOST

    service.fetch_bulk_ops_request = away
    assert counts(job.report()) == {"unknown": 100}
    assert len(asked) == 1


def test_a_succeeded_operation_that_blames_a_row_is_looked_at(bench, service):
    service.contract = "async"
    service.theirs = {DEVICES[3].device_id}
    operation = service._operation
    service._operation = lambda id_: dataclasses.replace(operation(id_), status="SUCCEEDED")
    assert counts(bench.run()) == {"claimed": 9, "failed": 1}


def test_the_report_of_a_newer_try_is_not_overwritten_by_an_older_one(bench):
    older = bench.plan()
    older.send()
    settled = older.settle()
    first = next(settled)
    newer = bench.plan()
    newer.send()
    summary = newer.report()
    older.settle = lambda: iter([first, *settled])
    with pytest.raises(SupersededError, match="another try"):
        older.report()
    assert len(Path(summary.report).read_text().splitlines()) == 11


@pytest.mark.parametrize("change", ["exchanged", "shortened"])
def test_a_copy_that_somebody_changed_is_not_believed(bench, service, change):
    service.contract = "async"
    job = bench.plan()
    job.send()
    (copy,) = Path(str(bench.folder)).rglob("claim_file.csv")
    kept = copy.read_text().splitlines(keepends=True)
    copy.write_text(
        "".join(kept[:3]) if change == "shortened" else "".join(d.token + "\n" for d in DEVICES[500:510])
    )
    assert counts(ClaimJob.reopen(bench.folder, service).report()) == {"claimed": 10}
    bench.plan().send()
    bench.file.unlink()
    copy.write_text("".join(kept[:3]))
    with pytest.raises(ClaimFileUnavailableError, match="no claim file"):
        ClaimJob.reopen(bench.folder, service)


def test_a_good_token_behind_a_garbled_one_of_the_same_device_is_among_the_rows_to_run_again(bench, service):
    good, other = DEVICES[0].token, DEVICES[1].token
    garbled = good[:-3] + ("AAA" if good[-3:] != "AAA" else "BBB")
    bench.file.write_text(f"{garbled}\n{good}\n{other}\n{other}\n")
    service.refuse = lambda ids, csv: refusal(400, "bad signature") if garbled in csv else None
    summary = bench.run()
    assert counts(summary) == {"claimed": 1, "failed": 1, "rejected": 2}
    assert Path(str(summary.failed_rows)).read_text() == f"{garbled}\n{good}\n"
    assert summary.repeated == 1
