"""Every call of the service as a method, over a client that somebody else provides."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pendulum

from airflow_provider_nrfprov.api import claimed_devices, onboarding, operations
from airflow_provider_nrfprov.api.claimed_devices import DeviceFilter
from airflow_provider_nrfprov.api.client import ProvisioningClient
from airflow_provider_nrfprov.api.contract import DEVICE_FILTERS, DRY_RUN, MAYBE_EXISTING_TAG
from airflow_provider_nrfprov.api.error_summary import ErrorSummary, parse_error_summary
from airflow_provider_nrfprov.api.errors import (
    ConflictError,
    GoneError,
    NotFoundError,
    NrfProvError,
    ServiceError,
    TagError,
)
from airflow_provider_nrfprov.api.models import (
    BulkClaim,
    BulkOpsRequest,
    ClaimedDevice,
    DryRun,
    ProvisioningCommand,
    ProvisioningRule,
    Tag,
)
from airflow_provider_nrfprov.counted import counted

if TYPE_CHECKING:
    from airflow_provider_nrfprov.api.apis import Api

_log = logging.getLogger(__name__)


class ProvisioningService:
    """The calls; the Airflow hook is one such class, and without Airflow a subclass needs ``get_conn`` only.

    Every method raises a subclass of :class:`~airflow_provider_nrfprov.api.errors.NrfProvError`:
    ``ServiceError`` with the service's status and words, ``UnreachableError`` without an answer,
    ``UnreadableAnswerError`` with one that cannot be read. A tag that is empty or has more than 100
    characters is a ``ValueError``, as is what is no UUID of a device and no id of anything else, and nothing is sent.
    """

    def get_conn(self) -> ProvisioningClient:
        """Return the client, the same at each call."""
        raise NotImplementedError

    @property
    def urls(self) -> tuple[str, ...]:
        """The base URLs that are talked to: what tells one service from another."""
        return self.get_conn().urls

    @property
    def api(self) -> Api:
        """The API that is spoken, of a team or of a project."""
        return self.get_conn().api

    def can(self, operation: str) -> bool:
        """Return whether the API that is spoken has a way for an operation, named as in ``contract.ENDPOINTS``."""
        return self.api.missing(operation) is None

    def require(self, *operations_: str) -> None:
        """Check that the API that is spoken has a way for operations, before anything is read or sent.

        :raises NotInThisApiError: if it has none for one of them.
        """
        for operation in operations_:
            if missing := self.api.missing(operation):
                raise missing

    def now(self) -> pendulum.DateTime:
        """Return the service's time (UTC) by the newest answer's ``Date``; local time before there was one."""
        return self.get_conn().now()

    def learn_time(self) -> None:
        """Ask for one claimed device, unless an answer has told the service's time already."""
        client = self.get_conn()
        if not client.knows_time:
            client.send(client.api.list_claimed_devices(page_limit=1))

    def claim_device(self, claim_token: str, tags: Iterable[str] = ()) -> ClaimedDevice:
        """Claim one device (ClaimDeviceOwnership). One that is claimed already is a ``ConflictError``."""
        return self.get_conn().send(operations.claim_device(claim_token, tags))

    def dry_run_claim(self, claim_token: str) -> DryRun:
        """Ask whether a device could be claimed, and if not, why not; nothing is claimed."""
        self.require(DRY_RUN)
        return self.get_conn().send(operations.dry_run_claim(claim_token))

    def bulk_claim(self, csv: str) -> BulkClaim:
        """Claim the devices of a CSV text of at most 1,000 rows in the form ``api.claim_form``."""
        client = self.get_conn()
        return client.send(client.api.bulk_claim(csv))

    def fetch_bulk_ops_request(self, bulk_ops_request_id: str) -> BulkOpsRequest:
        """Fetch the state of a bulk operation."""
        client = self.get_conn()
        return client.send(client.api.fetch_bulk_ops_request(bulk_ops_request_id))

    def list_bulk_ops_requests(
        self,
        *,
        status: str | None = None,
        requested_from: pendulum.DateTime | None = None,
        requested_until: pendulum.DateTime | None = None,
    ) -> Iterator[BulkOpsRequest]:
        """Yield the team's bulk operations, page after page."""
        return self.get_conn().iterate(
            lambda token: operations.list_bulk_ops_requests(
                token, status=status, requested_from=requested_from, requested_until=requested_until
            )
        )

    def fetch_error_summary(self, operation: BulkOpsRequest) -> ErrorSummary:
        """Fetch what the service says went wrong in an operation; empty if it has no ``errorSummaryUrl``."""
        if operation.errors is not None:
            return operation.errors
        if not operation.error_summary_url:
            return ErrorSummary()
        client = self.get_conn()
        return parse_error_summary(client.download(operation.error_summary_url), client.redacted)

    def fetch_uploaded_data(self, operation: BulkOpsRequest) -> str:
        """Fetch the CSV text that an operation was started with. It holds claim tokens.

        :raises NrfProvError: also if the operation names no ``uploadedDataUrl``.
        """
        if not operation.uploaded_data_url:
            raise NrfProvError(f"bulk operation {operation.id} has no uploadedDataUrl")
        return self.get_conn().download(operation.uploaded_data_url)

    def fetch_result_data(self, operation: BulkOpsRequest) -> str | None:
        """Fetch what the service keeps as the result of an operation, ``None`` if it has no ``resultDataUrl``.

        What such a file holds is unknown, so it is given as it is, but for claim tokens and the API key.
        """
        if not operation.result_data_url:
            return None
        client = self.get_conn()
        return client.redacted(client.download(operation.result_data_url))

    def list_claimed_devices(
        self,
        *,
        tag: str | None = None,
        status: str | None = None,
        claimed_after: pendulum.DateTime | None = None,
    ) -> Iterator[ClaimedDevice]:
        """Yield the claimed devices, page after page: all, or those for which every condition holds.

        The service's names of the conditions are inferred; what it answers is therefore checked once more.
        """
        if tag is not None or status is not None:
            self.require(DEVICE_FILTERS)
        return claimed_devices.list_claimed_devices(self.get_conn(), DeviceFilter(tag, status, claimed_after))

    def fetch_claimed_device(self, device_id: str) -> ClaimedDevice:
        """Fetch one claimed device by its UUID; one that is not ours is a ``NotFoundError``."""
        client = self.get_conn()
        return client.send(client.api.fetch_claimed_device(device_id))

    def find_claimed_devices(
        self, device_ids: Collection[str], claimed_after: pendulum.DateTime | None = None
    ) -> dict[str, ClaimedDevice]:
        """Find which of many devices are ours, by UUID.

        :param claimed_after: the service's time after which most of them were claimed, if they were: it saves
            requests, and changes nothing else.
        """
        return claimed_devices.find_claimed_devices(self.get_conn(), device_ids, claimed_after)

    def find_on_lists(
        self, device_ids: Collection[str], claimed_after: pendulum.DateTime | None = None
    ) -> tuple[dict[str, ClaimedDevice], set[str]]:
        """Find which of many devices are ours as far as lists show it cheaply; return also those that have to be fetched."""
        return claimed_devices.find_on_lists(self.get_conn(), device_ids, claimed_after)

    def set_device_tags(self, device_id: str, tags: Iterable[str]) -> None:
        """Replace the tags of a claimed device (method and path of this call are inferred)."""
        self.get_conn().send(operations.set_device_tags(device_id, tags))

    def block_device(self, device_id: str) -> None:
        """Keep a claimed device from the Provisioning Service; its pending commands wait. It stays ours and onboarded."""
        self.get_conn().send(operations.block_device(device_id))

    def unblock_device(self, device_id: str) -> None:
        """Let a blocked device connect to the Provisioning Service again; its pending commands run then."""
        self.get_conn().send(operations.unblock_device(device_id))

    def unclaim_device(self, device_id: str) -> None:
        """Unclaim a device: anybody may claim it then, and its data in Device Management is deleted."""
        self.get_conn().send(operations.unclaim_device(device_id))

    def list_tags(self) -> Iterator[Tag]:
        """Yield the team's provisioning tags, page after page."""
        return self.get_conn().iterate(operations.list_tags)

    def create_tag(self, tag: str, description: str = "") -> None:
        """Create a tag; one that exists is a ``ConflictError`` (inferred)."""
        self.get_conn().send(operations.create_tag(tag, description))

    def ensure_tag(self, tag: str, description: str = "") -> bool:
        """Create a tag unless it exists; return whether it was created just now."""
        # Sent again after an answer that was lost, it is a conflict, and that is an end as good.
        create = replace(operations.create_tag(tag, description), repeatable=True)
        try:
            self.get_conn().send(create)
        except ConflictError:
            return False
        except ServiceError as error:
            # That an existing tag is a conflict is inferred.
            if error.status not in MAYBE_EXISTING_TAG or self.find_tag(tag) is None:
                raise
            return False
        return True

    def list_device_tags(self, device_id: str) -> list[Tag]:
        """Return the tags of one device; one that is not ours is a ``NotFoundError``.

        The guide has a path for this whose id may as well be meant to be a tag's. Where it finds no
        device, or is switched off, the device itself is fetched: its tags have names then, and no ids.
        """
        client = self.get_conn()
        try:
            return list(client.iterate(lambda token: operations.list_device_tags(device_id, token)))
        except (NotFoundError, GoneError):
            return [Tag(tag) for tag in self.fetch_claimed_device(device_id).known_tags()]

    def find_tag(self, tag: str) -> Tag | None:
        """Find a tag of the team by its name, ``None`` if there is no such tag."""
        return next((known for known in self.list_tags() if known.tag == tag), None)

    def rename_tag(self, tag: str, new_tag: str, description: str | None = None) -> int:
        """Rename a tag on every device that has it (UpdateTag); return the number of those devices.

        A tag that is not there while there is one of the new name was renamed before: 0 devices.

        :param description: a new one; by default the tag keeps its own.
        :raises TagError: if there is no such tag, or another one has the new name.
        """
        operations.checked_tag(new_tag)
        known = {each.tag: each for each in self.list_tags()}
        present = known.get(tag)
        if present is None:
            if new_tag in known:
                return 0
            raise TagError(f"there is no tag {tag!r} to rename")
        if new_tag != tag and new_tag in known:
            raise TagError(
                f"{tag!r} cannot be renamed to {new_tag!r}, which exists already; give its devices that tag and delete it"
            )
        touched = self._count(tag)
        description = present.description or "" if description is None else description
        self.get_conn().send(operations.update_tag(present.id or present.tag, new_tag, description))
        return touched

    def delete_tag(self, tag: str, *, from_devices: bool = False) -> int:
        """Delete a tag (DeleteTags); return from how many devices it was taken. One that is not there is done.

        Looking and deleting are two requests: a device that gets the tag in between loses it.

        :param from_devices: delete it even though devices carry it.
        :raises TagError: if devices carry it and ``from_devices`` is not set.
        """
        present = self.find_tag(tag)
        if present is None:
            return 0
        carried = self._count(tag)
        if carried and not from_devices:
            raise TagError(
                f"{counted(carried, 'device has', 'devices have')} the tag {tag!r}; nothing was deleted"
            )
        try:
            self.get_conn().send(operations.delete_tag(present.id or present.tag))
        except NotFoundError:
            if self.find_tag(tag) is not None:
                # It is the path that is not there.
                raise
        return carried

    def _count(self, tag: str) -> int:
        return sum(1 for _ in self.list_claimed_devices(tag=tag))

    def list_rules(self) -> Iterator[ProvisioningRule]:
        """Yield the team's provisioning rules, page after page."""
        return self.get_conn().iterate(operations.list_rules)

    def create_rule(
        self,
        name: str,
        commands: Iterable[Mapping[str, Any]],
        tags: Iterable[str],
        description: str = "",
        *,
        active: bool = True,
    ) -> None:
        """Create a provisioning rule: commands for every device that has one of these tags.

        An active rule can be changed no more. One of this name is a ``ConflictError`` (inferred).

        :param commands: each ``{"request": {kind: fields}}``.
        """
        self.get_conn().send(operations.create_rule(name, commands, tags, description, active=active))

    def ensure_onboarding_rule(
        self,
        sec_tag: int = onboarding.DEFAULT_SEC_TAG,
        certificates: str = onboarding.ROOT_CERTIFICATES,
    ) -> tuple[ProvisioningRule, bool]:
        """Make the rule that onboards devices with the tag ``nrf-cloud-onboarding``, unless there is one.

        As Nordic's own tool does it: any rule for that tag will do, whatever its commands are; and the tag is
        created, too.

        :param sec_tag: security tag of the modem for keys and certificates.
        :param certificates: PEM of the roots that a device trusts; Amazon's and Nordic's by default.
        :return: the rule, and whether it was made just now.
        :raises NrfProvError: also if a rule for another tag has the name of this one.
        """
        found = self._onboarding_rule()
        self.ensure_tag(onboarding.ONBOARDING_TAG, onboarding.ONBOARDING_TAG_DESCRIPTION)
        if found is not None:
            return found, False
        try:
            self.create_rule(
                onboarding.ONBOARDING_RULE,
                onboarding.onboarding_commands(sec_tag, certificates),
                [onboarding.ONBOARDING_TAG],
                onboarding.ONBOARDING_RULE_DESCRIPTION,
            )
        except ConflictError:
            # Somebody else was faster, or the name is another rule's.
            made = self._onboarding_rule()
            if made is None:
                raise
            return made, False
        made = self._onboarding_rule()
        if made is None:
            raise NrfProvError("the onboarding rule was created, but is not among the rules")
        return made, True

    def _onboarding_rule(self) -> ProvisioningRule | None:
        return next((rule for rule in self.list_rules() if onboarding.ONBOARDING_TAG in rule.tags), None)

    def create_command(
        self, device_id: str, request: Mapping[str, Any], description: str = ""
    ) -> ProvisioningCommand:
        """Create a provisioning command for a device (CreateDeviceProvisioningCommand); it has at most 20.

        Sent twice it is two commands: it is not repeated after an answer that was lost.

        :param request: one key, the kind of command, to its fields: ``{"finished": {}}``.
        """
        return self.get_conn().send(operations.create_command(device_id, request, description))

    def list_commands(self, device_id: str) -> Iterator[ProvisioningCommand]:
        """Yield the provisioning commands of a device, page after page (the path is inferred)."""
        return self.get_conn().iterate(lambda token: operations.list_commands(device_id, token))

    def fetch_command(self, device_id: str, command_id: str) -> ProvisioningCommand:
        """Fetch one provisioning command of a device, and its response once it has one."""
        return self.get_conn().send(operations.fetch_command(device_id, command_id))
