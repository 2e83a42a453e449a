"""The operator that looks at a claim file before anything is sent."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, BinaryIO, ClassVar, cast

from airflow_provider_nrfprov.arguments import Argument, Arguments, count, path, ratio
from airflow_provider_nrfprov.exceptions import RowsRejectedError
from airflow_provider_nrfprov.files.paths import require_regular, to_path
from airflow_provider_nrfprov.operators.base import ConnectedOperator
from airflow_provider_nrfprov.operators.tolerance import RejectedTolerance

if TYPE_CHECKING:
    import os

    from airflow.providers.common.compat.sdk import Context


class NrfProvCheckClaimFileOperator(ConnectedOperator):
    """Reads a claim file and says which of its rows cannot be sent. Nothing is claimed.

    Every row is decoded offline; what is wrong is in the log, with the lines where it is so. The task fails if no row can be
    sent, or more of them than allowed cannot. Rows that repeat a device of the file do not count.

    :param claim_file: path or URL of the file: local to the worker, or on an object store
        (``s3://conn_id@bucket/key``).
    :param max_rejected_rows: how many rows there may be that cannot be sent; ``None`` for no such limit.
    :param max_rejected_ratio: the share of the rows that may be so, from 0 to 1; the larger limit counts. ``None`` for no share.
    :param dry_run_rows: how many rows, drawn at random, the service is asked about whether they could be claimed; what it
        refuses is in the log. 0 asks nothing and needs no connection.
    :param nrfprov_conn_id: Airflow connection of type ``nrfprov``, used with ``dry_run_rows`` only.
    :return: ``{"rows", "rejected", "asked", "refused"}``, numbers of rows.
    :raises ClaimFileError: if the file is empty or not a text file.
    :raises OSError: if it is not there or cannot be read (a ``ClaimFileUnavailableError``).
    :raises RowsRejectedError: if more rows than allowed cannot be sent (not retried).
    :raises NrfProvError: if the service could not be asked.
    """

    arguments: ClassVar[Arguments] = {
        "claim_file": Argument(path),
        "max_rejected_rows": Argument(count(), optional=True),
        "max_rejected_ratio": Argument(ratio, optional=True),
        "dry_run_rows": Argument(count()),
    }
    ui_color = "#d7f0f7"

    def __init__(
        self,
        *,
        claim_file: str | os.PathLike[str],
        max_rejected_rows: int | str | None = None,
        max_rejected_ratio: float | str | None = None,
        dry_run_rows: int | str = 0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.claim_file = claim_file
        self.max_rejected_rows = max_rejected_rows
        self.max_rejected_ratio = max_rejected_ratio
        self.dry_run_rows = dry_run_rows
        self._check_constants()

    def execute(self, context: Context) -> dict[str, int]:
        """Read the file, and ask about a sample of its rows."""
        from airflow_provider_nrfprov.api.contract import DRY_RUN
        from airflow_provider_nrfprov.claiming.claim_file import ClaimFile
        from airflow_provider_nrfprov.claiming.file_copy import unavailable
        from airflow_provider_nrfprov.claiming.preflight import inspect, refusals

        value = self._values()
        claim_file, sample_size = value["claim_file"], value["dry_run_rows"]
        if sample_size:
            self.hook.require(DRY_RUN)
        tolerance = RejectedTolerance(value["max_rejected_rows"], value["max_rejected_ratio"])
        source = to_path(claim_file)
        try:
            require_regular(source)
            with source.open("rb") as stream:
                found = inspect(ClaimFile(cast("BinaryIO", stream), claim_file).parts(), sample_size)
        except OSError as error:
            raise unavailable(claim_file, error) from error
        self.log.log(logging.WARNING if found.reasons else logging.INFO, "%s: %s", claim_file, found)
        refused = refusals(found.sample, self.hook) if found.sample else []
        for words in refused[:10]:
            self.log.warning("would be refused: %s", words)
        problem = tolerance.problem(
            rows=found.rows, rejected=found.rejected - found.repeated, ours=found.rows - found.rejected
        )
        if problem:
            raise RowsRejectedError(f"{claim_file}: {problem}\n" + "\n".join(found.examples))
        return {
            "rows": found.rows,
            "rejected": found.rejected,
            "asked": len(found.sample),
            "refused": len(refused),
        }
