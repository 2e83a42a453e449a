"""The DAGs of the race: many mapped tasks that are deferred, and what they wait for ends some seconds later.

None of them has retries, so that each task that Airflow fails by itself is to be seen.
"""

from __future__ import annotations

import os
from datetime import timedelta
from typing import Any

from airflow.providers.common.compat.sdk import DAG, BaseOperator

from airflow_provider_nrfprov.operators.bulk_claim import NrfProvBulkClaimOperator

FOLDER, TASKS = os.environ["NRFPROV_RACE_FOLDER"], int(os.environ["NRFPROV_RACE_TASKS"])
SECONDS = (1, 2, 3, 4, 5)
"""After which a trigger of Airflow's own fires."""
OPERATION_SECONDS = (6, 7, 8, 9, 10)


class ControlOperator(BaseOperator):
    """Waits some seconds in a trigger of Airflow's own, and does nothing else."""

    def __init__(self, *, seconds: float, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.seconds = seconds

    def execute(self, context: Any) -> None:
        from airflow.providers.standard.triggers.temporal import TimeDeltaTrigger

        self.defer(trigger=TimeDeltaTrigger(timedelta(seconds=self.seconds)), method_name="execute_complete")

    def execute_complete(self, context: Any, event: Any = None) -> None:
        """End."""


def files_of(dag_id: str) -> list[dict[str, str]]:
    """Return the arguments of each mapped task: a claim file, and the emulator whose operations take so long."""
    return [
        {
            "claim_file": f"{FOLDER}/{dag_id}/{number}.csv",
            "report_dir": f"{FOLDER}/{dag_id}/{number}",
            "nrfprov_conn_id": f"nrfprov_{OPERATION_SECONDS[number % len(OPERATION_SECONDS)]}s",
        }
        for number in range(TASKS)
    ]


def dag_of(dag_id: str) -> DAG:
    """Return a DAG of which as many tasks run as Airflow lets."""
    return DAG(dag_id, schedule=None, max_active_tasks=64, default_args={"retries": 0})


with dag_of("race_control"):
    ControlOperator.partial(task_id="wait").expand(
        seconds=[SECONDS[number % len(SECONDS)] for number in range(TASKS)]
    )

with dag_of("race_claim"):
    NrfProvBulkClaimOperator.partial(task_id="claim", deferrable=True).expand_kwargs(files_of("race_claim"))

with dag_of("race_claim_hasty"):
    NrfProvBulkClaimOperator.partial(task_id="claim", deferrable=True, poll_interval=0.5).expand_kwargs(
        files_of("race_claim_hasty")
    )
