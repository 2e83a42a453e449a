"""The operators on tags themselves (the portal calls them provisioning groups): ensure, rename, delete."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import BaseOperator

from airflow_provider_nrfprov.retries import set_default_retry_policy

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context


class NrfProvEnsureTagsOperator(BaseOperator):
    """Creates tags where they do not exist yet (CreateTag). A tag that is there is left as it is.

    :param tags: at most 100 characters each, which is checked before anything is sent.
    :param description: of those that are created.
    :param nrfprov_conn_id: Airflow connection of type ``nrfprov``.
    :return: ``{"created", "existing"}``, lists of tags.
    :raises ValueError: if a tag is empty or too long.
    :raises ServiceError: with the service's status and words.
    """

    template_fields: Sequence[str] = ("tags", "description", "nrfprov_conn_id")
    template_fields_renderers = {"tags": "json"}  # noqa: RUF012 - as Airflow declares it

    def __init__(
        self,
        *,
        tags: Sequence[str] | str,
        description: str = "",
        nrfprov_conn_id: str = "nrfprov_default",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        set_default_retry_policy(self)
        self.tags = tags
        self.description = description
        self.nrfprov_conn_id = nrfprov_conn_id

    def execute(self, context: Context) -> dict[str, list[str]]:
        """Create what is not there."""
        from airflow_provider_nrfprov.api.operations import checked_tag
        from airflow_provider_nrfprov.hooks.nrfprov import NrfProvHook
        from airflow_provider_nrfprov.rendered import listed

        tags = [checked_tag(tag) for tag in dict.fromkeys(listed(self.tags))]
        hook = NrfProvHook(self.nrfprov_conn_id)
        ends: dict[str, list[str]] = {"created": [], "existing": []}
        for tag in tags:
            ends["created" if hook.ensure_tag(tag, self.description) else "existing"].append(tag)
        self.log.info("created %s; there already: %s", ends["created"] or "none", ends["existing"] or "none")
        return ends


class NrfProvRenameTagOperator(BaseOperator):
    """Renames a tag on every device that has it (UpdateTag). May be repeated: a renamed tag is done.

    :param tag: the tag as it is called now.
    :param new_tag: at most 100 characters, which is checked before anything is sent.
    :param description: a new one; by default the tag keeps its own.
    :param nrfprov_conn_id: Airflow connection of type ``nrfprov``.
    :return: ``{"tag", "devices"}``: its name now, and how many devices this run renamed it on.
    :raises TagRefusedError: if there is no such tag, or another one has the new name.
    :raises ValueError: if the new name is empty or too long.
    :raises ServiceError: with the service's status and words.
    """

    template_fields: Sequence[str] = ("tag", "new_tag", "description", "nrfprov_conn_id")

    def __init__(
        self,
        *,
        tag: str,
        new_tag: str,
        description: str | None = None,
        nrfprov_conn_id: str = "nrfprov_default",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        set_default_retry_policy(self)
        self.tag = tag
        self.new_tag = new_tag
        self.description = description
        self.nrfprov_conn_id = nrfprov_conn_id

    def execute(self, context: Context) -> dict[str, Any]:
        """Rename the tag."""
        from airflow_provider_nrfprov.api.errors import TagError
        from airflow_provider_nrfprov.exceptions import TagRefusedError
        from airflow_provider_nrfprov.hooks.nrfprov import NrfProvHook

        try:
            devices = NrfProvHook(self.nrfprov_conn_id).rename_tag(self.tag, self.new_tag, self.description)
        except TagError as error:
            raise TagRefusedError(str(error)) from None
        self.log.info("the tag %r is called %r now, on %d device(s)", self.tag, self.new_tag, devices)
        return {"tag": self.new_tag, "devices": devices}


class NrfProvDeleteTagOperator(BaseOperator):
    """Deletes a tag (DeleteTags), unless devices carry it. May be repeated: a tag that is not there is done.

    :param tag: its name.
    :param from_devices: delete it even though devices carry it; it leaves all of them.
    :param nrfprov_conn_id: Airflow connection of type ``nrfprov``.
    :return: ``{"tag", "devices"}``: its name, and how many devices carried it.
    :raises TagRefusedError: if devices carry it and ``from_devices`` is not set; says how many.
    :raises ServiceError: with the service's status and words.
    """

    template_fields: Sequence[str] = ("tag", "from_devices", "nrfprov_conn_id")
    ui_color = "#f7dcd7"

    def __init__(
        self,
        *,
        tag: str,
        from_devices: bool | str = False,
        nrfprov_conn_id: str = "nrfprov_default",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        set_default_retry_policy(self)
        self.tag = tag
        self.from_devices = from_devices
        self.nrfprov_conn_id = nrfprov_conn_id

    def execute(self, context: Context) -> dict[str, Any]:
        """Delete the tag."""
        from airflow_provider_nrfprov.api.errors import TagError
        from airflow_provider_nrfprov.exceptions import TagRefusedError
        from airflow_provider_nrfprov.hooks.nrfprov import NrfProvHook
        from airflow_provider_nrfprov.rendered import flag

        try:
            devices = NrfProvHook(self.nrfprov_conn_id).delete_tag(
                self.tag, from_devices=flag(self.from_devices)
            )
        except TagError as error:
            raise TagRefusedError(f"{error}; set from_devices to take it from them") from None
        self.log.info("the tag %r is gone; %d device(s) carried it", self.tag, devices)
        return {"tag": self.tag, "devices": devices}
