"""The operators on lists, tags, operations, rules and commands, put together in DAGs that Airflow runs."""

from __future__ import annotations

import pytest

from airflow_provider_nrfprov.claiming.token import decode
from airflow_provider_nrfprov.hooks.nrfprov import NrfProvHook
from airflow_provider_nrfprov.operators.bulk_ops import (
    NrfProvFetchBulkOpsOperator,
    NrfProvListBulkOpsOperator,
)
from airflow_provider_nrfprov.operators.claim_device import NrfProvClaimDeviceOperator
from airflow_provider_nrfprov.operators.fetch_device import NrfProvFetchDeviceOperator
from airflow_provider_nrfprov.operators.list_devices import NrfProvListDevicesOperator
from airflow_provider_nrfprov.operators.provisioning_command import NrfProvCreateCommandOperator
from airflow_provider_nrfprov.operators.provisioning_rules import NrfProvEnsureOnboardingRuleOperator
from airflow_provider_nrfprov.operators.tag_devices import NrfProvTagDevicesOperator
from airflow_provider_nrfprov.operators.tags import NrfProvEnsureTagsOperator
from airflow_provider_nrfprov.sensors.provisioning_command import NrfProvCommandSensor
from tests.integration.dag_runs import new_dag, run

# dag.test() runs Airflow's own code, whose warnings are not ours to mend.
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]


@pytest.mark.parametrize("deferrable", [False, True], ids=["poke", "deferrable"])
def test_a_device_is_claimed_onboarded_and_given_a_command_whose_answer_comes_back(
    load_dag, nrfcloud, tokens, deferrable
):
    nrfcloud.reset(command_seconds=1)
    with new_dag() as dag:
        rule = NrfProvEnsureOnboardingRuleOperator(task_id="rule")
        tags = NrfProvEnsureTagsOperator(task_id="tags", tags=["line=1"])
        claim = NrfProvClaimDeviceOperator(
            task_id="claim", claim_token=tokens[0], tags=["line=1", "nrf-cloud-onboarding"]
        )
        command = NrfProvCreateCommandOperator(
            task_id="command",
            device_id="{{ ti.xcom_pull('claim')['id'] }}",
            request={"certificateSigningRequest": {"secTag": 7}},
        )
        wait = NrfProvCommandSensor(
            task_id="wait",
            device_id="{{ ti.xcom_pull('claim')['id'] }}",
            command_id=command.output["command_id"],
            poke_interval=0.3,
            timeout=30,
            deferrable=deferrable,
        )
        [rule, tags] >> claim >> command >> wait
    ends = run(dag)
    assert {end.state for end in ends.values()} == {"success"}, ends
    answer = ends["wait"].xcoms["return_value"]
    assert answer["device_id"] == decode(tokens[0]).device_id
    assert answer["response"]["certificateSigningRequest"]["message"]


def test_a_list_of_devices_and_one_of_operations_are_mapped_over(load_dag, nrfcloud, tokens):
    NrfProvHook().bulk_claim("".join(f'"{token}","x"\n' for token in tokens[:3]))
    NrfProvHook().bulk_claim('"rubbish"\n')
    with new_dag() as dag:
        listing = NrfProvListDevicesOperator(task_id="list", tag="x")
        NrfProvFetchDeviceOperator.partial(task_id="fetch").expand(device_id=listing.output)
        failed = NrfProvListBulkOpsOperator(
            task_id="failed", status="FAILED", requested_after="2020-01-01T00:00:00Z"
        )
        NrfProvFetchBulkOpsOperator.partial(task_id="show").expand(bulk_ops_request_id=failed.output)
    ends = run(dag)
    assert {end.state for end in ends.values()} == {"success"}, ends
    assert ends["list"].xcoms["return_value"] == [decode(token).device_id for token in tokens[:3]]
    assert ends["show"].xcoms["return_value"]["errors"] == 1
    assert nrfcloud.service.request_counts()["FetchClaimedDevice"] == 3


def test_a_file_of_listed_devices_is_the_selection_of_the_next_task(load_dag, nrfcloud, tokens, tmp_path):
    NrfProvHook().bulk_claim("".join(f'"{token}","x"\n' for token in tokens[:3]) + f'"{tokens[3]}"\n')
    with new_dag() as dag:
        listing = NrfProvListDevicesOperator(
            task_id="list", tag="x", output_path=str(tmp_path / "{{ run_id | replace(':', '_') }}.txt")
        )
        NrfProvTagDevicesOperator(task_id="tag", device_file=listing.output["path"], tags=["audited"])
    assert {end.state for end in run(dag).values()} == {"success"}
    tags = {device.id: device.tags for device in nrfcloud.service.claimed_devices()}
    assert tags == {
        decode(token).device_id: (["x", "audited"] if token in tokens[:3] else []) for token in tokens[:4]
    }


def test_a_dry_run_can_be_mapped(load_dag, nrfcloud, tokens, monkeypatch):
    # A token that is in a DAG file would be in the database, too.
    monkeypatch.setenv("AIRFLOW_VAR_CLAIM_TOKEN", tokens[0])
    with new_dag() as dag:
        NrfProvClaimDeviceOperator.partial(
            task_id="ask", check_only=True, claim_token="{{ var.value.claim_token }}"
        ).expand(tags=[["a"], ["b"]])
    assert {end.state for end in run(dag).values()} == {"success"}
    assert nrfcloud.service.request_counts() == {"ClaimDeviceOwnershipDryRun": 2}
