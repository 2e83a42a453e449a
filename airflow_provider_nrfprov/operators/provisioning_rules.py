"""The operator that makes the rule by which devices are onboarded to nRF Cloud."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from airflow_provider_nrfprov.arguments import Argument, Arguments, certificates, count
from airflow_provider_nrfprov.operators.base import ConnectedOperator

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context


class NrfProvEnsureOnboardingRuleOperator(ConnectedOperator):
    """Makes the provisioning rule for the tag ``nrf-cloud-onboarding``, unless there is one.

    As Nordic's ``nrfcloud-utils`` does it: the tag is created; any rule for it will do, whatever its commands are;
    and a rule that is made is active at once, so it can no longer be changed. A device that is claimed with the tag
    gets its keys and certificates when it first connects, and is onboarded. To be run before the claim.

    :param sec_tag: security tag of the modem for keys and certificates; 16842753 is that of Nordic's tools.
    :param certificates: PEM of the roots that a device is to trust, which is read before anything is sent; ``None`` for Amazon's and Nordic's CoAP root.
    :param nrfprov_conn_id: Airflow connection of type ``nrfprov``.
    :return: ``{"rule_id", "name", "created"}``.
    :raises ConflictError: if a rule for another tag has the name of this one.
    :raises ServiceError: with the service's status and words.
    """

    arguments: ClassVar[Arguments] = {
        "sec_tag": Argument(count(0)),
        "certificates": Argument(certificates, optional=True),
    }

    def __init__(
        self,
        *,
        sec_tag: int | str = 16842753,
        certificates: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.sec_tag = sec_tag
        self.certificates = certificates
        self._check_constants()

    def execute(self, context: Context) -> dict[str, Any]:
        """Look for the rule, and make it if there is none."""
        from airflow_provider_nrfprov.api.onboarding import ROOT_CERTIFICATES

        rule, created = self.hook.ensure_onboarding_rule(
            self._value("sec_tag"), self._value("certificates") or ROOT_CERTIFICATES
        )
        self.log.info(
            "provisioning rule %r (%s) %s", rule.name, rule.status, "is made" if created else "was there"
        )
        if rule.status == "DRAFT":
            self.log.warning("the rule %r is a draft: it does nothing until it is activated", rule.name)
        return {"rule_id": rule.id, "name": rule.name, "created": created}
