"""The forms by which the example DAGs are triggered: a person who has not read the code can fill them in."""

from __future__ import annotations

from pathlib import Path

import pytest

DAG_IDS = sorted(file.stem for file in (Path(__file__).parents[2] / "dags").glob("*.py"))
A_TOKEN = "2dn3hQFQUDYxVDkxRPCAIhIb.0oRDoQEmoQRBIVhA"
TAGS = [["", "a"], ["x" * 101], "a", [7]]
REFUSED = {
    "nrfprov_claim_from_csv": {
        "claim_file": ["", None, 7],
        "tags": TAGS,
        "report_dir": [7],
        "max_failed_rows": [-1, "some", 0.5],
    },
    "nrfprov_claim_on_arrival": {"claim_file": ["", 7], "tags": TAGS},
    "nrfprov_claim_one_device": {"claim_token": ["", None], "tags": TAGS, "check_only": ["yes", 1]},
    "nrfprov_quarantine": {
        "tag": ["", " ", "lot=7 ", " lot=7", "x" * 101, None],
        "max_devices": [0, "all"],
        "report_dir": ["", None],
        "mark": ["x" * 101, 7],
    },
    "nrfprov_reconcile": {
        "expected_file": ["", None],
        "id_column": ["", None],
        "tag": ["", "x" * 101],
        "report_dir": ["", None],
        "fail_on_difference": ["no", 0],
    },
    "nrfprov_unclaim": {"device_ids": [[], None, ["not a uuid"], "*"], "max_devices": [0, -1, "all"]},
    "nrfprov_unclaim_with_approval": {
        "device_file": ["", None],
        "max_devices": [0, "all"],
        "reason": ["", "x" * 501],
        "report_dir": ["", None],
    },
}


@pytest.fixture(params=DAG_IDS)
def dag(load_dag, request):
    try:
        return load_dag(request.param)
    except KeyError:
        pytest.skip(f"{request.param} has no DAG on this version of Airflow and says why")


def params_of(dag) -> dict:
    return {name: dag.params.get_param(name) for name in dag.params}


def test_every_field_says_what_it_is(dag):
    for name, param in params_of(dag).items():
        assert {"type", "title"} <= param.schema.keys(), name
        assert (param.description or "").endswith("."), name
        # The form would offer an array's examples and nothing else.
        assert "array" not in param.schema["type"] or "examples" not in param.schema, name


def test_an_example_and_a_default_pass_the_fields_own_check(dag):
    for param in params_of(dag).values():
        for value in param.schema.get("examples", []):
            assert param.resolve(value=value) == value
        if param.has_value:
            assert param.resolve() == param.value


def test_what_has_no_default_shows_an_example_but_for_a_secret(dag):
    for name, param in params_of(dag).items():
        if not param.has_value and name != "claim_token" and "array" not in param.schema["type"]:
            assert param.schema.get("examples"), name


def test_no_form_shows_a_claim_token(dag):
    if "claim_token" in dag.params:
        param = params_of(dag)["claim_token"]
        assert not param.has_value
        # Airflow quotes a value that breaks such a rule.
        assert not {"examples", "pattern", "maxLength", "enum", "format"} & param.schema.keys()
        assert param.resolve(value=A_TOKEN) == A_TOKEN


def test_a_wrong_value_is_refused_in_every_field(dag):
    from airflow.providers.common.compat.sdk import ParamValidationError

    assert REFUSED[dag.dag_id].keys() == set(dag.params)
    for name, values in REFUSED[dag.dag_id].items():
        for value in values:
            with pytest.raises(ParamValidationError):
                params_of(dag)[name].resolve(value=value)
