from __future__ import annotations

import io
import pickle
from datetime import timedelta
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import DAG

from airflow_provider_nrfprov.api.errors import (
    ConfigurationError,
    GoneError,
    Problem,
    RateLimitedError,
    ServiceError,
    UnauthorizedError,
    UnreachableError,
)
from airflow_provider_nrfprov.arguments import ArgumentError
from airflow_provider_nrfprov.claiming.claim_file import ClaimFileError
from airflow_provider_nrfprov.claiming.token import MalformedTokenError
from airflow_provider_nrfprov.operators.bulk_claim import NrfProvBulkClaimOperator
from airflow_provider_nrfprov.operators.tags import NrfProvEnsureTagsOperator
from airflow_provider_nrfprov.retries import NrfProvRetryPolicy
from airflow_provider_nrfprov.version_compat import AIRFLOW_V_3_3_PLUS
from tests.unit.airflow.every_argument import operators_and_sensors, required

pytestmark = pytest.mark.skipif(not AIRFLOW_V_3_3_PLUS, reason="Airflow has retry policies since 3.3")


def decide(exception: BaseException) -> Any:
    return NrfProvRetryPolicy().evaluate(exception, 1, 3)


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
        ClaimFileError("no text"),
        ArgumentError("tags renders to nothing"),
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
        FileNotFoundError("shift.csv"),
        io.UnsupportedOperation("an OSError that is a ValueError, too"),
        ValueError("of somebody else's"),
    ],
)
def test_what_may_pass_is_left_to_the_tasks_own_retries(exception):
    assert decide(exception).action.value == "default"


FAR_TOO_LONG = [
    *("inf", "1764156000000", "99999999999999999999", "99999999999", "1e300"),
    *("Thu, 01 Jan 2099 00:00:00 GMT", "Fri, 31 Dec 9999 23:59:59 GMT"),
]


@pytest.mark.parametrize(("asked", "seconds"), [("90", 90), *((asked, 3600) for asked in FAR_TOO_LONG)])
def test_after_a_429_the_task_waits_as_long_as_the_service_asked_but_an_hour_at_most(asked, seconds):
    decision = decide(answered(RateLimitedError, 429, asked))
    assert (decision.action.value, decision.retry_delay) == ("retry", timedelta(seconds=seconds))


def test_the_policy_can_be_pickled_and_serialized():
    policy = NrfProvRetryPolicy()
    assert pickle.loads(pickle.dumps(policy)) == policy
    assert NrfProvRetryPolicy.deserialize(policy.serialize()) == policy


@pytest.mark.parametrize("kind", operators_and_sensors().values(), ids=lambda kind: kind.__name__)
def test_every_operator_and_sensor_has_it_and_none_switches_it_off(kind):
    def policy(**arguments: Any) -> Any:
        return kind(task_id="a", **required(kind), **arguments).retry_policy

    assert isinstance(policy(), NrfProvRetryPolicy)
    assert policy(retry_policy=None) is None
    with DAG("quiet", schedule=None, default_args={"retry_policy": None}):
        assert policy() is None


def test_a_mapped_task_has_it_too():
    with DAG("mapped", schedule=None):
        mapped = NrfProvEnsureTagsOperator.partial(task_id="a").expand(tags=[["a"]])
        without = NrfProvEnsureTagsOperator.partial(task_id="b", retry_policy=None).expand(tags=[["a"]])
    assert isinstance(mapped.retry_policy, NrfProvRetryPolicy)
    assert without.retry_policy is None


def test_a_policy_of_the_users_own_wins():
    from airflow.sdk import ExceptionRetryPolicy

    own = ExceptionRetryPolicy(rules=[])
    assert NrfProvBulkClaimOperator(task_id="a", claim_file="x", retry_policy=own).retry_policy is own
