"""A Provisioning Service in memory: what a claim job asks of it, without a wire.

Rows are claimed at once (``contract="sync"``) or by operations that end when they are asked about for the second time.
``before`` and ``after`` of a bulk claim are hooks in which a test lets happen what it is about.
"""

from __future__ import annotations

import csv as csv_format
import io
from collections import Counter
from collections.abc import Callable, Collection, Iterator
from typing import Any

import pendulum

from airflow_provider_nrfprov.api.apis import TEAM
from airflow_provider_nrfprov.api.error_summary import ErrorSummary
from airflow_provider_nrfprov.api.errors import NotFoundError, Problem, ServiceError
from airflow_provider_nrfprov.api.models import BulkClaim, BulkOpsRequest, ClaimedDevice, FailedClaim
from airflow_provider_nrfprov.api.service import ProvisioningService
from airflow_provider_nrfprov.claiming.token import decode


def refusal(status: int, message: str = "malformed") -> ServiceError:
    """Return what the client raises of an error status."""
    kind = NotFoundError if status == 404 else ServiceError
    return kind(message, status=status, text=message, problem=Problem(message), retry_after=None)


def raising(error: BaseException, *numbers: int) -> Callable[..., None]:
    """Return a call that raises: always, or as a hook of the bulk claims of these numbers."""

    def call(*arguments: Any, **named: Any) -> None:
        if not numbers or arguments[0] in numbers:
            raise error

    return call


class ServiceInMemory(ProvisioningService):
    """One team's service."""

    urls = ("memory://service/v1",)
    api = TEAM

    def __init__(self, contract: str = "sync", url: str = "memory://service/v1") -> None:
        self.urls = (url,)
        self.contract = contract
        self.ours: dict[str, pendulum.DateTime] = {}
        self.theirs: set[str] = set()
        self.operations: dict[str, dict[str, Any]] = {}
        self.sent: Counter[str] = Counter()
        """How often each device was in a bulk claim."""
        self.claims: Counter[str] = Counter()
        self.requests: Counter[str] = Counter()
        """Bulk claims, and devices that were fetched one by one."""
        self.clock_offset = 0.0
        self.refuse: Callable[[list[str], str], ServiceError | None] = lambda ids, csv: None
        """Given the devices and the text of a bulk claim: what refuses it as a whole."""
        self.before: Callable[[int], None] = lambda number: None
        self.after: Callable[[int], None] = lambda number: None
        self.lag_looks = 0
        """How many looks at lists show nothing new."""

    def get_conn(self) -> Any:
        raise AssertionError("no wire")

    def now(self) -> pendulum.DateTime:
        return pendulum.now("UTC").add(seconds=self.clock_offset)

    def learn_time(self) -> None:
        """There is nothing to learn."""

    def bulk_claim(self, csv: str) -> BulkClaim:
        self.requests["bulk_claim"] += 1
        number = self.requests["bulk_claim"]
        rows = list(csv_format.reader(io.StringIO(csv)))
        ids = [decode(row[0]).device_id for row in rows]
        self.before(number)
        self.sent.update(ids)
        if error := self.refuse(ids, csv):
            self.sent.subtract(ids)
            raise error
        answer = self._carry_out(csv, ids)
        self.after(number)
        return answer

    def _carry_out(self, csv: str, ids: list[str]) -> BulkClaim:
        claimed, failed = [], []
        for row, device_id in enumerate(ids):
            if device_id in self.ours or device_id in self.theirs:
                failed.append(FailedClaim("already claimed", row=row, device_id=device_id))
            else:
                self.ours[device_id] = self.now()
                self.claims[device_id] += 1
                claimed.append(device_id)
        if self.contract == "sync":
            return BulkClaim(201 if not failed else 422, claimed_ids=tuple(claimed), failed=tuple(failed))
        id_ = f"01{len(self.operations):024d}"
        self.operations[id_] = {"csv": csv, "failed": failed, "at": self.now(), "asked": 0}
        return BulkClaim(202, bulk_ops_request_id=id_)

    def fetch_bulk_ops_request(self, bulk_ops_request_id: str) -> BulkOpsRequest:
        if bulk_ops_request_id not in self.operations:
            raise refusal(404)
        return self._operation(bulk_ops_request_id)

    def _operation(self, id_: str) -> BulkOpsRequest:
        kept = self.operations[id_]
        status = "FAILED" if kept["failed"] else "SUCCEEDED"
        return BulkOpsRequest(
            id_,
            status,
            "CLAIM_DEVICE_OWNERSHIP",
            kept["at"],
            kept["at"],
            f"https://x/{id_}.csv",
            None,
            "https://x/e",
        )

    def list_bulk_ops_requests(self, **filters: Any) -> Iterator[BulkOpsRequest]:
        if self.contract == "sync":
            raise refusal(404)
        since = filters.get("requested_from")
        return iter(
            [
                self._operation(id_)
                for id_, kept in self.operations.items()
                if not since or kept["at"] >= since
            ]
        )

    def fetch_error_summary(self, operation: BulkOpsRequest) -> ErrorSummary:
        return ErrorSummary({each.row or 0: each.message for each in self.operations[operation.id]["failed"]})

    def fetch_uploaded_data(self, operation: BulkOpsRequest) -> str:
        return str(self.operations[operation.id]["csv"])

    def find_on_lists(
        self, device_ids: Collection[str], claimed_after: pendulum.DateTime | None = None
    ) -> tuple[dict[str, ClaimedDevice], set[str]]:
        if self.lag_looks:
            self.lag_looks -= 1
            return {}, set()
        ours = (each for each in device_ids if each in self.ours)
        return {each: ClaimedDevice(each, claimed_at=self.ours[each]) for each in ours}, set()

    def fetch_claimed_device(self, device_id: str) -> ClaimedDevice:
        self.requests["fetch_claimed_device"] += 1
        if device_id not in self.ours:
            raise refusal(404)
        return ClaimedDevice(device_id, claimed_at=self.ours[device_id])

    def unclaim_device(self, device_id: str) -> None:
        del self.ours[device_id]
