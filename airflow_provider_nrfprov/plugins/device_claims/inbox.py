"""A claim file that somebody sends from the browser: checked, and put into the folder that a connection names.

Off unless the extra of the connection has ``inbox``, a folder, and ``inbox_dags``, the DAGs that claim what lies there.
"""

from __future__ import annotations

import asyncio
import json
import re
import secrets
import shutil
import subprocess
import tempfile
from datetime import datetime, timezone
from functools import partial
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit

from airflow.api_fastapi.auth.managers.models.resource_details import DagAccessEntity
from airflow.api_fastapi.core_api.security import requires_access_dag
from fastapi import APIRouter, Depends, HTTPException, Request

from airflow_provider_nrfprov.api.errors import ConfigurationError
from airflow_provider_nrfprov.files.paths import to_path
from airflow_provider_nrfprov.files.storage import Folder
from airflow_provider_nrfprov.hooks.connection import Inbox, inbox_of
from airflow_provider_nrfprov.plugins.device_claims.airflow_api import Airflow, as_the_caller
from airflow_provider_nrfprov.plugins.device_claims.threads import ENVIRONMENT, Threads, command

MOST_BYTES = 64 << 20
"""About 250,000 rows."""
HEADER = "X-Nrfprov-Upload"
"""No form and no link of another page can send it."""
_SECONDS = 120.0
_AT_A_TIME = 3
_CHECK = (
    "import os; os.nice(10); from argparse import ArgumentParser; from airflow_provider_nrfprov.claiming import check;"
    "parser = ArgumentParser(); check.add_arguments(parser);"
    "sys.exit(check.run(parser.parse_args(), sys.stdout, sys.stderr))"
)
_threads = Threads(_AT_A_TIME, _AT_A_TIME)


def own_pages_only(request: Request) -> None:
    """Refuse what another site's page has sent: a browser says whose page it is, and adds the session's cookie in any case.

    :raises HTTPException: 403.
    """
    from airflow.configuration import conf

    origin = urlsplit(request.headers.get("origin", ""))
    base = urlsplit(conf.get("api", "base_url", fallback="") or "")
    own = origin.netloc and origin.netloc in {request.headers.get("host"), base.netloc}
    if not own or request.headers.get(HEADER) != "1":
        raise HTTPException(403, "A file can only be sent from the page Device claims.")


may_start = Depends(requires_access_dag("POST", DagAccessEntity.RUN))
router = APIRouter(prefix="/api")


@router.get("/inbox")
async def dags_with_an_inbox(airflow: Annotated[Airflow, Depends(as_the_caller)], conn_id: str) -> Any:
    """Return the DAGs that claim what is sent, as far as the person may see them."""
    # Whoever has no session learns nothing.
    await airflow.get("dags", limit=1)
    inbox = await _threads.run("The connection", partial(_inbox, conn_id))
    visible = []
    for dag_id in inbox.dags if inbox else ():
        try:
            await airflow.get("dags", dag_id)
        except HTTPException:
            continue
        visible.append(dag_id)
    return {"dags": visible, "most_bytes": MOST_BYTES}


@router.post("/dags/{dag_id}/inbox", dependencies=[may_start, Depends(own_pages_only)])
async def send(request: Request, dag_id: str, conn_id: str, name: str, *, store: bool = False) -> Any:
    """Check a claim file, the request's body; with ``store``, put it into the inbox if a row of it can be sent.

    :return: ``rows``, ``sendable``, ``rejected`` and ``reasons``, or ``error``; ``path`` of what was stored.
    """
    inbox = await _threads.run("The connection", partial(_inbox, conn_id))
    if inbox is None or dag_id not in inbox.dags:
        raise HTTPException(404, f"The connection {conn_id} has no inbox for the DAG {dag_id}.")
    folder = Path(tempfile.mkdtemp(prefix="nrfprov-upload-"))
    try:
        file = folder / _safe(name)
        await asyncio.wait_for(_receive(request, file), _SECONDS)
        found = await _threads.run("The check of the file", partial(_checked, file), seconds=_SECONDS)
        if store and found.get("sendable"):
            found["path"] = await _threads.run("The inbox", partial(_stored, file, inbox), seconds=_SECONDS)
        return found
    except (TimeoutError, asyncio.TimeoutError):
        raise HTTPException(408, "The file did not arrive in time.") from None
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _inbox(conn_id: str) -> Inbox | None:
    from airflow.providers.common.compat.sdk import AirflowNotFoundException, BaseHook

    try:
        return inbox_of(BaseHook.get_connection(conn_id))
    except AirflowNotFoundException:
        return None
    except ConfigurationError as error:
        raise HTTPException(500, str(error)) from None


async def _receive(request: Request, file: Path) -> None:
    size = 0
    with file.open("xb") as target:
        async for block in request.stream():
            size += len(block)
            if size > MOST_BYTES:
                raise HTTPException(413, f"The file has more than the {MOST_BYTES:,} bytes that can be sent.")
            target.write(block)


def _checked(file: Path) -> dict[str, Any]:
    done = subprocess.run(  # noqa: S603 - our own
        command(_CHECK, "--json", file.name),
        cwd=file.parent, env=ENVIRONMENT, capture_output=True, timeout=_SECONDS, check=False,
    )  # fmt: skip
    try:
        found: dict[str, Any] = json.loads(done.stdout)
    except ValueError:
        found = {"error": "The file could not be checked."}
    return found


def _stored(file: Path, inbox: Inbox) -> str:
    """Put a file into the inbox under a name that nobody else can have given; only its owner may read it."""
    moment = datetime.now(timezone.utc).strftime("%Y%m%dT%H%M%S")
    name = f"{moment}-{secrets.token_hex(4)}-{file.name}"
    folder = Folder(to_path(inbox.folder))
    with file.open("rb") as source, folder.writing_bytes(name, owner_only=True) as target:
        shutil.copyfileobj(source, target)
    return folder.path_of(name)


def _safe(name: str) -> str:
    """Return a name that is one, whatever a browser calls the file."""
    return re.sub(r"[^A-Za-z0-9._-]+", "_", name.rpartition("/")[2])[-80:].lstrip(".-") or "claim-file"
