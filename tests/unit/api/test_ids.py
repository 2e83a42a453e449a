"""An id that is none never gets into a path, whichever method takes it."""

from __future__ import annotations

import inspect
from collections.abc import Callable

import pytest

from airflow_provider_nrfprov.api import ProvisioningService, operations
from airflow_provider_nrfprov.emulator.mint import mint_token
from harness.small_server import always, serving
from tests.calls import Calls

DEVICE = "7b21b4bc-1cc9-41df-b05c-61b4605e5bb0"
IDS = {
    "device_id": DEVICE,
    "device_ids": DEVICE,
    "bulk_ops_request_id": "01GK0NEC",
    "command_id": "c1",
    "tag_id": "t1",
}
OTHERS = {
    "tags": ["a"], "request": {"finished": {}}, "description": "", "claimed_after": None, "tag": "a", "page_token": None,
    "page_limit": None,
}  # fmt: skip
NO_IDS = ["", " ", "  \t", ".", "..", "../x", "a/b", "a\\b", "/", "a\nb", "a\x00", None]
NO_ID_BUT_A_TAGS = ["a b", "a?b", "%2e%2e", "é", "x" * 300, "location=Oslo"]
NO_UUIDS = [
    *NO_ID_BUT_A_TAGS,
    "x",
    DEVICE[:-1],
    DEVICE + "0",
    DEVICE.replace("-", ""),
    f"{{{DEVICE}}}",
    DEVICE + "\n",
]


def functions() -> dict[str, Callable[..., object]]:
    methods = {
        f"service.{name}": each for name, each in inspect.getmembers(ProvisioningService, inspect.isfunction)
    }
    builders = {
        f"operations.{name}": each for name, each in inspect.getmembers(operations, inspect.isfunction)
    }
    return {
        name: each for name, each in (methods | builders).items()
        if name.partition(".")[2][0] != "_" and each.__module__.startswith("airflow_provider_nrfprov.api.")
    }  # fmt: skip


CASES = [
    (name, parameter)
    for name, function in functions().items()
    for parameter in inspect.signature(function).parameters
    if parameter in IDS and not name.startswith("operations.checked")
]


def wrong_values(parameter: str) -> list[object]:
    return [
        *NO_IDS,
        *({"tag_id": []}.get(parameter, NO_UUIDS if "device" in parameter else NO_ID_BUT_A_TAGS)),
    ]


def test_whatever_takes_an_id_is_tried_below():
    assert {parameter for _, parameter in CASES} == set(IDS)
    assert len(CASES) > 25
    named = {
        parameter
        for function in functions().values()
        for parameter in inspect.signature(function).parameters
        if parameter.endswith(("_id", "_ids"))
    }
    assert named == set(IDS)


def read_on(result: object) -> None:
    """What is listed is asked for when it is read."""
    next(iter(result), None)


@pytest.fixture(scope="module")
def service():
    handler = always(404, b"{}")
    with serving(handler) as url:
        calls = Calls(url, "a-key")
        yield calls, handler.asked
        calls.get_conn().close()


@pytest.mark.parametrize(("name", "parameter"), CASES)
def test_what_is_no_id_is_refused_before_a_request(service, name, parameter):
    calls, asked = service
    function = functions()[name]
    for wrong in wrong_values(parameter):
        arguments = {
            each: {**IDS, **OTHERS, "self": calls, parameter: wrong}[each]
            for each, about in inspect.signature(function).parameters.items()
            if about.default is inspect.Parameter.empty or each in IDS
        }
        if parameter == "device_ids":
            arguments[parameter] = [DEVICE, wrong]
        with pytest.raises(ValueError, match="nothing was sent"):
            read_on(function(**arguments))
    assert asked == []


def test_what_is_no_id_is_shown_but_no_token():
    with pytest.raises(ValueError, match="claim token") as caught:
        operations.unclaim_device(mint_token(DEVICE))
    assert mint_token(DEVICE)[:20] not in str(caught.value)


def test_a_uuid_in_capitals_is_a_uuid():
    assert operations.unclaim_device(DEVICE.upper()).path_parts == {"device_id": DEVICE}
