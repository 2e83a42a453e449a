"""The API of projects without Airflow: requests as Nordic's client sends them, answers read, the key kept at home."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from airflow_provider_nrfprov.api import (
    ConfigurationError,
    ForbiddenError,
    NotFoundError,
    NotInThisApiError,
    ProvisioningClient,
    ProvisioningService,
    UnauthorizedError,
    UnreadableAnswerError,
    operations,
)
from airflow_provider_nrfprov.api.access import Access
from airflow_provider_nrfprov.api.contract import CLAIM_TAGS, DEVICE_FILTERS, DRY_RUN, ENDPOINTS, Host
from airflow_provider_nrfprov.api.errors import ForeignStatusUrlError, UnknownJobError
from airflow_provider_nrfprov.api.models import BulkOpsRequest
from airflow_provider_nrfprov.api.project_api import ProjectApi, project_page, project_urls
from airflow_provider_nrfprov.api.project_contract import (
    FACTS,
    NOT_IN_PROJECT,
    PROJECT_ENDPOINTS,
    JobWords,
    Known,
)
from airflow_provider_nrfprov.api.retry import NEVER
from airflow_provider_nrfprov.emulator.mint import MintedDevice, mint_devices
from airflow_provider_nrfprov.emulator.server import Emulator
from harness.small_server import always, serving

TOKEN = "oat_emulator-token"
DEVICES = list(mint_devices(5, seed="project"))
DEVICE = DEVICES[0].device_id
IN_PROJECT = "/v1/organizations/acme-inc/projects/smart-sink"


def access(url: str, words: JobWords | None = None, key: str = TOKEN) -> Access:
    urls = project_urls("acme-inc", "smart-sink", url)
    return Access(key, urls=urls, endpoint_candidates=dict(PROJECT_ENDPOINTS), api=ProjectApi(urls, words))


class Project(ProvisioningService):
    """The calls, for a project of a service at a URL."""

    def __init__(self, url: str, words: JobWords | None = None) -> None:
        self.client = ProvisioningClient(access(url, words), retry=NEVER)

    def get_conn(self) -> ProvisioningClient:
        return self.client


def csv_of(devices: list[MintedDevice]) -> str:
    rows = "".join(f"{each.device_id},{each.token}\n" for each in devices)
    return f"deviceId,attestationToken\n{rows}"


@pytest.fixture
def project(emulator: Emulator) -> Iterator[Project]:
    service = Project(emulator.url)
    yield service
    service.client.close()


@pytest.fixture
def answered() -> Iterator[Callable[..., Project]]:
    """Begin a project of a service that gives every request one answer; its ``asked`` are the requests and keys."""
    with ExitStack() as stack:

        def begin(status: int, body: object, words: JobWords | None = None, **headers: str) -> Project:
            handler = always(status, json.dumps(body).encode(), headers)
            service = Project(stack.enter_context(serving(handler)), words)
            service.asked = lambda: [(what, sent.get("Authorization")) for what, sent in handler.asked]
            return service

        yield begin


# --- what is sent ---------------------------------------------------------------------------------------


def test_a_bulk_creation_is_sent_as_nordics_client_sends_it(answered):
    service = answered(202, {"url": f"{IN_PROJECT}/long-range/devices/bulk/1"})
    assert service.bulk_claim(csv_of(DEVICES)).bulk_ops_request_id == "1"
    assert service.asked() == [(f"POST {IN_PROJECT}/long-range/devices/bulk", f"Bearer {TOKEN}")]


def test_devices_are_created_waited_for_listed_and_fetched(emulator, project):
    job = project.bulk_claim(csv_of(DEVICES)).bulk_ops_request_id
    operation = project.fetch_bulk_ops_request(job)
    assert (operation.status, operation.is_finished, operation.names_errors) == ("SUCCEEDED", True, False)
    listed = {each.id: each.claimed_at for each in project.list_claimed_devices()}
    assert listed.keys() == {each.device_id for each in DEVICES}
    assert all(listed.values())
    assert project.fetch_claimed_device(DEVICE).claimed_at == listed[DEVICE]
    assert project.fetch_claimed_device(DEVICE).extra["cohort"]["slug"] == "default"
    with pytest.raises(NotFoundError):
        project.fetch_claimed_device("7b21b4bc-1cc9-41df-b05c-61b4605e5bb0")


def test_a_list_is_read_page_by_page(emulator, project, monkeypatch):
    monkeypatch.setattr("airflow_provider_nrfprov.api.project_contract.PAGE_SIZE", 2)
    project.bulk_claim(csv_of(DEVICES))
    assert [each.id for each in project.list_claimed_devices()] == [each.device_id for each in DEVICES]
    assert emulator.service.request_counts()["ListDevices"] == 3


def test_many_devices_are_looked_up_on_pages_and_few_one_by_one(emulator, project):
    many = list(mint_devices(900, seed="many"))
    project.bulk_claim(csv_of(many))
    wanted = [each.device_id for each in many] + [DEVICE]
    assert len(project.find_claimed_devices(wanted, project.now().subtract(minutes=1))) == 900
    assert emulator.service.request_counts()["ListDevices"] == 1
    assert project.find_claimed_devices(wanted[:2]).keys() == set(wanted[:2])
    assert emulator.service.request_counts()["FetchDevice"] == 3


def test_a_page_that_does_not_say_how_many_there_are_is_no_list(answered):
    with pytest.raises(UnreadableAnswerError, match="expected fields"):
        list(answered(200, {"data": []}).list_claimed_devices())


def listing(*serials: str) -> dict[str, object]:
    return {"data": [{"device_serial": each} for each in serials], "paging": {"page": 1, "page_count": 1}}


def test_a_device_that_was_not_created_from_a_token_is_listed_by_its_serial_as_it_is(answered):
    service = answered(200, listing("TEST_1", "nrf-350457790000000", DEVICE.upper()))
    assert [each.id for each in service.list_claimed_devices()] == ["TEST_1", "nrf-350457790000000", DEVICE]


def test_a_device_of_any_serial_is_fetched(answered):
    service = answered(200, {"data": {"device_serial": "TEST_1"}})
    assert service.fetch_claimed_device("TEST_1").id == "TEST_1"
    assert service.asked()[0][0].endswith("/projects/smart-sink/devices/TEST_1")


@pytest.mark.parametrize(
    "serial", ["", "../x", "a/b", "a?b", "x y", "\u00e4", None, 7, DEVICES[0].token[:30]]
)
def test_what_can_be_no_serial_is_not_sent(answered, serial):
    service = answered(200, {})
    with pytest.raises(ValueError, match="nothing was sent") as caught:
        service.fetch_claimed_device(serial)
    assert service.asked() == []
    assert DEVICES[0].token[:30] not in str(caught.value)


# --- where a job is asked about ------------------------------------------------------------------------------


@pytest.mark.parametrize("where", ["relative", "absolute", "body"])
def test_a_job_is_known_by_a_short_id_wherever_it_is_named(emulator, project, where):
    emulator.reset(bulk_seconds=0.0, project_status_url=where)
    job = project.bulk_claim(csv_of(DEVICES)).bulk_ops_request_id
    assert [job] == [each.id for each in emulator.service.bulk_operations()]
    assert project.fetch_bulk_ops_request(job).is_finished


@pytest.mark.parametrize(
    "location",
    [
        "/v2/jobs/01J/status?of=acme-inc&kind=bulk",
        f"{IN_PROJECT}/long-range/devices/bulk/a/b",
        f"{IN_PROJECT}/long-range/devices/bulk/a?part=1",
        "/jobs/~a%2Fb",
        "jobs/1",
    ],
)
def test_any_status_url_on_the_services_own_host_is_asked_as_it_is(answered, location):
    service = answered(202, {"status": "IN_PROGRESS"}, Location=location)
    job = service.bulk_claim(csv_of(DEVICES)).bulk_ops_request_id
    assert "/" not in job, "an id of bulk operations with a slash is taken for the path of a file"
    assert service.fetch_bulk_ops_request(job).status == "IN_PROGRESS"
    assert service.asked()[1:] == [(f"GET /{location.removeprefix('/')}", f"Bearer {TOKEN}")]


@pytest.mark.parametrize(
    "location",
    [
        "https://elsewhere.invalid/v1/jobs/1",
        "//elsewhere.invalid/jobs/1",
        "https://127.0.0.1/jobs/1",
        "http://127.0.0.1:1/jobs/1",
        "http://api@elsewhere.invalid/jobs/1",
        "ftp://127.0.0.1/jobs/1",
    ],
)
def test_an_answer_that_names_another_host_is_an_error_and_that_host_gets_no_key(answered, location):
    service = answered(202, {}, Location=location)
    with pytest.raises(ForeignStatusUrlError, match="nothing is sent there") as caught:
        service.bulk_claim(csv_of(DEVICES))
    assert len(service.asked()) == 1
    assert TOKEN not in str(caught.value)


@pytest.mark.parametrize(
    ("location", "named"),
    [
        ("https://127.0.0.1:9/jobs/1", "refers to https://127.0.0.1:9 for"),
        ("http://127.0.0.1/jobs/1", "refers to http://127.0.0.1 for"),
        ("https://elsewhere.invalid/jobs/1", "refers to elsewhere.invalid for"),
    ],
)
def test_scheme_and_port_are_named_where_they_are_all_that_differs(answered, location, named):
    with pytest.raises(ForeignStatusUrlError, match=re.escape(named)):
        answered(202, {}, Location=location).bulk_claim(csv_of(DEVICES))


@pytest.mark.parametrize("token", [TOKEN, TOKEN.replace("_", "%5F")])
def test_a_status_url_that_holds_a_key_is_not_asked_and_not_shown(answered, token):
    service = answered(202, {}, Location=f"{IN_PROJECT}/long-range/devices/bulk/1?token={token}")
    with pytest.raises(UnknownJobError, match="holds a key") as caught:
        service.bulk_claim(csv_of(DEVICES))
    assert token not in str(caught.value)


def test_a_job_elsewhere_and_a_made_up_id_are_not_asked_about(emulator, project):
    for made_up in ("at~68ttp~3A~2F~2Felsewhere.invalid~2Fx", "a/b", "../x", "", "at~2Fx y"):
        with pytest.raises((ValueError, UnreadableAnswerError, NotFoundError)):
            project.fetch_bulk_ops_request(made_up)
    assert emulator.service.request_counts().keys() <= {"unknown path", "FetchBulkCreation"}


@pytest.mark.parametrize("location", ["http://[", "/a b", "/\u00e4", "/x" * 600])
def test_a_status_url_that_is_none_is_an_unreadable_answer(answered, location):
    with pytest.raises(UnreadableAnswerError, match="status URL"):
        answered(202, {"url": location}).bulk_claim(csv_of(DEVICES))


@pytest.mark.parametrize(("status", "body"), [(200, {"claimedIds": []}), (201, {}), (202, {}), (202, [])])
def test_a_yes_of_another_kind_is_no_answer(answered, status, body):
    with pytest.raises(UnreadableAnswerError):
        answered(status, body).bulk_claim(csv_of(DEVICES))


# --- the state of a job ----------------------------------------------------------------------------------------


@pytest.fixture
def job(answered) -> Callable[..., BulkOpsRequest]:
    """What is read from an answer about a job."""
    return lambda body, words=None: answered(200, body, words).fetch_bulk_ops_request("1")


def failed(errors: object) -> dict[str, object]:
    return {"status": "FAILED", "errorSummary": {"errors": errors}}


def test_errors_are_read_by_device_and_by_row_and_the_rest_is_kept(job):
    errors = [
        {"error": "a", "deviceId": DEVICE.upper()},
        {"error": f"of {DEVICES[1].token}", "row": 2},
        {"error": "c", "row": -1},
        "d",
        {"deviceId": DEVICES[3].device_id, "row": 9},
    ]
    operation = job(failed(errors))
    summary = operation.errors
    assert summary.devices == {DEVICE: "a", DEVICES[3].device_id: "refused without a reason"}
    assert summary.rows == {2: "of <claim token>"}
    assert summary.others == ('{"error": "c", "row": -1}', "d")
    assert summary.unnamed_are_done is False
    assert operation.is_finished


@pytest.mark.parametrize(
    "unplaced", [{"deviceId": ""}, {"deviceId": "nrf-1"}, {"row": 1000}, {"row": "2"}, {}]
)
def test_an_error_that_can_be_of_no_row_that_was_sent_proves_nothing_of_the_others(job, unplaced):
    errors = [{"error": "a", "deviceId": DEVICE}, {"error": "b", **unplaced}]
    summary = job(failed(errors)).errors
    assert (summary.devices, summary.rows) == ({DEVICE: "a"}, {})
    assert summary.others == (json.dumps(errors[1]),)
    assert summary.unnamed_are_done is False


@pytest.mark.parametrize("unreadable", ["", "nrf-1", None, 7])
def test_the_row_counts_where_what_an_error_names_can_be_no_device_of_ours(job, unreadable):
    errors = [{"error": "b", "deviceId": unreadable, "row": 2}]
    summary = job(failed(errors)).errors
    assert (summary.devices, summary.rows, summary.unnamed_are_done) == ({}, {2: "b"}, True)


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ({"error": {"code": 7}}, '{"code": 7}'),
        ({"error": ["a"]}, '["a"]'),
        ({"error": 7}, "7"),
        ({"error": None, "message": "b"}, '{"message": "b"}'),
    ],
)
def test_words_of_another_kind_or_in_another_place_are_told_as_they_came(job, said, told):
    assert job(failed([{**said, "row": 0}])).errors.rows == {0: told}


@pytest.mark.parametrize("summary", ["words", 7, ["[0]: x"], {"errors": "x"}, {"errors": None}, {}])
def test_a_summary_that_names_nothing_proves_nothing_of_other_rows(job, summary):
    assert job({"status": "FAILED", "errorSummary": summary}).errors.unnamed_are_done is False


@pytest.mark.parametrize(("readding", "refused"), [("error", {2: "device already exists"}), ("accepted", {})])
def test_the_emulator_takes_the_second_row_of_a_device_as_one_of_a_device_that_exists(
    emulator, project, readding, refused
):
    emulator.reset(bulk_seconds=0.0, project_readding=readding, project_errors_by="row")
    job_id = project.bulk_claim(csv_of([*DEVICES[:2], DEVICES[0]])).bulk_ops_request_id
    errors = project.fetch_bulk_ops_request(job_id).errors
    assert (errors.rows if errors else {}) == refused
    assert set(emulator.service.claim_counts().values()) == {1}


def test_names_of_statuses_are_those_of_the_connection_and_others_are_no_end(job, caplog):
    words = JobWords(frozenset({"DONE"}), frozenset({"PARTIAL"}), frozenset({"RUNNING"}))
    found = {}
    for word in ("DONE", "PARTIAL", "RUNNING", "PAUSED", "SUCCEEDED"):
        operation = job({"status": word}, words)
        found[word] = (operation.status, operation.is_finished)
    assert found == {
        "DONE": ("SUCCEEDED", True),
        "PARTIAL": ("PARTIAL", True),
        "RUNNING": ("RUNNING", False),
        "PAUSED": ("PAUSED", False),
        "SUCCEEDED": ("SUCCEEDED", False),
    }
    assert [each.args[1] for each in caplog.records] == ["PAUSED", "SUCCEEDED"]


def test_a_status_is_shown_without_tokens_and_not_at_any_length(job, caplog):
    operation = job({"status": f"{DEVICE} {DEVICES[0].token}" + " x" * 1000})
    assert operation.status.startswith(f"{DEVICE} <claim token> x x")
    assert len(operation.status) == 100
    assert not operation.is_finished
    assert DEVICES[0].token not in caplog.text


@pytest.mark.parametrize("body", [{}, {"status": None}, {"status": ""}, [], "x"])
def test_a_job_without_a_status_is_an_unreadable_answer(job, body):
    with pytest.raises(UnreadableAnswerError):
        job(body)


# --- refusals ----------------------------------------------------------------------------------------------------


def test_refusals_say_what_to_do_in_words_of_this_api(emulator, project):
    emulator.service.keys.revoke(TOKEN)
    with pytest.raises(UnauthorizedError, match="Organization Auth Tokens"):
        project.bulk_claim(csv_of(DEVICES))
    emulator.reset(project_plan_limit=1)
    emulator.service.keys.restore(TOKEN)
    with pytest.raises(ForbiddenError, match=r"room for 1 devices[\s\S]*no more room"):
        project.bulk_claim(csv_of(DEVICES))
    emulator.reset(organization="another")
    with pytest.raises(NotFoundError, match="Check the connection's organization and project"):
        project.bulk_claim(csv_of(DEVICES))
    with pytest.raises(NotFoundError) as caught:
        project.fetch_claimed_device(DEVICE)
    assert caught.value.problem.message == "there is no such organization or project"


def test_causes_are_part_of_the_reason(answered):
    service = answered(400, {"message": "bad file", "cause": ["row 1: a", "row 2: b"]})
    with pytest.raises(Exception, match="bad file") as caught:
        service.bulk_claim(csv_of(DEVICES))
    assert caught.value.problem.message == "bad file (row 1: a; row 2: b)"


# --- what it has no way for --------------------------------------------------------------------------------------


def test_the_table_knows_every_operation_of_the_teams_api_and_says_what_is_nearest():
    assert NOT_IN_PROJECT.keys() == ENDPOINTS.keys() | {DRY_RUN, CLAIM_TAGS, DEVICE_FILTERS}
    for missing in NOT_IN_PROJECT.values():
        assert all((missing.what, missing.why, missing.nearest))


def test_nothing_is_sent_for_what_a_project_has_no_way_for(emulator, project):
    calls = {
        "claim_device": ("t",), "dry_run_claim": ("t",), "list_tags": (), "create_tag": ("a",), "list_rules": (),
        "set_device_tags": (DEVICE, ["a"]), "block_device": (DEVICE,), "unblock_device": (DEVICE,),
        "unclaim_device": (DEVICE,), "list_commands": (DEVICE,), "list_device_tags": (DEVICE,),
        "create_command": (DEVICE, {"finished": {}}), "fetch_command": (DEVICE, "1"), "find_tag": ("a",),
        "ensure_tag": ("a",), "rename_tag": ("a", "b"), "delete_tag": ("a",), "ensure_onboarding_rule": (),
        "list_bulk_ops_requests": (),
    }  # fmt: skip
    for name, arguments in calls.items():
        with pytest.raises(
            NotInThisApiError, match=r"^The API of projects has no public way for .*Nearest: "
        ):
            list(getattr(project, name)(*arguments) or [])
    for conditions in ({"tag": "a"}, {"status": "READY"}):
        with pytest.raises(NotInThisApiError, match="by tag or status"):
            list(project.list_claimed_devices(**conditions))
    assert emulator.service.request_counts() == {}
    assert not project.can("CreateTag")
    assert project.can("CreateDevicesInBulk")


def test_an_operation_of_the_teams_api_is_refused_by_the_client_itself(emulator, project):
    for operation in (operations.bulk_claim("x"), operations.fetch_claimed_device(DEVICE)):
        with pytest.raises(NotInThisApiError):
            project.client.send(operation)
    assert emulator.service.request_counts() == {}


# --- what a connection gives -------------------------------------------------------------------------------------


@pytest.mark.parametrize("key", ["", "emulator-key", "0" * 40, "OAT_x", "oat_", "xoat_y", "oat_a b"])
def test_a_key_of_another_kind_is_refused_before_anything_is_sent(key):
    with pytest.raises(ConfigurationError, match=r"Organization Auth Tokens|white space") as caught:
        access("http://127.0.0.1:9", key=key)
    assert len(key) < 5 or key not in str(caught.value)


@pytest.mark.parametrize("slug", ["", "Acme", "a/b", "..", "a b", "-a", "a-", "\u00e4", "a?b", None, 7])
def test_an_organization_or_project_that_is_no_slug_is_refused(slug):
    for arguments, what in (((slug, "x"), "organization"), (("x", slug), "project")):
        with pytest.raises(ConfigurationError, match=f"extra '{what}'"):
            project_urls(*arguments)


def test_the_hosts_are_nordics_own_or_that_of_the_base_url():
    path = "/organizations/a/projects/b"
    assert project_urls("a", "b") == {
        Host.CLOUD: f"https://api.nrfcloud.com/v1{path}",
        Host.DEVICES: f"https://api.memfault.com/api/v0{path}",
    }
    assert project_urls("a", "b", "proxy.factory/nrf/v1")[Host.DEVICES] == (
        f"https://proxy.factory/nrf/api/v0{path}"
    )
    assert project_urls("a", "b", "http://x:1", "https://y/api/v0")[Host.DEVICES] == f"https://y/api/v0{path}"
    with pytest.raises(ConfigurationError, match="leave the field empty"):
        project_urls("a", "b", "https://api.provisioning.nrfcloud.com")
    assert project_page("a", "b") == "https://app.memfault.com/organizations/a/projects/b"
    assert project_page("a", "b", "http://127.0.0.1:8099") is None


def test_each_fact_has_a_source():
    assert {each.known for each in FACTS} == set(Known)
    assert all(each.what and each.source for each in FACTS)
    assert all(each.source for (each,) in PROJECT_ENDPOINTS.values())
