"""What is downloaded in place of a file of a bulk operation, because of a ``WrongDownload``."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any, Literal

from airflow_provider_nrfprov.emulator.bulk import BulkOperation, Failure, Outcome, Row
from airflow_provider_nrfprov.emulator.bulk_handlers import file_of, parts_of
from airflow_provider_nrfprov.emulator.service import Service
from airflow_provider_nrfprov.emulator.signing import mint_devices
from airflow_provider_nrfprov.emulator.wire import Incoming, Reply

_HTML = "<!DOCTYPE html><html><head><title>Sign in</title></head><body><h1>Sign in</h1></body></html>"


def replace_file(
    reply: Reply,
    content: Literal["empty", "half", "json", "html", "other"],
    request: Incoming,
    service: Service,
) -> Reply:
    """Return the answer to a download that holds something else than the file of ``reply``."""
    if content == "html":
        return Reply(200, text=_HTML, media_type="text/html")
    if content == "json":
        return Reply(200, text=json.dumps({"message": "OK", "items": []}))
    if content == "half":
        return replace(reply, text=_half(reply.text or ""))
    return replace(reply, text="") if content == "empty" else _of_another(request, service) or reply


def _half(text: str) -> str:
    if not text.startswith("{"):
        rows = text.splitlines(keepends=True)
        return "".join(rows[: len(rows) // 2])
    body: dict[str, Any] = json.loads(text)
    halves = {name: value[: len(value) // 2] for name, value in body.items()}  # lists, or one string
    return json.dumps(halves)


def _of_another(request: Incoming, service: Service) -> Reply | None:
    operation_id, kind = parts_of(request.path["file"])
    form = service.settings.error_summary
    one = service.operations.get(request.path["team"], operation_id)
    others = [each for each in service.operations.all() if each.team == one.team and each is not one]
    for other in [*reversed(others), _invented(one)]:
        found = file_of(other, kind, form)
        if found is not None:
            return found
    return None


def _invented(one: BulkOperation) -> BulkOperation:
    devices = list(mint_devices(len(one.rows), seed=f"nobody sent these, not {one.id}"))
    outcome = Outcome(
        [device.device_id for device in devices],
        [Failure(number, device.token, "internal error") for number, device in enumerate(devices)],
    )
    text = "".join(f"{device.token}\n" for device in devices)
    return replace(one, text=text, rows=[Row(device.token) for device in devices], outcome=outcome)
