from __future__ import annotations

from datetime import timedelta

import pytest

from airflow_provider_nrfprov.api.errors import (
    ConfigurationError,
    GoneError,
    Problem,
    RateLimitedError,
    ServiceError,
    UnauthorizedError,
    UnreachableError,
)
from airflow_provider_nrfprov.claiming.claim_file import ClaimFileError
from airflow_provider_nrfprov.claiming.token import MalformedTokenError
from airflow_provider_nrfprov.operators.bulk_claim import NrfProvBulkClaimOperator
from airflow_provider_nrfprov.retries import decide
from airflow_provider_nrfprov.version_compat import AIRFLOW_V_3_3_PLUS

pytestmark = pytest.mark.skipif(not AIRFLOW_V_3_3_PLUS, reason="Airflow has retry policies since 3.3")


def answered(kind: type[ServiceError], status: int, retry_after: str | None = None) -> ServiceError:
    return kind("x", status=status, text="", problem=Problem(""), retry_after=retry_after)


@pytest.mark.parametrize(
    "exception",
    [
        answered(UnauthorizedError, 401),
        answered(ServiceError, 403),
        answered(ServiceError, 404),
        answered(GoneError, 410),
        answered(ServiceError, 422),
        ConfigurationError("no key"),
        ClaimFileError("no file"),
        MalformedTokenError("cut short"),
    ],
)
def test_what_cannot_succeed_fails_at_once(exception):
    assert decide(exception).action.value == "fail"


@pytest.mark.parametrize(
    "exception",
    [
        answered(ServiceError, 500),
        answered(RateLimitedError, 429),
        UnreachableError("x", maybe_sent=True),
        OSError(),
    ],
)
def test_what_may_pass_is_left_to_the_tasks_own_retries(exception):
    assert decide(exception).action.value == "default"


@pytest.mark.parametrize(
    "asked", ["inf", "1764156000000", "Thu, 01 Jan 2099 00:00:00 GMT", "99999999999999999999"]
)
def test_no_task_waits_longer_than_an_hour_whatever_the_service_asks(asked):
    assert decide(answered(RateLimitedError, 429, asked)).retry_delay == timedelta(hours=1)


def test_after_a_429_the_task_waits_as_long_as_the_service_asked():
    decision = decide(answered(RateLimitedError, 429, "90"))
    assert (decision.action.value, decision.retry_delay) == ("retry", timedelta(seconds=90))


def test_a_policy_of_the_users_own_wins():
    from airflow.sdk import ExceptionRetryPolicy

    own = ExceptionRetryPolicy(rules=[])
    assert NrfProvBulkClaimOperator(task_id="a", claim_file="x", retry_policy=own).retry_policy is own
    assert NrfProvBulkClaimOperator(task_id="b", claim_file="x").retry_policy is not None
