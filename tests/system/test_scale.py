"""Many claims at once on CeleryExecutor, of which a worker and a triggerer are killed, and on LocalExecutor."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from airflow_provider_nrfprov.version_compat import AIRFLOW_V_3_3_PLUS

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not AIRFLOW_V_3_3_PLUS, reason="the local Airflow is started as Airflow 3.3 is"),
]


def test_a_few_claims_survive_a_killed_worker_and_a_killed_triggerer(tmp_path: Path) -> None:
    # Here, since the modules are of no use to Airflow 2.
    from reliability.engines import CELERY, what_is_missing
    from reliability.scale import KILLS, lines_of, measure
    from reliability.scale_runs import Size

    if why := what_is_missing(CELERY):
        pytest.skip(why)
    size = Size(runs=4, rows=4000, rows_per_request=200, bulk_seconds=15, poll_seconds=3)
    [outcome], _ = measure(CELERY, size, tmp_path, [KILLS])
    told = "\n".join([*lines_of([outcome]), *outcome.wrong[:10]])
    assert outcome.tally.total == 0, told
    assert outcome.unsuccessful == 0, told
    assert (len(outcome.strikes), outcome.missed) == (2, 0), told
    # Those that were killed, and only because of that: nothing else was tried again.
    assert outcome.tries > size.runs, told


@pytest.mark.scale
def test_fifty_claims_at_once_survive_a_killed_worker_and_a_killed_triggerer(tmp_path: Path) -> None:
    from reliability.engines import CELERY, LOCAL, what_is_missing
    from reliability.scale import lines_of, measure_all
    from reliability.scale_runs import Size

    if why := what_is_missing(CELERY):
        # Whoever asks for this by name wants it to run.
        pytest.fail(why, pytrace=False)
    outcomes, words = measure_all([CELERY, LOCAL], Size(), tmp_path, kills=True)
    told = "\n".join([*lines_of(outcomes), *words])
    sys.stdout.write(f"\n{told}\n")
    assert [outcome.executor for outcome in outcomes] == [CELERY, CELERY, LOCAL]
    assert not any(outcome.is_wrong for outcome in outcomes), told
    assert sum(len(outcome.strikes) for outcome in outcomes) == 2
