"""Commands for the shell: ``python -m airflow_provider_nrfprov check FILE…``, or ``nrfprov check FILE…``."""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Sequence

from airflow_provider_nrfprov.claiming import check


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; return its exit code."""
    parser = argparse.ArgumentParser(
        prog="nrfprov", description="Tools for nRF Cloud's Provisioning Service."
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    check.add_arguments(
        commands.add_parser("check", help="say what is wrong with claim files, and claim nothing")
    )
    # What a reader logs (the header, lines that are no rows) goes to stderr.
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    return check.run(parser.parse_args(arguments), sys.stdout, sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
