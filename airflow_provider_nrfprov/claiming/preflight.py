"""A look at a claim file before anything of it is sent: bad rows, and what the service says to a sample."""

from __future__ import annotations

import random
from collections.abc import Iterable
from dataclasses import dataclass
from operator import attrgetter
from typing import TYPE_CHECKING

from airflow_provider_nrfprov.api.claim_form import ClaimForm
from airflow_provider_nrfprov.api.contract import CLAIM_TAGS
from airflow_provider_nrfprov.api.errors import NotInThisApiError
from airflow_provider_nrfprov.claiming.blocks import Block
from airflow_provider_nrfprov.claiming.chunks import rows_of
from airflow_provider_nrfprov.claiming.claim_file import ClaimFile
from airflow_provider_nrfprov.claiming.reasons import Reason, Reasons, in_lines
from airflow_provider_nrfprov.claiming.rows import Row, Verdict
from airflow_provider_nrfprov.counted import counted

if TYPE_CHECKING:
    from airflow_provider_nrfprov.api.service import ProvisioningService
    from airflow_provider_nrfprov.claiming.file_copy import FileCopy
    from airflow_provider_nrfprov.claiming.first_lines import FirstLines
    from airflow_provider_nrfprov.claiming.plan import Plan


SHOWN_EXAMPLES = 10


@dataclass(frozen=True, slots=True)
class Inspection:
    """What reading a whole claim file showed."""

    rows: int
    rejected: int
    """How many rows cannot be sent."""
    examples: tuple[str, ...]
    """At most ten of these, in words."""
    sample: tuple[Row, ...]
    """Some of the rows that can be sent, in the order of the file."""
    reasons: tuple[Reason, ...] = ()
    """Why rows cannot be sent, and warnings of those that can (``ok``); most rows first."""
    repeated: int = 0
    """How many of the rejected rows repeat a device of the file."""

    def __str__(self) -> str:
        counts = f"{counted(self.rows, 'row')}: {self.rows - self.rejected:,} can be sent"
        return "\n".join((f"{counts}, {self.rejected:,} cannot", *in_lines(self.reasons)))


def inspect(parts: Iterable[Block | Row], sample_size: int = 0, seed: str = "") -> Inspection:
    """Read all rows and draw a sample of them; the same file and seed give the same sample."""
    sample = _Sample(sample_size, seed)
    rejected = repeated = 0
    reasons = Reasons()
    examples: list[str] = []
    for part in parts:
        if isinstance(part, Block):
            sample.draw(part)
            continue
        if part.message:
            reasons.add(part.line, part.verdict.value, part.message)
        if part.is_ok:
            sample.draw((part,))
            continue
        rejected += 1
        repeated += part.verdict is Verdict.DUPLICATE_DEVICE
        if len(examples) < SHOWN_EXAMPLES:
            examples.append(f"line {part.line}: {part.verdict.value}: {part.message}")
    ordered = tuple(sorted(sample.rows, key=attrgetter("line")))
    rows = sample.seen + rejected
    return Inspection(rows, rejected, tuple(examples), ordered, reasons.most_frequent(), repeated)


class _Sample:
    """Some of the rows that come by, each as likely as any other."""

    def __init__(self, size: int, seed: str) -> None:
        self._size = size
        self._chance = random.Random(seed)  # noqa: S311 - which rows are asked about is no secret
        self.rows: list[Row] = []
        self.seen = 0

    def draw(self, rows: Block | tuple[Row]) -> None:
        if not self._size:
            self.seen += len(rows)
            return
        for row in rows:
            self.seen += 1
            if len(self.rows) < self._size:
                self.rows.append(row)
            elif (place := self._chance.randrange(self.seen)) < self._size:
                self.rows[place] = row


def claim_file_of(
    copy: FileCopy, plan: Plan, service: ProvisioningService, known: FirstLines | None = None
) -> ClaimFile:
    """Return the reader of a job's copy of its claim file, as the service's API wants its rows.

    :param known: what an earlier reading was given.
    """
    device_counts = service.api.claim_form is ClaimForm.DEVICES
    stream, columns = copy.from_start(), plan.columns or None
    return ClaimFile(stream, plan.claim_file, columns=columns, first_lines=known, device_counts=device_counts)


def require_no_tags(parts: Iterable[Block | Row], claim_file: str, service: ProvisioningService) -> None:
    """Read all rows where the API has no way for tags, and see that there are none: left out, they would be missed.

    :raises NotInThisApiError: naming the first line that has some.
    """
    missing = service.api.missing(CLAIM_TAGS)
    if missing is None:
        return
    for row in rows_of(part for part in parts if part.tags):
        if row.is_ok and row.tags:
            raise NotInThisApiError(f"{claim_file}: line {row.line} has tags, and nothing is sent. {missing}")


def refusals(rows: Iterable[Row], service: ProvisioningService) -> list[str]:
    """Ask the service for each row whether it could be claimed (``dryrun``); return those that could not.

    A device that is ours already is no refusal.

    :return: in words: line, device and the service's reason.
    :raises NrfProvError: if the service cannot be asked.
    """
    refused = {
        str(
            row.device_id
        ): f"line {row.line} ({row.device_id}): {answer.reason or 'refused without a reason'}"
        for row in rows
        if not (answer := service.dry_run_claim(str(row.token))).claimable
    }
    ours = service.find_claimed_devices(list(refused)) if refused else {}
    return [words for device_id, words in refused.items() if device_id not in ours]
