"""What people pass to operators, in DAGs that Airflow runs: values of tasks that were skipped, of another type, of mapped tasks."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path

import pytest
from airflow.providers.common.compat.sdk import AirflowSkipException, Asset, ObjectStoragePath, task

from airflow_provider_nrfprov.arguments import ArgumentError
from airflow_provider_nrfprov.hooks.nrfprov import NrfProvHook
from airflow_provider_nrfprov.operators.bulk_claim import NrfProvBulkClaimOperator
from airflow_provider_nrfprov.operators.claim_device import NrfProvClaimDeviceOperator
from airflow_provider_nrfprov.operators.list_devices import NrfProvListDevicesOperator
from airflow_provider_nrfprov.operators.provisioning_command import NrfProvCreateCommandOperator
from airflow_provider_nrfprov.operators.tag_devices import NrfProvTagDevicesOperator
from airflow_provider_nrfprov.operators.tags import NrfProvDeleteTagOperator, NrfProvEnsureTagsOperator
from airflow_provider_nrfprov.version_compat import AIRFLOW_V_3_0_PLUS
from tests.integration.dag_runs import found, new_dag, run

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]


@pytest.fixture(autouse=True)
def ready(load_dag, emulator, connect):
    """A database of Airflow's, and the connection to an emulator."""
    connect(emulator.url)


@pytest.fixture
def claim_file(tmp_path, tokens) -> Path:
    path = tmp_path / "shift 1.csv"
    path.write_text("".join(f"{token}\n" for token in tokens))
    return path


def claimed(tokens: list[str], *tags: str) -> list[str]:
    return [NrfProvHook().claim_device(token, tags).id for token in tokens]


def changing_requests(emulator) -> dict[str, int]:
    counts = emulator.service.request_counts()
    return {name: count for name, count in counts.items() if not name.startswith(("List", "Fetch"))}


@pytest.mark.parametrize("skipped", ["a task", "all of its mapped tasks", "one that gives an empty list"])
def test_tags_that_a_skipped_task_owes_replace_nothing(emulator, tokens, skipped):
    ids = claimed(tokens, "line=1")
    before = changing_requests(emulator)
    with new_dag() as dag:

        @task
        def new_tags(line=0):
            if skipped == "one that gives an empty list":
                return []
            raise AirflowSkipException

        tags = new_tags.expand(line=[1, 2]) if skipped == "all of its mapped tasks" else new_tags()
        NrfProvTagDevicesOperator(
            task_id="tag", device_ids=ids, mode="replace", tags=tags, trigger_rule="none_failed"
        )
    end = run(dag)["tag"]
    assert end.state == "failed"
    assert isinstance(end.error, ArgumentError)
    assert "tags of task 'tag' renders to" in str(end.error)
    assert {tuple(device.tags) for device in emulator.service.claimed_devices()} == {("line=1",)}
    assert changing_requests(emulator) == before


def test_tags_are_taken_away_where_the_dag_says_so(emulator, tokens):
    ids = claimed(tokens, "line=1")
    with new_dag() as dag:
        NrfProvTagDevicesOperator(task_id="tag", device_ids=ids, mode="replace", tags=[])
    assert run(dag)["tag"].state == "success"
    assert {tuple(device.tags) for device in emulator.service.claimed_devices()} == {()}


def test_a_mapped_task_only_checks_if_another_task_decides_so(emulator, tokens):
    with new_dag() as dag:

        @task
        def decide():
            return True

        @task
        def scan():
            return tokens[:2]

        NrfProvClaimDeviceOperator.partial(task_id="ask", check_only=decide()).expand(claim_token=scan())
    ends = run(dag)
    assert ends["ask"].state == "success"
    assert dag.get_task("ask").upstream_task_ids == {"decide", "scan"}
    assert not emulator.service.claimed_ids()
    assert emulator.service.request_counts() == {"ClaimDeviceOwnershipDryRun": 2}


@pytest.mark.parametrize("mapped", [False, True])
def test_a_key_in_a_command_is_made_first_and_one_that_is_none_is_never_sent(emulator, tokens, mapped):
    (device_id,) = claimed(tokens[:1])
    commands = {}
    for made in ("-----BEGIN EC PRIVATE KEY-----\nMHc=\n-----END EC PRIVATE KEY-----", None):
        with new_dag() as dag:

            @task
            def key(made=made):
                return made

            request = {"clientPrivateKey": {"secTag": 1, "content": key()}}
            if mapped:
                NrfProvCreateCommandOperator.partial(task_id="command", request=request).expand(
                    device_id=[device_id]
                )
            else:
                NrfProvCreateCommandOperator(task_id="command", device_id=device_id, request=request)
        assert dag.get_task("command").upstream_task_ids == {"key"}
        end = run(dag)["command"]
        commands[made is not None] = (end.state, len(list(NrfProvHook().list_commands(device_id))))
    assert commands == {True: ("success", 1), False: ("failed", 1)}
    assert "request of task 'command' ['clientPrivateKey']['content'] renders to nothing" in str(end.error)


def test_a_token_that_stands_in_a_mapped_task_is_refused_where_it_stands(tokens):
    with new_dag():
        for arguments, expanded in (
            ({"claim_token": tokens[0]}, {"tags": [["a"]]}),
            ({}, {"claim_token": tokens[:2]}),
        ):
            with pytest.raises(
                ArgumentError, match="take it from another task, a variable or a param"
            ) as caught:
                NrfProvClaimDeviceOperator.partial(task_id="claim", **arguments).expand(**expanded)
            assert tokens[0][:20] not in str(caught.value)
        with pytest.raises(ArgumentError, match="take it from another task"):
            NrfProvClaimDeviceOperator.partial(task_id="claim").expand_kwargs([{"claim_token": tokens[0]}])


def test_a_report_folder_that_renders_to_none_is_no_folder_of_that_name(
    emulator, claim_file, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    with new_dag(params={"report_dir": None}) as dag:
        NrfProvBulkClaimOperator(task_id="claim", claim_file=claim_file, report_dir="{{ params.report_dir }}")
    end = run(dag)["claim"]
    assert (end.state, str(end.error)) == (
        "failed", "report_dir of task 'claim' renders to nothing ('None'); leave it out for its default",
    )  # fmt: skip
    assert {each.name for each in tmp_path.iterdir()} == {claim_file.name}
    assert not emulator.service.request_counts()


def test_digits_are_a_tag_or_tags_where_templates_render_native_objects(emulator):
    with new_dag(render_template_as_native_obj=True, params={"lot": "20261123"}) as dag:
        ensure = NrfProvEnsureTagsOperator(task_id="ensure", tags="{{ params.lot }}")
        ensure >> NrfProvDeleteTagOperator(task_id="delete", tag="{{ params.lot }}")
    ends = run(dag)
    assert ends["ensure"].xcoms["return_value"] == {"created": ["20261123"], "existing": []}
    assert ends["delete"].xcoms["return_value"] == {"tag": "20261123", "devices": 0}
    assert not list(NrfProvHook().list_tags())


def test_a_number_that_is_no_longer_what_was_written_is_no_tag(emulator):
    with new_dag(render_template_as_native_obj=True, params={"lot": "1.10"}) as dag:
        NrfProvDeleteTagOperator(task_id="delete", tag="{{ params.lot }}")
    end = run(dag)["delete"]
    assert "tag of task 'delete' is 1.1; it must be a string, in quotes" in str(end.error)
    assert not emulator.service.request_counts()


@pytest.mark.parametrize(
    "kind",
    [
        Path,
        lambda path: ObjectStoragePath(f"file://{path}"),
        lambda path: path.as_uri(),
        lambda path: path.as_uri().replace("file:///", "file://localhost/"),
    ],
    ids=["Path", "ObjectStoragePath", "URL", "URL of this host"],
)
def test_a_path_is_a_path_whatever_it_is_written_as(claim_file, kind):
    with new_dag() as dag:
        NrfProvBulkClaimOperator(task_id="claim", claim_file=kind(claim_file))
    end = run(dag)["claim"]
    assert end.state == "success", end.error
    assert end.xcoms["return_value"]["claimed"] == 5


def test_a_path_object_of_another_task_is_a_path(claim_file, tmp_path):
    with new_dag() as dag:

        @task
        def put():
            return ObjectStoragePath(f"file://{claim_file}")

        NrfProvBulkClaimOperator(task_id="claim", claim_file=put(), report_dir=tmp_path / "out")
        NrfProvListDevicesOperator(task_id="list", output_path=tmp_path / "devices.txt")
    ends = run(dag)
    assert {end.state for end in ends.values()} == {"success"}
    assert (tmp_path / "out" / "report.csv").exists()
    assert (tmp_path / "devices.txt").exists()


def test_a_duration_may_be_a_timedelta(claim_file):
    with new_dag() as dag:
        NrfProvBulkClaimOperator(
            task_id="claim",
            claim_file=claim_file,
            timeout=timedelta(hours=1),
            poll_interval=timedelta(seconds=1),
        )
    assert run(dag)["claim"].state == "success"


@pytest.mark.skipif(not AIRFLOW_V_3_0_PLUS, reason="an outlet may be a reference to an asset since Airflow 3")
def test_a_reference_to_an_asset_has_the_same_event_as_the_asset(claim_file, tmp_path):
    with new_dag() as dag:
        NrfProvBulkClaimOperator(task_id="asset", claim_file=claim_file, outlets=[Asset("claimed_here")])
        NrfProvBulkClaimOperator(
            task_id="reference",
            claim_file=claim_file,
            report_dir=str(tmp_path / "out"),
            outlets=[Asset.ref(name="claimed_here")],
        )
    run(dag)
    rows = found("select source_task_id, extra from asset_event where source_dag_id = ?", dag.dag_id)
    extras = {name: json.loads(extra) for name, extra in rows}
    assert extras["asset"].keys() == extras["reference"].keys()
    assert extras["reference"]["rows"] == 5


def test_a_task_that_is_to_push_no_xcom_pushes_none(claim_file, tokens, tmp_path):
    ids = claimed(tokens[:1])
    with new_dag() as dag:
        NrfProvBulkClaimOperator(task_id="claim", claim_file=claim_file, do_xcom_push=False)
        NrfProvTagDevicesOperator(
            task_id="tag", device_ids=ids, tags=["a"], report_dir=tmp_path / "tagged", do_xcom_push=False
        )
        NrfProvListDevicesOperator(task_id="list", output_path=tmp_path / "devices.csv", do_xcom_push=False)
        NrfProvCreateCommandOperator(
            task_id="command", device_id=ids[0], request={"finished": {}}, do_xcom_push=False
        )
    ends = run(dag)
    assert {end.state for end in ends.values()} == {"success"}
    # A link is Airflow's own way to show a page, and no value.
    pushed = {name: [key for key in end.xcoms if not key.startswith("_link_")] for name, end in ends.items()}
    assert not any(pushed.values())
