"""The operator that claims one device."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import BaseOperator

from airflow_provider_nrfprov.links.nrf_cloud import NrfCloudLink
from airflow_provider_nrfprov.retries import set_default_retry_policy

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context

    from airflow_provider_nrfprov.hooks.nrfprov import NrfProvHook


class NrfProvClaimDeviceOperator(BaseOperator):
    """Claims one device (ClaimDeviceOwnership). Safe to repeat: a device that is ours is claimed.

    :param claim_token: what the device answers ``AT%ATTESTTOKEN``. May be a Jinja template, which is
        rendered by the operator itself: it is no template field, so that no rendered-template view
        shows a token.
    :param tags: given to the device as it is claimed; of a device that was ours already they are
        left as they are.
    :param dry_run: only ask whether the device could be claimed, and if not, why not; nothing is claimed. A token
        or a tag that cannot be used is such a reason then.
    :param nrfprov_conn_id: Airflow connection of type ``nrfprov``.
    :return: the device's attributes (``id``, ``device_type``, ``firmware_id``, ``imei``, ``owner_id``,
        ``ownership_status``, ``tags``, ``status``, ``claimed_at`` as ISO 8601). Of a dry run ``{"device_id",
        "claimable", "reason", "is_ours"}``: ``reason`` in the service's words, ``is_ours`` if the device is ours already
        (``None`` where that could not be found out); a real run of that would be done at once.
    :raises TokenError: if the token cannot be used; nothing is sent then.
    :raises ValueError: if a tag cannot be one; nothing is sent then.
    :raises ServiceError: with the service's status and words.
    """

    operator_extra_links = (NrfCloudLink(),)
    # BaseOperator has a method called dry_run.
    template_fields: Sequence[str] = ("tags", "only_ask", "nrfprov_conn_id")
    template_fields_renderers = {"tags": "json"}  # noqa: RUF012 - as Airflow declares it

    def __init__(
        self,
        *,
        claim_token: str,
        tags: Sequence[str] | str = (),
        dry_run: bool | str = False,
        nrfprov_conn_id: str = "nrfprov_default",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        set_default_retry_policy(self)
        self.claim_token = claim_token
        self.tags = tags
        self.only_ask = dry_run
        self.nrfprov_conn_id = nrfprov_conn_id

    def execute(self, context: Context) -> dict[str, Any]:
        """Claim the device, or ask whether it could be."""
        from airflow_provider_nrfprov.api.tag_rules import check_tags
        from airflow_provider_nrfprov.claiming.claim_one import claim_once
        from airflow_provider_nrfprov.hooks.nrfprov import NrfProvHook
        from airflow_provider_nrfprov.rendered import flag, listed

        claim_token = str(self.render_template(self.claim_token, context))
        hook = NrfProvHook(self.nrfprov_conn_id)
        if flag(self.only_ask):
            return self._ask(hook, claim_token)
        device = claim_once(hook, claim_token, check_tags(listed(self.tags)))
        self.log.info("claimed device %s (%s, IMEI %s)", device.id, device.device_type, device.imei)
        return device.as_dict()

    def _ask(self, hook: NrfProvHook, claim_token: str) -> dict[str, Any]:
        from airflow_provider_nrfprov.api.tag_rules import check_tags
        from airflow_provider_nrfprov.claiming.token import decode
        from airflow_provider_nrfprov.rendered import listed

        device_id: str | None = None
        is_ours: bool | None = None
        try:
            token = decode(claim_token)
            device_id = token.device_id
            check_tags(listed(self.tags))
        except ValueError as error:
            claimable, reason = False, str(error)
        else:
            answer = hook.dry_run_claim(token.text)
            claimable, reason = answer.claimable, answer.reason or ""
            is_ours = False if claimable else self._is_ours(hook, token.device_id)
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

    def _is_ours(self, hook: NrfProvHook, device_id: str) -> bool | None:
        from airflow_provider_nrfprov.api.errors import NotFoundError, NrfProvError

        try:
            hook.fetch_claimed_device(device_id)
        except NotFoundError:
            return False
        except NrfProvError as error:
            self.log.info("whether device %s is ours could not be found out: %s", device_id, error)
            return None
        return True
