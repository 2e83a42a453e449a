"""What a fault makes of a reply before it is written: wrong, or with more in it than there was."""

from __future__ import annotations

import uuid
from dataclasses import replace
from typing import Any

from airflow_provider_nrfprov.emulator import wrong_files
from airflow_provider_nrfprov.emulator.faults import (
    ExtraFields,
    FalseFailure,
    Fault,
    OddStatus,
    StuckOperation,
    Words,
    WrongClaimedIds,
    WrongDownload,
)
from airflow_provider_nrfprov.emulator.service import Service
from airflow_provider_nrfprov.emulator.wire import Incoming, Reply

_INVENTED = uuid.UUID("0b1f7c52-6f0e-4a53-9a3e-5d1c9e0f4b77")


def bend(fault: Fault, reply: Reply, incoming: Incoming, service: Service) -> Reply:
    """Return what a fault makes of a reply, and remember what is to be said of its bulk operation."""
    if isinstance(fault, Words):
        return _with_words(reply, fault.text, service)
    if isinstance(fault, WrongDownload) and reply.status == 200:
        return wrong_files.replace_file(reply, fault.content, incoming, service)
    if isinstance(fault, ExtraFields):
        return replace(reply, body=_with_more_fields(reply.body))
    if isinstance(fault, OddStatus) and reply.status == 200:
        return replace(reply, body=_with_status(reply.body, fault.word))
    if isinstance(fault, WrongClaimedIds) and isinstance(reply.body, dict) and "claimedIds" in reply.body:
        invented = [str(uuid.uuid5(_INVENTED, str(number))) for number in range(fault.invent)]
        return replace(
            reply, body={**reply.body, "claimedIds": reply.body["claimedIds"][fault.omit :] + invented}
        )
    if isinstance(fault, (StuckOperation, FalseFailure)) and reply.status == 202:
        _lie_about(reply.operation_id, fault, service)
    return reply


def _lie_about(operation_id: str, fault: StuckOperation | FalseFailure, service: Service) -> None:
    if isinstance(fault, StuckOperation) and not fault.rows_applied:
        service.operations.hold(operation_id)
    else:
        service.faults.lies[operation_id] = fault


def _with_words(reply: Reply, text: str, service: Service) -> Reply:
    body = reply.body
    if not isinstance(body, dict):
        return reply
    operation = service.operations.all().get(reply.operation_id)
    if operation is not None and reply.status == 202:
        operation.words = text
    said: dict[str, Any] = {}
    if reply.status >= 400 and "message" in body:
        said["message"] = text
    if "failed" in body:
        said["failed"] = [_failed_with_words(each, text) for each in body["failed"]]
    return replace(reply, body={**body, **said})


def _failed_with_words(element: Any, text: str) -> Any:
    if isinstance(element, str):
        return f"{element.partition(']: ')[0]}]: {text}"
    return {**element, "message": text}


def _with_more_fields(value: Any) -> Any:
    if isinstance(value, list):
        return [_with_more_fields(each) for each in value]
    if isinstance(value, dict):
        known = {name: _with_more_fields(each) for name, each in value.items()}
        return {**known, "addedLater": {"version": 2, "values": [None, True, "x"]}}
    return value


def _with_status(body: Any, word: str) -> Any:
    if "items" in body:
        return {**body, "items": [_with_status(each, word) for each in body["items"]]}
    return {**body, "status": word}
