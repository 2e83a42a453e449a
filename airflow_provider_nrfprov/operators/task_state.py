"""Airflow's store of a task's own state (3.3 and later) as the second place of the ledger.

It survives retries and clearing, on any worker. What it keeps is gone 30 days after
the last write unless ``[state_store] default_retention_days`` says otherwise.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from airflow_provider_nrfprov.claiming.ledger import SecondPlace

_log = logging.getLogger(__name__)


def second_place(context: Mapping[str, Any]) -> SecondPlace | None:
    """Return the running task's state store; ``None`` where Airflow has none."""
    store = context.get("task_state_store")
    return None if store is None else _TaskStateStore(store)


class _TaskStateStore:
    """A store that fails costs the second copy only: the folder is there, as on older versions."""

    def __init__(self, store: Any) -> None:
        self._store = store
        self._works = True

    def get(self, key: str) -> str | None:
        value = self._try(lambda: self._store.get(key))
        return value if isinstance(value, str) else None

    def set(self, key: str, text: str) -> None:
        self._try(lambda: self._store.set(key, text))

    def _try(self, ask: Any) -> Any:
        if not self._works:
            return None
        try:
            return ask()
        except Exception as error:  # noqa: BLE001 - backends of others raise what they like
            self._works = False
            _log.warning(
                "Airflow's task state store is not used, the ledger is in the report folder only: %s", error
            )
            return None
