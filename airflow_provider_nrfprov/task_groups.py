"""A task group to build into larger pipelines: claim the devices of a file, tag them, judge."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

from airflow.providers.common.compat.sdk import TaskGroup

from airflow_provider_nrfprov.arguments import ArgumentError, is_constant
from airflow_provider_nrfprov.operators.bulk_claim import NrfProvBulkClaimOperator
from airflow_provider_nrfprov.operators.judge_claim import NrfProvJudgeClaimOperator
from airflow_provider_nrfprov.operators.tag_devices import NrfProvTagDevicesOperator

if TYPE_CHECKING:
    import os

    from airflow.providers.common.compat.sdk import XComArg


class NrfProvClaimAndTagGroup(TaskGroup):
    """The group that :func:`claim_and_tag` returns."""

    @property
    def summary(self) -> XComArg:
        """The summary of the claim: counts by outcome, ``rows``, and the paths ``report`` and ``failed_rows``."""
        output: XComArg = self._member("judge_outcome").output
        return output

    @property
    def report(self) -> XComArg:
        """The path of ``report.csv``: the ``report`` of an operator over many devices."""
        output: XComArg = self._member("claim").output["report"]
        return output

    def _member(self, name: str) -> Any:
        return next(child for key, child in self.children.items() if key.rpartition(".")[2] == name)


def _check_claim_arguments(group_id: str, given: Mapping[str, Any]) -> None:
    of_the_group = {"task_id", *inspect.signature(claim_and_tag).parameters}
    if wrong := sorted(of_the_group.intersection(given)):
        raise ArgumentError(
            f"claim_arguments of {group_id!r} has {', '.join(wrong)}: what the group has itself is given to the group"
        )
    for name in ("do_xcom_push", "wait_for_completion"):
        if given.get(name, True) is False:
            raise ArgumentError(
                f"claim_arguments of {group_id!r} has {name}=False: the group tags and judges by what its claim pushes to XCom at its end"
            )


def claim_and_tag(
    *,
    claim_file: str | os.PathLike[str] | Any,
    tags: Sequence[str] | str | Any = (),
    group_id: str = "claim_and_tag",
    mode: Literal["add", "replace"] | str = "add",
    max_failed_rows: int | str | None = 0,
    max_failed_ratio: float | str | None = None,
    max_rejected_rows: int | str | None = None,
    max_rejected_ratio: float | str | None = None,
    nrfprov_conn_id: str = "nrfprov_default",
    claim_arguments: Mapping[str, Any] | None = None,
    **group_arguments: Any,
) -> NrfProvClaimAndTagGroup:
    """Return a group of tasks: ``claim`` a file, ``tag_devices`` that are ours now, ``judge_outcome``.

    Devices that are claimed get the tags with the claim; those that were ours before get them from ``tag_devices``. If the
    group has to fail, it does so at its end: what was claimed is tagged and reported by then.

    :param claim_file: path or URL, or what becomes one: a template, another task's output, a mapped argument.
    :param tags: of every device, besides the row's own; a list, or a template or output that becomes one.
    :param mode: ``add`` or ``replace``, of devices that were ours before.
    :param max_failed_rows: how many rows may fail or be unknown; ``None`` for any number.
    :param max_failed_ratio: the share of the rows that may, from 0 to 1; the larger limit counts. ``None`` for no share.
    :param max_rejected_rows: how many rows may be rejected; ``None`` for any number, as long as some row is claimed.
    :param max_rejected_ratio: the share of the rows that may, from 0 to 1; the larger limit counts. ``None`` for no share.
    :param nrfprov_conn_id: Airflow connection of type ``nrfprov``.
    :param claim_arguments: others of :class:`~airflow_provider_nrfprov.operators.bulk_claim.NrfProvBulkClaimOperator`, as ``{"deferrable": True}``. In a mapped group
        a ``report_dir`` has to be a different one for each file; the default is.
    :param group_arguments: others of Airflow's ``TaskGroup``.
    :raises ArgumentError: if ``mode`` is ``replace`` and there are no tags, or ``claim_arguments`` has what is the group's.
    :return: the group, with the outputs ``summary`` and ``report``.
    """
    if mode == "replace" and is_constant(tags) and not tags:
        raise ArgumentError(
            f"tags of {group_id!r} is empty: with mode='replace' it would remove all tags of devices that were ours before"
        )
    _check_claim_arguments(group_id, claim_arguments or {})
    group = NrfProvClaimAndTagGroup(group_id=group_id, **group_arguments)
    with group:
        claim: Any = NrfProvBulkClaimOperator(
            task_id="claim",
            claim_file=claim_file,
            tags=tags,
            # What was claimed is tagged first; judge_outcome fails the group.
            max_failed_rows=None,
            nrfprov_conn_id=nrfprov_conn_id,
            **(claim_arguments or {}),
        )
        tag_devices = NrfProvTagDevicesOperator(
            task_id="tag_devices",
            report=claim.output["report"],
            tags=tags,
            mode=mode,
            nrfprov_conn_id=nrfprov_conn_id,
        )
        judge_outcome = NrfProvJudgeClaimOperator(
            task_id="judge_outcome",
            summary=claim.output,
            max_failed_rows=max_failed_rows,
            max_failed_ratio=max_failed_ratio,
            max_rejected_rows=max_rejected_rows,
            max_rejected_ratio=max_rejected_ratio,
        )
        claim >> tag_devices >> judge_outcome
    return group
