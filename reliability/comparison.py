"""The same misfortunes for our task and for what a user would take otherwise, as a table.

`python -m reliability.comparison --rows 2500 --repeats 3 [--write PATH]`. Every figure comes from the
emulator's state and from what the tools leave behind.
"""

from __future__ import annotations

import argparse
import logging
import os
import platform
import shutil
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from airflow_provider_nrfprov.emulator.mint import MintedDevice, attestation_rows, mint_devices
from airflow_provider_nrfprov.emulator.service import Service
from harness.nordic import nordic_version
from harness.published import publish, table, working_folder
from reliability.judge import running_operations
from reliability.misfortunes import MISFORTUNES, PROJECT_MISFORTUNES, Misfortune
from reliability.ours import World, world
from reliability.scenario import Device, Scenario
from reliability.tools import (
    HTTP,
    MEMFAULT,
    NORDIC,
    OUR_TASK,
    ROWS_PER_REQUEST,
    Account,
    Errand,
    Tool,
    connections,
)

LEGEND = """\
- *claimed*: the device is ours at the end.
- *lost silently*: it is not, and the tool does not name its row as failed or unknown.
- *said wrongly*: named as failed although it is ours, or as claimed although it is not.
- *said unknown*: named as a row of which nobody can say yet.
- *sent twice*: devices that were in more than one bulk claim that the service accepted.
- *accounted for*: rows that the tool names as claimed, failed or unknown.

`claim_devices` names a row by its UUID or token in what it prints of an answer; the HttpOperator by the answer in its
XCom, or by the failure of the task of its chunk. Each Airflow task has three retries, which follow at once; the
scheduler has no part in it. No sensor comes after the HttpOperator. `claim_devices` does not speak the asynchronous
contract, so it has one line there."""
PROJECT_LEGEND = """\
The columns are those of the comparison above. `memfault-cli` takes 1,000 rows, so it is run for each thousand; what it says of a
row is what is in its result file, which it writes only if the job has ended in a way that it understands."""
NAME, PROJECT_NAME = "comparison", "comparison-project"
_HTTP_PROVIDER = "apache-airflow-providers-http"
_COUNTED = {
    "lost": "lost silently",
    "wrong": "said wrongly",
    "unknown": "said unknown",
    "twice": "sent twice",
}
COLUMNS = (
    "what happens",
    "contract",
    "tool",
    ">claimed",
    *(f">{words}" for words in _COUNTED.values()),
    ">accounted for",
    "ended as",
)


@dataclass(frozen=True)
class Finding:
    """What a tool made of one misfortune, once."""

    rows: int
    claimed: int
    """Devices that are ours at the end."""
    lost: int
    """Not ours at the end, and not named as failed or unknown."""
    wrong: int
    """Named as claimed and not ours, or named as failed and ours."""
    unknown: int
    """Named as unknown."""
    twice: int
    """Devices that were in more than one accepted bulk claim."""
    accounted: int
    """Rows of which the tool says what became of them."""
    state: str


def http_is_missing() -> str:
    """Return why there can be no HttpOperator; empty if there can."""
    try:
        version(_HTTP_PROVIDER)
    except PackageNotFoundError:
        return f"{_HTTP_PROVIDER} is not installed"
    return ""


def examine(account: Account, scenario: Scenario, service: Service) -> Finding:
    """Hold what a tool says against the emulator's state."""
    ids = {device.device_id for device in scenario.devices}
    ours = service.claimed_ids(scenario.owner) & ids
    return Finding(
        rows=len(scenario.devices),
        claimed=len(ours),
        lost=len(ids - ours - account.failed - account.unknown),
        wrong=len((account.claimed - ours) | (account.failed & ours)),
        unknown=len(account.unknown & ids),
        twice=sum(count > 1 for count in service.submission_counts().values()),
        accounted=len(account.named & ids),
        state=account.state,
    )


def compare(tool: Tool, misfortune: Misfortune, here: World, *, rows: int, seed: int) -> Finding:
    """Let a tool claim a file of ``rows`` rows while the misfortune befalls it."""
    scenario = _scenario(misfortune, rows, seed)
    folder = here.begin(scenario)
    try:
        errand = Errand(here.emulator.url, misfortune.contract, str(folder / "shift.csv"), str(folder))
        misfortune.befall(here.service)
        account = tool.run(errand, misfortune.death(here.service))
        while running_operations(here.service):
            time.sleep(0.02)
        if misfortune.fault and not here.service.faults.injected:
            raise RuntimeError(f"{tool.name} never met: {misfortune.words}")
        return examine(account, scenario, here.service)
    finally:
        shutil.rmtree(folder)


def _scenario(misfortune: Misfortune, rows: int, seed: int) -> Scenario:
    minted = _minted(rows, seed)
    theirs = {min(rows, ROWS_PER_REQUEST) // 2} if misfortune.one_is_theirs else set()
    return Scenario(
        seed=seed,
        settings=misfortune.all_settings,
        devices=tuple(
            Device(each.device_id, each.token, "theirs" if number in theirs else "nobody")
            for number, each in enumerate(minted)
        ),
        lines=tuple((",".join(row), row[1]) for row in attestation_rows(minted)),
        rows_per_request=ROWS_PER_REQUEST,
        api="project" if misfortune.contract == "project" else "team",
    )


@cache
def _minted(rows: int, seed: int) -> tuple[MintedDevice, ...]:
    return tuple(mint_devices(rows, seed=f"comparison {seed}"))


def lines_of(findings: Iterable[tuple[Misfortune, Tool, list[Finding]]]) -> list[str]:
    """Return the lines of the table."""
    return table(
        COLUMNS,
        (
            (
                misfortune.words,
                misfortune.contract,
                tool.name,
                *(_range(getattr(one, count) for one in each) for count in ("claimed", *_COUNTED)),
                f"{_range(one.accounted for one in each)} of {_range(one.rows for one in each)}",
                " or ".join(sorted({one.state for one in each})),
            )
            for misfortune, tool, each in findings
        ),
    )


def totals_of(findings: Sequence[tuple[Misfortune, Tool, list[Finding]]]) -> Iterator[str]:
    """Yield a line for each tool, over all runs."""
    for name in dict.fromkeys(tool.name for _, tool, _ in findings):
        each = [one for _, tool, some in findings if tool.name == name for one in some]
        told = ", ".join(
            f"{sum(getattr(one, field) for one in each):,} {words}"
            for field, words in {**_COUNTED, "accounted": "accounted for"}.items()
        )
        yield f"- {name}: {len(each)} runs, {sum(one.rows for one in each):,} rows; {told}"


def _range(numbers: Iterable[int]) -> str:
    each = sorted(numbers)
    least, most = each[0], each[-1]
    return f"{least:,}" if least == most else f"{least:,} to {most:,}"


def _fitting(tools: Iterable[Tool], misfortune: Misfortune) -> list[Tool]:
    # Under a contract that it does not speak, nothing more can happen to a tool.
    return [tool for tool in tools if misfortune.contract in tool.contracts or not misfortune.is_any]


def _run(rows: int, repeats: int, only: str, api: str) -> list[tuple[Misfortune, Tool, list[Finding]]]:
    missing = http_is_missing()
    if missing:
        print(f"no {HTTP.name}: {missing}", file=sys.stderr)
    tools = [OUR_TASK, NORDIC] + ([] if missing else [HTTP])
    misfortunes = MISFORTUNES
    if api == "project":
        tools, misfortunes = [OUR_TASK, MEMFAULT], PROJECT_MISFORTUNES
    findings = []
    with working_folder(None, "nrfprov-comparison-") as folder:
        # A home of its own, before Airflow is imported.
        os.environ |= {
            "AIRFLOW_HOME": str(folder / "airflow"),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__LOGGING__LOGGING_LEVEL": "CRITICAL",
        }
        with world(folder / "runs") as here, connections(here.emulator.url):
            logging.disable(logging.CRITICAL)
            for misfortune in misfortunes:
                for tool in _fitting(tools, misfortune) if only in misfortune.words else []:
                    each = [compare(tool, misfortune, here, rows=rows, seed=seed) for seed in range(repeats)]
                    findings.append((misfortune, tool, each))
                    print(*lines_of(findings[-1:])[2:], file=sys.stderr, flush=True)
    return findings


def main() -> int:
    """Compare; print the table; 1 if our own task lost a row, said one wrongly or sent one twice."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=2500)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--api", choices=("team", "project"), default="team")
    parser.add_argument("--only", default="", help="only what happens in these words")
    parser.add_argument("--write", type=Path, help=f"a file with the lines <!-- {NAME}: begin --> and end")
    arguments = parser.parse_args()
    started = time.monotonic()
    findings = _run(arguments.rows, arguments.repeats, arguments.only, arguments.api)
    is_project = arguments.api == "project"
    names = ("apache-airflow", *([] if http_is_missing() or is_project else [_HTTP_PROVIDER]))
    once = arguments.repeats == 1
    each, rows = ("Once each", "rows") if once else (f"Each {arguments.repeats} times", "other rows")
    about = (
        f"{each} with {arguments.rows:,} {rows}; {time.monotonic() - started:.0f} s, "
        f"Python {platform.python_version()}, {', '.join(f'{name} {version(name)}' for name in names)}, "
        f"{'memfault-cli 1.12.0' if is_project else f'nrfcloud-utils {nordic_version()}'}."
    )
    publish(
        arguments.write,
        PROJECT_NAME if is_project else NAME,
        "\n".join(lines_of(findings)),
        PROJECT_LEGEND if is_project else LEGEND,
        "\n".join([*totals_of(findings), "", about]),
    )
    ours = [one for _, tool, each in findings if tool is OUR_TASK for one in each]
    return 1 if any(one.lost or one.wrong or one.twice for one in ours) else 0


if __name__ == "__main__":
    sys.exit(main())
