"""The ledger in its folder and in a second place: what only one of both knows is known, and damage is no permission."""

from __future__ import annotations

import json
import logging
import shutil
from dataclasses import replace
from pathlib import Path

import pendulum
import pytest

from airflow_provider_nrfprov.claiming.job import ClaimJob
from airflow_provider_nrfprov.claiming.ledger import Ledger, Sending, SupersededError
from airflow_provider_nrfprov.claiming.report import Outcome
from airflow_provider_nrfprov.emulator.mint import mint_devices
from airflow_provider_nrfprov.files.storage import Folder
from airflow_provider_nrfprov.hooks.nrfprov import NrfProvHook
from airflow_provider_nrfprov.operators.task_state import second_place

NOW = pendulum.datetime(2026, 11, 26, 14, tz="UTC")


class Texts(dict[str, str]):
    """A second place."""

    def set(self, key: str, text: str) -> None:
        self[key] = text


def begun(folder: Path, texts: Texts | None = None) -> Ledger:
    ledger = Ledger(Folder(folder), "job", texts)
    ledger.begin()
    return ledger


def files(folder: Path) -> list[Path]:
    return sorted((folder / "ledger").glob("0*.json"))


def test_a_ledger_whose_folder_is_gone_is_read_from_its_second_place(tmp_path):
    texts = Texts()
    first = Ledger(Folder(tmp_path / "one"), "job", texts)
    assert not first.begin()
    sent = first.about_to_send(1, 1, NOW, None)
    answered = first.write(2, replace(first.about_to_send(2, 1, NOW, (3, 4)), bulk_ops_request_id="01M"))
    shutil.rmtree(tmp_path / "one")
    again = Ledger(Folder(tmp_path / "another"), "job", texts)
    assert (again.sendings(1), again.sendings(2), again.sendings(3)) == ((sent,), (answered,), ())
    assert again.begin()


def test_a_try_that_dies_between_the_two_places_hides_no_later_request(tmp_path):
    """The second place is read up to the first number that it lacks, so none may be missing before another."""

    class Mortal(Texts):
        def set(self, key: str, text: str) -> None:
            if key.endswith("000001-1"):
                raise SystemExit
            super().set(key, text)

    texts = Mortal()
    with pytest.raises(SystemExit):
        begun(tmp_path / "one", texts).about_to_send(1, 1, NOW, None)
    texts = Texts(texts)
    second = begun(tmp_path / "one", texts)
    (first,) = second.sendings(1)
    answered = second.write(1, replace(second.about_to_send(1, 2, NOW, None), status=200))
    shutil.rmtree(tmp_path / "one")
    assert begun(tmp_path / "another", texts).sendings(1) == (first, answered)


def test_the_second_place_is_not_asked_anew_for_each_request_of_a_chunk(tmp_path):
    class Counting(Texts):
        asked = 0

        def get(self, key: str, default: str | None = None) -> str | None:
            self.asked += "000001-" in key
            return super().get(key, default)

    texts = Counting()
    for first in (1, 201):
        ledger = begun(tmp_path / "one", texts)
        for number in range(first, first + 200):
            ledger.about_to_send(1, number, NOW, (number,))
    # Once for what was there when the second try began.
    assert texts.asked == 200


def test_what_is_answered_in_one_place_is_answered(tmp_path):
    texts = Texts()
    a = begun(tmp_path / "a", texts)
    sent = a.about_to_send(1, 1, NOW, None)
    answered = Ledger(Folder(tmp_path / "b"), "job", texts).write(1, replace(sent, status=200))
    assert Ledger(Folder(tmp_path / "a"), "job", texts).sendings(1) == (answered,)


def test_the_more_cautious_of_two_unanswered_entries_counts(tmp_path):
    texts = Texts()
    ledger = begun(tmp_path, texts)
    sent = ledger.about_to_send(1, 1, NOW, None)
    ledger.write(1, replace(sent, nothing_done=True))
    key = next(key for key in texts if "000001" in key)
    texts[key] = json.dumps({**json.loads(texts[key]), "nothing_done": False})
    assert not Ledger(Folder(tmp_path), "job", texts).sendings(1)[0].nothing_done


def test_an_entry_with_many_messages_fits_into_airflows_store(tmp_path):
    texts = Texts()
    ledger = begun(tmp_path, texts)
    sent = ledger.about_to_send(1, 1, NOW, None)
    refused = ledger.write(1, replace(sent, status=422, not_claimed=dict.fromkeys(range(1000), "no" * 500)))
    assert max(map(len, texts.values())) < 64 * 1024
    assert ledger.sendings(1) == (refused,)


def test_positions_of_a_thousand_rows_are_short_and_keep_their_order(tmp_path):
    ledger = begun(tmp_path)
    positions = (*range(500, 1000), 3, *range(100))
    sent = ledger.about_to_send(1, 1, NOW, positions)
    assert Ledger(Folder(tmp_path), "job").sendings(1) == (sent,)
    assert files(tmp_path)[0].stat().st_size < 500


@pytest.mark.parametrize("damage", [b"", b"\0" * 300, b'{"number": 1, "turn": "a', b"[]", b"\xff\xfe"])
def test_a_damaged_entry_counts_as_sent_and_unanswered_and_is_named_in_the_log(tmp_path, caplog, damage):
    begun(tmp_path).about_to_send(1, 1, NOW, None)
    files(tmp_path)[0].write_bytes(damage)
    (sending,) = Ledger(Folder(tmp_path), "job").sendings(1)
    assert not sending.is_answered
    assert sending.rows_of(7) == range(7)
    assert str(files(tmp_path)[0]) in caplog.text


@pytest.mark.parametrize("damage", [b"", b"\0" * 300])
def test_of_a_damaged_and_a_good_entry_the_good_one_counts(tmp_path, damage):
    texts = Texts()
    ledger = begun(tmp_path, texts)
    answered = ledger.write(1, replace(ledger.about_to_send(1, 1, NOW, None), status=201))
    files(tmp_path)[0].write_bytes(damage)
    assert Ledger(Folder(tmp_path), "job", texts).sendings(1) == (answered,)
    texts[next(key for key in texts if "000001" in key)] = damage.decode()
    shutil.rmtree(tmp_path / "ledger")
    Ledger(Folder(tmp_path), "job").write(1, answered)
    assert Ledger(Folder(tmp_path), "job", texts).sendings(1) == (answered,)


@pytest.mark.parametrize(
    "moment", ["before the turn is taken", "after it is taken", "after the entries are read"]
)
@pytest.mark.parametrize("places", ["folder", "both", "second place"])
def test_of_two_tries_at_once_the_older_does_not_send_or_the_newer_sees_that_it_does(
    tmp_path, moment, places
):
    """Each order of the older try's writing and the newer one's beginning."""
    texts = None if places == "folder" else Texts()
    folder = tmp_path / "a"
    older = begun(folder, texts)
    newer = Ledger(Folder(tmp_path / "b" if places == "second place" else folder), "job", texts)
    sends = []

    def older_sends() -> None:
        try:
            older.about_to_send(1, 1, NOW, None)
            sends.append(1)
        except SupersededError:
            sends.append(0)

    look = newer._look

    def look_and_be_late() -> None:
        if moment == "after it is taken":
            older_sends()
        look()
        if moment == "after the entries are read":
            older_sends()

    newer._look = look_and_be_late
    if moment == "before the turn is taken":
        older_sends()
    newer.begin()
    seen = [each for each in newer.sendings(1) if not each.nothing_done]
    assert sends == [1] if moment == "before the turn is taken" else sends == [0]
    assert bool(sends[0]) <= bool(seen)


def test_a_superseded_try_writes_nothing_over_what_the_newer_one_wrote(tmp_path):
    texts = Texts()
    older, newer = begun(tmp_path, texts), begun(tmp_path, texts)
    sent = newer.about_to_send(1, 1, NOW, None)
    with pytest.raises(SupersededError, match="another try"):
        older.about_to_send(1, 1, NOW, None)
    entries = Ledger(Folder(tmp_path), "job", texts).sendings(1)
    assert sent in entries
    assert {each.turn for each in entries if not each.nothing_done} <= {newer.turn, older.turn}


class BrokenStore:
    asked = 0

    def get(self, key: str) -> str | None:
        self.asked += 1
        raise RuntimeError("no such backend")


def test_a_state_store_that_fails_costs_a_warning_and_nothing_else(tmp_path, caplog):
    store = BrokenStore()
    place = second_place({"task_state_store": store})
    with caplog.at_level(logging.WARNING):
        ledger = begun(tmp_path, place)
        ledger.about_to_send(1, 1, NOW, None)
    assert Ledger(Folder(tmp_path), "job", place).sendings(1)
    assert store.asked == 1
    assert "no such backend" in caplog.text


def test_airflow_before_3_3_has_no_second_place():
    assert second_place({"ti": None}) is None


def test_an_entry_survives_being_written_and_read(tmp_path):
    ledger = begun(tmp_path)
    sending = Sending(
        2,
        "0123456789abcdef",
        NOW,
        (5, 6, 9),
        422,
        None,
        {6: "no", 9: ""},
        "too much",
        nothing_done=False,
        looked=True,
    )
    ledger.write(7, sending)
    assert Ledger(Folder(tmp_path), "job").sendings(7) == (sending,)


@pytest.mark.parametrize("max_in_flight", [1, 4])
@pytest.mark.parametrize("contract", ["async", "sync"])
def test_a_lost_folder_sends_nothing_again(tmp_path, connect, emulator, contract, max_in_flight):
    emulator.reset(contract=contract, bulk_seconds=0.0)
    connect(emulator.url)
    claim_file, texts = tmp_path / "shift.csv", Texts()
    claim_file.write_text("\n".join(device.token for device in mint_devices(20, seed=3)))

    def job(worker: str) -> ClaimJob:
        folder = Folder(tmp_path / worker)
        return ClaimJob.plan(claim_file, folder, NrfProvHook(), rows_per_request=3, second_place=texts)

    job("a").send(max_in_flight=max_in_flight)
    submissions = len(emulator.service.bulk_submissions())
    shutil.rmtree(tmp_path / "a")
    again = job("b")
    again.send(max_in_flight=max_in_flight)
    assert len(emulator.service.bulk_submissions()) == submissions == 7
    assert again.report().counts[Outcome.CLAIMED] == 20
