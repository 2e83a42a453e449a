"""The command ``nrfprov check FILE…``: what is wrong with claim files, without Airflow and without network.

With ``--against`` the service is asked for a sample of each file whether it could be claimed, by the API key in
``NRFPROV_API_KEY`` (and the URL in ``NRFPROV_BASE_URL``, if it is not Nordic's own).
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, TextIO, cast

from airflow_provider_nrfprov.claiming.claim_file import Block, ClaimFile, Row
from airflow_provider_nrfprov.claiming.columns import ROLES
from airflow_provider_nrfprov.claiming.preflight import Inspection, inspect, refusals
from airflow_provider_nrfprov.files.csv_cells import visible
from airflow_provider_nrfprov.files.paths import require_regular, to_path

if TYPE_CHECKING:
    from airflow_provider_nrfprov.api.service import ProvisioningService

API_KEY, BASE_URL = "NRFPROV_API_KEY", "NRFPROV_BASE_URL"
ALL_GOOD, SOME_REJECTED, UNUSABLE = 0, 1, 2
_ROWS_PER_STEP = 20_000
_BAR_CHARACTERS = 30


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command to its parser."""
    parser.description = "Reads claim files as a claim would, and says what is wrong with their rows."
    parser.epilog = "Exits with 0 if every row can be sent, 1 if some cannot, 2 if a file (or the service) cannot be used."
    parser.add_argument("files", nargs="+", metavar="FILE")
    parser.add_argument("--json", action="store_true", help="print one JSON object per file, one per line")
    parser.add_argument(
        "--columns",
        action="append",
        default=[],
        metavar="ROLE=NAME",
        help=f"which column holds the {', '.join(ROLES)}, by its name in the header: --columns 'token=Token ID'",
    )
    parser.add_argument(
        "--against", action="store_true", help=f"ask the service about a sample ({API_KEY}, {BASE_URL})"
    )
    parser.add_argument(
        "--sample", type=int, default=10, metavar="ROWS", help="how many rows to ask about (10)"
    )


def run(
    arguments: argparse.Namespace, out: TextIO, err: TextIO, environ: Mapping[str, str] = os.environ
) -> int:
    """Check the files; return the exit code."""
    try:
        columns = _columns(arguments.columns)
        sample_size = arguments.sample if arguments.against else 0
        service = _service(environ) if arguments.against else None
    except ValueError as error:
        print(error, file=err)
        return UNUSABLE
    worst = ALL_GOOD
    for name in arguments.files:
        result = _check(name, columns, service, sample_size, err)
        out.write(f"{json.dumps(result.as_dict()) if arguments.json else result}\n")
        worst = max(worst, result.exit_code)
    return worst


@dataclass(frozen=True, slots=True)
class _Result:
    """What there is to say of a file."""

    name: str
    found: Inspection | None = None
    refused: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    """Of the file's headers."""
    problem: str = ""

    @property
    def exit_code(self) -> int:
        if self.problem or self.found is None:
            return UNUSABLE
        return SOME_REJECTED if self.found.rejected or self.refused else ALL_GOOD

    def __str__(self) -> str:
        lines = [f"{self.name}: {self.found}"] if self.found else []
        lines += [f"warning: {words}" for words in self.warnings]
        lines += [f"refused by the service: {words}" for words in self.refused]
        if self.problem:
            lines.append(self.problem)
        elif self.found and self.found.sample:
            asked = len(self.found.sample)
            lines.append(
                f"rows that the service would accept: {asked - len(self.refused)} of {asked} asked about"
            )
        return "\n".join(lines)

    def as_dict(self) -> dict[str, Any]:
        told: dict[str, Any] = {"file": self.name}
        if self.found:
            told |= {
                "rows": self.found.rows,
                "sendable": self.found.rows - self.found.rejected,
                "rejected": self.found.rejected,
                "reasons": [reason.as_dict() for reason in self.found.reasons],
            }
            if self.warnings:
                told["warnings"] = list(self.warnings)
            if self.found.sample:
                told |= {"asked_about": len(self.found.sample), "refused": list(self.refused)}
        return told | ({"error": self.problem} if self.problem else {})


def _shown(name: str) -> str:
    """Return the name of a file as it can be printed; somebody may have given a token instead."""
    from airflow_provider_nrfprov.api.redaction import redact

    return redact(visible(name))


def _check(
    path: str, columns: Mapping[str, str], service: ProvisioningService | None, sample_size: int, err: TextIO
) -> _Result:
    name = _shown(path)
    found = None
    warnings: tuple[str, ...] = ()
    try:
        found, warnings = _inspect(_local_path(path), name, columns, sample_size, err)
        return _Result(name, found, tuple(_refusals(found, service)) if service else (), warnings)
    except OSError as error:
        return _Result(name, problem=f"{name} cannot be read: {error.strerror or error}")
    except ValueError as error:
        return _Result(name, found, warnings=warnings, problem=str(error))


def _refusals(found: Inspection, service: ProvisioningService) -> list[str]:
    from airflow_provider_nrfprov.api.errors import NrfProvError

    try:
        return refusals(found.sample, service)
    except NrfProvError as error:
        raise ValueError(f"could not ask the service: {error}") from None


def _inspect(
    path: Path, name: str, columns: Mapping[str, str], sample_size: int, err: TextIO
) -> tuple[Inspection, tuple[str, ...]]:
    require_regular(path)
    with path.open("rb") as stream:
        file = ClaimFile(stream, name, columns=columns)
        parts = file.parts()
        if err.isatty():
            parts = _with_progress(parts, stream, path.stat().st_size, err)
        return inspect(parts, sample_size, seed=name), tuple(file.warnings)


def _local_path(name: str) -> Path:
    scheme, separator, _ = name.partition("://")
    if not name.strip():
        raise ValueError("the path of a claim file is empty")
    if separator and scheme.lower() != "file":
        raise ValueError(
            f"{name} cannot be read: check reads local files; download it first, or let NrfProvCheckClaimFileOperator read "
            "it in Airflow"
        )
    return cast("Path", to_path(name))


def _with_progress(
    parts: Iterable[Block | Row], stream: BinaryIO, size: int, err: TextIO
) -> Iterator[Block | Row]:
    rows = shown = 0
    for part in parts:
        rows += len(part) if isinstance(part, Block) else 1
        if rows - shown >= _ROWS_PER_STEP:
            shown = rows
            share = min(stream.tell() / max(size, 1), 1)
            bar = "#" * int(_BAR_CHARACTERS * share)
            err.write(f"\r[{bar:<{_BAR_CHARACTERS}}] {share:4.0%} {rows:,} rows")
            err.flush()
        yield part
    err.write("\r\x1b[K")


def _columns(given: Iterable[str]) -> dict[str, str]:
    columns = {}
    for pair in given:
        role, separator, name = pair.partition("=")
        if not separator or role not in ROLES or not name.strip():
            raise ValueError(f"--columns {pair!r}: write ROLE=NAME, where ROLE is {', '.join(ROLES)}")
        columns[role] = name
    return columns


def _service(environ: Mapping[str, str]) -> ProvisioningService:
    from airflow_provider_nrfprov.api.client import ProvisioningClient
    from airflow_provider_nrfprov.api.contract import base_urls
    from airflow_provider_nrfprov.api.service import ProvisioningService

    key = environ.get(API_KEY, "").strip()
    if not key:
        raise ValueError(f"--against needs the API key of a team in the environment variable {API_KEY}")
    client = ProvisioningClient(key, urls=base_urls(environ.get(BASE_URL, "").strip() or None))

    class Service(ProvisioningService):
        def get_conn(self) -> ProvisioningClient:
            return client

    return Service()
