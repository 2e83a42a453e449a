"""What a task of this provider fails with, beside the errors of the service (``api.errors``).

The base class decides what Airflow does with it: ``AirflowFailException`` is never retried and
honours ``soft_fail``; a plain exception is retried.
"""

from __future__ import annotations

from airflow.providers.common.compat.sdk import AirflowFailException


class BulkOpsFailedError(AirflowFailException):
    """A bulk operation ended FAILED; asking again won't change that."""


class RowsFailedError(AirflowFailException):
    """More rows of a claim file failed than were allowed; running it again would be refused again."""


class RowsUnknownError(Exception):
    """What became of some rows could not be found out yet; a retry asks again and sends nothing twice."""


class UnclaimRefusedError(AirflowFailException):
    """A guard refused to unclaim."""
