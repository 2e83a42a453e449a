"""The operator that tags many claimed devices."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from airflow_provider_nrfprov.arguments import Argument, ArgumentError, Arguments, choice, flag, tags, text
from airflow_provider_nrfprov.operators.many_devices import ManyDevicesOperator

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context


class NrfProvTagDevicesOperator(ManyDevicesOperator):
    """Adds, removes or replaces the tags of claimed devices, many in one task.

    Each device is asked for its tags right before they are set, and nothing is set where they are as wanted, so the task may be
    repeated. How a device's tags are set (method and path) is inferred; the connection's ``endpoints`` can change it.

    :param device_ids: UUIDs of the devices: a list, or text with commas between them.
    :param report: instead: path of a bulk claim's ``report.csv``, whose claimed and already claimed devices are
        meant; ``report.output["report"]`` fits. So does the report of such an operator: done and unchanged.
    :param device_file: instead: path of a text file with one UUID a line, as ``failed_devices.txt`` is.
    :param tag: instead of naming devices: all claimed devices that have this tag when the task begins.
    :param tags: the tags to add, to remove, or to put in the place of all others; at most 100 characters each. An empty list adds
        and removes nothing. To take all tags away, write ``tags=[]`` and ``mode="replace"``: an empty list that comes from
        a template or another task is refused there.
    :param mode: ``add``, ``remove`` or ``replace``.
    :param create_tags: create the tags first where they do not exist, as the service's guide says.
    :param report_dir: folder for ``report.csv`` (a line a device), ``failed_devices.txt`` and ``summary.json``, and for the
        record that a retry goes on from; local or on an object store. Different for each run, task and map index; the
        same for each try. ``None`` for no report.
    :param max_in_flight: how many requests are in flight at most; a 429 slows all of them down together.
    :param max_failed_devices: how many devices may fail before the task fails, after all were tried; ``None`` for any
        number.
    :param max_failed_ratio: the share of the devices that may fail, from 0 to 1; the larger limit counts. ``None`` for no share.
    :param nrfprov_conn_id: Airflow connection of type ``nrfprov``.
    :return: ``{"changed", "unchanged", "failed"}``, numbers of devices, and with a ``report_dir`` the paths
        ``report`` and ``failed_devices``, which are also pushed by key: the latter only if some failed, else it is ``None`` here.
    :raises ArgumentError: for a device id, tag or mode that is not valid.
    :raises DevicesFailedError: if more devices failed than allowed, after all of them were tried; names ten.
        ``DevicesRefusedError`` if a retry would be refused again.
    :raises NrfProvError: for an error that every device would get (401, 403, no answer); the others are not tried.
    """

    arguments: ClassVar[Arguments] = {
        **ManyDevicesOperator.arguments,
        "tag": Argument(text, optional=True),
        "tags": Argument(tags),
        "mode": Argument(choice("add", "remove", "replace")),
        "create_tags": Argument(flag),
    }
    template_fields_renderers = {"device_ids": "json", "tags": "json"}  # noqa: RUF012 - as Airflow declares it
    _verb = "tag"
    _participle = "tagged"
    _needs = "UpdateClaimedDevice"

    def __init__(
        self,
        *,
        tags: Sequence[str] | str,
        mode: Literal["add", "remove", "replace"] | str = "add",
        create_tags: bool | str = True,
        tag: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.tags = tags
        self.mode = mode
        self.create_tags = create_tags
        self.tag = tag
        self._check_constants()

    def execute(self, context: Context) -> dict[str, Any]:
        """Tag the devices."""
        from airflow_provider_nrfprov.fleet.actions import TagMode, tagging

        tags, mode, create_tags = (
            self._value("tags"),
            TagMode(self._value("mode")),
            self._value("create_tags"),
        )
        if not tags and mode is TagMode.REPLACE and not self._is_written("tags"):
            raise ArgumentError(
                f"tags of task {self.task_id!r} renders to an empty list, which would remove all tags of the devices; "
                "to do that, write tags=[]"
            )
        is_nothing = not tags and mode is not TagMode.REPLACE
        # Without tags a group that claims and tags does its work with every API.
        selection = self._select(does_something=not is_nothing)
        if is_nothing:
            self.log.info("no tags to %s", mode.value)
            return {"changed": 0, "unchanged": len(selection), "failed": 0}
        hook = self._connected_hook()
        if create_tags and selection and mode is not TagMode.REMOVE:
            for name in tags:
                hook.ensure_tag(name)
        action = tagging(hook, tags, mode, only_with=self._value("tag"))
        counts = self._run(action, selection, context, mode.value, *tags)
        return {"changed": counts.pop("done"), **counts}
