"""What hangs costs whoever asks an error after some seconds, and nobody else anything."""

from __future__ import annotations

import asyncio
import threading
import time

import pytest

from airflow_provider_nrfprov.plugins.device_claims.threads import Threads, TookTooLongError


def ours() -> set[threading.Thread]:
    return {each for each in threading.enumerate() if each.name == "nrfprov-reports"}


def test_what_hangs_is_given_up_and_others_go_on():
    never, before = threading.Event(), ours()

    async def ask() -> None:
        threads = Threads(3, 2)
        started = time.monotonic()
        hanging = [asyncio.create_task(threads.run("mount", never.wait, seconds=0.3)) for _ in range(10)]
        await asyncio.sleep(0.05)
        # The third thread is not for what hangs already.
        assert await threads.run("another", lambda: "answer", seconds=10) == "answer"
        for each in hanging:
            with pytest.raises(TookTooLongError, match="mount has not answered"):
                await each
        assert time.monotonic() - started < 10
        assert len(ours() - before) == 2
        never.set()
        await asyncio.sleep(0.1)
        assert await threads.run("mount", lambda: "again") == "again"

    asyncio.run(ask())


def test_an_error_of_the_call_is_raised_as_it_is():
    def fail() -> None:
        raise TimeoutError("its own")

    with pytest.raises(TimeoutError, match="its own"):
        asyncio.run(Threads(1, 1).run("key", fail))


def test_a_thread_that_hangs_does_not_keep_the_server_from_ending():
    never, before = threading.Event(), ours()

    async def ask() -> None:
        with pytest.raises(TookTooLongError):
            await Threads(1, 1).run("key", never.wait, seconds=0.05)

    asyncio.run(ask())
    (hanging,) = ours() - before
    assert hanging.daemon
    never.set()
