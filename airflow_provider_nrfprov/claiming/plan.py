"""The identity of a claim job: its task, file, tags and service."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from airflow_provider_nrfprov.api.contract import MAX_ROWS_PER_REQUEST
from airflow_provider_nrfprov.files.job_folder import job_id_of


@dataclass(frozen=True, slots=True)
class Owner:
    """The task that a job belongs to, and the try that speaks now."""

    dag_id: str = ""
    run_id: str = ""
    task_id: str = ""
    map_index: int = -1
    try_number: int = 1


@dataclass(frozen=True, slots=True)
class Plan:
    """What a job is about. What is in :attr:`identity` tells it from every other."""

    claim_file: str
    digest: str
    """SHA-256 of the file's bytes."""
    service: tuple[str, ...]
    """Base URLs of the service."""
    owner: Owner = field(default_factory=Owner)
    tags: tuple[str, ...] = ()
    rows_per_request: int = MAX_ROWS_PER_REQUEST
    columns: Mapping[str, str] = field(default_factory=dict)

    @property
    def identity(self) -> dict[str, Any]:
        """Return what decides which rows are claimed where, and for whom."""
        owner = self.owner
        return {
            "file_sha256": self.digest,
            "service": list(self.service),
            "tags": list(self.tags),
            "rows_per_request": self.rows_per_request,
            "columns": dict(self.columns),
            "dag_id": owner.dag_id,
            "task_id": owner.task_id,
            "map_index": owner.map_index,
            "run_id": owner.run_id,
        }

    @property
    def job_id(self) -> str:
        """Return the id of the job: 16 hexadecimal digits."""
        return job_id_of(self.identity)

    def as_dict(self) -> dict[str, Any]:
        """Return all of it, as JSON has it."""
        return {"claim_file": self.claim_file, **self.identity}

    @classmethod
    def from_dict(cls, body: Mapping[str, Any]) -> Plan:
        """Read what :meth:`as_dict` returned.

        :raises KeyError: if something is missing.
        """
        owner = Owner(body["dag_id"], body["run_id"], body["task_id"], body["map_index"])
        return cls(
            body["claim_file"], body["file_sha256"], tuple(body["service"]), owner,
            tuple(body["tags"]), body["rows_per_request"], body["columns"],
        )  # fmt: skip
