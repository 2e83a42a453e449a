"""The comparison's figures: from the emulator's state and from what each tool leaves behind."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from airflow_provider_nrfprov.emulator.faults import DropAfter, DropBefore
from reliability.comparison import (
    Finding,
    compare,
    http_is_missing,
    lines_of,
)
from reliability.misfortunes import MISFORTUNES, Misfortune
from reliability.ours import World, world
from reliability.tools import (
    HTTP,
    MEMFAULT,
    NORDIC,
    OUR_TASK,
    Account,
    Death,
    Errand,
    Tool,
    connections,
    read_nordic,
)

ROWS = 1100
"""Two chunks: of 1,000 rows and of 100."""
DROPPED_AFTER = Misfortune("dropped", fault=DropAfter())
DROPPED_BEFORE = Misfortune("dropped", fault=DropBefore())
THEIRS = Misfortune("theirs", one_is_theirs=True)


def needs_http(test: Callable[..., None]) -> Callable[..., None]:
    missing = http_is_missing()
    # It imports something of Airflow's that moved.
    quiet = pytest.mark.filterwarnings("ignore:.*determine_kwargs.* is deprecated")
    return quiet(pytest.mark.skipif(bool(missing), reason=missing or "it is installed")(test))


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with world(tmp_path_factory.mktemp("comparison")) as running, connections(running.emulator.url):
        yield running


def one(tool: Tool, misfortune: Misfortune, here: World, rows: int = ROWS) -> Finding:
    return compare(tool, misfortune, here, rows=rows, seed=0)


def test_nordics_tool_claims_a_file_when_nothing_happens(here):
    assert one(NORDIC, MISFORTUNES[0], here) == Finding(ROWS, ROWS, 0, 0, 0, 0, ROWS, "exit 0")


def test_nordics_tool_loses_the_rest_of_the_file_with_a_dropped_connection_and_exits_0(here):
    assert one(NORDIC, DROPPED_AFTER, here) == Finding(ROWS, 1000, 100, 0, 0, 0, 0, "exit 0")
    assert one(NORDIC, DROPPED_BEFORE, here) == Finding(ROWS, 0, ROWS, 0, 0, 0, 0, "exit 0")


def test_nordics_tool_names_the_row_that_was_refused(here):
    assert one(NORDIC, THEIRS, here) == Finding(ROWS, ROWS - 1, 0, 0, 0, 0, ROWS, "exit 0")


@pytest.mark.slow
def test_nordics_tool_sends_the_first_chunk_twice_when_it_was_killed_and_is_run_again(here):
    found = one(NORDIC, Misfortune("killed", deadly=True), here)
    assert (found.claimed, found.lost, found.wrong, found.twice) == (ROWS, 0, 1000, 1000)


@pytest.mark.slow
def test_our_task_loses_nothing_with_a_dropped_connection_and_sends_nothing_twice(here):
    for misfortune in (DROPPED_AFTER, DROPPED_BEFORE):
        assert one(OUR_TASK, misfortune, here) == Finding(ROWS, ROWS, 0, 0, 0, 0, ROWS, "1 success")


def test_our_task_fails_with_the_refused_row_named(here):
    assert one(OUR_TASK, THEIRS, here) == Finding(ROWS, ROWS - 1, 0, 0, 0, 0, ROWS, "1 failed")


def test_our_task_names_the_rows_that_a_revoked_key_kept_back(here):
    found = one(OUR_TASK, Misfortune("revoked", revoked=True), here)
    assert (found.claimed, found.lost, found.accounted, found.state) == (1000, 0, ROWS, "1 failed")


@pytest.mark.slow
@pytest.mark.parametrize("contract", ["sync", "async"])
def test_our_task_goes_on_where_a_killed_worker_ended(contract, here):
    found = one(OUR_TASK, Misfortune("killed", contract, deadly=True), here)
    assert found == Finding(ROWS, ROWS, 0, 0, 0, 0, ROWS, "1 success")


def test_in_a_project_our_task_loses_nothing_with_a_dropped_connection_and_sends_nothing_twice(here):
    found = one(OUR_TASK, Misfortune("dropped", "project", DropAfter()), here)
    assert found == Finding(ROWS, ROWS, 0, 0, 0, 0, ROWS, "1 success")


def test_in_a_project_nordics_tool_forgets_what_became_of_a_lost_answer(here):
    found = one(MEMFAULT, Misfortune("dropped", "project", DropAfter(), settings={"bulk_seconds": 0.0}), here)
    assert found == Finding(ROWS, ROWS, 0, 0, 0, 0, 100, "1 exit 0, 1 exit 1")


@needs_http
def test_an_http_operator_claims_a_file_when_nothing_happens(here):
    assert one(HTTP, MISFORTUNES[0], here) == Finding(ROWS, ROWS, 0, 0, 0, 0, ROWS, "2 success")


@needs_http
def test_an_http_operator_sends_a_chunk_twice_after_a_dropped_connection_and_fails(here):
    found = one(HTTP, DROPPED_AFTER, here)
    assert (found.claimed, found.lost, found.wrong, found.twice) == (ROWS, 0, 1000, 1000)
    assert found.state == "1 failed, 1 success"


@needs_http
def test_an_http_operator_lives_through_a_request_that_never_arrived(here):
    assert one(HTTP, DROPPED_BEFORE, here) == Finding(ROWS, ROWS, 0, 0, 0, 0, ROWS, "2 success")


@needs_http
def test_an_http_operator_loses_the_row_that_an_operation_refused(here):
    found = one(HTTP, Misfortune("theirs", "async", one_is_theirs=True), here)
    assert (found.claimed, found.lost, found.accounted, found.state) == (ROWS - 1, 1, 0, "2 success")


def test_a_tool_that_says_claimed_and_does_nothing_is_found_out(here):
    def pretend(errand: Errand, death: Death | None) -> Account:
        return Account("fine", claimed=frozenset(errand.device_of().values()))

    assert one(Tool("pretender", pretend), MISFORTUNES[0], here, 3) == Finding(3, 0, 3, 3, 0, 0, 3, "fine")


def test_a_misfortune_that_a_tool_never_met_is_no_comparison(here):
    idle = Tool("idle", lambda errand, death: Account("fine"))
    with pytest.raises(RuntimeError, match="idle never met: dropped"):
        one(idle, DROPPED_BEFORE, here, 3)


def test_a_row_that_is_only_about_to_be_sent_is_not_accounted_for():
    output = (
        "INFO     1. Claiming 350000000000001, one, now, a.b, with tags: None\n"
        "ERROR    --> Error 429 on 0 rows:\nERROR        []\n"
    )
    assert read_nordic(output, {"a.b": "one"}) == (frozenset(), frozenset())


def test_figures_that_differ_between_repeats_are_shown_as_a_range():
    found = [Finding(10, number, 0, 0, 0, 0, 10, "exit 0") for number in (7, 3, 5)]
    *_, line = lines_of([(MISFORTUNES[0], NORDIC, found)])
    assert "| 3 to 7 | 0 | 0 | 0 | 0 | 10 of 10 | exit 0 |" in line
