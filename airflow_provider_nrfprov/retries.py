"""Which failures are worth another try of the task, and when. On Airflow 3.3 and later only.

Before, Airflow retries whatever is not an ``AirflowFailException``, after ``retry_delay``.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow_provider_nrfprov.version_compat import AIRFLOW_V_3_3_PLUS

if TYPE_CHECKING:
    from airflow.sdk.definitions.retry_policy import RetryDecision

if AIRFLOW_V_3_3_PLUS:
    from airflow.sdk import RetryPolicy
else:
    RetryPolicy = object  # type: ignore[assignment, misc]


@dataclass(frozen=True)
class NrfProvRetryPolicy(RetryPolicy):
    """Fail at once what cannot succeed, and after a 429 wait as long as the service asked, an hour at most (``api.retry.retry_after``).

    The default ``retry_policy`` of every operator and sensor of this provider on Airflow 3.3 and later; ``retry_policy=None``
    switches it off. It decides by the class of the exception:

    ================================================================== =====================================================
    exception                                                          decision
    ================================================================== =====================================================
    ``RateLimitedError`` with a ``Retry-After``                        retry after that
    ``ServiceError`` of 400 to 499, but for 408 and 429                fail: the service would answer the same again
    ``ArgumentError``, ``ConfigurationError``, ``ClaimFileError``      fail: an argument, a connection or the content of a
    and ``TokenError``                                                 file is wrong
    ``ClaimRefusedError``                                              fail: a project's job refused the device
    an ``OSError``, of a file that is missing or unreadable, too       the task's own ``retries`` and ``retry_delay``
    anything else                                                      the task's own ``retries`` and ``retry_delay``
    ================================================================== =====================================================
    """

    def evaluate(
        self, exception: BaseException, try_number: int, max_tries: int, context: Any = None
    ) -> RetryDecision:
        """Decide about a failed try."""
        from airflow.sdk import RetryDecision

        from airflow_provider_nrfprov.api.errors import RateLimitedError, ServiceError
        from airflow_provider_nrfprov.api.retry import retry_after

        if isinstance(exception, RateLimitedError) and (seconds := retry_after(exception)) is not None:
            return RetryDecision.retry(
                timedelta(seconds=seconds), f"the service asked to wait; the next try is in {seconds:.0f} s"
            )
        if (
            isinstance(exception, ServiceError)
            and 400 <= exception.status < 500
            and exception.status not in {408, 429}
        ):
            return RetryDecision.fail(f"the service would answer {exception.status} again")
        if isinstance(exception, _users_mistakes()) and not isinstance(exception, OSError):
            return RetryDecision.fail("another try would fail in the same way")
        return RetryDecision.default()

    def serialize(self) -> dict[str, Any]:
        """Return what tells this policy from others of its class: nothing."""
        return {}

    @classmethod
    def deserialize(cls, data: dict[str, Any]) -> NrfProvRetryPolicy:  # noqa: ARG003 - as Airflow declares it
        """Return the policy that :meth:`serialize` described."""
        return cls()


DEFAULT_RETRY_POLICY = NrfProvRetryPolicy() if AIRFLOW_V_3_3_PLUS else None


def _users_mistakes() -> tuple[type[Exception], ...]:
    from airflow_provider_nrfprov.api.errors import ClaimRefusedError, ConfigurationError
    from airflow_provider_nrfprov.arguments import ArgumentError
    from airflow_provider_nrfprov.claiming.claim_file import ClaimFileError
    from airflow_provider_nrfprov.claiming.token import TokenError

    return ArgumentError, ClaimRefusedError, ConfigurationError, ClaimFileError, TokenError
