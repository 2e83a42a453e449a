"""The links of a task: to nRF Cloud's portal, and to the report that it wrote."""

from __future__ import annotations

from importlib import import_module
from urllib.parse import parse_qs, urlsplit

import pytest
from airflow.providers.common.compat.sdk import BaseHook

from airflow_provider_nrfprov.api.errors import ConfigurationError
from airflow_provider_nrfprov.get_provider_info import get_provider_info
from airflow_provider_nrfprov.hooks.connection import portal_page_of
from airflow_provider_nrfprov.links.nrf_cloud import NrfProvPortalLink, device_page
from airflow_provider_nrfprov.links.report import console_url
from airflow_provider_nrfprov.operators.block_devices import NrfProvBlockDevicesOperator
from airflow_provider_nrfprov.operators.bulk_claim import NrfProvBulkClaimOperator
from airflow_provider_nrfprov.version_compat import AIRFLOW_V_3_1_7_PLUS
from tests.integration.dag_runs import links, new_dag, only_run, run

pytestmark = pytest.mark.filterwarnings("ignore")


def portal_page(connect, host, **extra) -> str | None:
    return portal_page_of(BaseHook.get_connection(connect(host, **extra)))


@pytest.mark.parametrize(
    "host", [None, "https://api.provisioning.nrfcloud.com", "api.provisioning.nrfcloud.com/v1"]
)
def test_nordics_own_hosts_have_a_portal(connect, host):
    assert portal_page(connect, host) == "https://nrfcloud.com/#/claimed-devices"


@pytest.mark.parametrize(
    "host", ["http://127.0.0.1:8000", "emulator", "notnrfcloud.com", "nrfcloud.com.example.org"]
)
def test_any_other_host_has_no_portal(connect, host):
    assert portal_page(connect, host) is None


def test_a_portal_url_is_taken_as_it_is(connect):
    assert portal_page(connect, "emulator", portal_url="https://portal.example.org/#/ours") == (
        "https://portal.example.org/#/ours"
    )


@pytest.mark.parametrize(
    "url", ["javascript:alert(1)", "portal.example.org", "https://", "https://a b", 7, "https://x@y/"]
)
def test_a_portal_url_that_is_none_is_no_link(connect, url):
    with pytest.raises(ConfigurationError, match="portal_url"):
        portal_page(connect, "emulator", portal_url=url)
    operator = NrfProvBulkClaimOperator(task_id="claim", claim_file="x")
    assert NrfProvPortalLink().get_link(operator, ti_key=None) == ""


def test_the_page_of_one_device_is_what_the_connection_says_or_that_of_a_project(connect):
    connect("https://api.provisioning.nrfcloud.com")
    assert device_page("nrfprov_default") is None
    connect("http://127.0.0.1:1", device_url="http://127.0.0.1:1/emulator/devices/{device_id}")
    assert device_page("nrfprov_default") == "http://127.0.0.1:1/emulator/devices/{device_id}"
    connect(None, api="project", organization="acme", project="sensors")
    page = "https://app.memfault.com/organizations/acme/projects/sensors/devices/{device_id}"
    assert device_page("nrfprov_default") == page


@pytest.mark.parametrize(
    "url", ["javascript:alert('{device_id}')", "https://{device_id}/", "https://portal.example.org/", 7]
)
def test_a_page_of_one_device_that_is_none_is_no_link(connect, url):
    connect("emulator", device_url=url)
    assert device_page("nrfprov_default") is None


def test_a_connection_that_is_missing_is_no_link():
    operator = NrfProvBulkClaimOperator(task_id="claim", claim_file="x", nrfprov_conn_id="nowhere")
    assert NrfProvPortalLink().get_link(operator, ti_key=None) == ""


@pytest.mark.parametrize(
    ("path", "url"),
    [
        (
            "s3://conn@bucket/shift 1/report.csv",
            "https://s3.console.aws.amazon.com/s3/object/bucket?prefix=shift%201/report.csv",
        ),
        (
            "gs://bucket/a/report.csv",
            "https://console.cloud.google.com/storage/browser/_details/bucket/a/report.csv",
        ),
        ("/factory/report.csv", ""),
        ("file:///factory/report.csv", ""),
        ("s3://bucket", ""),
    ],
)
def test_a_file_of_an_object_store_has_a_page_in_its_console(path, url):
    assert console_url(path) == url


def test_airflow_is_told_of_every_link_that_an_operator_has():
    # Airflow 2 cannot read a stored DAG with a link that is not on this list.
    operators = [
        getattr(import_module(module), name)
        for entry in get_provider_info()["operators"]
        for module in entry["python-modules"]
        for name in vars(import_module(module))
        if name.startswith("NrfProv")
    ]
    have = {
        f"{type(link).__module__}.{type(link).__qualname__}"
        for operator in operators
        for link in getattr(operator, "operator_extra_links", ())
    }
    assert have == set(get_provider_info()["extra-links"])


@pytest.mark.slow
def test_a_task_that_failed_links_to_its_report_and_one_without_a_report_does_not(
    load_dag, connect, emulator, tokens, tmp_path, claim_file
):
    connect(emulator.url, portal_url="https://portal.example.org/")
    claim_file.write_text("\n".join([*tokens[:2], "rubbish"]))
    with new_dag() as dag:
        NrfProvBulkClaimOperator(
            task_id="claim",
            claim_file=str(claim_file),
            report_dir=str(tmp_path / "out"),
            on_invalid_rows="fail",
        )
        NrfProvBlockDevicesOperator(task_id="block", device_ids="{{ '' }}")
    ends = run(dag)
    assert {end.state for end in ends.values()} == {"failed"}
    run_id = only_run(dag)
    expected = {"nRF Cloud": "https://portal.example.org/", "Report": None}
    assert links(dag, "block", run_id) == expected
    of_claim = links(dag, "claim", run_id)
    if not AIRFLOW_V_3_1_7_PLUS:
        assert of_claim == expected  # a local file has no page there
        return
    parts = urlsplit(of_claim["Report"])
    assert parts.path == "/nrfprov/claims/"
    assert parse_qs(parts.query) == {
        "dag_id": [dag.dag_id],
        "run_id": [run_id],
        "task_id": ["claim"],
        "map_index": ["-1"],
    }
