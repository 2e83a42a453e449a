"""The calls that are more than one request, through the wire to the emulator."""

from __future__ import annotations

import json

import pendulum
import pytest

from airflow_provider_nrfprov.api import onboarding
from airflow_provider_nrfprov.api.errors import (
    ConflictError,
    NotFoundError,
    ServiceError,
    TagError,
    UnavailableError,
)
from airflow_provider_nrfprov.api.retry import Retry
from airflow_provider_nrfprov.claiming.token import decode
from airflow_provider_nrfprov.emulator.accounts import TEAM_A
from airflow_provider_nrfprov.emulator.clock import ManualClock
from airflow_provider_nrfprov.emulator.faults import DropAfter, Refuse
from airflow_provider_nrfprov.emulator.mint import mint_devices
from airflow_provider_nrfprov.emulator.server import Emulator, running_emulator
from harness.small_server import in_turn, serving
from tests.calls import Calls

AGAIN = Retry(attempts=3, first_wait=0.01)


@pytest.fixture
def calls(emulator) -> Calls:
    return Calls(emulator.url)


def tag_names(emulator: Emulator) -> list[str]:
    return [tag.tag for tag in emulator.service.team_tags(TEAM_A)]


def claim_many(calls: Calls, count: int, tags: str = "", seed: str = "calls") -> list[str]:
    devices = list(mint_devices(count, seed=seed))
    calls.bulk_claim("".join(f'"{device.token}","{tags}"\n' for device in devices))
    list(calls.list_bulk_ops_requests())  # what is due has happened
    return [device.device_id for device in devices]


# --- listing -------------------------------------------------------------------------------------------


def test_a_list_is_an_iterator_that_asks_for_a_page_when_it_is_needed(emulator, calls):
    ids = claim_many(calls, 250)
    devices = calls.list_claimed_devices()
    assert "ListClaimedDevices" not in emulator.service.request_counts()
    assert next(devices).id == ids[0]
    assert emulator.service.request_counts()["ListClaimedDevices"] == 1
    assert [device.id for device in devices] == ids[1:]
    assert emulator.service.request_counts()["ListClaimedDevices"] == 3


@pytest.mark.parametrize("filters", ["applied", "overlooked", "refused"])
def test_a_list_holds_what_was_asked_for_whatever_the_service_makes_of_the_inferred_names(filters):
    clock = ManualClock()
    with running_emulator(clock=clock, device_filters=filters) as emulator:
        calls = Calls(emulator.url)
        tokens = [device.token for device in mint_devices(3, seed="filters")]
        early = calls.claim_device(tokens[0], ["x"]).id
        clock.advance(3600)
        late = calls.claim_device(tokens[1], ["x", "y"]).id
        blocked = calls.claim_device(tokens[2], ["y"]).id
        calls.block_device(blocked)
        noon = pendulum.instance(clock.now).subtract(minutes=30)

        def ids(**conditions) -> list[str]:
            return [device.id for device in calls.list_claimed_devices(**conditions)]

        assert ids() == [early, late, blocked]
        assert ids(tag="x") == [early, late]
        assert ids(tag="nothing") == []
        assert ids(status="BLOCKED") == [blocked]
        assert ids(claimed_after=noon) == [late, blocked]
        assert ids(claimed_after=noon, tag="x", status="READY") == [late]
        assert ids(claimed_after=noon.in_timezone("Asia/Tokyo")) == [late, blocked]


def test_filters_that_the_service_applies_save_pages(emulator, calls):
    claim_many(calls, 300)
    claim_many(calls, 5, "rare", seed="rare")
    assert len(list(calls.list_claimed_devices(tag="rare"))) == 5
    assert emulator.service.request_counts()["ListClaimedDevices"] == 1


def test_a_refusal_that_is_not_about_the_filters_is_an_error(emulator, calls):
    emulator.service.faults.plan("ListClaimedDevices", Refuse(401))
    with pytest.raises(ServiceError, match="401"):
        list(calls.list_claimed_devices(tag="x"))
    assert emulator.service.request_counts() == {"ListClaimedDevices": 1}


# --- tags ----------------------------------------------------------------------------------------------


def test_a_tag_is_ensured_however_often(emulator, calls):
    assert calls.ensure_tag("line=1", "first") is True
    assert calls.ensure_tag("line=1", "again") is False
    (tag,) = calls.list_tags()
    assert (tag.tag, tag.description) == ("line=1", "first")


def test_a_tag_whose_creation_was_answered_by_nobody_is_ensured_all_the_same(emulator):
    emulator.service.faults.plan("CreateTag", DropAfter())
    assert Calls(emulator.url, retry=AGAIN).ensure_tag("line=1") is False
    assert tag_names(emulator) == ["line=1"]


def test_a_service_that_refuses_an_existing_tag_in_its_own_way_is_looked_at():
    refusal = (400, json.dumps({"message": "not like that"}).encode(), None)
    tags = (200, json.dumps({"items": [{"tag": "line=1"}, {"tag": "line=2"}]}).encode(), None)
    with serving(in_turn(refusal, tags, refusal, tags)) as url:
        calls = Calls(url)
        assert calls.ensure_tag("line=2") is False
        with pytest.raises(ServiceError, match="not like that"):
            calls.ensure_tag("line=3")
        calls.get_conn().close()


@pytest.mark.parametrize("contract", ["async", "sync"])
def test_the_tags_of_one_device_are_listed(emulator, calls, contract, tokens):
    emulator.reset(contract=contract)
    device = calls.claim_device(tokens[0], ["a", "b"])
    listed = calls.list_device_tags(device.id)
    assert [tag.tag for tag in listed] == ["a", "b"]
    assert all(tag.id for tag in listed)
    with pytest.raises(NotFoundError):
        calls.list_device_tags(decode(tokens[1]).device_id)


def test_the_tags_of_a_device_are_its_own_where_the_guides_path_finds_no_device(emulator, calls, tokens):
    device = calls.claim_device(tokens[0], ["a", "b"])
    emulator.service.faults.plan("FetchTag", Refuse(404), times=None)
    assert [tag.tag for tag in calls.list_device_tags(device.id)] == ["a", "b"]


def test_renaming_a_tag_tells_how_many_devices_that_touches(emulator, calls, tokens):
    calls.create_tag("old", "kept")
    for token in tokens[:3]:
        calls.claim_device(token, ["old"])
    calls.claim_device(tokens[3], ["other"])
    assert calls.rename_tag("old", "new") == 3
    assert sorted(tuple(device.tags) for device in emulator.service.claimed_devices()) == [
        ("new",), ("new",), ("new",), ("other",),
    ]  # fmt: skip
    assert next(tag for tag in calls.list_tags() if tag.tag == "new").description == "kept"
    assert calls.rename_tag("old", "new") == 0  # done before
    assert calls.rename_tag("new", "new", "described anew") == 3
    assert next(tag for tag in calls.list_tags() if tag.tag == "new").description == "described anew"


@pytest.mark.parametrize(
    ("tag", "new_tag", "words"),
    [("missing", "new", "no tag 'missing'"), ("a", "b", "to 'b', which exists already")],
)
def test_a_rename_that_cannot_be_is_refused_before_anything_changes(emulator, calls, tag, new_tag, words):
    calls.create_tag("a")
    calls.create_tag("b")
    with pytest.raises(TagError, match=words):
        calls.rename_tag(tag, new_tag)
    assert tag_names(emulator) == ["a", "b"]
    assert "UpdateTag" not in emulator.service.request_counts()


def test_a_tag_that_devices_carry_is_deleted_only_when_told_so(emulator, calls, tokens):
    for token in tokens[:2]:
        calls.claim_device(token, ["worn", "kept"])
    with pytest.raises(TagError, match="2 device"):
        calls.delete_tag("worn")
    assert "DeleteTags" not in emulator.service.request_counts()
    assert calls.delete_tag("worn", from_devices=True) == 2
    assert {tuple(device.tags) for device in emulator.service.claimed_devices()} == {("kept",)}
    assert calls.delete_tag("worn") == 0  # gone already


def test_a_tag_that_no_device_carries_is_deleted(emulator, calls):
    calls.create_tag("bare")
    assert calls.delete_tag("bare") == 0
    assert tag_names(emulator) == []


@pytest.mark.parametrize("tag", ["", "ø" * 101])
def test_a_tag_that_cannot_be_one_is_refused_before_anything_is_sent(emulator, calls, tokens, tag):
    for attempt in (
        lambda: calls.create_tag(tag),
        lambda: calls.ensure_tag(tag),
        lambda: calls.rename_tag("a", tag),
        lambda: calls.claim_device(tokens[0], [tag]),
        lambda: calls.set_device_tags(decode(tokens[0]).device_id, [tag]),
        lambda: calls.create_rule("r", [], [tag]),
    ):
        with pytest.raises(ValueError, match=r"is empty|101 characters, at most 100"):
            attempt()
    assert not emulator.service.request_counts()


def test_a_tag_of_100_characters_is_sent(emulator, calls):
    calls.create_tag("ø" * 100)
    assert tag_names(emulator) == ["ø" * 100]


# --- bulk operations -----------------------------------------------------------------------------------


def test_bulk_operations_are_listed_by_status_and_time(tokens):
    clock = ManualClock()
    with running_emulator(clock=clock, contract="async", bulk_seconds=60) as emulator:
        calls = Calls(emulator.url)
        started = []
        for row in (tokens[0], "rubbish", tokens[1]):
            started.append(calls.bulk_claim(f'"{row}"\n').bulk_ops_request_id)
            clock.advance(50)
        good, bad, pending = started

        def ids(**conditions) -> list[str]:
            return [operation.id for operation in calls.list_bulk_ops_requests(**conditions)]

        assert ids() == started
        assert ids(status="SUCCEEDED") == [good]
        assert ids(status="FAILED") == [bad]
        assert ids(status="IN_PROGRESS") == [pending]
        middle = pendulum.instance(clock.now).subtract(seconds=100)
        assert ids(requested_from=middle) == [bad, pending]
        assert ids(requested_until=middle) == [good, bad]


def test_error_summary_and_result_data_of_an_operation_are_fetched(emulator, calls, tokens):
    answer = calls.bulk_claim(f'"{tokens[0]}"\n"rubbish"\n')
    operation = calls.fetch_bulk_ops_request(str(answer.bulk_ops_request_id))
    assert list(calls.fetch_error_summary(operation).rows) == [1]
    result = calls.fetch_result_data(operation)
    assert json.loads(str(result)) == {"claimedIds": [decode(tokens[0]).device_id]}


def test_an_operation_that_goes_on_has_no_result_data_yet(emulator, calls, tokens):
    emulator.reset(contract="async", bulk_seconds=60)
    answer = calls.bulk_claim(f'"{tokens[0]}"\n')
    operation = calls.fetch_bulk_ops_request(str(answer.bulk_ops_request_id))
    assert calls.fetch_result_data(operation) is None


# --- rules and commands --------------------------------------------------------------------------------


def test_the_onboarding_rule_is_made_once_with_its_tag(emulator, calls):
    rule, created = calls.ensure_onboarding_rule()
    assert created
    assert (rule.name, rule.tags, rule.status) == (
        "nRF Cloud Onboarding",
        ("nrf-cloud-onboarding",),
        "ACTIVE",
    )
    assert [next(iter(command["request"])) for command in rule.commands] == [
        "clientPrivateKeyGeneration",
        "cloudAccessKeyGeneration",
        "serverCertificate",
    ]
    assert tag_names(emulator) == ["nrf-cloud-onboarding"]
    assert calls.ensure_onboarding_rule() == (rule, False)
    assert emulator.service.request_counts()["CreateProvisioningRule"] == 1


def test_security_tag_and_certificates_of_the_onboarding_rule_can_be_chosen(calls):
    rule, _ = calls.ensure_onboarding_rule(42, "PEM")
    assert [next(iter(command["request"].values())) for command in rule.commands] == [
        {"secTag": 42},
        {"secTag": 42},
        {"secTag": 42, "content": "PEM"},
    ]


def test_any_rule_for_the_onboarding_tag_will_do(emulator, calls):
    calls.create_rule("our own", [{"request": {"finished": {}}}], ["a", onboarding.ONBOARDING_TAG])
    rule, created = calls.ensure_onboarding_rule()
    assert (rule.name, created) == ("our own", False)


def test_a_rule_for_another_tag_that_has_the_name_is_an_error(calls):
    calls.create_rule(onboarding.ONBOARDING_RULE, [], ["another"])
    with pytest.raises(ConflictError):
        calls.ensure_onboarding_rule()


def test_the_default_certificates_are_two_roots_that_can_be_read():
    from cryptography.x509 import load_pem_x509_certificates

    names = [
        certificate.subject.rfc4514_string()
        for certificate in load_pem_x509_certificates(onboarding.ROOT_CERTIFICATES.encode())
    ]
    assert names == ["CN=Amazon Root CA 1,O=Amazon,C=US", "CN=nRF Cloud"]


def test_rules_are_created_as_drafts_and_listed(calls):
    calls.create_rule("draft", [{"request": {"finished": {}}}], ["a"], "words", active=False)
    calls.create_rule("active", [], ["b"])
    draft, active = calls.list_rules()
    assert (draft.name, draft.status, draft.description, draft.tags) == ("draft", "DRAFT", "words", ("a",))
    assert draft.commands == ({"request": {"finished": {}}},)
    assert active.status == "ACTIVE"


def test_a_devices_commands_are_created_listed_and_fetched(tokens):
    clock = ManualClock()
    with running_emulator(clock=clock) as emulator:
        calls = Calls(emulator.url)
        device = calls.claim_device(tokens[0])
        csr = calls.create_command(
            device.id, {"certificateSigningRequest": {"secTag": 7, "attributes": "O=Factory"}}, "the CSR"
        )
        last = calls.create_command(device.id, {"finished": {}})
        assert (csr.status, csr.is_finished, csr.response) == ("PENDING", False, None)
        assert [command.id for command in calls.list_commands(device.id)] == [csr.id, last.id]
        clock.advance(1)
        done = calls.fetch_command(device.id, csr.id)
        assert (done.status, done.is_finished, done.description) == ("SUCCEEDED", True, "the CSR")
        assert done.response["certificateSigningRequest"]["message"]
        with pytest.raises(NotFoundError):
            calls.fetch_command(device.id, "no-such-command")


def test_what_a_command_requests_stays_out_of_its_repr(emulator, calls, tokens):
    device = calls.claim_device(tokens[0])
    command = calls.create_command(device.id, {"clientPrivateKey": {"content": "very-private"}})
    assert command.request["clientPrivateKey"] == {"content": "very-private"}
    assert "very-private" not in repr(command)


def test_the_twenty_first_command_of_a_device_is_refused_in_the_services_words(emulator, calls, tokens):
    device = calls.claim_device(tokens[0])
    for _ in range(20):
        calls.create_command(device.id, {"finished": {}})
    with pytest.raises(ServiceError, match="20 commands"):
        calls.create_command(device.id, {"finished": {}})


def test_a_command_is_not_sent_twice_after_an_answer_that_was_lost(emulator, tokens):
    calls = Calls(emulator.url, retry=AGAIN)
    device = calls.claim_device(tokens[0])
    emulator.service.faults.plan("CreateDeviceProvisioningCommand", Refuse(500))
    with pytest.raises(UnavailableError):
        calls.create_command(device.id, {"finished": {}})
    assert emulator.service.request_counts()["CreateDeviceProvisioningCommand"] == 1
