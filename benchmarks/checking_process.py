"""``nrfprov check`` of a file, or a bare loop over its rows; prints afterwards how much memory it had."""

from __future__ import annotations

import argparse
import csv
import sys
from pathlib import Path

from benchmarks.process import say_peak


def main() -> int:
    """Check, or split; fails if a row is bad."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kind", choices=["check", "split"])
    parser.add_argument("claim_file", type=Path)
    arguments = parser.parse_args()
    code = 0
    if arguments.kind == "check":
        from airflow_provider_nrfprov.__main__ import main as nrfprov

        code = nrfprov(["check", str(arguments.claim_file)])
    else:
        with arguments.claim_file.open(newline="") as stream:
            print(sum(len(row) == 4 for row in csv.reader(stream)), "rows")
    say_peak()
    return code


if __name__ == "__main__":
    sys.exit(main())
