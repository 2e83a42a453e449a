"""How far a DAG run is: one line that changes in a terminal, a line for each change elsewhere."""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Mapping

_WORDS = {"deferred": "waiting", "up_for_retry": "to be retried"}
"""What Airflow calls a state, where another word tells more to somebody who does not know Airflow."""


class Progress:
    """Shows what the tasks are doing, and how many devices are claimed.

    :param devices: how many there will be.
    """

    def __init__(self, devices: int) -> None:
        self._devices = devices
        self._started = time.monotonic()
        self._live = sys.stdout.isatty()
        self._last = ""

    def show(self, states: Mapping[str, str | None], claimed: int) -> None:
        """Show the states of all tasks, by name; one that has not started has none."""
        done = sum(state == "success" for state in states.values())
        others = [
            f"{task} {_WORDS.get(state, state)}"
            for task, state in states.items()
            if state not in {None, "success"}
        ]
        news = ", ".join(
            [
                f"{claimed:,} of {self._devices:,} devices claimed",
                f"{done} of {len(states)} tasks done",
                *others,
            ]
        )
        line = f"  {time.monotonic() - self._started:3.0f} s  {news}"
        if self._live:
            width = shutil.get_terminal_size().columns - 1
            sys.stdout.write(f"\r\033[K{line[:width]}")
        elif news != self._last:
            sys.stdout.write(f"{line}\n")
        sys.stdout.flush()
        self._last = news

    def end(self) -> None:
        """Leave the last line where it is."""
        if self._live and self._last:
            sys.stdout.write("\n")
