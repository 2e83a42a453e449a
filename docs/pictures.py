"""Takes the pictures of docs/images from those that the browser tests leave: `make test SLOW=1 ARGS=tests/e2e`, then this."""

from __future__ import annotations

import shutil
from pathlib import Path

HERE = Path(__file__).parent
TAKEN = HERE.parent / "build" / "screenshots"
NAMES = {
    "connection-form": "2-connection-form",
    "connection-test": "3-connection-test-wrong_key",
    "trigger-form": "5-trigger-form-claim-file",
    "task-links": "6-links",
    "device-claims": "8-claims-in-airflow-light",
    "device-claims-claim": "8-claim-1400-light",
    "device-claims-over-time": "8-over-time-1400-dark",
    "device-claims-find": "8-find-420-light",
    "device-claims-send": "8-send-a-file",
}

if __name__ == "__main__":
    for name, taken in NAMES.items():
        shutil.copyfile(TAKEN / f"{taken}.png", HERE / "images" / f"{name}.png")
