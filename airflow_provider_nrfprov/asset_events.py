"""Asset events: what a claim writes into them, and what is read from them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from airflow_provider_nrfprov.version_compat import AIRFLOW_V_3_0_PLUS


def describe(context: Mapping[str, Any], outlets: Iterable[Any], facts: Mapping[str, Any]) -> None:
    """Put facts into the ``extra`` of the event of each asset (on Airflow 2: dataset) among a task's outlets, or a reference to one.

    Airflow keeps the extra in its database and shows it: numbers, paths and a bounded number of ids only. An alias has
    no event of its own and is left alone.
    """
    from airflow.providers.common.compat.sdk import Asset

    kinds: tuple[type, ...] = (Asset,)
    if AIRFLOW_V_3_0_PLUS:
        from airflow.sdk.definitions.asset import AssetRef

        kinds = (Asset, AssetRef)
    events = context.get("outlet_events")
    if events is None:
        return
    for outlet in outlets:
        if isinstance(outlet, kinds):
            events[outlet].extra.update(facts)


def claim_files(context: Mapping[str, Any]) -> list[str]:
    """Return the paths of the claim files that the events name which started a DAG run, each once, in their order.

    An event names one as ``claim_file`` in its extra, as those do that a person or another DAG makes, or in the payload
    that :class:`~airflow_provider_nrfprov.triggers.claim_file_arrival.NrfProvClaimFileTrigger` put there. Several
    events can start one run. None for a run that was started by hand.
    """
    by_asset = context.get("triggering_asset_events") or context.get("triggering_dataset_events") or {}
    paths = []
    for events in by_asset.values():
        for event in events:
            extra = event.extra or {}
            payload = extra.get("payload")
            path = extra.get("claim_file") or (isinstance(payload, dict) and payload.get("claim_file"))
            if path:
                paths.append(str(path))
    return list(dict.fromkeys(paths))
