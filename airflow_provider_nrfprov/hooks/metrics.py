"""Airflow's metrics: what became of rows and devices, and what was asked of the service. docs/metrics.md describes each.

Each is sent twice: by a name of its own with tags, and by a name that holds the values, for a StatsD that knows no tags.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import timedelta
from functools import wraps
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from airflow_provider_nrfprov.api.tally import Counts

# The module of the tally loads the client, which no DAG file needs to be parsed.


def count_requests() -> None:
    """Let what this process asks of the service become metrics."""
    from airflow_provider_nrfprov.api.tally import TALLY

    TALLY.publish = _publish


def count_outcomes(what: str, counts: Mapping[str, int]) -> None:
    """Add to the counters of what became of rows or devices.

    :param what: ``rows`` or ``devices``.
    :param counts: by outcome.
    """
    for outcome, count in counts.items():
        _add(what, count, outcome=outcome)


def flushed_at_the_end(execute: Callable[..., Any]) -> Callable[..., Any]:
    """Let what a task has counted be sent before it ends, however it ends."""

    @wraps(execute)
    def executed(*args: Any, **kwargs: Any) -> Any:
        from airflow_provider_nrfprov.api.tally import TALLY

        try:
            return execute(*args, **kwargs)
        finally:
            TALLY.flush()

    return executed


def _publish(counts: Counts) -> None:
    for (operation, status), count in counts.requests.items():
        _add("requests", count, operation=operation, status="none" if status is None else str(status))
    for operation, count in counts.retries.items():
        _add("retries", count, operation=operation)
    if counts.seconds_waited >= 0.001:
        _stats().timing("nrfprov.waited", timedelta(seconds=counts.seconds_waited))


def _add(name: str, count: int, **tags: str) -> None:
    if count:
        _stats().incr(f"nrfprov.{name}", count=count, tags=tags)
        _stats().incr(".".join(("nrfprov", name, *tags.values())), count=count)


def _stats() -> Any:
    from airflow.providers.common.compat.sdk import Stats

    return Stats
