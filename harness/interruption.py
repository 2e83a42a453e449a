"""Ctrl-C, SIGTERM and a closed terminal, made into one exception that comes at most once."""

from __future__ import annotations

import signal

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interrupted(SystemExit):
    """Somebody wants this program to end; if nobody takes it, the program exits as shells expect it of a signal."""

    def __init__(self, number: int) -> None:
        super().__init__(128 + number)
        self.name = signal.Signals(number).name


def raise_on_signals() -> None:
    """From now on, the first such signal raises ``Interrupted``; the next ones change nothing."""
    for number in _SIGNALS:
        signal.signal(number, _interrupt)


def ignore_signals() -> None:
    """From now on nothing interrupts: for the time in which everything is being ended anyway."""
    for number in _SIGNALS:
        signal.signal(number, signal.SIG_IGN)


def _interrupt(number: int, _: object) -> None:
    ignore_signals()
    raise Interrupted(number)
