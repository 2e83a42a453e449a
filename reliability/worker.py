"""The first try of a task in a process of its own, to be killed: `python -m reliability.worker TOOL ERRAND`."""

from __future__ import annotations

import sys

from reliability.errand import Errand


def main(tool: str, errand: Errand) -> None:
    """Execute the operator once."""
    from reliability.baselines import first_http_operator
    from reliability.errand import run_task
    from reliability.our_task import our_operator

    run_task(our_operator(errand) if tool == "ours" else first_http_operator(errand), tries=1)


if __name__ == "__main__":
    main(sys.argv[1], Errand.from_json(sys.argv[2]))
