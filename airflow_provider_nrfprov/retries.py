"""Which failures are worth another try of the task, and when. On Airflow 3.3 and later only.

Before, Airflow retries whatever is not an ``AirflowFailException``, after ``retry_delay``.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow_provider_nrfprov.version_compat import AIRFLOW_V_3_3_PLUS

if TYPE_CHECKING:
    from airflow.sdk import RetryPolicy
    from airflow.sdk.definitions.retry_policy import RetryDecision


def set_default_retry_policy(operator: Any) -> None:
    """Give an operator our retry policy unless its user gave one, as an argument or in ``default_args``."""
    if AIRFLOW_V_3_3_PLUS and operator.retry_policy is None:
        operator.retry_policy = _policy()


def _policy() -> RetryPolicy:
    from airflow.sdk import RetryPolicy

    class NrfProvRetryPolicy(RetryPolicy):
        """Fails at once what cannot succeed; after a 429, waits as long as the service asked."""

        def evaluate(
            self, exception: BaseException, try_number: int, max_tries: int, context: Any = None
        ) -> RetryDecision:
            return decide(exception)

        def serialize(self) -> dict[str, Any]:
            return {}

    return NrfProvRetryPolicy()


def decide(exception: BaseException) -> RetryDecision:
    """Decide about a failed task.

    A key, a role, a path or a file that is wrong stays wrong; a token or an argument that cannot be one too.
    """
    from airflow.sdk import RetryDecision

    from airflow_provider_nrfprov.api.errors import ConfigurationError, RateLimitedError, ServiceError
    from airflow_provider_nrfprov.api.retry import retry_after

    if isinstance(exception, RateLimitedError) and (seconds := retry_after(exception)) is not None:
        return RetryDecision.retry(timedelta(seconds=seconds), f"the service asked to wait {seconds:.0f} s")
    if (
        isinstance(exception, ServiceError)
        and 400 <= exception.status < 500
        and exception.status not in {408, 429}
    ):
        return RetryDecision.fail(f"the service would answer {exception.status} again")
    # ClaimFileError and TokenError are ValueErrors.
    if isinstance(exception, (ConfigurationError, ValueError)):
        return RetryDecision.fail("trying again cannot mend this")
    return RetryDecision.default()
