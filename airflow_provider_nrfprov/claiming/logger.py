"""The part of a logger that is used here: the standard library's fits, and so does Airflow's."""

from __future__ import annotations

from typing import Any, Protocol


class Logger(Protocol):
    """Takes ``%`` templates and their arguments."""

    def info(self, message: str, /, *args: Any) -> Any:
        """Log what happened."""
        ...

    def warning(self, message: str, /, *args: Any) -> Any:
        """Log what somebody should look at."""
        ...
