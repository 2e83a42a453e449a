"""The operator that tags many claimed devices."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import BaseOperator

from airflow_provider_nrfprov.retries import set_default_retry_policy

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context


class NrfProvTagDevicesOperator(BaseOperator):
    """Adds, removes or replaces the tags of claimed devices, many in one task.

    A device that has the wanted tags already costs no request, so the task may be repeated. How a
    device's tags are set (method and path) is inferred; the connection's ``endpoints`` can change it.

    :param device_ids: UUIDs of the devices, or a template that renders to a list of them.
    :param report: instead of ``device_ids``: path of a bulk claim's ``report.csv``, whose claimed and already
        claimed devices are meant; ``report.output["report"]`` fits.
    :param tags: at most 100 characters each.
    :param mode: ``add``, ``remove`` or ``replace``.
    :param create_tags: create the tags first where they do not exist, as the service's guide says.
    :param nrfprov_conn_id: Airflow connection of type ``nrfprov``.
    :return: ``{"changed", "unchanged", "failed"}``, numbers of devices.
    :raises ValueError: for a device id, tag or mode that cannot be one.
    :raises NrfProvError: if devices could not be tagged, after all of them were tried; names ten.
    """

    template_fields: Sequence[str] = ("device_ids", "report", "tags", "mode", "nrfprov_conn_id")
    template_fields_renderers = {"device_ids": "json", "tags": "json"}  # noqa: RUF012 - as Airflow declares it

    def __init__(
        self,
        *,
        tags: Sequence[str] | str,
        device_ids: Sequence[str] | str | None = None,
        report: str | None = None,
        mode: str = "add",
        create_tags: bool = True,
        nrfprov_conn_id: str = "nrfprov_default",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        set_default_retry_policy(self)
        self.tags = tags
        self.device_ids = device_ids
        self.report = report
        self.mode = mode
        self.create_tags = create_tags
        self.nrfprov_conn_id = nrfprov_conn_id

    def execute(self, context: Context) -> dict[str, int]:
        """Tag the devices."""
        from airflow_provider_nrfprov.api.errors import NrfProvError
        from airflow_provider_nrfprov.claiming.claim_file import check_tags
        from airflow_provider_nrfprov.claiming.tagging import TagMode, tag_devices
        from airflow_provider_nrfprov.hooks.nrfprov import NrfProvHook
        from airflow_provider_nrfprov.operators.device_selection import select_devices
        from airflow_provider_nrfprov.rendered import listed

        tags, mode = check_tags(listed(self.tags)), TagMode(self.mode)
        devices = select_devices(self.device_ids, self.report)
        if not tags and mode is not TagMode.REPLACE:
            self.log.info("no tags to %s", mode.value)
            return {"changed": 0, "unchanged": len(devices), "failed": 0}
        hook = NrfProvHook(self.nrfprov_conn_id)
        if self.create_tags and devices and mode is not TagMode.REMOVE:
            for tag in tags:
                hook.ensure_tag(tag)
        result = tag_devices(hook, devices, tags, mode, self.log)
        if result.failed:
            raise NrfProvError(
                f"{result.failed} of {len(devices)} devices could not be tagged:\n"
                + "\n".join(result.examples)
            )
        return {"changed": result.changed, "unchanged": result.unchanged, "failed": result.failed}
