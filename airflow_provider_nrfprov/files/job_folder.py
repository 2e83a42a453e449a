"""A job's own folder: two jobs never write the same report.

The first job that is given a folder has it for its own, and ``job.json`` says whose it is. Whatever other job is given the
same folder later, or at the same time, has a folder inside it, named by its id.
"""

from __future__ import annotations

import hashlib
import json
import logging
import re
from collections.abc import Iterator, Mapping
from typing import Any

from airflow_provider_nrfprov.files.storage import Folder

_log = logging.getLogger(__name__)

JOB = "job.json"
JOBS = "jobs"
"""The folder in which each job leaves its id before it takes a folder."""
_ID = re.compile("[0-9a-f]{16}")
_REPORTS = {"report.csv", "failed_rows.csv", "failed_devices.txt", "summary.json"}


def job_id_of(identity: Mapping[str, Any]) -> str:
    """Return what names a job: 16 hexadecimal digits of a hash over all that tells it from another."""
    return hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:16]


def take_folder(base: Folder, job_id: str, about: Mapping[str, Any]) -> Folder:
    """Return the folder of a job: ``base``, or one inside it if ``base`` is another job's.

    :param about: what ``job.json`` says of the job, besides its id.
    """
    taken, holder = _holder(base)
    if holder == job_id:
        return base
    body = json.dumps({"job": job_id, **about}, indent=2)
    marks = base.folder(JOBS)
    marks.write(job_id, "")
    # Everybody leaves a mark before looking for others: of two that come at once, both see the other, or one does.
    if not taken and set(_ids(marks)) == {job_id}:
        base.write(JOB, body)
        return base
    own = base.folder(job_id)
    _log.warning(
        "%s holds the report of another job%s; this one reports to %s. Give each file, run and task a report folder of its own",
        base, f" ({holder})" if holder else "", own,
    )  # fmt: skip
    if JOB not in own.names():
        own.write(JOB, body)
    return own


def find_folder(
    base: Folder, job_id: str | None, wanted: Mapping[str, Any] | None = None
) -> tuple[Folder, dict[str, Any]]:
    """Return the folder of a job, and what its ``job.json`` says.

    :param job_id: which job; ``None`` if there is only one.
    :param wanted: without an id: what ``job.json`` has to say of it.
    :raises FileNotFoundError: if it is not there.
    :raises ValueError: if there are several and none is named.
    """
    found = list(jobs_in(base))
    if job_id is not None:
        found = [each for each in found if each[1]["job"] == job_id]
    elif wanted and len(found) > 1:
        found = [each for each in found if all(each[1].get(name) == value for name, value in wanted.items())]
    if not found:
        which = f"job {job_id}" if job_id else "job"
        raise FileNotFoundError(f"{base} holds no {which}: nothing was sent with this report folder")
    if len(found) > 1:
        names = ", ".join(str(each[1]["job"]) for each in found)
        raise ValueError(
            f"{base} holds the reports of {len(found)} jobs ({names}); name the one that is meant, as "
            'job=claim.output["job"], or give each a report folder of its own'
        )
    return found[0]


def jobs_in(base: Folder) -> Iterator[tuple[Folder, dict[str, Any]]]:
    """Yield each job that reports to a folder, with its own folder and what its ``job.json`` says."""
    for folder in (base, *(base.folder(name) for name in _ids(base.folder(JOBS)))):
        body = _body(folder)
        if body is not None:
            yield folder, body


def _ids(marks: Folder) -> list[str]:
    """Return the ids that were left; what else is there is nobody's mark."""
    return sorted(name for name in marks.names() if _ID.fullmatch(name))


def _holder(base: Folder) -> tuple[bool, str | None]:
    """Return whether a folder is taken, and by which job as far as that can be told."""
    names = base.names()
    if not names & {JOB, *_REPORTS}:
        return False, None
    body = _body(base)
    return True, None if body is None else str(body["job"])


def _body(folder: Folder) -> dict[str, Any] | None:
    text = folder.read(JOB)
    if text is None:
        return None
    try:
        body = json.loads(text)
    except ValueError:
        body = None
    if not isinstance(body, dict) or not isinstance(body.get("job"), str):
        _log.warning("%s cannot be read; the folder counts as another job's", folder.path_of(JOB))
        return None
    return body
