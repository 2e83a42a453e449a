"""The operator that claims one device."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import BaseOperator

from airflow_provider_nrfprov.retries import set_default_retry_policy

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context


class NrfProvClaimDeviceOperator(BaseOperator):
    """Claims one device (ClaimDeviceOwnership). Safe to repeat: a device that is ours is claimed.

    :param claim_token: what the device answers ``AT%ATTESTTOKEN``. May be a Jinja template, which is
        rendered by the operator itself: it is no template field, so that no rendered-template view
        shows a token.
    :param tags: given to the device as it is claimed; of a device that was ours already they are
        left as they are.
    :param dry_run_only: only ask whether the device could be claimed.
    :param nrfprov_conn_id: Airflow connection of type ``nrfprov``.
    :return: the device's attributes (``id``, ``device_type``, ``imei``, ``tags``, ``status``,
        ``claimed_at`` as ISO 8601, …); of a dry run ``{"device_id", "claimable", "reason"}``.
    :raises TokenError: if the token cannot be used; nothing is sent then.
    :raises ServiceError: with the service's status and words.
    """

    template_fields: Sequence[str] = ("tags", "dry_run_only", "nrfprov_conn_id")
    template_fields_renderers = {"tags": "json"}  # noqa: RUF012 - as Airflow declares it

    def __init__(
        self,
        *,
        claim_token: str,
        tags: Sequence[str] | str = (),
        dry_run_only: bool | str = False,
        nrfprov_conn_id: str = "nrfprov_default",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        set_default_retry_policy(self)
        self.claim_token = claim_token
        self.tags = tags
        self.dry_run_only = dry_run_only
        self.nrfprov_conn_id = nrfprov_conn_id

    def execute(self, context: Context) -> dict[str, Any]:
        """Claim the device, or ask whether it could be."""
        from airflow_provider_nrfprov.claiming.claim_file import check_tags
        from airflow_provider_nrfprov.claiming.single import claim_once
        from airflow_provider_nrfprov.claiming.token import decode
        from airflow_provider_nrfprov.hooks.nrfprov import NrfProvHook
        from airflow_provider_nrfprov.rendered import listed

        claim_token = str(self.render_template(self.claim_token, context))
        hook = NrfProvHook(self.nrfprov_conn_id)
        if str(self.dry_run_only).lower() in {"true", "1", "yes"}:
            token = decode(claim_token)
            answer = hook.dry_run_claim(token.text)
            self.log.info("device %s: %s", token.device_id, answer)
            return {"device_id": token.device_id, "claimable": answer.claimable, "reason": answer.reason}
        device = claim_once(hook, claim_token, check_tags(listed(self.tags)), self.log)
        self.log.info("claimed device %s (%s, IMEI %s)", device.id, device.device_type, device.imei)
        attributes = asdict(device)
        attributes.pop("extra")
        return {
            **attributes,
            "tags": list(device.tags),
            "claimed_at": device.claimed_at.isoformat() if device.claimed_at else None,
        }
