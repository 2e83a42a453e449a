"""Programs beside the web server: what they do takes none of its interpreter's time, and they know none of its secrets."""

from __future__ import annotations

import json
import sys

ENVIRONMENT: dict[str, str] = {}
_BEGIN = "import sys, json; sys.path[:] = json.loads(sys.argv.pop(1)); "


def command(code: str, *arguments: str) -> list[str]:
    """Return the command of a Python program that finds the modules that are found here, and nothing else.

    :param code: what it does; its arguments are ``sys.argv[1:]``.
    """
    return [sys.executable, "-I", "-W", "ignore", "-c", _BEGIN + code, json.dumps(sys.path), *arguments]
