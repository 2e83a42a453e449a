"""Operations on tags. Their reply bodies and statuses are choices; only the paths are documented."""

from __future__ import annotations

from typing import Any

from airflow_provider_nrfprov.emulator.tags import Tag
from airflow_provider_nrfprov.emulator.wire import Call, Reply, text_field


def create_tag(call: Call) -> Reply:
    """Take ``{"tag", "description"?}``; answer 201 and the tag, 409 if it exists."""
    body = call.json_object()
    tag = call.service.tags.create(call.team, text_field(body, "tag"), text_field(body, "description", ""))
    return Reply(201, tag_body(tag))


def list_tags(call: Call) -> Reply:
    """Answer 200 and ``{"items": [tag, …]}``, all of them."""
    return Reply(200, {"items": [tag_body(tag) for tag in call.service.tags.of_team(call.team)]})


def fetch_tag(call: Call) -> Reply:
    """Answer 200 and the tag; if the id is a device's, the tags of that device.

    Nordic's guide calls the id of this one path a device's on GET and a tag's on PUT and DELETE.
    """
    tag = call.service.tags.find(call.team, call.path["id"])
    device = call.service.devices.find(call.team, call.path["id"])
    if tag is None and device is not None:
        return Reply(200, {"items": [tag_body(held) for held in device.held_tags if not held.deleted]})
    return Reply(200, tag_body(tag or call.service.tags.get(call.team, call.path["id"])))


def update_tag(call: Call) -> Reply:
    """Take ``{"tag", "description"?}`` and rename the tag on every device; answer 200 and the tag."""
    tag = call.service.tags.get(call.team, call.path["id"])
    body = call.json_object()
    call.service.tags.update(tag, text_field(body, "tag"), text_field(body, "description", tag.description))
    return Reply(200, tag_body(tag))


def delete_tag(call: Call) -> Reply:
    """Delete the tag, also from every device; answer 204."""
    call.service.tags.delete(call.service.tags.get(call.team, call.path["id"]))
    return Reply(204)


def tag_body(tag: Tag) -> dict[str, Any]:
    """Return a tag: id, name and description."""
    return {"id": tag.id, "tag": tag.tag, "description": tag.description}
