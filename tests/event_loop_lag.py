"""How late an event loop is by what runs on it, and not by a machine that is busy with something else."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

_PAUSE = 0.01
"""Seconds."""


class Lag:
    """Measures an event loop beside a thread of the same process: where the machine is late, so is the thread."""

    def __init__(self) -> None:
        self.worst = 0.0
        """Seconds by which the loop was later than the thread, at worst."""

    @asynccontextmanager
    async def measured(self) -> AsyncIterator[None]:
        """Measure the running event loop as long as the block runs."""
        done, late = threading.Event(), {"loop": 0.0, "thread": 0.0}

        def note(name: str, started: float) -> None:
            late[name] = max(late[name], time.monotonic() - started - _PAUSE)

        def in_thread() -> None:
            while not done.is_set():
                started = time.monotonic()
                time.sleep(_PAUSE)
                note("thread", started)

        async def on_loop() -> None:
            while True:
                started = time.monotonic()
                await asyncio.sleep(_PAUSE)
                note("loop", started)

        thread = threading.Thread(target=in_thread, daemon=True)
        thread.start()
        task = asyncio.create_task(on_loop())
        try:
            yield
            # Once more, so that what kept the loop last is seen, too.
            await asyncio.sleep(2 * _PAUSE)
        finally:
            task.cancel()
            done.set()
            self.worst = max(self.worst, late["loop"] - late["thread"])
