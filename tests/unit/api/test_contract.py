from __future__ import annotations

import pytest

from airflow_provider_nrfprov.api.contract import ENDPOINTS, BulkContract, Host, base_urls, endpoints
from airflow_provider_nrfprov.api.errors import ConfigurationError


@pytest.mark.parametrize(
    ("host", "provisioning", "cloud"),
    [
        (None, "https://api.provisioning.nrfcloud.com/v1", "https://api.nrfcloud.com/v1"),
        ("", "https://api.provisioning.nrfcloud.com/v1", "https://api.nrfcloud.com/v1"),
        (
            "api.provisioning.beta.nrfcloud.com",
            "https://api.provisioning.beta.nrfcloud.com/v1",
            "https://api.beta.nrfcloud.com/v1",
        ),
        (
            "https://api.provisioning.nrfcloud.com/v1/",
            "https://api.provisioning.nrfcloud.com/v1",
            "https://api.nrfcloud.com/v1",
        ),
        ("http://127.0.0.1:8099", "http://127.0.0.1:8099/v1", "http://127.0.0.1:8099/v1"),
        ("https://proxy.factory/nrf", "https://proxy.factory/nrf/v1", "https://proxy.factory/nrf/v1"),
    ],
)
def test_both_hosts_follow_from_the_connections_host(host, provisioning, cloud):
    assert base_urls(host) == {Host.PROVISIONING: provisioning, Host.CLOUD: cloud}


def test_the_host_of_bulk_operations_can_be_named():
    assert base_urls("127.0.0.1:1", "http://127.0.0.1:2")[Host.CLOUD] == "http://127.0.0.1:2/v1"


@pytest.mark.parametrize(
    "host", ["ftp://x", "https://", "http://a b", "https://key@host", "http://h:99999", "https://h/?a=1"]
)
def test_a_host_that_is_no_url_is_refused_without_being_quoted(host):
    with pytest.raises(ConfigurationError, match="base URL") as caught:
        base_urls(host)
    assert "key@" not in str(caught.value)


def test_the_bulk_contract_decides_which_paths_are_asked():
    paths = {
        contract: [e.path for e in endpoints(contract)["BulkClaimDeviceOwnership"]]
        for contract in BulkContract
    }
    assert paths == {
        BulkContract.AUTO: ["/claimed-devices/bulk", "/claimed-devices"],
        BulkContract.ASYNC: ["/claimed-devices/bulk"],
        BulkContract.SYNC: ["/claimed-devices"],
    }


def test_an_endpoint_can_be_overridden_and_is_inferred_then():
    (endpoint,) = endpoints(overrides={"UpdateClaimedDevice": "PUT /devices/{device_id}/tags"})[
        "UpdateClaimedDevice"
    ]
    assert (endpoint.method, endpoint.path, endpoint.confirmed) == ("PUT", "/devices/{device_id}/tags", False)


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        ({"Nothing": "GET /x"}, "known ones are BlockClaimed"),
        ({"ListTags": "/x"}, "POST /claimed-devices"),
        ({"ListTags": "FETCH /x"}, "POST /claimed-devices"),
        ({"UnclaimDevice": "DELETE /claimed-devices"}, "{device_id}"),
        ({"ListTags": "GET /tags/{tag_id}"}, "no {…} part"),
        ({"ListTags": None}, "POST /claimed-devices"),
    ],
)
def test_an_override_that_cannot_be_one_is_refused_in_words(overrides, words):
    with pytest.raises(ConfigurationError, match=words):
        endpoints(overrides=overrides)


def test_every_endpoint_says_where_it_is_known_from():
    for candidates in ENDPOINTS.values():
        assert all(endpoint.source for endpoint in candidates)
