"""The operators on tags themselves, through the wire to the emulator, as Airflow calls them."""

from __future__ import annotations

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException

from airflow_provider_nrfprov.api.errors import ForbiddenError
from airflow_provider_nrfprov.emulator.accounts import TEAM_A, VIEWER_KEY
from airflow_provider_nrfprov.emulator.faults import DropAfter
from airflow_provider_nrfprov.exceptions import TagRefusedError
from airflow_provider_nrfprov.hooks.nrfprov import NrfProvHook
from airflow_provider_nrfprov.operators.tags import (
    NrfProvDeleteTagOperator,
    NrfProvEnsureTagsOperator,
    NrfProvRenameTagOperator,
)


def tag_names(emulator) -> list[str]:
    return [tag.tag for tag in emulator.service.team_tags(TEAM_A)]


def test_creates_the_tags_that_are_not_there(nrfcloud):
    NrfProvHook().create_tag("b", "as it was")
    operator = NrfProvEnsureTagsOperator(task_id="tags", tags="['a', 'b', 'a']", description="new")
    assert operator.execute({}) == {"created": ["a"], "existing": ["b"]}
    assert operator.execute({}) == {"created": [], "existing": ["a", "b"]}
    assert {tag.tag: tag.description for tag in NrfProvHook().list_tags()} == {"a": "new", "b": "as it was"}


def test_one_tag_that_is_too_long_keeps_all_from_being_created(nrfcloud):
    with pytest.raises(ValueError, match="101 characters, at most 100"):
        NrfProvEnsureTagsOperator(task_id="tags", tags=["a", "x" * 101]).execute({})
    assert not nrfcloud.service.request_counts()


def test_renames_a_tag_and_says_on_how_many_devices(nrfcloud, tokens):
    for token in tokens:
        NrfProvHook().claim_device(token, ["old"])
    operator = NrfProvRenameTagOperator(task_id="rename", tag="old", new_tag="new")
    assert operator.execute({}) == {"tag": "new", "devices": 5}
    assert {tuple(device.tags) for device in nrfcloud.service.claimed_devices()} == {("new",)}
    assert operator.execute({}) == {"tag": "new", "devices": 0}  # repeated: done before


def test_a_rename_whose_answer_was_lost_is_done_when_it_is_repeated(nrfcloud, tokens):
    NrfProvHook().claim_device(tokens[0], ["old"])
    nrfcloud.service.faults.plan("UpdateTag", DropAfter())
    operator = NrfProvRenameTagOperator(task_id="rename", tag="old", new_tag="new")
    with pytest.raises(Exception, match="may have been carried out"):
        operator.execute({})
    assert operator.execute({}) == {"tag": "new", "devices": 0}
    assert nrfcloud.service.claimed_devices()[0].tags == ["new"]


def test_a_tag_that_is_not_there_cannot_be_renamed_and_a_retry_would_not_help(nrfcloud):
    with pytest.raises(TagRefusedError, match="no tag 'old'") as caught:
        NrfProvRenameTagOperator(task_id="rename", tag="old", new_tag="new").execute({})
    assert isinstance(caught.value, AirflowFailException)


@pytest.mark.parametrize("from_devices", [False, "False"])
def test_a_tag_that_devices_carry_stays(nrfcloud, tokens, from_devices):
    NrfProvHook().claim_device(tokens[0], ["worn"])
    with pytest.raises(TagRefusedError, match=r"1 device has the tag 'worn'.*from_devices"):
        NrfProvDeleteTagOperator(task_id="delete", tag="worn", from_devices=from_devices).execute({})
    assert tag_names(nrfcloud) == ["worn"]


def test_a_tag_is_taken_from_its_devices_when_told_so(nrfcloud, tokens):
    NrfProvHook().claim_device(tokens[0], ["worn", "kept"])
    operator = NrfProvDeleteTagOperator(task_id="delete", tag="worn", from_devices="True")
    assert operator.execute({}) == {"tag": "worn", "devices": 1}
    assert nrfcloud.service.claimed_devices()[0].tags == ["kept"]
    assert operator.execute({}) == {"tag": "worn", "devices": 0}


def test_a_viewer_is_told_which_role_is_wanted(connect, emulator):
    connect(emulator.url, VIEWER_KEY)
    with pytest.raises(ForbiddenError, match="CreateTag requires the role Editor, Admin or Owner"):
        NrfProvEnsureTagsOperator(task_id="tags", tags=["a"]).execute({})
