"""The operators on tags themselves (the portal calls them provisioning groups): ensure, rename, delete."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from airflow_provider_nrfprov.api.errors import TagError
from airflow_provider_nrfprov.arguments import Argument, Arguments, flag, tag, tags, text
from airflow_provider_nrfprov.exceptions import TagRefusedError
from airflow_provider_nrfprov.operators.base import ConnectedOperator

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context


class NrfProvEnsureTagsOperator(ConnectedOperator):
    """Creates tags where they do not exist yet (CreateTag). A tag that is there is left as it is.

    :param tags: at most 100 characters each, which is checked before anything is sent.
    :param description: of those that are created.
    :param nrfprov_conn_id: Airflow connection of type ``nrfprov``.
    :return: ``{"created", "existing"}``, lists of tags.
    :raises ArgumentError: if a tag is empty or too long.
    :raises ServiceError: with the service's status and words.
    """

    arguments: ClassVar[Arguments] = {
        "tags": Argument(tags),
        "description": Argument(text, blank=True),
    }
    template_fields_renderers = {"tags": "json"}  # noqa: RUF012 - as Airflow declares it

    def __init__(
        self,
        *,
        tags: Sequence[str] | str,
        description: str = "",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.tags = tags
        self.description = description
        self._check_constants()

    def execute(self, context: Context) -> dict[str, list[str]]:
        """Create what is not there."""
        tags, description = self._value("tags"), self._value("description")
        ends: dict[str, list[str]] = {"created": [], "existing": []}
        for name in tags:
            ends["created" if self.hook.ensure_tag(name, description) else "existing"].append(name)
        self.log.info("created %s; there already: %s", ends["created"] or "none", ends["existing"] or "none")
        return ends


class NrfProvRenameTagOperator(ConnectedOperator):
    """Renames a tag on every device that has it (UpdateTag). May be repeated: a renamed tag is done.

    :param tag: the tag as it is called now.
    :param new_tag: at most 100 characters, which is checked before anything is sent.
    :param description: a new one; ``None`` for the tag to keep its own.
    :param nrfprov_conn_id: Airflow connection of type ``nrfprov``.
    :return: ``{"tag", "devices"}``: its name now, and how many devices this run renamed it on.
    :raises TagRefusedError: if there is no such tag, or another one has the new name.
    :raises ArgumentError: if the new name is empty or too long.
    :raises ServiceError: with the service's status and words.
    """

    arguments: ClassVar[Arguments] = {
        "tag": Argument(text),
        "new_tag": Argument(tag),
        "description": Argument(text, optional=True, blank=True),
    }

    def __init__(
        self,
        *,
        tag: str,
        new_tag: str,
        description: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.tag = tag
        self.new_tag = new_tag
        self.description = description
        self._check_constants()

    def execute(self, context: Context) -> dict[str, Any]:
        """Rename the tag."""
        tag, new_tag, description = (self._value(name) for name in ("tag", "new_tag", "description"))
        try:
            devices = self.hook.rename_tag(tag, new_tag, description)
        except TagError as error:
            raise TagRefusedError(str(error)) from None
        self.log.info("renamed the tag %r to %r; devices that have it: %d", tag, new_tag, devices)
        return {"tag": new_tag, "devices": devices}


class NrfProvDeleteTagOperator(ConnectedOperator):
    """Deletes a tag (DeleteTags), unless devices carry it. May be repeated: a tag that is not there is done.

    :param tag: its name.
    :param from_devices: delete it even though devices carry it; it leaves all of them.
    :param nrfprov_conn_id: Airflow connection of type ``nrfprov``.
    :return: ``{"tag", "devices"}``: its name, and how many devices carried it.
    :raises TagRefusedError: if devices carry it and ``from_devices`` is not set; the message has their number.
    :raises ServiceError: with the service's status and words.
    """

    arguments: ClassVar[Arguments] = {
        "tag": Argument(text),
        "from_devices": Argument(flag),
    }
    ui_color = "#f7dcd7"

    def __init__(
        self,
        *,
        tag: str,
        from_devices: bool | str = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.tag = tag
        self.from_devices = from_devices
        self._check_constants()

    def execute(self, context: Context) -> dict[str, Any]:
        """Delete the tag."""
        tag, from_devices = self._value("tag"), self._value("from_devices")
        try:
            devices = self.hook.delete_tag(tag, from_devices=from_devices)
        except TagError as error:
            raise TagRefusedError(f"{error}; set from_devices to remove it from there, too") from None
        self.log.info("deleted the tag %r; devices that had it: %d", tag, devices)
        return {"tag": tag, "devices": devices}
