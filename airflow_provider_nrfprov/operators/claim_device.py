"""The operator that claims one device."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from airflow_provider_nrfprov.api.errors import NotFoundError, NrfProvError
from airflow_provider_nrfprov.arguments import Argument, Arguments, flag, secret_text, tags
from airflow_provider_nrfprov.links.nrf_cloud import NrfProvPortalLink
from airflow_provider_nrfprov.operators.base import ConnectedOperator

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context


class NrfProvClaimDeviceOperator(ConnectedOperator):
    """Claims one device (ClaimDeviceOwnership). Safe to repeat: a device that is ours already counts as claimed.

    On a connection of a project it is a bulk claim of one row, whose job is waited for, 15 minutes at most.

    :param claim_token: what the device answers ``AT%ATTESTTOKEN``. May be a template or another task's output,
        which is rendered by the operator itself: it is not a template field, so that no rendered-template view shows a token. In
        a mapped task a token that is written in the DAG is refused, since the serialized DAG would contain it.
    :param tags: given to the device as it is claimed; of a device that was ours already they are
        left as they are.
    :param check_only: only ask whether the device could be claimed, and if not, why not; nothing is claimed. A token
        that cannot be used is such a reason then.
    :param nrfprov_conn_id: Airflow connection of type ``nrfprov``.
    :return: the device's attributes (``id``, ``device_type``, ``firmware_id``, ``imei``, ``owner_id``,
        ``ownership_status``, ``tags``, ``status``, ``claimed_at`` as ISO 8601). With ``check_only`` ``{"device_id",
        "claimable", "reason", "is_ours"}``: ``reason`` is the service's message, ``is_ours`` if the device is ours already
        (``None`` where that is not known); a claim of such a device succeeds at once.
    :raises TokenError: if the token cannot be used; nothing is sent then.
    :raises ArgumentError: if a tag is not valid, or something renders to nothing; nothing is sent then.
    :raises ServiceError: with the service's status and words.
    :raises NotInThisApiError: for tags or ``check_only`` on a connection of a project; nothing is sent then.
    """

    operator_extra_links = (NrfProvPortalLink(),)
    arguments: ClassVar[Arguments] = {
        "tags": Argument(tags),
        "check_only": Argument(flag),
    }
    secret_arguments: ClassVar[Arguments] = {"claim_token": Argument(secret_text)}
    template_fields_renderers = {"tags": "json"}  # noqa: RUF012 - as Airflow declares it

    def __init__(
        self,
        *,
        claim_token: str,
        tags: Sequence[str] | str = (),
        check_only: bool | str = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.claim_token = claim_token
        self.tags = tags
        self.check_only = check_only
        self._check_constants()

    def execute(self, context: Context) -> dict[str, Any]:
        """Claim the device, or ask whether it could be."""
        from airflow_provider_nrfprov.claiming.claim_one import claim_once

        value = self._values()
        claim_token = self._secret_value("claim_token", context)
        if value["check_only"]:
            return self._ask(claim_token)
        device = claim_once(self.hook, claim_token, value["tags"])
        self.log.info("claimed device %s (%s, IMEI %s)", device.id, device.device_type, device.imei)
        return device.as_dict()

    def _ask(self, claim_token: str) -> dict[str, Any]:
        from airflow_provider_nrfprov.api.contract import DRY_RUN
        from airflow_provider_nrfprov.claiming.token import TokenError, decode

        self.hook.require(DRY_RUN)
        device_id: str | None = None
        is_ours: bool | None = None
        try:
            token = decode(claim_token)
            device_id = token.device_id
        except TokenError as error:
            claimable, reason = False, str(error)
        else:
            answer = self.hook.dry_run_claim(token.text)
            claimable, reason = answer.claimable, answer.reason or ""
            is_ours = False if claimable else self._is_ours(token.device_id)
        if claimable:
            self.log.info("device %s can be claimed", device_id)
        else:
            ours = " (it is ours already)" if is_ours else ""
            self.log.info("device %s cannot be claimed: %s%s", device_id, reason, ours)
        return {
            "device_id": device_id,
            "claimable": claimable,
            "reason": None if claimable else reason,
            "is_ours": is_ours,
        }

    def _is_ours(self, device_id: str) -> bool | None:
        try:
            self.hook.fetch_claimed_device(device_id)
        except NotFoundError:
            return False
        except NrfProvError as error:
            self.log.info("could not find out whether device %s is ours: %s", device_id, error)
            return None
        return True
