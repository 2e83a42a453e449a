"""A look at a claim file before anything of it is sent: bad rows, and what the service says to a sample."""

from __future__ import annotations

import random
from collections.abc import Iterable
from dataclasses import dataclass
from operator import attrgetter
from typing import TYPE_CHECKING

from airflow_provider_nrfprov.claiming.reasons import Reason, Reasons, in_lines
from airflow_provider_nrfprov.claiming.rows import Row, Verdict

if TYPE_CHECKING:
    from airflow_provider_nrfprov.api.service import ProvisioningService


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
        counts = (
            f"{self.rows:,} row{'' if self.rows == 1 else 's'}: {self.rows - self.rejected:,} can be sent"
        )
        return "\n".join((f"{counts}, {self.rejected:,} cannot", *in_lines(self.reasons)))


def inspect(rows: Iterable[Row], sample_size: int = 0, seed: str = "") -> Inspection:
    """Read all rows and draw a sample of them; the same file and seed give the same sample."""
    chance = random.Random(seed)  # noqa: S311 - which rows are asked about is no secret
    count = sendable = repeated = 0
    reasons = Reasons()
    examples: list[str] = []
    sample: list[Row] = []
    for row in rows:
        count += 1
        if row.message:
            reasons.add(row.line, row.verdict.value, row.message)
        if not row.is_ok:
            repeated += row.verdict is Verdict.DUPLICATE_DEVICE
            if len(examples) < SHOWN_EXAMPLES:
                examples.append(f"line {row.line}: {row.verdict.value}: {row.message}")
            continue
        sendable += 1
        if len(sample) < sample_size:
            sample.append(row)
        elif (place := chance.randrange(sendable)) < sample_size:
            sample[place] = row
    rejected = count - sendable
    ordered = tuple(sorted(sample, key=attrgetter("line")))
    return Inspection(count, rejected, tuple(examples), ordered, reasons.most_frequent(), repeated)


def refusals(rows: Iterable[Row], service: ProvisioningService) -> list[str]:
    """Ask the service for each row whether it could be claimed (``dryrun``); give those that could not.

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
