"""The operator that tags many claimed devices."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from airflow_provider_nrfprov.operators.many_devices import ManyDevicesOperator

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context


class NrfProvTagDevicesOperator(ManyDevicesOperator):
    """Adds, removes or replaces the tags of claimed devices, many in one task.

    A device that has the wanted tags already costs no request, so the task may be repeated. How a
    device's tags are set (method and path) is inferred; the connection's ``endpoints`` can change it.

    Takes ``device_ids``, ``report``, ``device_file``, ``report_dir``, ``max_in_flight``, ``max_failed`` and ``nrfprov_conn_id``
    as :class:`~airflow_provider_nrfprov.operators.many_devices.ManyDevicesOperator` says, and:

    :param tags: at most 100 characters each.
    :param mode: ``add``, ``remove`` or ``replace``.
    :param create_tags: create the tags first where they do not exist, as the service's guide says.
    :param tag: instead of naming devices: all claimed devices that have this tag when the task begins.
    :return: ``{"changed", "unchanged", "failed"}``, numbers of devices, and with a ``report_dir`` the paths
        ``report`` and ``failed_devices``, which are also pushed by key.
    :raises ValueError: for a device id, tag or mode that cannot be one.
    :raises DevicesFailedError: if more devices failed than may, after all of them were tried; names ten.
        ``DevicesRefusedError`` if a retry would be refused again.
    :raises NrfProvError: what every device would meet (401, 403, no answer); the others are not tried.
    """

    template_fields: Sequence[str] = (*ManyDevicesOperator.template_fields, "tag", "tags", "mode")
    template_fields_renderers = {"device_ids": "json", "tags": "json"}  # noqa: RUF012 - as Airflow declares it
    _verb = "tag"
    _participle = "tagged"

    def __init__(
        self,
        *,
        tags: Sequence[str] | str,
        mode: str = "add",
        create_tags: bool = True,
        tag: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.tags = tags
        self.mode = mode
        self.create_tags = create_tags
        self.tag = tag

    def execute(self, context: Context) -> dict[str, Any]:
        """Tag the devices."""
        from airflow_provider_nrfprov.api.tag_rules import check_tags
        from airflow_provider_nrfprov.fleet.actions import TagAction, TagMode
        from airflow_provider_nrfprov.rendered import listed

        tags, mode = check_tags(listed(self.tags)), TagMode(self.mode)
        selection = self._select()
        if not tags and mode is not TagMode.REPLACE:
            self.log.info("no tags to %s", mode.value)
            return {"changed": 0, "unchanged": len(selection), "failed": 0}
        hook = self._hook()
        if self.create_tags and selection and mode is not TagMode.REMOVE:
            for tag in tags:
                hook.ensure_tag(tag)
        action = TagAction(hook, tags, mode, selection.known)
        counts = self._run(action, selection, context, mode.value, *tags)
        return {"changed": counts.pop("done"), **counts}
