"""Bugs to plant into the claim job: whoever checks it has to find each."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_nrfprov.claiming import job, ledger, narrowing, recovery, report, settlement
from airflow_provider_nrfprov.claiming.chunks import Chunk
from airflow_provider_nrfprov.claiming.report import Ending, Outcome, RowOutcome
from reliability import ours


def blind_repetition(monkeypatch: pytest.MonkeyPatch) -> None:
    """A job that sends all of a chunk again when its answer was lost."""
    monkeypatch.setattr(recovery.Inquiry, "recover", lambda *_, **__: recovery.Recovery())


def operation_not_looked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """A job that never looks for the operation whose answer was lost, but for its devices only."""
    monkeypatch.setattr(recovery.Inquiry, "_find_operation", lambda *_: None)


def nothing_ever_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """A job that looks for both and never finds anything."""
    monkeypatch.setattr(recovery.Inquiry, "_find_operation", lambda *_: None)
    monkeypatch.setattr(recovery.Inquiry, "_look", lambda *_: set())
    monkeypatch.setattr(recovery.Inquiry, "_fetch", lambda *_: False)


def ledger_left_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    """A ledger that the next try does not see."""
    begin = ledger.Ledger.begin

    def begin_anew(self: ledger.Ledger) -> bool:
        for name in self._folder.names():
            Path(self._folder.path_of(name)).unlink()
        return begin(self)

    monkeypatch.setattr(ledger.Ledger, "begin", begin_anew)


def second_place_never_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """A ledger that never looks into its second place."""
    monkeypatch.setattr(ours.MortalSecondPlace, "get", lambda *_: None)


def everything_claimed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A settlement that says claimed whatever happened."""
    monkeypatch.setattr(
        settlement.Settlement,
        "settle",
        lambda _, device_ids, __: [Ending(Outcome.CLAIMED)] * len(device_ids),
    )


def ours_said_to_be_new(monkeypatch: pytest.MonkeyPatch) -> None:
    """A settlement that says of what is ours already that this job did it."""
    monkeypatch.setattr(settlement, "_whose_claim", lambda *_: Outcome.CLAIMED)


def search_that_forgets_what_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """A search for the row at fault that never sends what it put off."""
    monkeypatch.setattr(narrowing.Search, "__bool__", lambda search: bool(search._waiting))


def report_without_its_last_row(monkeypatch: pytest.MonkeyPatch) -> None:
    """A report that leaves its last row out."""

    def write(folder: Any, outcomes: Iterable[RowOutcome], **about: Any) -> report.Summary:
        return report.write_report(folder, list(outcomes)[:-1], **about)

    monkeypatch.setattr(job, "write_report", write)


def last_row_never_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    """A job that never sends the last row of a chunk."""
    to_csv = Chunk.to_csv

    def without_last(chunk: Chunk, positions: Sequence[int] | None, tags: Iterable[str]) -> str:
        kept = range(len(chunk.device_ids)) if positions is None else positions
        return to_csv(chunk, kept[:-1] or kept, tags)

    monkeypatch.setattr(Chunk, "to_csv", without_last)
