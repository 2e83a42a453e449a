"""The lineage of a claim in OpenLineage's terms: a claim file in, a report out. Only loaded where that provider is."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from airflow.providers.openlineage.extractors import OperatorLineage


def claim_lineage(claim_file: str, report: str | None, rows: int | None) -> OperatorLineage:
    """Return the datasets of a claim.

    :param report: path of the report, if one was written, with ``rows`` rows.
    """
    from airflow.providers.common.compat.openlineage.facet import (
        Dataset,
        OutputDataset,
        OutputStatisticsOutputDatasetFacet,
    )
    from airflow.providers.openlineage.extractors import OperatorLineage

    namespace, name = dataset_name(claim_file)
    lineage = OperatorLineage(inputs=[Dataset(namespace=namespace, name=name)])
    if report is not None:
        namespace, name = dataset_name(report)
        statistics = OutputStatisticsOutputDatasetFacet(rowCount=rows, fileCount=1)
        lineage.outputs.append(
            OutputDataset(namespace=namespace, name=name, outputFacets={"outputStatistics": statistics})
        )
    return lineage


def dataset_name(path: str) -> tuple[str, str]:
    """Return namespace and name of a file as OpenLineage's naming has them; the Airflow connection is not part of it."""
    parts = urlsplit(path)
    if "://" not in path or parts.scheme == "file":
        return "file", parts.path if "://" in path else path
    bucket = parts.netloc.rpartition("@")[2]
    return f"{parts.scheme}://{bucket}", parts.path.lstrip("/")
