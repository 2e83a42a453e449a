"""The ledger in its folder and in a second place: what only one of both knows is known."""

from __future__ import annotations

import json
import logging
import shutil
from pathlib import Path

import pytest

from airflow_provider_nrfprov.claiming.job import ClaimJob
from airflow_provider_nrfprov.claiming.ledger import Entry, Ledger, Plan
from airflow_provider_nrfprov.claiming.report import Outcome, write_report
from airflow_provider_nrfprov.emulator.signing import mint_devices
from airflow_provider_nrfprov.hooks.nrfprov import NrfProvHook
from airflow_provider_nrfprov.storage import Folder
from airflow_provider_nrfprov.task_state import second_place

PLAN = Plan("shift.csv", "d" * 64)


class Texts(dict[str, str]):
    """A second place."""

    def set(self, key: str, text: str) -> None:
        self[key] = text


def test_a_ledger_whose_folder_is_gone_is_read_from_its_second_place(tmp_path):
    texts = Texts()
    first = Ledger(Folder(tmp_path / "one"), PLAN, texts)
    assert first.begin() == "a new job"
    entry = first.about_to_send(1)
    first.write(2, Entry(entry.first_sent_at, status=202, bulk_ops_request_id="operation"))
    shutil.rmtree(tmp_path / "one")
    for again in (
        Ledger(Folder(tmp_path / "another"), PLAN, texts),
        Ledger.reopen(Folder(tmp_path / "x"), texts),
    ):
        assert again.plan == PLAN
        assert again.entry(1) == entry
        assert again.entry(2).bulk_ops_request_id == "operation"
        assert again.entry(3) is None
    assert again.begin().startswith("resuming")


def test_what_is_settled_in_one_place_is_settled(tmp_path):
    texts = Texts()
    on_a, on_b = (Ledger(Folder(tmp_path / worker), PLAN, texts) for worker in "ab")
    on_a.begin()
    entry = on_a.about_to_send(1)
    settled = Entry(entry.first_sent_at, status=200)
    on_b.write(1, settled)
    assert Ledger(Folder(tmp_path / "a"), PLAN, texts).entry(1) == settled
    # The other way round: Airflow's store could not be written to after the answer.
    texts["nrfprov.dddddddddddddddd.chunk-000001"] = json.dumps(
        json.loads((first_file(tmp_path / "a")).read_text())
    )
    assert Ledger(Folder(tmp_path / "b"), PLAN, texts).entry(1) == settled


def first_file(folder: Path) -> Path:
    return next(folder.rglob("chunk-*.json"))


def test_the_more_cautious_of_two_unsettled_entries_counts(tmp_path):
    texts = Texts()
    ledger = Ledger(Folder(tmp_path / "a"), PLAN, texts)
    ledger.begin()
    entry = ledger.about_to_send(1)
    ledger.write(1, Entry(entry.first_sent_at, status=None, nothing_done=True))
    texts["nrfprov.dddddddddddddddd.chunk-000001"] = json.dumps(
        {**json.loads(texts["nrfprov.dddddddddddddddd.chunk-000001"]), "nothing_done": False}
    )
    assert not Ledger(Folder(tmp_path / "a"), PLAN, texts).entry(1).nothing_done


def test_an_entry_with_many_words_fits_into_airflows_store(tmp_path):
    texts = Texts()
    ledger = Ledger(Folder(tmp_path), PLAN, texts)
    ledger.begin()
    entry = ledger.about_to_send(1)
    refused = Entry(entry.first_sent_at, status=422, not_claimed=dict.fromkeys(range(1000), "no" * 500))
    ledger.write(1, refused)
    assert max(map(len, texts.values())) < 64 * 1024
    assert ledger.entry(1) == refused


class BrokenStore:
    asked = 0

    def get(self, key: str) -> str | None:
        self.asked += 1
        raise RuntimeError("no such backend")


def test_a_state_store_that_fails_costs_a_warning_and_nothing_else(tmp_path, caplog):
    store = BrokenStore()
    place = second_place({"task_state_store": store})
    ledger = Ledger(Folder(tmp_path), PLAN, place)
    with caplog.at_level(logging.WARNING):
        ledger.begin()
        ledger.about_to_send(1)
    assert Ledger(Folder(tmp_path), PLAN, place).entry(1) is not None
    assert store.asked == 1
    assert "no such backend" in caplog.text


def test_airflow_before_3_3_has_no_second_place():
    assert second_place({"ti": None}) is None


@pytest.mark.parametrize("max_in_flight", [1, 4])
@pytest.mark.parametrize("contract", ["async", "sync"])
def test_a_lost_folder_sends_nothing_again(tmp_path, connect, emulator, contract, max_in_flight):
    emulator.reset(contract=contract, bulk_seconds=0.0)
    connect(emulator.url)
    claim_file, texts = tmp_path / "shift.csv", Texts()
    claim_file.write_text("\n".join(device.token for device in mint_devices(20, seed=3)))

    def job(worker: str) -> tuple[Folder, ClaimJob]:
        folder = Folder(tmp_path / worker)
        return folder, ClaimJob.plan(
            claim_file, folder, NrfProvHook(), rows_per_request=3, second_place=texts
        )

    first = job("a")[1].send(max_in_flight=max_in_flight)
    submissions = len(emulator.service.bulk_submissions())
    shutil.rmtree(tmp_path / "a")
    folder, again = job("b")
    assert again.send(max_in_flight=max_in_flight) == first
    assert len(emulator.service.bulk_submissions()) == submissions == 7
    assert write_report(folder, again.settle()).counts[Outcome.CLAIMED] == 20
