"""What a task of this provider fails with, beside the errors of the service (``api.errors``).

The base class decides what Airflow does with the error: ``AirflowFailException`` is never retried and
honours ``soft_fail``; a plain exception is retried.
"""

from __future__ import annotations

from airflow.providers.common.compat.sdk import AirflowFailException

from airflow_provider_nrfprov.api.errors import NrfProvError


class BulkOpsFailedError(AirflowFailException):
    """A bulk operation ended FAILED; asking again won't change that."""


class RowsFailedError(AirflowFailException):
    """More rows of a claim file failed than were allowed; running it again would be refused again."""


class RowsRejectedError(AirflowFailException):
    """More rows of a claim file cannot be sent than were allowed, or any with ``on_invalid_rows="fail"``."""


class RowsUnknownError(Exception):
    """What became of some rows is not known yet; a retry asks again and sends nothing twice."""


class ClaimFileChangedError(Exception):
    """A claim file changed between two tries of a run; what the first one read is claimed, a retry claims the file as it is."""


class UnclaimRefusedError(AirflowFailException):
    """A guard refused to unclaim."""


class TooManyDevicesError(AirflowFailException):
    """More devices were selected than an operator may touch; nothing was done."""


class DevicesFailedError(NrfProvError):
    """More devices failed than were allowed; a retry tries those again."""


class DevicesRefusedError(DevicesFailedError, AirflowFailException):
    """The same, where each was refused for a permanent reason: it would be refused again."""


class DevicesNotTriedError(NrfProvError):
    """The task was asked to stop before all devices were tried."""


class CommandFailedError(AirflowFailException):
    """A provisioning command did not end SUCCEEDED; waiting longer won't change that."""


class TagRefusedError(AirflowFailException):
    """A tag was not renamed or deleted: it is not there, a name is taken, or devices carry it."""


class TooManyForXComError(AirflowFailException):
    """A list is too long for XCom, and no file was named to take it."""
