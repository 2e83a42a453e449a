"""`make demo`: a shift's claim file through a real Airflow, against the emulator, every row checked.

Exits with 0 only if the DAG run ended well, the report says of each row what must have become of it, and the
emulator's own list of devices says the same.
"""

from __future__ import annotations

import argparse
import csv
import fcntl
import os
import shutil
import sys
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from demo.agreement import differences
from demo.claim_file import RUN_TAG, DemoFile, make_claim_file, write_shifts
from demo.progress import Progress
from harness.airflow_api import ENDED, AirflowApiError
from harness.interruption import Interrupted, ignore_signals, raise_on_signals
from harness.local_airflow import USER, AirflowDiedError, LocalAirflow
from harness.local_emulator import EmulatorError, LocalEmulator
from harness.ports import PortInUseError, require_free

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / ".demo"
DAG_ID = "nrfprov_claim_from_csv"

_SHOWN_DIFFERENCES = 10
_LINE_WIDTH = 110


class DemoError(Exception):
    """The demo cannot go on; holds a sentence."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the demo; 0 if everything agrees."""
    options = _parse(arguments)
    stack = ExitStack()
    raise_on_signals()
    try:
        try:
            return _demo(stack, **vars(options))
        finally:
            # From here on everything is being ended; a second Ctrl-C must not leave half of it.
            ignore_signals()
    except (PortInUseError, DemoError, EmulatorError, AirflowDiedError, AirflowApiError) as error:
        print(error, file=sys.stderr)
        return 1
    except Interrupted as interrupted:
        print(f"\n{interrupted.name}: ending everything …", flush=True)
        raise
    finally:
        stack.close()


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make demo", description=__doc__)
    parser.add_argument("--rows", type=_positive, default=2500, help="good rows of the claim file (ROWS=)")
    parser.add_argument("--contract", choices=("both", "async", "sync"), default="both", help="(CONTRACT=)")
    parser.add_argument("--port", type=_positive, default=8080, help="of Airflow (PORT=)")
    parser.add_argument("--keep", action="store_true", help="leave everything running (KEEP=1)")
    return parser.parse_args(arguments)


def _positive(text: str) -> int:
    if not text.isdigit() or int(text) == 0:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 1 on")
    return int(text)


def _demo(stack: ExitStack, *, rows: int, contract: str, port: int, keep: bool) -> int:
    started = time.monotonic()
    require_free(port, "Airflow", "PORT")
    _take_folder(stack)
    emulator = LocalEmulator(FOLDER / "emulator.log", contract=contract)
    stack.callback(_end, emulator.stop, "the emulator")
    emulator.start()
    print(f"Emulator of nRF Cloud on {emulator.url} (contract: {contract}).", flush=True)
    claim_file = _prepare(rows, emulator)
    airflow = LocalAirflow(FOLDER / "airflow", ROOT / "dags", port=port, env=emulator.connection())
    stack.callback(_end, airflow.stop, "Airflow")
    _start(airflow)
    run = _run(airflow, emulator, claim_file)
    report = _read_report(FOLDER / "reports" / "report.csv")
    wrong = differences(claim_file.expected, report, emulator.devices(), emulator.team)
    if run["state"] != "success":
        wrong.insert(0, f"the DAG run ended as {run['state']}")
    _print_outcome(claim_file, report)
    _print_verdict(wrong, emulator, airflow, run["dag_run_id"])
    seconds = float(run["duration"] or 0)
    print(f"{time.monotonic() - started:.0f} s in total, {seconds:.0f} s of them the DAG run.", flush=True)
    if keep:
        _claim_three_shifts(airflow, emulator)
        _wait_for_ctrl_c(airflow, emulator)
    return 1 if wrong else 0


def _take_folder(stack: ExitStack) -> None:
    """Start in an empty folder, which no other demo may be using."""
    FOLDER.mkdir(exist_ok=True)
    lock = stack.enter_context((FOLDER / "lock").open("w"))
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        raise DemoError("Another make demo is running in this folder; end it first.") from None
    for entry in FOLDER.iterdir():
        if entry.name != "lock":
            shutil.rmtree(entry) if entry.is_dir() else entry.unlink()


def _prepare(rows: int, emulator: LocalEmulator) -> DemoFile:
    claim_file = make_claim_file(rows, seed=str(time.time()))
    path = FOLDER / "shift.csv"
    path.write_text(claim_file.text)
    emulator.claim(claim_file.ours_before.token)
    emulator.claim(claim_file.theirs_before.token, for_other_team=True)
    special = [row for row in claim_file.expected if row.outcome != "claimed"]
    print(
        f"Claim file {_shown(path)}: {len(claim_file.expected):,} rows, {len(special)} of them not as they should be "
        f"({', '.join(row.why for row in special)}).",
        flush=True,
    )
    return claim_file


def _start(airflow: LocalAirflow) -> None:
    started = time.monotonic()
    print(f"Starting Airflow in {_shown(airflow.home)} …", flush=True)
    airflow.start()
    airflow.wait_until_healthy()
    airflow.wait_for_dag(DAG_ID)
    print(f"Airflow on {airflow.url}, ready after {time.monotonic() - started:.0f} s.", flush=True)


def _run(airflow: LocalAirflow, emulator: LocalEmulator, claim_file: DemoFile) -> dict[str, Any]:
    """Run the DAG; return the run as it ended."""
    conf = {
        "claim_file": str(FOLDER / "shift.csv"),
        "tags": [RUN_TAG],
        "report_dir": str(FOLDER / "reports"),
        "max_failed_rows": claim_file.count("failed"),
    }
    run_id = airflow.api.trigger(DAG_ID, conf)
    print(f"DAG run {run_id} of {DAG_ID}:", flush=True)
    progress = Progress(claim_file.count("claimed") + claim_file.count("already_claimed"))
    # Far more than it takes; a scheduler that hangs must not hang the demo.
    end = time.monotonic() + 600 + len(claim_file.expected) / 20
    try:
        while (state := airflow.api.run_state(DAG_ID, run_id)) not in ENDED:
            progress.show(_task_states(airflow, run_id), emulator.count_ours())
            airflow.require_running()
            if time.monotonic() > end:
                raise DemoError(f"The DAG run has not ended in time; it is {state}.")
            time.sleep(0.5)
        progress.show(_task_states(airflow, run_id), emulator.count_ours())
    finally:
        progress.end()
    return airflow.api.dag_run(DAG_ID, run_id)


def _claim_three_shifts(airflow: LocalAirflow, emulator: LocalEmulator) -> None:
    """Let there be something to see in Device claims."""
    for shift in write_shifts(FOLDER / "factory", emulator, seed=str(time.time())):
        conf = {"claim_file": str(shift.path), "tags": ["line=1"], "max_failed_rows": shift.max_failed_rows}
        run_id = airflow.api.trigger(DAG_ID, conf)
        end = time.monotonic() + 300
        while (state := airflow.api.run_state(DAG_ID, run_id)) not in ENDED:
            airflow.require_running()
            if time.monotonic() > end:
                raise DemoError(f"The DAG run of {shift.path.name} has not ended in time; it is {state}.")
            time.sleep(0.5)
        why = ", as more devices were refused than may be" if state == "failed" else ""
        print(f"{shift.path.name}, {shift.about}: the run ended as {state}{why}.", flush=True)


def _task_states(airflow: LocalAirflow, run_id: str) -> dict[str, str | None]:
    tasks = airflow.api.task_instances(DAG_ID, run_id)
    # The API sorts by nothing that means anything; those that started first come first.
    tasks.sort(key=lambda task: task["start_date"] or "~")
    return {task["task_id"]: task["state"] for task in tasks}


def _read_report(path: Path) -> list[dict[str, str]]:
    if not path.exists():
        return []
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def _print_outcome(claim_file: DemoFile, report: Sequence[Mapping[str, str]]) -> None:
    counts = Counter(row["outcome"] for row in report)
    listed = ", ".join(f"{count:,} {outcome.replace('_', ' ')}" for outcome, count in counts.most_common())
    print(f"\n{len(report):,} rows: {listed or 'no report'}.")
    special = {row.line for row in claim_file.expected if row.outcome != "claimed"}
    for row in report:
        if int(row["line"]) in special:
            line = f"  line {row['line']}: {row['outcome']}: {row['message'] or row['status']}"
            print(line if len(line) <= _LINE_WIDTH else f"{line[: _LINE_WIDTH - 1]}…")
    for path in sorted((FOLDER / "reports").glob("*.csv")):
        print(f"  {_shown(path)}")


def _print_verdict(wrong: Sequence[str], emulator: LocalEmulator, airflow: LocalAirflow, run_id: str) -> None:
    if not wrong:
        print(f"agreed row for row with the emulator's own list: {emulator.count_ours():,} devices")
        return
    print(f"NOT AGREED, {len(wrong):,} differences:")
    for sentence in wrong[:_SHOWN_DIFFERENCES]:
        print(f"  {sentence}")
    if len(wrong) > _SHOWN_DIFFERENCES:
        print(f"  and {len(wrong) - _SHOWN_DIFFERENCES:,} more")
    for task in airflow.api.task_instances(DAG_ID, run_id):
        if task["state"] == "failed":
            print(f"The end of the log of {task['task_id']}:")
            tail = airflow.api.log_tail(DAG_ID, run_id, task["task_id"], try_number=task["try_number"])
            print("\n".join(f"  {line}" for line in tail))


def _wait_for_ctrl_c(airflow: LocalAirflow, emulator: LocalEmulator) -> None:
    fresh = _shown(FOLDER / "fresh.csv")
    emulator_at = urlsplit(emulator.url)
    print(
        f"\nDevice claims: {airflow.url}/plugin/device-claims\n"
        f"Airflow:       {airflow.url}  user {USER}, password {airflow.password}\n"
        f"Emulator:      {emulator.url}/emulator/devices  API key {emulator.api_key}\n"
        "\n"
        "Claim more devices: make a claim file in another terminal,\n"
        f"  .venv/bin/python -m airflow_provider_nrfprov.emulator.mint --rows 100 --seed another > {fresh}\n"
        f"then in Airflow: Dags > {DAG_ID} > Trigger, claim file {FOLDER / 'fresh.csv'}\n"
        "\n"
        "Try a connection of your own: Admin > Connections > Add Connection, of the type nRF Cloud Provisioning,\n"
        f"  Base URL http://{emulator_at.hostname}, Port {emulator_at.port}, API key {emulator.api_key}\n"
        "then the first icon of its row in the list, Test.\n"
        "\n"
        "Ctrl-C ends both.",
        flush=True,
    )
    while True:
        airflow.require_running()
        time.sleep(0.5)


def _end(stop: Callable[[], Sequence[int]], what: str) -> None:
    if left := stop():
        print(f"Processes of {what} that would not end: {', '.join(map(str, left))}.", file=sys.stderr)


def _shown(path: Path) -> str:
    return os.path.relpath(path)


if __name__ == "__main__":
    sys.exit(main())
