"""The trigger that looks for new claim files: in a real folder, and in a bucket that is in memory."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import os
import queue
import threading
from collections.abc import AsyncIterator

import pytest
from asgiref.sync import async_to_sync
from fsspec.implementations.memory import MemoryFileSystem

from airflow_provider_nrfprov.arguments import ArgumentError
from airflow_provider_nrfprov.triggers import claim_file_arrival
from airflow_provider_nrfprov.triggers.claim_file_arrival import NrfProvClaimFileTrigger

pytestmark = pytest.mark.anyio
INTERVAL = 0.05


@pytest.fixture(autouse=True)
def _short_intervals(monkeypatch):
    monkeypatch.setattr(claim_file_arrival, "_LEAST_INTERVAL", INTERVAL)


def trigger(folder, **arguments) -> NrfProvClaimFileTrigger:
    return NrfProvClaimFileTrigger(str(folder), poll_interval=INTERVAL, **arguments)


class Events:
    """Listens to a trigger as the triggerer does: each event is taken as soon as it comes."""

    def __init__(self, of: NrfProvClaimFileTrigger) -> None:
        self._trigger = of
        self.payloads: list[dict] = []
        self._wanted = 0
        self._enough = asyncio.Event()

    async def _listen(self) -> None:
        async for event in self._trigger.run():
            self.payloads.append(event.payload)
            if len(self.payloads) >= self._wanted:
                self._enough.set()

    @contextlib.asynccontextmanager
    async def listening(self) -> AsyncIterator[Events]:
        task = asyncio.create_task(self._listen())
        try:
            yield self
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    async def names(self, count: int, *, within: float = 10) -> list[str]:
        """Wait until there are ``count`` events, and three looks more; return the names of the files."""
        self._wanted = count
        self._enough.clear()
        if len(self.payloads) < count:
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self._enough.wait(), within)
        await asyncio.sleep(6 * INTERVAL)
        return [payload["claim_file"].rpartition("/")[2] for payload in self.payloads]


async def test_each_new_file_fires_once_and_a_file_that_is_written_anew_once_more(tmp_path):
    (tmp_path / "1.csv").write_text("one")
    async with Events(trigger(tmp_path)).listening() as events:
        assert await events.names(1) == ["1.csv"]
        assert events.payloads == [{"claim_file": f"{tmp_path}/1.csv", "bytes": 3}]
        (tmp_path / "2.csv").write_text("two")
        (tmp_path / "3.csv").write_text("three")
        assert await events.names(3) == ["1.csv", "2.csv", "3.csv"]
        (tmp_path / "2.csv").write_text("two and more")
        assert await events.names(4) == ["1.csv", "2.csv", "3.csv", "2.csv"]


async def test_a_file_that_still_grows_is_waited_for(tmp_path):
    async with Events(trigger(tmp_path)).listening() as events:
        with (tmp_path / "grows.csv").open("w", buffering=1) as stream:
            for _ in range(40):
                stream.write("a row\n")
                await asyncio.sleep(INTERVAL / 2)
            seen_while_growing = len(events.payloads)
        assert await events.names(1) == ["grows.csv"]
        assert (seen_while_growing, events.payloads[0]["bytes"]) == (0, 240)


async def test_what_is_no_claim_file_is_overlooked(tmp_path):
    (tmp_path / ".hidden.csv").write_text("x")
    (tmp_path / "empty.csv").touch()
    (tmp_path / "notes.txt").write_text("x")
    (tmp_path / "folder.csv").mkdir()
    (tmp_path / "shift.csv").write_text("x")
    async with Events(trigger(tmp_path)).listening() as events:
        assert await events.names(1) == ["shift.csv"]
    async with Events(trigger(tmp_path, pattern="*.txt")).listening() as events:
        assert await events.names(1) == ["notes.txt"]


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("loop.csv", "Too many levels of symbolic links"),
        (os.fsdecode(b"Sch\xf6n.csv"), "its name is not UTF-8"),
    ],
    ids=["a link to itself", "a name in Latin-1"],
)
async def test_a_file_that_cannot_be_taken_keeps_no_other_from_its_event_and_is_said_once(
    tmp_path, capfd, caplog, name, words
):
    if name == "loop.csv":
        (tmp_path / name).symlink_to(tmp_path / name)
    else:
        (tmp_path / name).write_text("x")
    (tmp_path / "other.txt").symlink_to(tmp_path / "other.txt")
    (tmp_path / "shift.csv").write_text("x")
    async with Events(trigger(tmp_path)).listening() as events:
        assert await events.names(1) == ["shift.csv"]
    log = "".join(capfd.readouterr())
    log = log if "has no event" in log else caplog.text
    assert (log.count("has no event"), log.count(words), "other.txt" in log) == (1, 1, False)


def test_a_pattern_of_what_is_inside_folders_is_refused(tmp_path):
    with pytest.raises(
        ArgumentError, match=r"pattern of NrfProvClaimFileTrigger is 'in/\*.csv'; .* without a slash"
    ):
        trigger(tmp_path, pattern="in/*.csv")


async def test_a_folder_that_cannot_be_read_is_said_once_and_looked_at_on_without_haste(
    tmp_path, capfd, caplog, monkeypatch
):
    caplog.set_level("INFO")
    looks = []
    real = claim_file_arrival._files
    monkeypatch.setattr(claim_file_arrival, "_files", lambda *args: looks.append(1) or real(*args))
    folder = tmp_path / "later"
    async with Events(trigger(folder)).listening() as events:
        await events.names(1, within=20 * INTERVAL)
        assert len(looks) <= 30
        folder.mkdir()
        (folder / "1.csv").write_text("x")
        assert await events.names(1) == ["1.csv"]
    # Where Airflow's logs go depends on its version, and on whether a DAG was run before.
    log = "".join(capfd.readouterr())
    log = log if "cannot be read" in log else caplog.text
    assert (log.count("cannot be read"), log.count("can be read again")) == (1, 1)


class State(dict):
    """The asset's state as Airflow 3.3 gives it to a trigger."""

    async def aget(self, key, default=None):
        return self.get(key, default)

    async def aset(self, key, value):
        self[key] = json.loads(json.dumps(value))


def listening(folder, state) -> Events:
    of = trigger(folder)
    of.asset_state_store = state
    return Events(of)


async def test_a_restarted_triggerer_knows_for_which_files_there_was_an_event(tmp_path):
    state = State()
    (tmp_path / "1.csv").write_text("one")
    async with listening(tmp_path, state).listening() as events:
        assert await events.names(1) == ["1.csv"]
    (tmp_path / "2.csv").write_text("two")  # while nobody looks
    async with listening(tmp_path, state).listening() as events:
        assert await events.names(1) == ["2.csv"]
    # For a moment the folder seems empty, as one that is not mounted does.
    away = tmp_path.with_name("away")
    tmp_path.rename(away)
    tmp_path.mkdir()
    async with listening(tmp_path, state).listening() as events:
        await events.names(1, within=4 * INTERVAL)
        tmp_path.rmdir()
        away.rename(tmp_path)
        assert await events.names(1, within=4 * INTERVAL) == []


async def test_a_triggerer_that_dies_right_after_an_event_gives_it_again_rather_than_never(tmp_path):
    state = State()
    (tmp_path / "1.csv").write_text("one")
    first = trigger(tmp_path)
    first.asset_state_store = state
    run = first.run()
    assert (await anext(run)).payload["bytes"] == 3
    await run.aclose()
    assert not state
    async with listening(tmp_path, state).listening() as events:
        assert await events.names(1) == ["1.csv"]


async def test_what_is_remembered_of_a_folder_of_any_age_stays_small(tmp_path, monkeypatch):
    monkeypatch.setattr(claim_file_arrival, "MOST_REMEMBERED", 5)
    state = State()
    async with listening(tmp_path, state).listening() as events:
        for number in range(8):
            (tmp_path / f"{number}.csv").write_text(str(number))
            await events.names(number + 1)
            if number < 7:
                (tmp_path / f"{number}.csv").unlink()
        assert len(events.payloads) == 8
    assert len(state[claim_file_arrival.REMEMBERED].split()) <= 5


class Broken:
    async def aget(self, key, default=None):
        raise ValueError("two assets share this trigger")

    async def aset(self, key, value):
        raise ValueError("two assets share this trigger")


async def test_a_state_store_that_does_not_work_costs_no_event(tmp_path):
    (tmp_path / "1.csv").write_text("one")
    async with listening(tmp_path, Broken()).listening() as events:
        assert await events.names(1) == ["1.csv"]


async def test_looking_does_not_hold_up_the_event_loop(tmp_path, monkeypatch):
    looking, loop_is_free, went_on = threading.Event(), threading.Event(), queue.SimpleQueue()

    def until_the_loop_has_gone_on(folder, pattern):
        looking.set()
        went_on.put(loop_is_free.wait(10))
        return {}, {}

    monkeypatch.setattr(claim_file_arrival, "_files", until_the_loop_has_gone_on)
    async with Events(trigger(tmp_path)).listening():
        # A look on the loop itself would wait in vain for what comes after it.
        assert await asyncio.to_thread(looking.wait, 20)
        loop_is_free.set()
        assert await asyncio.to_thread(went_on.get, timeout=20)


async def test_a_bucket_is_listed_anew_at_each_look(object_store):
    bucket = MemoryFileSystem()
    bucket.pipe(f"{object_store}/1.csv", b"one")
    async with Events(trigger(object_store)).listening() as events:
        assert await events.names(1) == ["1.csv"]
        bucket.pipe(f"{object_store}/2.csv", b"two")
        assert await events.names(2) == ["1.csv", "2.csv"]
        assert events.payloads[1] == {"claim_file": f"{object_store}/2.csv", "bytes": 3}


class OldComms:
    """How a triggerer of Airflow 3.0 and 3.1 looks a connection up: a pipe, a lock, and ``async_to_sync`` for who is not async."""

    def __init__(self, reader, writer) -> None:
        self._reader, self._writer, self._lock, self._ids = reader, writer, asyncio.Lock(), itertools.count(1)

    @classmethod
    @contextlib.asynccontextmanager
    async def open(cls) -> AsyncIterator[OldComms]:
        async def answer(reader, writer) -> None:
            while line := await reader.readline():
                await asyncio.sleep(0.02)
                writer.write(line)
            writer.close()

        server = await asyncio.start_server(answer, "127.0.0.1", 0)
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        try:
            yield cls(reader, writer)
        finally:
            writer.close()
            server.close()
            await asyncio.sleep(0.1)

    def look_up(self) -> None:
        async_to_sync(self.alook_up)()

    async def alook_up(self) -> None:
        async with self._lock:
            sent = b"%d\n" % next(self._ids)
            self._writer.write(sent)
            answer = await self._reader.readline()
        assert answer == sent, f"response read out of order: {answer!r}, expected {sent!r}"


def test_a_bucket_whose_connection_is_looked_up_as_by_airflow_3_0_fires_and_breaks_no_other_trigger(
    monkeypatch,
):
    async def story():
        async with OldComms.open() as comms:

            def look(folder, pattern):
                comms.look_up()
                return {"1.csv": claim_file_arrival._File("s3://c@b/1.csv", 3, "v1")}, {}

            monkeypatch.setattr(claim_file_arrival, "_files", look)
            async with Events(trigger("s3://c@b")).listening() as events:
                for _ in range(10):
                    await asyncio.wait_for(comms.alook_up(), 5)
                assert await events.names(1) == ["1.csv"]
            # The trigger was cancelled, perhaps in the middle of a look-up.
            await asyncio.wait_for(comms.alook_up(), 5)

    asyncio.run(asyncio.wait_for(story(), 20))


def test_it_is_serialized_as_json_scalars_and_comes_back_the_same(tmp_path):
    first = NrfProvClaimFileTrigger(str(tmp_path), "*.txt", 5)
    path, kwargs = first.serialize()
    assert path == f"{NrfProvClaimFileTrigger.__module__}.{NrfProvClaimFileTrigger.__name__}"
    again = NrfProvClaimFileTrigger(**json.loads(json.dumps(kwargs)))
    assert again.serialize() == (path, kwargs)
    assert os.fspath(tmp_path) == kwargs["folder"]
