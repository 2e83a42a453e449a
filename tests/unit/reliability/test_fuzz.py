"""The fuzzing finds nothing in the reader, the decoder and the client as they are, and something in broken ones."""

from __future__ import annotations

import pytest

from airflow_provider_nrfprov.api import models, transport
from airflow_provider_nrfprov.api.contract import ENDPOINTS
from airflow_provider_nrfprov.claiming import claim_file, tag_cells
from reliability import fuzz, fuzz_answers


@pytest.mark.parametrize("kind", ["shaped files", "files", "tokens"])
def test_some_hundred_examples_break_nothing(kind):
    assert fuzz.run_batch((kind, 0, 200)) >= 200


def test_a_reader_that_loses_a_row_is_found(monkeypatch):
    monkeypatch.setattr(fuzz, "read_rows_of", lambda file: [row for row in file if row.line != 3])
    with pytest.raises(AssertionError):
        fuzz.run_batch(("files", 0, 500))


def test_a_reader_that_raises_what_is_not_its_own_is_found(monkeypatch):
    monkeypatch.setattr(claim_file, "too_many_columns", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        fuzz.run_batch(("files", 0, 500))


def test_a_reader_that_takes_columns_by_their_place_is_found(monkeypatch):
    monkeypatch.setattr(claim_file, "read_header", lambda *_, **__: None)
    with pytest.raises(AssertionError):
        fuzz.run_batch(("shaped files", 0, 500))


def test_a_reader_that_takes_an_imei_for_a_tag_is_found(monkeypatch):
    monkeypatch.setattr(tag_cells, "looks_of", lambda _: "")
    with pytest.raises(AssertionError, match=r"Verdict\.OK"):
        fuzz.run_batch(("shaped files", 0, 2000))


def test_a_decoder_that_quotes_the_token_is_found(monkeypatch):
    def quoting(text: str):
        raise fuzz.TokenError(f"no token: {text}")

    monkeypatch.setattr(fuzz, "decode", quoting)
    with pytest.raises(AssertionError):
        fuzz.run_batch(("tokens", 0, 500))


def test_some_hundred_mutated_answers_of_every_operation_break_nothing():
    assert {operation.name for operation, _ in fuzz_answers.CASES} == set(ENDPOINTS)
    outcomes = fuzz_answers.run_batch((0, 700))
    assert outcomes.total() == 700
    assert min(outcomes["a result"], outcomes["UnreadableAnswerError"], outcomes["ServiceError"]) > 30


def test_a_model_that_trips_over_a_time_is_found(monkeypatch):
    monkeypatch.setattr(models, "_time", lambda value: 1 / 0)
    with pytest.raises(AssertionError, match="seed 0, example"):
        fuzz_answers.run_batch((0, 2500))


def test_a_transport_that_lets_an_exception_through_is_found(monkeypatch):
    monkeypatch.setattr(transport, "_new_unpacker", lambda: 1 / 0)
    with pytest.raises(AssertionError, match="seed 0, example"):
        fuzz_answers.run_batch((0, 2500))
