"""Calls functions of Nordic's own client, in the Python that has it, for a test in one that has not.

A line of JSON in: the function and its arguments. A line out: what it returned, or its exit code, and what it logged.
"""

from __future__ import annotations

import importlib
import io
import json
import logging
import sys
from typing import Any

from harness.nordic import speak_to


def plain(value: Any) -> Any:
    """Make JSON of what the client returns: text of bytes, status and body of a response of requests."""
    if isinstance(value, bytes):
        return value.decode()
    if hasattr(value, "status_code"):
        return {"status_code": value.status_code, "text": value.text}
    return [plain(each) for each in value] if isinstance(value, list | tuple) else value


def called(function: str, arguments: list[Any], named: dict[str, Any]) -> dict[str, Any]:
    module, name = function.split(".")
    log = io.StringIO()
    handler = logging.StreamHandler(log)
    logging.getLogger().addHandler(handler)
    try:
        found = getattr(importlib.import_module(f"nrfcloud_utils.{module}"), name)
        result = {"returned": plain(found(*arguments, **named))}
    except SystemExit as ended:
        result = {"exit": ended.code}
    finally:
        logging.getLogger().removeHandler(handler)
    return {**result, "log": log.getvalue()}


def main(url: str) -> None:
    answers, sys.stdout = sys.stdout, sys.stderr
    speak_to(url)
    logging.getLogger().setLevel(logging.INFO)
    for line in sys.stdin:
        answers.write(json.dumps(called(*json.loads(line))) + "\n")
        answers.flush()


if __name__ == "__main__":
    main(sys.argv[1])
