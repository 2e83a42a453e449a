"""Threads for calls that may hang, and programs for work that takes long, beside the web server's own.

Threads are few, daemons, and waited for only so long; Airflow's own are left alone. What a program does takes none of the server's
interpreter, and it knows none of its secrets.
"""

from __future__ import annotations

import asyncio
import json
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

Result = TypeVar("Result")

SECONDS = 5.0
"""For how long a request waits for a thread to be free and to end."""
_LOOK_AGAIN = 0.02


class TookTooLongError(Exception):
    """What was asked has not ended in time; it may still be going on."""


class Threads:
    """Runs calls in a limited number of threads, and a limited number of each kind of call.

    A thread that hangs is lost until what it waits for comes back: whoever asks then is told so after some seconds.

    :param most: how many threads there may be at a time.
    :param most_alike: how many of them for the same key.
    """

    def __init__(self, most: int, most_alike: int) -> None:
        self._most = most
        self._most_alike = most_alike
        self._lock = threading.Lock()
        self._busy: Counter[str] = Counter()

    async def run(self, key: str, call: Callable[[], Result], *, seconds: float = SECONDS) -> Result:
        """Return what the call returns.

        :raises TookTooLongError: if no thread is free, or the call has not ended, after ``seconds``.
        """
        end = time.monotonic() + seconds
        while not self._take(key):
            if time.monotonic() > end:
                raise TookTooLongError(f"{key} has not answered for {seconds:.0f} seconds.")
            await asyncio.sleep(_LOOK_AGAIN)
        future: Future[Result] = Future()
        # From now on nobody can cancel it.
        future.set_running_or_notify_cancel()
        threading.Thread(
            target=self._work, args=(key, call, future), name="nrfprov-reports", daemon=True
        ).start()
        try:
            return await asyncio.wait_for(asyncio.wrap_future(future), max(0.0, end - time.monotonic()))
        except (TimeoutError, asyncio.TimeoutError):
            if future.done():
                raise  # the call's own
            raise TookTooLongError(f"{key} has not answered for {seconds:.0f} seconds.") from None

    def _take(self, key: str) -> bool:
        with self._lock:
            if self._busy.total() >= self._most or self._busy[key] >= self._most_alike:
                return False
            self._busy[key] += 1
            return True

    def _work(self, key: str, call: Callable[[], Result], future: Future[Result]) -> None:
        try:
            result = call()
        except BaseException as error:  # noqa: BLE001 - it is the caller's
            self._give_back(key)
            future.set_exception(error)
        else:
            self._give_back(key)
            future.set_result(result)

    def _give_back(self, key: str) -> None:
        with self._lock:
            self._busy[key] -= 1
            if not self._busy[key]:
                del self._busy[key]


ENVIRONMENT: dict[str, str] = {}
_BEGIN = "import sys, json; sys.path[:] = json.loads(sys.argv.pop(1)); "


def command(code: str, *arguments: str) -> list[str]:
    """Return the command of a Python program that finds the modules that are found here, and nothing else.

    :param code: what it does; its arguments are ``sys.argv[1:]``.
    """
    return [sys.executable, "-I", "-W", "ignore", "-c", _BEGIN + code, json.dumps(sys.path), *arguments]
